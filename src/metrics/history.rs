//! The history of a training: one record per epoch.

use super::Better;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The results of one epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: usize,
    /// The means of loss and metrics by name. Those of the validation set, if there is one, begin with
    /// `val_`.
    pub metrics: BTreeMap<String, f64>,
    /// The learning rate of its last step.
    pub learning_rate: f64,
    /// How long it took in seconds, with validation.
    pub seconds: f64,
}

/// All epochs so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The names of the metrics, sorted, each with and without `val_`; one of the whole epoch only with it.
    pub metric_names: Vec<String>,
    /// One record per epoch, in order.
    pub epochs: Vec<EpochRecord>,
}

impl History {
    /// An empty history of these metrics, each with and without `val_`.
    pub fn new<'a>(metrics: impl IntoIterator<Item = &'a str>) -> History {
        let mut metric_names: Vec<String> =
            metrics.into_iter().flat_map(|name| [name.to_string(), format!("val_{name}")]).collect();
        metric_names.sort();
        History { metric_names, epochs: Vec::new() }
    }

    /// The names of the columns of the history as a table: `epoch`, the metrics, `learning_rate`, `seconds`.
    pub fn columns(&self) -> Vec<String> {
        let metrics = self.metric_names.iter().map(String::as_str);
        let names = std::iter::once("epoch").chain(metrics).chain(["learning_rate", "seconds"]);
        names.map(str::to_string).collect()
    }

    /// The values of an epoch in these columns; none for what was not measured.
    pub fn cells(&self, record: &EpochRecord) -> Vec<Option<f64>> {
        let metrics = self.metric_names.iter().map(|name| record.metrics.get(name).copied());
        let ends = [Some(record.learning_rate), Some(record.seconds)];
        std::iter::once(Some(record.epoch as f64)).chain(metrics).chain(ends).collect()
    }

    /// The epoch in which a metric was best, and its value; the first of equal ones. Values that are not
    /// finite do not count.
    pub fn best(&self, metric: &str, direction: Better) -> Option<(usize, f64)> {
        let values = self.epochs.iter().filter_map(|row| Some((row.epoch, *row.metrics.get(metric)?)));
        values
            .filter(|(_, value)| value.is_finite())
            .reduce(|best, next| if direction.is_better(next.1, best.1) { next } else { best })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_epoch_is_the_first_of_the_finite_best() {
        let mut history = History::new(["loss"]);
        for (epoch, loss) in [f64::NAN, 0.5, 0.3, 0.3, f64::NEG_INFINITY].into_iter().enumerate() {
            let metrics = BTreeMap::from([("loss".to_string(), loss)]);
            history.epochs.push(EpochRecord { epoch: epoch + 1, metrics, learning_rate: 0.1, seconds: 1.0 });
        }
        assert_eq!(history.best("loss", Better::Lower), Some((3, 0.3)));
        assert_eq!(history.best("loss", Better::Higher), Some((2, 0.5)));
        assert_eq!(history.best("val_loss", Better::Lower), None);
    }

    #[test]
    fn metric_names_are_sorted() {
        assert_eq!(
            History::new(["loss", "accuracy"]).metric_names,
            ["accuracy", "loss", "val_accuracy", "val_loss"]
        );
    }
}
