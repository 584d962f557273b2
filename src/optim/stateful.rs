//! What optimizers have in common whose state is in tensors of ours: gradients of a loss or from elsewhere, by name,
//! clipped; the state to save. How values are moved is the matter of a rule. It must not know what the
//! parameters belong to.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fmt::Debug;
use tch::nn::VarStore;
use tch::{Kind, Tensor};

/// How parameters are moved by their gradients.
pub trait Rule: Debug {
    /// What the state of a parameter is made of.
    fn parts(&self) -> Vec<Part>;

    /// Moves parameters by their gradients, which are contiguous, float32 or of less precision.
    ///
    /// # Errors
    /// A fault of the device.
    fn step(&self, pairs: &mut [(&mut Parameter, Tensor)], learning_rate: f64) -> Result<()>;
}

/// A part of a parameter's state: zeros at first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    pub name: &'static str,
    /// Whether it is one value instead of one for each of the parameter's.
    pub is_single: bool,
}

impl Part {
    pub fn of_each(name: &'static str) -> Part {
        Part { name, is_single: false }
    }

    pub fn single(name: &'static str) -> Part {
        Part { name, is_single: true }
    }
}

/// A parameter with its state, in the order of the rule's parts.
#[derive(Debug)]
pub struct Parameter {
    name: String,
    pub value: Tensor,
    pub state: Vec<Tensor>,
}

/// An optimizer over the trainable variables that a store had when it was made.
#[derive(Debug)]
pub struct StatefulOptimizer {
    rule: Box<dyn Rule>,
    /// The greatest norm of all gradients together.
    greatest_norm: Option<f64>,
    parameters: Vec<Parameter>,
}

impl StatefulOptimizer {
    /// # Errors
    /// A variable that is not float32 and contiguous, or too little memory.
    pub fn new(rule: impl Rule + 'static, variables: &VarStore) -> Result<StatefulOptimizer> {
        let sorted: BTreeMap<String, Tensor> = variables.variables().into_iter().collect();
        let trainable = sorted.into_iter().filter(|(_, value)| value.requires_grad());
        let parts = rule.parts();
        let parameter = |(name, value): (String, Tensor)| -> Result<Parameter> {
            ensure!(value.kind() == Kind::Float, "{name} is {:?}; only float32 can be trained", value.kind());
            ensure!(value.is_contiguous(), "{name} is not contiguous");
            let zeros = |part: &Part| match part.is_single {
                true => Tensor::f_zeros([0i64; 0], (Kind::Float, value.device())),
                false => value.detach().f_zeros_like(),
            };
            Ok(Parameter { state: parts.iter().map(zeros).collect::<Result<_, _>>()?, name, value })
        };
        let parameters = trainable.map(parameter).collect::<Result<_>>()?;
        Ok(StatefulOptimizer { rule: Box::new(rule), greatest_norm: None, parameters })
    }

    /// Makes the gradients smaller where their norm, all of them together, is greater than this.
    pub fn clip_norm(&mut self, greatest: f64) {
        self.greatest_norm = Some(greatest);
    }

    /// Computes the gradients of a loss (one value) and moves every parameter that it depends on.
    ///
    /// The gradients are used where they come up, which saves adding them to what `grad` holds, and setting
    /// that to zero.
    ///
    /// # Errors
    /// A loss that depends on no parameter, or a fault of the device.
    pub fn step(&mut self, loss: &Tensor, learning_rate: f64) -> Result<()> {
        let values: Vec<&Tensor> = self.parameters.iter().map(|parameter| &parameter.value).collect();
        let gradients = Tensor::f_run_backward(&[loss], &values, false, false)
            .context("cannot compute the gradients of the loss")?;
        self.apply_in_order(gradients, learning_rate)
    }

    /// Moves the parameters by gradients that were computed elsewhere, found by their names.
    ///
    /// # Errors
    /// A name of no parameter, or a fault of the device.
    pub fn apply(&mut self, gradients: Vec<(&str, Tensor)>, learning_rate: f64) -> Result<()> {
        let mut in_order: Vec<Tensor> = self.parameters.iter().map(|_| Tensor::new()).collect();
        for (name, gradient) in gradients {
            let number = self.parameters.iter().position(|parameter| parameter.name == name);
            in_order[number.with_context(|| format!("there is no parameter {name}"))?] = gradient;
        }
        self.apply_in_order(in_order, learning_rate)
    }

    /// One gradient a parameter; where it is undefined, the parameter stays.
    fn apply_in_order(&mut self, gradients: Vec<Tensor>, learning_rate: f64) -> Result<()> {
        let _no_gradient = tch::no_grad_guard();
        let gradients = match self.greatest_norm {
            Some(greatest) => clipped(gradients, greatest)?,
            None => gradients,
        };
        let pairs = self.parameters.iter_mut().zip(gradients).filter(|(_, gradient)| gradient.defined());
        // Rules may go through the values as they lie in memory.
        let pairs = pairs.map(|(parameter, gradient)| Ok((parameter, gradient.f_contiguous()?)));
        self.rule.step(&mut pairs.collect::<Result<Vec<_>>>()?, learning_rate)
    }

    /// Takes over a state that [`StatefulOptimizer::state`] gave.
    ///
    /// # Errors
    /// A part that is missing or has another shape.
    pub fn load_state(&mut self, saved: &BTreeMap<String, Tensor>) -> Result<()> {
        let _no_gradient = tch::no_grad_guard();
        for (name, mut tensor) in self.state() {
            let value = saved.get(&name).with_context(|| format!("there is no {name}"))?;
            ensure!(value.size() == tensor.size(), "{name} has the shape {:?}", value.size());
            tensor.f_copy_(value)?;
        }
        Ok(())
    }

    /// The state by name, `dense_1.weight.first_moment` and so on; the tensors themselves, not copies.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let parts = self.rule.parts();
        let of_parameter = |parameter: &Parameter| -> Vec<(String, Tensor)> {
            let named = parts.iter().zip(&parameter.state);
            named
                .map(|(part, tensor)| (format!("{}.{}", parameter.name, part.name), tensor.shallow_clone()))
                .collect()
        };
        self.parameters.iter().flat_map(of_parameter).collect()
    }
}

/// Gradients whose norm is at most `greatest`, as PyTorch's `clip_grad_norm_` computes it. The device is not waited
/// for.
fn clipped(gradients: Vec<Tensor>, greatest: f64) -> Result<Vec<Tensor>> {
    let defined = gradients.iter().filter(|gradient| gradient.defined());
    let norms = defined.map(|gradient| gradient.f_to_kind(Kind::Float)?.f_norm());
    let norms: Vec<Tensor> = norms.collect::<Result<_, _>>()?;
    let norm = Tensor::f_stack(&norms, 0)?.f_norm()?;
    let factor = (norm + 1e-6).f_reciprocal()?.f_mul_scalar(greatest)?.f_clamp_max(1.0)?;
    let scaled = |gradient: Tensor| match gradient.defined() {
        true => Ok(gradient.f_mul(&factor.f_to_kind(gradient.kind())?)?),
        false => Ok(gradient),
    };
    gradients.into_iter().map(scaled).collect()
}

#[cfg(test)]
pub(super) mod tests;
