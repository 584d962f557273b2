//! The history of a run as curves to draw.

use crate::metrics::History;
use std::collections::BTreeMap;

/// The curves of a run, and the epochs that are marked in them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistoryCurves {
    /// What the run is called in a legend.
    pub name: String,
    /// The epochs, from 1, in order.
    pub epochs: Vec<f64>,
    /// The values of each metric by epoch; `None` where it was not measured or is not finite.
    pub metrics: BTreeMap<String, Vec<Option<f64>>>,
    /// The learning rate of each epoch, if it is known.
    pub learning_rates: Vec<Option<f64>>,
    /// The best epoch, and the metric that decides on it.
    pub best: Option<(f64, String)>,
    /// The epoch after which early stopping ended the run.
    pub stopped_early: Option<f64>,
    /// The results on the test set by metric, if it was tested.
    pub test: BTreeMap<String, f64>,
}

impl HistoryCurves {
    /// The values of a metric, unless all of them are missing.
    pub fn values(&self, metric: &str) -> Option<&[Option<f64>]> {
        self.metrics.get(metric).filter(|values| values.iter().any(Option::is_some)).map(Vec::as_slice)
    }

    /// Its best epoch, and what a curve of it has there.
    pub(super) fn at_best(&self, values: &[Option<f64>]) -> Option<(f64, f64)> {
        let (epoch, _) = self.best.as_ref()?;
        let index = self.epochs.iter().position(|known| known == epoch)?;
        Some((*epoch, values[index]?))
    }
}

/// The names of all runs' metrics without `val_`, loss and accuracy first.
pub fn metric_names(runs: &[HistoryCurves]) -> Vec<String> {
    let measured = runs.iter().flat_map(|run| run.metrics.keys().filter(|name| run.values(name).is_some()));
    let mut names: Vec<String> =
        measured.map(|name| name.strip_prefix("val_").unwrap_or(name).to_string()).collect();
    names.sort_by_key(|name| (name != "loss", name != "accuracy", name.clone()));
    names.dedup();
    names
}

impl From<&History> for HistoryCurves {
    /// The curves of a training, without a name and marks.
    fn from(history: &History) -> HistoryCurves {
        let finite = |value: Option<&f64>| value.copied().filter(|value| value.is_finite());
        let values = |name: &String| {
            let values = history.epochs.iter().map(|row| finite(row.metrics.get(name))).collect();
            (name.clone(), values)
        };
        HistoryCurves {
            epochs: history.epochs.iter().map(|row| row.epoch as f64).collect(),
            metrics: history.metric_names.iter().map(values).collect(),
            learning_rates: history.epochs.iter().map(|row| Some(row.learning_rate)).collect(),
            ..HistoryCurves::default()
        }
    }
}
