//! Metrics: numbers that are recorded for each epoch.

use super::Better;
use crate::kernels::cross_entropy::count_correct;
use std::fmt;
use tch::{Kind, Tensor};

type Function = dyn Fn(&Tensor, &Tensor) -> Tensor;

/// A number that says how well outputs fit their targets: an accuracy, an error, or your own.
pub struct Metric {
    /// Its column in the history; with validation there is a second one, `val_` + name.
    pub name: String,
    /// Whether smaller or larger values are better.
    pub direction: Better,
    function: Box<Function>,
    /// Whether the function returns the sum over the batch; otherwise it returns the mean.
    returns_sum: bool,
}

impl fmt::Debug for Metric {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "Metric({}, {:?})", self.name, self.direction)
    }
}

impl Metric {
    /// A metric from a function of (outputs [b, ...], targets [b, ...]) that returns the mean over the batch
    /// as a tensor of one value. It is called for each batch, on the device, with gradients off.
    pub fn new(
        name: impl Into<String>,
        direction: Better,
        function: impl Fn(&Tensor, &Tensor) -> Tensor + 'static,
    ) -> Metric {
        Metric { name: name.into(), direction, function: Box::new(function), returns_sum: false }
    }

    /// The share of samples whose largest logit is that of their label; among equal ones the first counts, as
    /// in Keras. Logits [b, classes], labels int64 `[b]`.
    pub fn accuracy() -> Metric {
        let correct = |logits: &Tensor, labels: &Tensor| match count_correct(logits, labels) {
            Some(count) => Tensor::from(count),
            None => logits.argmax(-1, false).eq_tensor(labels).sum(Kind::Double),
        };
        Metric { returns_sum: true, ..Metric::new("accuracy", Better::Higher, correct) }
    }

    /// What the function returns for a batch.
    pub(crate) fn call(&self, outputs: &Tensor, targets: &Tensor) -> Tensor {
        (self.function)(outputs, targets)
    }

    /// The weight of a batch's value in the sum over all samples.
    pub(super) fn weight(&self, batch_size: usize) -> usize {
        if self.returns_sum { 1 } else { batch_size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_gives_ties_to_the_first_class() {
        let outputs = Tensor::from_slice(&[1f32, 1.0, 0.0, 0.0, 2.0, 2.0, 5.0, 5.0, 5.0]).view([3, 3]);
        let correct = Metric::accuracy().call(&outputs, &Tensor::from_slice(&[0i64, 1, 2]));
        assert_eq!(f64::try_from(correct).unwrap(), 2.0);
    }
}
