//! What a training is made of, as [`Fit`](super::Fit) collects it.

use super::gradients::Gradients;
use super::transform::Transform;
use crate::metrics::{Loss, Metric};
use crate::optim::Optimizer;
use tch::nn::{ModuleT, VarStore};

/// Model, optimizer, loss, metrics, and how long to train.
#[derive(Debug)]
pub struct Settings<'a> {
    pub model: &'a dyn ModuleT,
    pub variables: &'a VarStore,
    pub optimizer: Optimizer,
    /// Without them, autograd computes the gradients.
    pub gradients: Option<Gradients<'a>>,
    pub loss: Loss,
    /// If it differs from that of training.
    pub validation_loss: Option<Loss>,
    pub transform: Option<Transform<'a>>,
    pub metrics: Vec<Metric>,
    pub epochs: usize,
    pub batch_size: usize,
    /// The number of batches whose gradients make a step.
    pub accumulate: usize,
    /// The decay of the mean of the weights, if there is to be one.
    pub ema: Option<f64>,
}
