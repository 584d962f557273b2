//! Optimizers whose state is in tensors of ours, whatever their rule: gradients of a loss or from elsewhere,
//! by name, checked and clipped; the state to save.

use super::rule::{Layout, Parameter, Part, Rule};
use crate::kernels::named_tensors::assign;
use crate::kernels::tensor_slice::{addresses, overlap};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::ops::Range;
use tch::nn::VarStore;
use tch::{Kind, Tensor};

/// An optimizer over the trainable variables that a store had when it was made.
#[derive(Debug)]
pub struct StatefulOptimizer {
    rule: Box<dyn Rule>,
    parameters: Vec<Parameter>,
}

impl StatefulOptimizer {
    /// Weights that are tied, one tensor under several names, are one parameter.
    ///
    /// # Errors
    /// A variable that is not float32 and contiguous (or channels_last), variables that overlap in memory otherwise, or too
    /// little memory.
    pub fn new(rule: Box<dyn Rule>, variables: &VarStore) -> Result<StatefulOptimizer> {
        let parts = rule.parts();
        let parameter = |(names, variable): (Vec<String>, Tensor)| -> Result<Parameter> {
            let (name, kind) = (&names[0], variable.kind());
            ensure!(kind == Kind::Float, "{name} is {kind:?}; only float32 can be trained");
            let layout = Layout::of(&variable).with_context(|| format!("{name} is not contiguous"))?;
            let value = match layout {
                Layout::Rows => variable.shallow_clone(),
                Layout::Pixels => layout.in_memory(&variable.detach())?,
            };
            let zeros = |part: &Part| match part.is_scalar {
                true => Tensor::f_zeros([0i64; 0], (Kind::Float, value.device())),
                false => value.detach().f_zeros_like(),
            };
            let state = parts.iter().map(zeros).collect::<Result<_, _>>()?;
            Ok(Parameter { names, variable, layout, value, state })
        };
        let parameters = distinct_variables(variables)?.into_iter().map(parameter).collect::<Result<_>>()?;
        Ok(StatefulOptimizer { rule, parameters })
    }

    /// The gradients of a loss (one value), one per parameter; undefined where it does not depend on one.
    ///
    /// They are used as autograd returns them, which saves adding them to `grad` and setting that to zero.
    ///
    /// # Errors
    /// A loss that depends on no parameter, or a fault of the device.
    pub fn differentiate(&self, loss: &Tensor) -> Result<Vec<Tensor>> {
        let values: Vec<&Tensor> = self.values().collect();
        let gradients = Tensor::f_run_backward(&[loss], &values, false, false)
            .context("cannot compute the gradients of the loss")?;
        for (parameter, gradient) in self.parameters.iter().zip(&gradients) {
            check_fit(&parameter.names[0], parameter, gradient)?;
        }
        Ok(gradients)
    }

    /// Gradients from elsewhere, by the names of the variables, as one per parameter. Those of tied weights, one
    /// under each of their names, are added up.
    ///
    /// # Errors
    /// An unknown name, a name that comes twice, a gradient that does not fit its variable, or a fault of the
    /// device.
    pub fn collect(&self, gradients: Vec<(&str, Tensor)>) -> Result<Vec<Tensor>> {
        let _no_gradient = tch::no_grad_guard();
        let mut in_order: Vec<Tensor> = self.parameters.iter().map(|_| Tensor::new()).collect();
        let mut seen: Vec<&str> = Vec::new();
        for (name, gradient) in gradients {
            let named = |parameter: &Parameter| parameter.names.iter().any(|known| known == name);
            let index = self.parameters.iter().position(named);
            let index = index.with_context(|| format!("there is no parameter {name}"))?;
            ensure!(!seen.contains(&name), "there are two gradients of {name}");
            seen.push(name);
            check_fit(name, &self.parameters[index], &gradient)?;
            let earlier = &mut in_order[index];
            *earlier = match (earlier.defined(), gradient.defined()) {
                (true, true) => earlier.f_add(&gradient)?,
                (true, false) => continue,
                (false, _) => gradient,
            };
        }
        Ok(in_order)
    }

    /// Moves each parameter by its gradient; without one (undefined), it stays.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn move_by(
        &mut self,
        gradients: Vec<Tensor>,
        learning_rate: f64,
        max_norm: Option<f64>,
    ) -> Result<()> {
        let _no_gradient = tch::no_grad_guard();
        let gradients = match max_norm {
            Some(max_norm) => clipped(gradients, max_norm)?,
            None => gradients,
        };
        let written =
            self.parameters.iter().flat_map(|parameter| parameter.state.iter().chain([&parameter.value]));
        let written: Vec<Range<usize>> = written.map(addresses).collect();
        let pairs = self.parameters.iter_mut().zip(gradients).filter(|(_, gradient)| gradient.defined());
        let pairs = pairs.map(|(parameter, gradient)| {
            let gradient = parameter.layout.in_memory(&gradient)?;
            Ok((parameter, prepared(gradient, &written)?))
        });
        self.rule.step(&mut pairs.collect::<Result<Vec<_>>>()?, learning_rate)
    }

    /// Takes over a state that [`StatefulOptimizer::state`] gave.
    ///
    /// # Errors
    /// A part that is missing or has another shape.
    pub fn load_state(&mut self, saved: &BTreeMap<String, Tensor>) -> Result<()> {
        assign(self.state(), saved)
    }

    /// The state by name, `dense_1.weight.first_moment` and so on; the tensors themselves, not copies, in the
    /// shapes of the variables. That of tied weights has the first of their names.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let parts = self.rule.parts();
        let of_parameter = |parameter: &Parameter| -> Vec<(String, Tensor)> {
            let named = parts.iter().zip(&parameter.state);
            named
                .map(|(part, tensor)| {
                    (format!("{}.{}", parameter.names[0], part.name), parameter.layout.as_shaped(tensor))
                })
                .collect()
        };
        self.parameters.iter().flat_map(of_parameter).collect()
    }

    /// The tensors that are moved.
    pub fn values(&self) -> impl Iterator<Item = &Tensor> {
        self.parameters.iter().map(|parameter| &parameter.variable)
    }
}

/// The trainable variables of a store with their names, sorted by the first; tied ones once.
///
/// # Errors
/// Variables that overlap in memory without being one tensor.
pub(super) fn distinct_variables(variables: &VarStore) -> Result<Vec<(Vec<String>, Tensor)>> {
    let sorted: BTreeMap<String, Tensor> = variables.variables().into_iter().collect();
    let mut distinct: Vec<(Vec<String>, Tensor, Range<usize>)> = Vec::new();
    for (name, value) in sorted.into_iter().filter(|(_, value)| value.requires_grad()) {
        let place = addresses(&value);
        match distinct.iter_mut().find(|(_, _, taken)| overlap(taken, &place)) {
            None => distinct.push((vec![name], value, place)),
            Some((names, tied, _)) if is_one_tensor(tied, &value)? => names.push(name),
            Some((names, ..)) => bail!(
                "{name} and {} overlap in memory; each must have memory of its own, or both be clones \
                 (shallow_clone) of one tensor",
                names[0]
            ),
        }
    }
    Ok(distinct.into_iter().map(|(names, value, _)| (names, value)).collect())
}

/// Whether two trainable tensors in the same memory are one tensor to autograd too. Then a gradient of either
/// is that of both.
fn is_one_tensor(a: &Tensor, b: &Tensor) -> Result<bool> {
    if addresses(a) != addresses(b) || a.size() != b.size() || a.stride() != b.stride() {
        return Ok(false);
    }
    // tch offers no comparison; a flag that is set through one handle is seen through the other.
    if !(a.is_leaf() && b.is_leaf()) {
        return Ok(false);
    }
    let _ = a.f_set_requires_grad(false)?;
    let is_one = !b.requires_grad();
    let _ = a.f_set_requires_grad(true)?;
    Ok(is_one)
}

/// A gradient as [`Rule::step`] takes it, where the step writes to the ranges of memory given.
fn prepared(gradient: Tensor, written: &[Range<usize>]) -> Result<Tensor> {
    let gradient = match gradient.kind() {
        Kind::Float | Kind::BFloat16 => gradient.f_contiguous()?,
        _ => gradient.f_to_kind(Kind::Float)?.f_contiguous()?,
    };
    // The gradient of half the square of a weight, say, may be the weight itself.
    let place = addresses(&gradient);
    if !written.iter().any(|range| overlap(range, &place)) {
        return Ok(gradient);
    }
    let mut copy = gradient.f_empty_like()?;
    copy.f_copy_(&gradient)?;
    Ok(copy)
}

/// Whether a gradient, if there is one, can move a variable.
fn check_fit(name: &str, parameter: &Parameter, gradient: &Tensor) -> Result<()> {
    if !gradient.defined() {
        return Ok(());
    }
    let (value, kind, device) = (&parameter.variable, gradient.kind(), gradient.device());
    ensure!(
        value.kind() == Kind::Float
            && Layout::of(value) == Some(parameter.layout)
            && addresses(value) == addresses(&parameter.value),
        "{name} was changed to {:?} after the optimizer was made for contiguous float32",
        value.kind()
    );
    ensure!(
        gradient.size() == value.size(),
        "the gradient of {name} has the shape {:?}, not {:?}",
        gradient.size(),
        value.size()
    );
    ensure!(
        matches!(kind, Kind::Float | Kind::BFloat16 | Kind::Half | Kind::Double),
        "the gradient of {name} is {kind:?}; it must be float32, bfloat16, float16 or float64"
    );
    ensure!(
        device == value.device(),
        "the gradient of {name} is on {device:?}, but the variable is on {:?}",
        value.device()
    );
    ensure!(!gradient.is_sparse(), "the gradient of {name} is sparse; only dense ones are supported");
    Ok(())
}

/// Gradients whose norm, of all together, is at most `max_norm`, as PyTorch's `clip_grad_norm_` computes it.
/// The host does not wait for the device.
fn clipped(gradients: Vec<Tensor>, max_norm: f64) -> Result<Vec<Tensor>> {
    let defined = gradients.iter().filter(|gradient| gradient.defined());
    let norms = defined.map(|gradient| gradient.f_to_kind(Kind::Float)?.f_norm());
    let norms: Vec<Tensor> = norms.collect::<Result<_, _>>()?;
    if norms.is_empty() {
        return Ok(gradients);
    }
    let norm = Tensor::f_stack(&norms, 0)?.f_norm()?;
    let factor = (norm + 1e-6).f_reciprocal()?.f_mul_scalar(max_norm)?.f_clamp_max(1.0)?;
    let scaled = |gradient: Tensor| match gradient.defined() {
        true => Ok(gradient.f_mul(&factor.f_to_kind(gradient.kind())?)?),
        false => Ok(gradient),
    };
    gradients.into_iter().map(scaled).collect()
}

#[cfg(test)]
pub(super) mod tests;
