//! The history of a run as curves, read from CSV: fitch's own, that of Keras's CSVLogger, or that of
//! Lightning. It must not know how curves are drawn.

use crate::metrics::History;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::path::Path;

/// The history of a run with what is marked in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// What the run is called in a legend.
    pub name: String,
    /// The epochs, from 1, in order.
    pub epochs: Vec<f64>,
    /// For each metric a value an epoch; none where it was not measured or is no finite number.
    pub metrics: BTreeMap<String, Vec<Option<f64>>>,
    /// The learning rate of each epoch, if it is told.
    pub learning_rates: Vec<Option<f64>>,
    /// The best epoch, and the metric that says so.
    pub best: Option<(f64, String)>,
    /// The epoch after which early stopping ended the run.
    pub stopped_early: Option<f64>,
}

impl Curves {
    /// The values of a metric, if there are any.
    pub fn values(&self, metric: &str) -> Option<&[Option<f64>]> {
        self.metrics.get(metric).filter(|values| values.iter().any(Option::is_some)).map(Vec::as_slice)
    }
}

/// The metrics of all runs without their validation twins, loss and accuracy first.
pub fn metric_names(runs: &[Curves]) -> Vec<String> {
    let measured = runs.iter().flat_map(|run| run.metrics.keys().filter(|name| run.values(name).is_some()));
    let mut names: Vec<String> =
        measured.map(|name| name.strip_prefix("val_").unwrap_or(name).to_string()).collect();
    names.sort_by_key(|name| (name != "loss", name != "accuracy", name.clone()));
    names.dedup();
    names
}

impl From<&History> for Curves {
    /// The curves of a training, without marks and name.
    fn from(history: &History) -> Curves {
        let finite = |value: Option<&f64>| value.copied().filter(|value| value.is_finite());
        let values = |name: &String| {
            let values = history.epochs.iter().map(|row| finite(row.metrics.get(name))).collect();
            (name.clone(), values)
        };
        Curves {
            epochs: history.epochs.iter().map(|row| row.epoch as f64).collect(),
            metrics: history.metric_names.iter().map(values).collect(),
            learning_rates: history.epochs.iter().map(|row| Some(row.learning_rate)).collect(),
            ..Curves::default()
        }
    }
}

/// Reads a history from a CSV file; its name is the file's.
///
/// # Errors
/// A file that cannot be read or that is no such table, with line and column.
pub fn read_curves(path: &Path) -> Result<Curves> {
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut curves = parse(&text).with_context(|| path.display().to_string())?;
    curves.name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(curves)
}

/// What a column holds, under the name that fitch gives it.
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
        // Lightning tells of each epoch under NAME_epoch, and calls training train_.
        let name = name.strip_suffix("_epoch").unwrap_or(name);
        let validation =
            ["val_", "valid_", "validation_"].iter().find_map(|prefix| name.strip_prefix(prefix));
        let (prefix, name) = match validation {
            Some(name) => ("val_", name),
            None => ("", name.strip_prefix("train_").unwrap_or(name)),
        };
        // Keras said acc until 2.3.0.
        let name = if name == "acc" { "accuracy" } else { name };
        Column::Metric(format!("{prefix}{name}"))
    }
}

fn parse(text: &[u8]) -> Result<Curves> {
    ensure!(!text.is_empty(), "is empty; a history has a line of column names first");
    let head_line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    // A locale whose decimal comma is the field separator elsewhere separates fields by semicolons.
    let separator = [b';', b'\t'].into_iter().find(|separator| head_line.contains(separator)).unwrap_or(b',');
    let mut reader =
        csv::ReaderBuilder::new().delimiter(separator).has_headers(false).flexible(true).from_reader(text);
    let mut records = reader.records();
    let head = records.next().context("is empty; a history has a line of column names first")?;
    let head = head.context("is not CSV")?;
    let columns: Vec<Column> = head.iter().map(Column::of).collect();
    let has = |wanted: fn(&Column) -> bool| columns.iter().any(wanted);
    ensure!(
        has(|column| matches!(column, Column::Epoch)) && has(|column| matches!(column, Column::Metric(_))),
        "line 1: a history has a column epoch and columns of metrics such as loss and val_loss, but these are: {}",
        head.iter().take(12).collect::<Vec<_>>().join(", ")
    );

    // Lightning writes several lines an epoch, each with some of the values: the last of each counts.
    let mut rows: BTreeMap<i64, BTreeMap<&str, f64>> = BTreeMap::new();
    for record in records {
        let record = record.context("is not CSV")?;
        let line = record.position().map_or(0, |position| position.line());
        ensure!(
            record.len() == columns.len(),
            "line {line}: has {} cells, but there are {} columns",
            record.len(),
            columns.len()
        );
        let mut epoch = None;
        let mut values: BTreeMap<&str, f64> = BTreeMap::new();
        for ((column, cell), head) in columns.iter().zip(&record).zip(&head) {
            let place = || format!("line {line}, column {}", head.trim());
            match column {
                Column::Other => {}
                Column::Epoch => {
                    let number = value(cell, separator)
                        .with_context(place)?
                        .filter(|number| number.fract() == 0.0 && (0.0..1e15).contains(number));
                    let Some(number) = number else {
                        bail!("{}: '{}' is not the number of an epoch", place(), shortened(cell))
                    };
                    epoch = Some(number as i64);
                }
                Column::LearningRate => {
                    value(cell, separator)
                        .with_context(place)?
                        .map(|rate| values.insert("learning_rate", rate));
                }
                Column::Metric(name) => {
                    value(cell, separator).with_context(place)?.map(|value| values.insert(name, value));
                }
            }
        }
        rows.entry(epoch.unwrap_or_default()).or_default().extend(values);
    }
    ensure!(!rows.is_empty(), "has no line of values yet");

    // Keras and Lightning count epochs from 0.
    let offset = i64::from(rows.contains_key(&0));
    let of = |name: &str| -> Vec<Option<f64>> {
        rows.values().map(|row| row.get(name).copied().filter(|value| value.is_finite())).collect()
    };
    let names = columns.iter().filter_map(|column| match column {
        Column::Metric(name) => Some(name.clone()),
        _ => None,
    });
    Ok(Curves {
        epochs: rows.keys().map(|&epoch| (epoch + offset) as f64).collect(),
        metrics: names.map(|name| (name.clone(), of(&name))).collect(),
        learning_rates: of("learning_rate"),
        ..Curves::default()
    })
}

/// The number in a cell; none in an empty one.
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

    fn curves(text: &str) -> Curves {
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
