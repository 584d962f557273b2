//! The history as CSV: one row for each epoch, on disk when the epoch ends.

use crate::files::write_whole;
use crate::train::{Callback, History, Training};
use anyhow::Result;
use std::path::PathBuf;

/// Writes the columns `epoch`, the metrics in the order of their names, `learning_rate` and `seconds`. The
/// file is replaced as a whole, so that a reader never sees half a row.
#[derive(Clone, Debug)]
pub struct HistoryFile {
    path: PathBuf,
    form: CsvForm,
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
    /// Writes to a file, which is created when training begins.
    pub fn new(path: impl Into<PathBuf>) -> HistoryFile {
        HistoryFile { path: path.into(), form: CsvForm::default() }
    }

    /// Another form of CSV.
    pub fn form(self, form: CsvForm) -> HistoryFile {
        HistoryFile { form, ..self }
    }

    fn write(&self, history: &History) -> Result<()> {
        write_whole(&self.path, &to_csv(history, self.form)?)
    }
}

impl Callback for HistoryFile {
    fn train_begin(&mut self, training: &mut Training) -> Result<()> {
        self.write(training.history())
    }

    fn epoch_end(&mut self, training: &mut Training) -> Result<()> {
        self.write(training.history())
    }
}

/// The table as CSV (RFC 4180, but with single line feeds). A value that was not measured is an empty cell;
/// NaN is `nan`, as in Keras's CSVLogger.
fn to_csv(history: &History, form: CsvForm) -> Result<Vec<u8>> {
    let mut writer = csv::WriterBuilder::new().delimiter(form.separator).from_writer(Vec::new());
    writer.write_record(history.columns())?;
    for record in &history.epochs {
        let cells = history.cells(record).into_iter();
        writer.write_record(
            cells.map(|cell| cell.map_or(String::new(), |value| number(value, form.decimal))),
        )?;
    }
    Ok(writer.into_inner()?)
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
    }
}
