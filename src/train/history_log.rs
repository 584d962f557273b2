//! The history as lines that are only ever added to: the part of checkpoints that they share.

use super::{EpochRecord, History};
use crate::run::{GrowingText, Growth};
use anyhow::{Context, Result, ensure};
use std::fmt::Write;
use std::sync::Arc;

/// The history as far as it is in checkpoints.
#[derive(Debug, Default)]
pub struct HistoryLog {
    text: GrowingText,
    epochs: usize,
    /// The line of the last epoch, by which the log knows its training.
    last: String,
}

impl HistoryLog {
    /// What a history has that was not in the one before. If it is not the same one, that is all of it.
    pub fn growth(&mut self, history: &History) -> Growth {
        let is_known = match self.epochs.checked_sub(1) {
            Some(last) => history.epochs.get(last).is_some_and(|record| line(history, record) == self.last),
            None => true,
        };
        if !is_known {
            *self = HistoryLog::default();
        }
        for record in &history.epochs[self.epochs..] {
            self.last = line(history, record);
            self.text.append(&self.last);
        }
        self.epochs = history.epochs.len();
        self.text.growth()
    }
}

/// An epoch: its number, learning rate and seconds, then the metrics in the order of their names, with tabs
/// between them. Numbers read back to the last bit.
fn line(history: &History, record: &EpochRecord) -> String {
    let mut line = format!("{}\t{:?}\t{:?}", record.epoch, record.learning_rate, record.seconds);
    for name in &history.metric_names {
        line.push('\t');
        if let Some(value) = record.metrics.get(name) {
            let _ = write!(line, "{value:?}");
        }
    }
    line.push('\n');
    line
}

/// The history of these metrics whose lines a checkpoint has.
pub fn read(metric_names: &[String], text: &str) -> Result<Arc<History>> {
    let mut history = History { metric_names: metric_names.to_vec(), epochs: Vec::new() };
    for (index, line) in text.lines().enumerate() {
        let record = record(metric_names, line).with_context(|| format!("line {}", index + 1))?;
        history.epochs.push(record);
    }
    Ok(Arc::new(history))
}

fn record(metric_names: &[String], line: &str) -> Result<EpochRecord> {
    let mut cells = line.split('\t');
    let mut next = || cells.next().context("ends too early");
    let epoch = next()?.parse().context("the epoch")?;
    let learning_rate = next()?.parse().context("the learning rate")?;
    let seconds = next()?.parse().context("the seconds")?;
    let mut record = EpochRecord { epoch, metrics: Default::default(), learning_rate, seconds };
    for name in metric_names {
        let cell = next()?;
        if !cell.is_empty() {
            record.metrics.insert(name.clone(), cell.parse().with_context(|| name.clone())?);
        }
    }
    ensure!(cells.next().is_none(), "has more values than there are metrics");
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(epochs: usize) -> History {
        let mut history = History::new(["loss", "odd"]);
        for epoch in 1..=epochs {
            let metrics = [("loss", 1.0 / epoch as f64), ("odd", f64::NAN), ("val_loss", 1e-300)];
            let metrics = metrics.map(|(name, value)| (name.to_string(), value)).into();
            let (learning_rate, seconds) = (0.1 + 0.2, f64::MIN_POSITIVE * epoch as f64);
            history.epochs.push(EpochRecord { epoch, metrics, learning_rate, seconds });
        }
        history
    }

    #[test]
    fn every_bit_comes_back() {
        let history = history(3);
        let text: String = history.epochs.iter().map(|record| line(&history, record)).collect();
        let found = read(&history.metric_names, &text).unwrap();
        assert_eq!(format!("{found:?}"), format!("{history:?}"));
        for bad in ["1\t2", "1\t2\t3\t4\t5\t6\t7\t8", "x\t2\t3\t\t\t\t", "1\t2\t3\tx\t\t\t"] {
            assert!(read(&history.metric_names, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_what_is_new_is_added_unless_it_is_another_history() {
        let mut log = HistoryLog::default();
        let lines = |growth: &Growth| growth.text().lines().count();
        assert_eq!(lines(&log.growth(&history(0))), 0);
        assert_eq!(lines(&log.growth(&history(4))), 4);
        assert_eq!(lines(&log.growth(&history(4))), 0);
        let growth = log.growth(&history(6));
        assert_eq!(lines(&growth), 2);
        assert!(!growth.begins_anew());
        let mut other = history(8);
        other.epochs[5].seconds = 9.0;
        let growth = log.growth(&other);
        assert_eq!(lines(&growth), 8);
        assert!(growth.begins_anew());
        assert!(log.growth(&history(2)).begins_anew());
    }
}
