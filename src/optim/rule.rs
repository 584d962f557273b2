//! What an optimizer of ours is made of: settings become a rule, and the rule moves parameters by their
//! gradients.

use anyhow::{Result, ensure};
use std::fmt::Debug;
use tch::{Device, Tensor};

/// How parameters are moved by their gradients.
pub trait Rule: Debug {
    /// The state that the rule keeps for each parameter.
    fn parts(&self) -> Vec<Part>;

    /// Moves parameters. Their gradients are contiguous, float32 or bfloat16, of the parameters' shapes, and
    /// share no memory with any parameter or its state.
    ///
    /// # Errors
    /// A fault of the device.
    fn step(&self, pairs: &mut [(&mut Parameter, Tensor)], learning_rate: f64) -> Result<()>;
}

/// Settings that a rule can be made of.
pub trait IntoRule {
    /// # Errors
    /// A value out of its range, or a libtorch that lacks an operator.
    fn into_rule(self, device: Device) -> Result<Box<dyn Rule>>;
}

/// A part of a parameter's state, zero at first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Part {
    pub name: &'static str,
    /// One value for the whole parameter instead of one for each of its values.
    pub is_scalar: bool,
}

impl Part {
    pub fn per_value(name: &'static str) -> Part {
        Part { name, is_scalar: false }
    }

    pub fn scalar(name: &'static str) -> Part {
        Part { name, is_scalar: true }
    }
}

/// A parameter and its state.
#[derive(Debug)]
pub struct Parameter {
    /// The names of the variable in its store: several for tied weights.
    pub names: Vec<String>,
    /// The variable itself.
    pub variable: Tensor,
    pub layout: Layout,
    /// Its values in the order in which they are in memory, contiguous; mostly the variable itself.
    pub value: Tensor,
    /// In the order of [`Rule::parts`], laid out as `value`.
    pub state: Vec<Tensor>,
}

/// How the values of variables lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// In the order of the dimensions.
    Rows,
    /// Of four dimensions, the second one innermost: PyTorch's channels_last.
    Pixels,
}

impl Layout {
    /// That of a tensor, if it is one of these.
    pub fn of(tensor: &Tensor) -> Option<Layout> {
        if tensor.is_contiguous() {
            return Some(Layout::Rows);
        }
        let is_by_pixels = tensor.dim() == 4 && tensor.permute([0, 2, 3, 1]).is_contiguous();
        is_by_pixels.then_some(Layout::Pixels)
    }

    /// The values of a tensor of such a layout in the order of memory.
    ///
    /// # Errors
    /// Another number of dimensions.
    pub fn in_memory(self, tensor: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Layout::Rows => tensor.shallow_clone(),
            Layout::Pixels => tensor.f_permute([0, 2, 3, 1])?,
        })
    }

    /// The opposite of [`Layout::in_memory`]; a single number stays as it is.
    pub fn as_shaped(self, values: &Tensor) -> Tensor {
        match self {
            Layout::Pixels if values.dim() == 4 => values.permute([0, 3, 1, 2]),
            _ => values.shallow_clone(),
        }
    }
}

/// Ends with an error unless a setting is finite and at least 0.
pub fn check_not_negative(setting: &str, value: f64) -> Result<()> {
    ensure!(
        value >= 0.0 && value.is_finite(),
        "{setting} must be a finite number of at least 0, not {value}"
    );
    Ok(())
}

/// Ends with an error unless a setting is from 0 to below 1.
pub fn check_below_one(setting: &str, value: f64) -> Result<()> {
    ensure!((0.0..1.0).contains(&value), "{setting} must be from 0 to below 1, not {value}");
    Ok(())
}
