//! The intervals of metrics on a test set.

use super::{Bootstrap, ClassMetric, Classification, Interval};

impl Classification {
    /// The 95 % intervals of metrics, in their order: [Wilson's](Interval::wilson) for accuracy and top K, the
    /// shares of samples that are right; by [`Bootstrap`], with its defaults, for the others. None for a metric that
    /// is undefined or not finite.
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
        let values: Vec<f64> = metrics.iter().map(|metric| self.value(*metric)).collect();
        let is_share = |metric: &ClassMetric| matches!(metric, ClassMetric::Accuracy | ClassMetric::Top(_));
        let resampled: Vec<ClassMetric> =
            metrics.iter().copied().filter(|metric| !is_share(metric)).collect();
        let mut of_resampled = self.resampled_intervals(&resampled).into_iter();
        let intervals = metrics.iter().zip(values).map(|(metric, value)| {
            let interval = match is_share(metric) {
                true => Interval::wilson((value * self.len() as f64).round() as usize, self.len()),
                false => of_resampled.next().flatten(),
            };
            interval.filter(|_| value.is_finite())
        });
        intervals.collect()
    }

    fn resampled_intervals(&self, metrics: &[ClassMetric]) -> Vec<Option<Interval>> {
        if metrics.is_empty() || self.is_empty() {
            return vec![None; metrics.len()];
        }
        let resampling = self.resampling(metrics);
        Bootstrap::default().intervals(self.len(), |times| {
            let counts = self.counts_of(|sample| times[sample].into());
            let value = |metric: &ClassMetric| match counts.value(*metric) {
                Some(value) => value,
                None => resampling.value(*metric, times).unwrap_or(f64::NAN),
            };
            metrics.iter().map(value).collect()
        })
    }
}
