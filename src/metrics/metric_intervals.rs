//! The intervals of metrics on a test set.

use super::bootstrap::BLOCK;
use super::{Bootstrap, ClassMetric, Classification, Interval};

/// An area under the ROC curve takes the scores of all samples for all classes, in each resample. Where that would be
/// more steps than this, some tenths of a second of one core, fewer resamples count for it, down to the least number;
/// of more scores than the last number it has no interval.
const AUC_STEPS: usize = 1_000_000_000;
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
        let resampled: Vec<ClassMetric> =
            metrics.iter().copied().filter(|metric| !is_share(*metric)).collect();
        let mut of_resampled = self.resampled_intervals(&resampled).into_iter();
        let interval = |&metric: &ClassMetric| {
            let value = self.value(metric);
            let interval = match is_share(metric) {
                true => Interval::wilson((value * self.len() as f64).round() as usize, self.len()),
                false => of_resampled.next().flatten(),
            };
            interval.filter(|_| value.is_finite())
        };
        metrics.iter().map(interval).collect()
    }

    /// By bootstrap, from the same resamples.
    fn resampled_intervals(&self, metrics: &[ClassMetric]) -> Vec<Option<Interval>> {
        if metrics.is_empty() {
            return Vec::new();
        }
        let scores = (self.len() * self.classes()).max(1);
        let with_auc = match scores > AUC_MOST_SCORES || !metrics.contains(&ClassMetric::Auc) {
            true => 0,
            false => (AUC_STEPS / scores).max(AUC_LEAST_RESAMPLES),
        };
        let others: Vec<ClassMetric> =
            metrics.iter().copied().filter(|metric| with_auc > 0 || *metric != ClassMetric::Auc).collect();
        let resampling = self.resampling(&others);
        let of_all = self.counts();
        let needs_counts = others.iter().any(|metric| of_all.value(*metric).is_some());
        Bootstrap::default().intervals_by_block(self.len(), |first, block| {
            let aucs = match first < with_auc {
                true => resampling.aucs(&side_by_side(block)),
                false => [f64::NAN; BLOCK],
            };
            let of_one = |(times, auc): (&Vec<u32>, f64)| {
                let counts = needs_counts.then(|| self.counts_of(|sample| times[sample].into()));
                let of_counts = |metric| counts.as_ref().and_then(|counts| counts.value(metric));
                let value = |metric: &ClassMetric| match (metric, of_counts(*metric)) {
                    (ClassMetric::Auc, _) => auc,
                    (_, Some(value)) => value,
                    _ => resampling.value(*metric, times).unwrap_or(f64::NAN),
                };
                metrics.iter().map(value).collect()
            };
            block.iter().zip(aucs).map(of_one).collect()
        })
    }
}

/// How often each sample is in each resample of a block.
fn side_by_side(block: &[Vec<u32>]) -> Vec<[u32; BLOCK]> {
    let mut times = vec![[0; BLOCK]; block.first().map_or(0, Vec::len)];
    for (lane, of_lane) in block.iter().enumerate() {
        times.iter_mut().zip(of_lane).for_each(|(times, &of_sample)| times[lane] = of_sample);
    }
    times
}

/// Whether it is a share of the samples.
fn is_share(metric: ClassMetric) -> bool {
    matches!(metric, ClassMetric::Accuracy | ClassMetric::Top(_))
}
