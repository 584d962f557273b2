//! The history as CSV: one row an epoch, on disk when the epoch ends.

use crate::run::write_whole;
use crate::train::{Callback, History, Training};
use anyhow::Result;
use std::path::PathBuf;

/// Writes `epoch`, the metrics in the order of their names, `learning_rate` and `seconds`. The file is
/// replaced as a whole, so that a reader never meets half a row.
#[derive(Clone, Debug)]
pub struct HistoryFile {
    path: PathBuf,
}

impl HistoryFile {
    /// Into that file; it is created when training begins.
    pub fn new(path: impl Into<PathBuf>) -> HistoryFile {
        HistoryFile { path: path.into() }
    }

    fn write(&self, history: &History) -> Result<()> {
        write_whole(&self.path, &to_csv(history)?)
    }
}

impl Callback for HistoryFile {
    fn train_begin(&mut self, training: &mut Training) -> Result<()> {
        self.write(&training.history)
    }

    fn epoch_end(&mut self, training: &mut Training) -> Result<()> {
        self.write(&training.history)
    }
}

/// The table as CSV (RFC 4180 but for the line ends, which are single line feeds). A value that was not
/// measured is an empty cell; NaN is `nan`, as Keras's CSVLogger writes it.
fn to_csv(history: &History) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let metrics = &history.metric_names;
    let names = metrics.iter().map(String::as_str);
    writer.write_record(std::iter::once("epoch").chain(names).chain(["learning_rate", "seconds"]))?;
    for record in &history.epochs {
        let values =
            metrics.iter().map(|name| record.metrics.get(name).map_or(String::new(), |&value| number(value)));
        let ends = [number(record.learning_rate), number(record.seconds)];
        writer.write_record(std::iter::once(record.epoch.to_string()).chain(values).chain(ends))?;
    }
    Ok(writer.into_inner()?)
}

/// All digits that tell the value apart from its neighbours, and never an exponent.
fn number(value: f64) -> String {
    if value.is_nan() { "nan".to_string() } else { value.to_string() }
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
        let text = String::from_utf8(to_csv(&history).unwrap()).unwrap();
        assert_eq!(
            text,
            "epoch,accuracy,loss,val_accuracy,val_loss,learning_rate,seconds\n\
             1,0.3333333333333333,nan,,,0.0000001,1.5\n"
        );
    }
}
