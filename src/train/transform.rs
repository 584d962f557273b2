//! A change of each training batch's inputs, such as augmentation.

use anyhow::Result;
use std::fmt;
use tch::Tensor;

type Function<'a> = dyn Fn(&Tensor) -> Result<Tensor> + 'a;

/// Turns the inputs of a training batch [b, ...] into those that the model is given.
pub struct Transform<'a>(Box<Function<'a>>);

impl<'a> Transform<'a> {
    pub fn new(function: impl Fn(&Tensor) -> Result<Tensor> + 'a) -> Transform<'a> {
        Transform(Box::new(function))
    }

    /// Applies it without recording gradients.
    pub fn apply(&self, inputs: &Tensor) -> Result<Tensor> {
        tch::no_grad(|| (self.0)(inputs))
    }
}

impl fmt::Debug for Transform<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("Transform")
    }
}
