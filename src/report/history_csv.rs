//! Reads the history of a run from CSV: fitch's own, that of Keras's CSVLogger, or that of Lightning.

use super::history_curves::HistoryCurves;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::Path;

/// Reads a history from a CSV file, whose name the curves get.
///
/// # Errors
/// A file that cannot be read or is not such a table; the message has the line and the column.
pub fn read_curves(path: &Path) -> Result<HistoryCurves> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut curves = parse(&text).with_context(|| path.display().to_string())?;
    curves.name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(curves)
}

/// What a column holds; a metric has the name that fitch gives it.
enum Column {
    Epoch,
    LearningRate,
    Metric(String),
    Other,
}

impl Column {
    fn of(head: &str) -> Column {
        let name = head.trim().trim_start_matches('\u{feff}');
        if name == "epoch" {
            return Column::Epoch;
        }
        if name == "lr" || name == "learning_rate" || name.starts_with("lr-") {
            return Column::LearningRate;
        }
        if name.is_empty() || name == "step" || name == "seconds" || name.ends_with("_step") {
            return Column::Other;
        }
        // Lightning writes an epoch's mean as NAME_epoch, and calls training train_.
        let name = name.strip_suffix("_epoch").unwrap_or(name);
        let validation =
            ["val_", "valid_", "validation_"].iter().find_map(|prefix| name.strip_prefix(prefix));
        let (prefix, name) = match validation {
            Some(name) => ("val_", name),
            None => ("", name.strip_prefix("train_").unwrap_or(name)),
        };
        // Keras wrote acc until 2.3.0.
        let name = if name == "acc" { "accuracy" } else { name };
        Column::Metric(format!("{prefix}{name}"))
    }
}

/// The columns of a table, by its first line.
struct Columns {
    columns: Vec<Column>,
    names: csv::StringRecord,
    separator: u8,
}

/// The values of an epoch by metric; `learning_rate` is one of them.
type Row = BTreeMap<String, f64>;

fn parse(text: &[u8]) -> Result<HistoryCurves> {
    ensure!(!text.is_empty(), "is empty; a history begins with a line of column names");
    let first_line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    // Where the comma is the decimal point, fields are separated by semicolons.
    let separator =
        [b';', b'\t'].into_iter().find(|separator| first_line.contains(separator)).unwrap_or(b',');
    let mut reader =
        csv::ReaderBuilder::new().delimiter(separator).has_headers(false).flexible(true).from_reader(text);
    let mut records = reader.records();
    let names = records.next().context("is empty; a history begins with a line of column names")?;
    let columns = Columns::new(names.context("is not CSV")?, separator)?;

    // Lightning writes several lines an epoch, each with some of the values: the last value counts.
    let mut rows: BTreeMap<i64, Row> = BTreeMap::new();
    for record in records {
        let (epoch, values) = columns.read(&record.context("is not CSV")?)?;
        rows.entry(epoch).or_default().extend(values);
    }
    ensure!(!rows.is_empty(), "has no line of values yet");
    Ok(columns.curves(&rows))
}

impl Columns {
    fn new(names: csv::StringRecord, separator: u8) -> Result<Columns> {
        let columns: Vec<Column> = names.iter().map(Column::of).collect();
        let has_epoch = columns.iter().any(|column| matches!(column, Column::Epoch));
        let has_metric = columns.iter().any(|column| matches!(column, Column::Metric(_)));
        ensure!(
            has_epoch && has_metric,
            "line 1: a history has a column epoch and columns of metrics such as loss and val_loss, but these \
             are: {}",
            names.iter().take(12).collect::<Vec<_>>().join(", ")
        );
        Ok(Columns { columns, names, separator })
    }

    /// The epoch of a line, and its values.
    fn read(&self, record: &csv::StringRecord) -> Result<(i64, Row)> {
        let line = record.position().map_or(0, |position| position.line());
        ensure!(
            record.len() == self.columns.len(),
            "line {line}: has {} cells, but there are {} columns",
            record.len(),
            self.columns.len()
        );
        let (mut epoch, mut values) = (0, Row::new());
        for ((column, cell), name) in self.columns.iter().zip(record).zip(&self.names) {
            let number = || value(cell, self.separator);
            let place = || format!("line {line}, column {}", name.trim());
            match column {
                Column::Other => {}
                Column::Epoch => {
                    let is_epoch = |number: &f64| number.fract() == 0.0 && (0.0..1e15).contains(number);
                    let Some(number) = number().with_context(place)?.filter(is_epoch) else {
                        bail!("{}: '{}' is not the number of an epoch", place(), shortened(cell))
                    };
                    epoch = number as i64;
                }
                Column::LearningRate => {
                    let rate = number().with_context(place)?;
                    values.extend(rate.map(|rate| ("learning_rate".to_string(), rate)));
                }
                Column::Metric(name) => {
                    values.extend(number().with_context(place)?.map(|value| (name.clone(), value)));
                }
            }
        }
        Ok((epoch, values))
    }

    fn curves(&self, rows: &BTreeMap<i64, Row>) -> HistoryCurves {
        // Keras and Lightning count epochs from 0.
        let offset = i64::from(rows.contains_key(&0));
        let of = |name: &str| -> Vec<Option<f64>> {
            rows.values().map(|row| row.get(name).copied().filter(|value| value.is_finite())).collect()
        };
        let names = self.columns.iter().filter_map(|column| match column {
            Column::Metric(name) => Some(name.clone()),
            _ => None,
        });
        HistoryCurves {
            epochs: rows.keys().map(|&epoch| (epoch + offset) as f64).collect(),
            metrics: names.map(|name| (name.clone(), of(&name))).collect(),
            learning_rates: of("learning_rate"),
            ..HistoryCurves::default()
        }
    }
}

/// The number in a cell, unless it is empty.
fn value(cell: &str, separator: u8) -> Result<Option<f64>> {
    let text = cell.trim();
    if text.is_empty() || text == "NA" {
        return Ok(None);
    }
    let with_point = if separator == b';' { text.replace(',', ".") } else { text.to_string() };
    match with_point.parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => bail!("'{}' is not a number", shortened(text)),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::metric_names;

    fn curves(text: &str) -> HistoryCurves {
        parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_history_of_a_run_is_read() {
        let curves = curves(
            "epoch,accuracy,loss,val_accuracy,val_loss,learning_rate,seconds\n\
             1,0.5,nan,,0.25,0.001,1.5\n2,0.75,0.1,,0.125,0.0005,1.5\n",
        );
        assert_eq!(curves.epochs, [1.0, 2.0]);
        assert_eq!(curves.metrics["loss"], [None, Some(0.1)]);
        assert_eq!(curves.values("val_accuracy"), None);
        assert_eq!(curves.learning_rates, [Some(0.001), Some(0.0005)]);
        assert_eq!(metric_names(&[curves]), ["loss", "accuracy"]);
    }

    #[test]
    fn the_logs_of_keras_old_and_new_are_read() {
        let curves = curves("epoch,acc,loss,val_acc,val_loss\r\n0,0.5,1.0,0.5,NA\r\n1,0.6,0.5,0.5,0.7\r\n");
        assert_eq!(curves.epochs, [1.0, 2.0]);
        assert_eq!(curves.metrics["val_accuracy"], [Some(0.5), Some(0.5)]);
        assert_eq!(curves.metrics["val_loss"], [None, Some(0.7)]);
    }

    #[test]
    fn the_log_of_lightning_has_several_lines_an_epoch() {
        let curves = curves(
            "epoch,step,train_loss_step,train_loss_epoch,val_loss,lr-Adam,valid_acc\n\
             0,49,0.9,,,0.01,\n0,99,,,0.5,,0.25\n0,99,,0.75,,,\n1,199,,,0.25,,0.5\n1,199,,0.5,,,\n",
        );
        assert_eq!(curves.epochs, [1.0, 2.0]);
        assert_eq!(curves.metrics["loss"], [Some(0.75), Some(0.5)]);
        assert_eq!(curves.metrics["val_loss"], [Some(0.5), Some(0.25)]);
        assert_eq!(curves.metrics["val_accuracy"], [Some(0.25), Some(0.5)]);
        assert_eq!(curves.learning_rates, [Some(0.01), None]);
    }

    #[test]
    fn semicolons_and_decimal_commas_are_read() {
        assert_eq!(curves("epoch;loss\n1;0,5\n").metrics["loss"], [Some(0.5)]);
        assert_eq!(curves("epoch\tloss\n1\t0.5\n").metrics["loss"], [Some(0.5)]);
    }

    #[test]
    fn faults_are_told_with_line_and_column() {
        for (text, fault) in [
            ("", "is empty"),
            ("epoch,loss\n", "has no line of values yet"),
            ("a,b\n1,2\n", "line 1: a history has a column epoch"),
            ("epoch,seconds\n1,2\n", "line 1: a history has a column epoch"),
            ("epoch,loss\n1,0.5\n2\n", "line 3: has 1 cells, but there are 2 columns"),
            ("epoch,loss\n1,0.5,3\n", "line 2: has 3 cells, but there are 2 columns"),
            ("epoch,loss\n1,low\n", "line 2, column loss: 'low' is not a number"),
            ("epoch,loss\none,1\n", "line 2, column epoch: 'one' is not a number"),
            ("epoch,loss\n1.5,1\n", "line 2, column epoch: '1.5' is not the number of an epoch"),
            ("epoch,loss\n,1\n", "line 2, column epoch: '' is not the number of an epoch"),
        ] {
            let found = format!("{:#}", parse(text.as_bytes()).unwrap_err());
            assert!(found.contains(fault), "{found}");
        }
    }
}
