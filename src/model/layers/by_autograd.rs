//! A layer whose gradients are left to libtorch, among others that compute their own.

use super::{Gradients, Layer, LayerGradients};
use anyhow::{Context, Result};
use std::sync::Arc;
use tch::{Kind, Tensor};

/// Records the operators of one layer, and goes back through them.
#[derive(Debug)]
pub struct ByAutograd {
    layer: Arc<dyn Layer>,
    parameters: Vec<Tensor>,
    /// Those that are trained.
    trained: Vec<usize>,
    is_frozen: bool,
    used: Option<Recorded>,
}

/// A forward pass.
#[derive(Debug)]
struct Recorded {
    inputs: Tensor,
    trained: Vec<Tensor>,
    outputs: Tensor,
}

impl ByAutograd {
    /// A layer with its parameters for samples of that input shape.
    pub fn new(layer: Arc<dyn Layer>, input: &[i64], parameters: Vec<Tensor>) -> ByAutograd {
        let kinds = layer.parameters(input).into_iter().enumerate();
        let trained = kinds.filter(|(_, parameter)| parameter.is_trainable).map(|(index, _)| index).collect();
        ByAutograd { layer, parameters, trained, is_frozen: false, used: None }
    }

    fn apply(&self, inputs: &Tensor, parameters: &[Tensor], train: bool) -> Result<Tensor> {
        if inputs.dim() != 4 {
            return Ok(self.layer.apply(inputs, parameters, train));
        }
        let outputs = self.layer.apply(&inputs.f_permute([0, 3, 1, 2])?, parameters, train);
        match outputs.dim() {
            4 => Ok(outputs.f_permute([0, 2, 3, 1])?.f_contiguous()?),
            _ => Ok(outputs),
        }
    }
}

impl LayerGradients for ByAutograd {
    fn is_random(&self) -> bool {
        // Which layers draw numbers is not known here.
        self.parameters.is_empty()
    }

    fn freeze(&mut self) {
        self.is_frozen = true;
        self.trained.clear();
    }

    fn infer(&self, inputs: Tensor) -> Result<Tensor> {
        self.apply(&inputs, &self.parameters, false)
    }

    fn forward(&mut self, inputs: Tensor) -> Result<Tensor> {
        let inputs = inputs.f_detach()?.set_requires_grad(true);
        let mut parameters: Vec<Tensor> = self.parameters.iter().map(Tensor::shallow_clone).collect();
        for &index in &self.trained {
            parameters[index] = parameters[index].f_detach()?.set_requires_grad(true);
        }
        let outputs = tch::with_grad(|| self.apply(&inputs, &parameters, !self.is_frozen))?;
        let trained = self.trained.iter().map(|&index| parameters[index].shallow_clone()).collect();
        let values = outputs.f_detach()?;
        self.used = Some(Recorded { inputs, trained, outputs });
        Ok(values)
    }

    fn backward(&mut self, outputs: Tensor, _: bool) -> Result<Gradients> {
        let recorded = self.used.take().context("there was no forward pass")?;
        // The gradient of this sum are the gradients of the outputs, times those behind them.
        let sum = tch::with_grad(|| recorded.outputs.f_mul(&outputs)?.f_sum(Kind::Float))?;
        let leaves: Vec<&Tensor> = std::iter::once(&recorded.inputs).chain(&recorded.trained).collect();
        let mut gradients = Tensor::f_run_backward(&[sum], &leaves, false, false)?;
        let parameters = gradients.split_off(1);
        Ok(Gradients { inputs: gradients.pop(), parameters })
    }
}
