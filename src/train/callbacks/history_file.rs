//! The history as CSV: one row for each epoch, in the file when the epoch ends.

use crate::files::{append, write_whole};
use crate::metrics::EpochRecord;
use crate::train::{Callback, History, Training};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Rows are flushed to the disk no more often than this: a short epoch takes less time than that.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// Writes the columns `epoch`, the metrics in the order of their names, `learning_rate` and `seconds`. A row
/// is appended in a single write, so that a reader never sees half of it.
#[derive(Clone, Debug)]
pub struct HistoryFile {
    path: PathBuf,
    form: CsvForm,
    flushed: Instant,
}

/// How a table is written as text. In some countries spreadsheets expect a decimal comma, with semicolons
/// between fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CsvForm {
    /// Between two fields.
    pub separator: u8,
    /// Between whole and fraction.
    pub decimal: char,
}

impl Default for CsvForm {
    fn default() -> Self {
        CsvForm { separator: b',', decimal: '.' }
    }
}

impl HistoryFile {
    /// Writes to a file, which is created when training begins, with the folders above it.
    pub fn new(path: impl Into<PathBuf>) -> HistoryFile {
        HistoryFile { path: path.into(), form: CsvForm::default(), flushed: Instant::now() }
    }

    /// Another form of CSV.
    pub fn form(self, form: CsvForm) -> HistoryFile {
        HistoryFile { form, ..self }
    }

    /// Reads the history back that was written to the file, in the same form.
    ///
    /// # Errors
    /// A file that cannot be read, or was not written so; the message has its line.
    pub fn read(&self) -> Result<History> {
        let text = fs::read(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?;
        from_csv(&text, self.form).with_context(|| self.path.display().to_string())
    }

    /// Writes a history in place of what the file holds.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, history: &History) -> Result<()> {
        write_whole(&self.path, &to_csv(history, self.form)?)
    }

    /// Appends the row of the last epoch, and flushes it to the disk from time to time.
    fn append(&mut self, history: &History, is_last: bool) -> Result<()> {
        let Some(record) = history.epochs.last() else { return Ok(()) };
        let row = rows_as_csv([cells(history, record, self.form)], self.form)?;
        let appended = append(&self.path, &row).and_then(|file| {
            if is_last || self.flushed.elapsed() >= FLUSH_INTERVAL {
                self.flushed = Instant::now();
                file.sync_data()?;
            }
            Ok(())
        });
        match appended {
            // Somebody has removed the file.
            Err(fault) if fault.kind() == ErrorKind::NotFound => self.write(history),
            appended => appended.with_context(|| format!("cannot write {}", self.path.display())),
        }
    }
}

impl Callback for HistoryFile {
    fn train_begin(&mut self, training: &mut Training) -> Result<()> {
        let folder = self.path.parent().unwrap_or(&self.path);
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        self.write(training.history())
    }

    fn epoch_end(&mut self, training: &mut Training) -> Result<()> {
        let is_last = training.is_stopping() || training.epoch() == training.epochs();
        self.append(training.history(), is_last)
    }
}

/// The table as CSV (RFC 4180, but with single line feeds). A value that was not measured is an empty cell;
/// NaN is `nan`, as in Keras's CSVLogger.
fn to_csv(history: &History, form: CsvForm) -> Result<Vec<u8>> {
    let rows = history.epochs.iter().map(|record| cells(history, record, form));
    rows_as_csv(std::iter::once(history.columns()).chain(rows), form)
}

fn rows_as_csv(rows: impl IntoIterator<Item = Vec<String>>, form: CsvForm) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().delimiter(form.separator).from_writer(Vec::new());
    rows.into_iter().try_for_each(|row| writer.write_record(row))?;
    Ok(writer.into_inner()?)
}

fn cells(history: &History, record: &EpochRecord, form: CsvForm) -> Vec<String> {
    let cells = history.cells(record).into_iter();
    cells.map(|cell| cell.map_or(String::new(), |value| number(value, form.decimal))).collect()
}

/// The history that [`to_csv`] wrote.
fn from_csv(text: &[u8], form: CsvForm) -> Result<History> {
    let mut reader = csv::ReaderBuilder::new().delimiter(form.separator).from_reader(text);
    let columns: Vec<String> = reader.headers().context("is not CSV")?.iter().map(str::to_string).collect();
    let [epoch, metric_names @ .., learning_rate, seconds] = &columns[..] else { bail!("is not a history") };
    ensure!(
        [epoch, learning_rate, seconds] == ["epoch", "learning_rate", "seconds"],
        "is not a history: its columns are {}",
        columns.join(", ")
    );
    let mut history = History { metric_names: metric_names.to_vec(), epochs: Vec::new() };
    for (index, row) in reader.records().enumerate() {
        let row = row.context("is not CSV")?;
        let record = parsed(metric_names, &row, form.decimal);
        history.epochs.push(record.with_context(|| format!("line {}", index + 2))?);
    }
    Ok(history)
}

fn parsed(metric_names: &[String], row: &csv::StringRecord, decimal: char) -> Result<EpochRecord> {
    let value = |cell: &str| -> Result<f64> {
        let plain = cell.replace(decimal, ".");
        plain.parse().with_context(|| format!("'{cell}' is not a number"))
    };
    let cell = |index: usize| row.get(index).context("is too short");
    let ends = metric_names.len() + 1;
    let mut record = EpochRecord {
        epoch: value(cell(0)?)? as usize,
        metrics: Default::default(),
        learning_rate: value(cell(ends)?)?,
        seconds: value(cell(ends + 1)?)?,
    };
    for (index, name) in metric_names.iter().enumerate() {
        let cell = cell(index + 1)?;
        if !cell.is_empty() {
            record.metrics.insert(name.clone(), value(cell)?);
        }
    }
    Ok(record)
}

/// As many digits as distinguish the value from its neighbours, never an exponent.
fn number(value: f64, decimal: char) -> String {
    if value.is_nan() { "nan".to_string() } else { value.to_string().replace('.', &decimal.to_string()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::EpochRecord;

    #[test]
    fn rows_have_full_precision_and_gaps_are_empty() {
        let mut history = History::new(["loss", "accuracy"]);
        let metrics =
            [("accuracy", 1.0 / 3.0), ("loss", f64::NAN)].map(|(name, value)| (name.to_string(), value));
        history.epochs.push(EpochRecord {
            epoch: 1,
            metrics: metrics.into(),
            learning_rate: 1e-7,
            seconds: 1.5,
        });
        let text = |form| String::from_utf8(to_csv(&history, form).unwrap()).unwrap();
        assert_eq!(
            text(CsvForm::default()),
            "epoch,accuracy,loss,val_accuracy,val_loss,learning_rate,seconds\n\
             1,0.3333333333333333,nan,,,0.0000001,1.5\n"
        );
        assert_eq!(
            text(CsvForm { separator: b';', decimal: ',' }).lines().nth(1),
            Some("1;0,3333333333333333;nan;;;0,0000001;1,5")
        );
        for form in [CsvForm::default(), CsvForm { separator: b';', decimal: ',' }] {
            let found = from_csv(text(form).as_bytes(), form).unwrap();
            assert_eq!(format!("{found:?}"), format!("{history:?}"));
        }
        for bad in ["", "a,b\n1,2\n", "epoch,loss,learning_rate,seconds\n1,x,1,1\n"] {
            assert!(from_csv(bad.as_bytes(), CsvForm::default()).is_err(), "{bad}");
        }
    }
}
