//! Adam over all parameters in one step: on a CPU by [`adam_step`], elsewhere by an operator of libtorch's that tch
//! does not bind. It must not know where the gradients come from.

use super::Decay;
use super::adam_step::{Moved, adam_step};
use super::stateful::{Parameter, Part, Rule};
use crate::kernels::tensor_slice::as_mut_slice;
use crate::kernels::torch_ops;
use anyhow::{Context, Result};
use tch::nn;
use tch::{CModule, Device, IValue, Kind, Tensor};

/// The step counts live on the device too, so that nothing waits for it.
const METHODS: &str = "  def step(self: __torch__.fitch.Adam,
    parameters: List[Tensor],
    gradients: List[Tensor],
    first: List[Tensor],
    second: List[Tensor],
    greatest: List[Tensor],
    counts: List[Tensor],
    learning_rate: float,
    beta1: float,
    beta2: float,
    weight_decay: float,
    epsilon: float,
    amsgrad: bool) -> NoneType:
    torch._foreach_add_(counts, 1)
    torch._fused_adam_(parameters, gradients, first, second, greatest, counts, lr=learning_rate, beta1=beta1, beta2=beta2, weight_decay=weight_decay, eps=epsilon, amsgrad=amsgrad, maximize=False)
    return None
";

/// Adam with the settings of tch's.
#[derive(Debug)]
pub struct Adam {
    /// None where the step is ours.
    operators: Option<CModule>,
    settings: nn::Adam,
    decay: Decay,
}

/// The places of the parts.
const FIRST_MOMENT: usize = 0;
const SECOND_MOMENT: usize = 1;
/// How many steps were made.
const COUNT: usize = 2;
const GREATEST_SECOND_MOMENT: usize = 3;

impl Adam {
    /// For parameters on a device.
    ///
    /// # Errors
    /// A libtorch without the operator.
    pub fn new(settings: nn::Adam, decay: Decay, device: Device) -> Result<Adam> {
        let is_ours = device == Device::Cpu && !settings.amsgrad;
        Adam::with(settings, decay, device, !is_ours)
    }

    fn with(settings: nn::Adam, decay: Decay, device: Device, by_libtorch: bool) -> Result<Adam> {
        let methods = match decay {
            Decay::Gradient => METHODS.to_string(),
            Decay::Decoupled => METHODS.replace("_fused_adam_", "_fused_adamw_"),
        };
        let load = || torch_ops::load("Adam", &methods, device);
        let operators = by_libtorch.then(load).transpose().context("libtorch has no fused Adam")?;
        Ok(Adam { operators, settings, decay })
    }
}

impl Rule for Adam {
    fn parts(&self) -> Vec<Part> {
        let mut parts =
            vec![Part::of_each("first_moment"), Part::of_each("second_moment"), Part::single("count")];
        if self.settings.amsgrad {
            parts.push(Part::of_each("greatest_second_moment"));
        }
        parts
    }

    fn step(&self, pairs: &mut [(&mut Parameter, Tensor)], learning_rate: f64) -> Result<()> {
        match &self.operators {
            Some(operators) => step_by_libtorch(operators, pairs, &self.settings, learning_rate),
            None => {
                let moved = pairs.iter_mut().map(|(parameter, gradient)| moved_by(parameter, gradient));
                adam_step(moved.collect(), &self.settings, self.decay, learning_rate)
            }
        }
    }
}

/// A parameter and a gradient for its next step on the CPU.
fn moved_by<'a>(parameter: &'a mut Parameter, gradient: &'a Tensor) -> Moved<'a> {
    let [first_moment, second_moment, count, ..] = parameter.state.as_mut_slice() else {
        unreachable!("the parts of the state are those of the rule")
    };
    let count = &mut as_mut_slice::<f32>(count)[0];
    *count += 1.0;
    let count = f64::from(*count);
    Moved { value: &mut parameter.value, first_moment, second_moment, gradient, count }
}

fn step_by_libtorch(
    operators: &CModule,
    pairs: &[(&mut Parameter, Tensor)],
    settings: &nn::Adam,
    learning_rate: f64,
) -> Result<()> {
    let list = |of: &dyn Fn(&Parameter) -> Tensor| {
        IValue::TensorList(pairs.iter().map(|(parameter, _)| of(parameter)).collect())
    };
    let part = |number: usize| list(&|parameter| parameter.state[number].shallow_clone());
    let gradients = pairs.iter().map(|(_, gradient)| gradient.f_to_kind(Kind::Float));
    let nn::Adam { beta1, beta2, wd, eps, amsgrad } = *settings;
    let greatest = if amsgrad { part(GREATEST_SECOND_MOMENT) } else { IValue::TensorList(Vec::new()) };
    let arguments = [
        list(&|parameter| parameter.value.shallow_clone()),
        IValue::TensorList(gradients.collect::<Result<_, _>>()?),
        part(FIRST_MOMENT),
        part(SECOND_MOMENT),
        greatest,
        part(COUNT),
        IValue::Double(learning_rate),
        IValue::Double(beta1),
        IValue::Double(beta2),
        IValue::Double(wd),
        IValue::Double(eps),
        IValue::Bool(amsgrad),
    ];
    operators.method_is("step", &arguments).context("cannot make a step of Adam")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::stateful::tests::assert_equal_to_tch;

    #[test]
    fn every_setting_of_tch_is_heeded() {
        let settings = nn::Adam::default().beta1(0.8).beta2(0.95).wd(0.01).eps(1e-4);
        for (amsgrad, by_libtorch) in [(false, false), (false, true), (true, true)] {
            let settings = settings.amsgrad(amsgrad);
            let nn::Adam { beta1, beta2, wd, eps, amsgrad } = settings;
            let rule = |decay| Adam::with(settings, decay, Device::Cpu, by_libtorch).unwrap();
            assert_equal_to_tch(rule(Decay::Gradient), settings, 0.05);
            assert_equal_to_tch(rule(Decay::Decoupled), nn::AdamW { beta1, beta2, wd, eps, amsgrad }, 0.05);
        }
    }
}
