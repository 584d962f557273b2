//! Gradients without libtorch's record of operations (autograd), for models that can do better. It must
//! not know which model, nor what the gradients are for.

use anyhow::Result;
use std::fmt::Debug;
use tch::Tensor;

/// A model that computes its own gradients. On a CPU they must not depend on the number of threads:
/// training changes it while another program uses the cores, too.
pub trait Backpropagation: Debug {
    /// The outputs [b, ...] for the inputs of a batch, in training mode, as float32. What
    /// [`backward`](Backpropagation::backward) needs is kept.
    ///
    /// # Errors
    /// Inputs of the wrong shape, or a fault of the device.
    fn forward(&mut self, inputs: &Tensor) -> Result<Tensor>;

    /// From the gradient of a loss with respect to the outputs of the last forward pass to those with
    /// respect to the variables, by their names.
    ///
    /// # Errors
    /// A gradient of the wrong shape, or a fault of the device.
    fn backward(&mut self, outputs: Tensor) -> Result<Vec<(&str, Tensor)>>;
}
