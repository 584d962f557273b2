//! Gradients without libtorch's record of operations (autograd), for models that compute their own.

use anyhow::Result;
use std::fmt::Debug;
use tch::Tensor;

/// A model that computes its own gradients. On a CPU they must not depend on the number of threads, which
/// training changes while another program uses the cores too.
pub trait Backpropagation: Debug {
    /// The outputs [b, ...] for the inputs of a batch, in training mode, as float32. Keeps what
    /// [`backward`](Backpropagation::backward) needs.
    ///
    /// # Errors
    /// Inputs of the wrong shape, or a fault of the device.
    fn forward(&mut self, inputs: &Tensor) -> Result<Tensor>;

    /// The gradients of a loss with respect to the variables, under their names, from its gradient with
    /// respect to the outputs of the last forward pass.
    ///
    /// # Errors
    /// No forward pass before, a gradient of the wrong shape, or a fault of the device.
    fn backward(&mut self, outputs: Tensor) -> Result<Vec<(&str, Tensor)>>;
}
