//! The intervals of metrics on a test set.

use super::{Bootstrap, ClassMetric, Classification, Interval};
use std::collections::BTreeMap;

/// An area under the ROC curve takes the scores of all samples for all classes, in each resample. Where that would be
/// more steps than this, about a second of one core, there are fewer resamples, down to the least number; of more
/// scores than the last number there is no interval.
const AUC_STEPS: usize = 400_000_000;
const AUC_LEAST_RESAMPLES: usize = 200;
const AUC_MOST_SCORES: usize = 20_000_000;

impl Classification {
    /// The 95 % intervals of metrics, in their order: [Wilson's](Interval::wilson) for accuracy and top K, the
    /// shares of samples that are right; by [`Bootstrap`], with its defaults, for the others. None for a metric that
    /// is undefined or not finite. For `auc` of many samples and classes there are fewer resamples, and none beyond
    /// 20 million scores.
    ///
    /// ```
    /// use fitch::metrics::{ClassMetric, Classification};
    /// use tch::Tensor;
    ///
    /// let logits = Tensor::from_slice2(&[[2.0f32, 1.0, 0.0], [0.0, 1.0, 2.0], [0.0, 1.0, 0.5], [0.2, 0.1, 0.0]]);
    /// let classified = Classification::new(&logits, &Tensor::from_slice(&[0i64, 1, 1, 2]))?;
    /// let intervals = classified.intervals(&[ClassMetric::Accuracy, ClassMetric::Loss]);
    /// assert_eq!(format!("{:.2}", intervals[0].unwrap()), "0.15 to 0.85");
    /// assert!(intervals[1].unwrap().low < classified.value(ClassMetric::Loss));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    pub fn intervals(&self, metrics: &[ClassMetric]) -> Vec<Option<Interval>> {
        let (aucs, others): (Vec<_>, Vec<_>) = metrics
            .iter()
            .copied()
            .filter(|metric| !is_share(*metric))
            .partition(|metric| *metric == ClassMetric::Auc);
        let mut resampled = self.resampled(others, Bootstrap::default());
        let scores = (self.len() * self.classes()).max(1);
        if scores <= AUC_MOST_SCORES {
            let usual = Bootstrap::default();
            let resamples = (AUC_STEPS / scores).clamp(AUC_LEAST_RESAMPLES, usual.resamples);
            resampled.extend(self.resampled(aucs, Bootstrap { resamples, ..usual }));
        }
        let interval = |&metric: &ClassMetric| {
            let value = self.value(metric);
            let interval = match is_share(metric) {
                true => Interval::wilson((value * self.len() as f64).round() as usize, self.len()),
                false => resampled.get(&metric).copied(),
            };
            interval.filter(|_| value.is_finite())
        };
        metrics.iter().map(interval).collect()
    }

    /// By bootstrap, from the same resamples.
    fn resampled(&self, metrics: Vec<ClassMetric>, bootstrap: Bootstrap) -> BTreeMap<ClassMetric, Interval> {
        if metrics.is_empty() {
            return BTreeMap::new();
        }
        let resampling = self.resampling(&metrics);
        let intervals = bootstrap.intervals(self.len(), |times| {
            let counts = self.counts_of(|sample| times[sample].into());
            let value = |metric: &ClassMetric| match counts.value(*metric) {
                Some(value) => value,
                None => resampling.value(*metric, times).unwrap_or(f64::NAN),
            };
            metrics.iter().map(value).collect()
        });
        metrics.iter().zip(intervals).filter_map(|(metric, interval)| Some((*metric, interval?))).collect()
    }
}

/// Whether it is a share of the samples.
fn is_share(metric: ClassMetric) -> bool {
    matches!(metric, ClassMetric::Accuracy | ClassMetric::Top(_))
}
