//! A training batch in which samples may be mixed.

use tch::Tensor;

/// A training batch as the model is given it: each row may be mixed with another one, and then has its target, too.
#[derive(Debug)]
pub struct MixedBatch {
    /// float32 inputs, [b, ...].
    pub inputs: Tensor,
    /// Targets, [b, ...].
    pub targets: Tensor,
    /// Other targets of the same rows, and their share s in the loss, from 0 to 1. The loss is `(1 - s)` times that
    /// of `targets` and s times that of these. Metrics count whichever have the larger share, `targets` if both are
    /// equal.
    pub others: Option<(Tensor, f64)>,
}

impl MixedBatch {
    /// One in which nothing is mixed.
    pub fn plain(inputs: Tensor, targets: Tensor) -> MixedBatch {
        MixedBatch { inputs, targets, others: None }
    }

    /// The targets of the larger share.
    pub fn main_targets(&self) -> &Tensor {
        match &self.others {
            Some((others, share)) if *share > 0.5 => others,
            _ => &self.targets,
        }
    }
}
