//! Gradients that a model computes itself.

use crate::model::Backpropagation;

/// Gradients that are not autograd's.
#[derive(Debug)]
pub enum Gradients<'a> {
    Borrowed(&'a mut dyn Backpropagation),
    Owned(Box<dyn Backpropagation>),
}

impl Gradients<'_> {
    pub fn as_mut(&mut self) -> &mut dyn Backpropagation {
        match self {
            Gradients::Borrowed(gradients) => *gradients,
            Gradients::Owned(gradients) => &mut **gradients,
        }
    }
}
