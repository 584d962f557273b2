//! Adam by an operator of libtorch's that tch does not bind: on CUDA devices, and with `amsgrad`.

use super::adam_state::{COUNT, Decay, FIRST_MOMENT, MAX_SECOND_MOMENT, SECOND_MOMENT, parts};
use super::rule::{Parameter, Part, Rule};
use crate::kernels::torch_ops;
use anyhow::{Context, Result};
use tch::{CModule, Device, IValue, Kind, Tensor, nn};

/// The step counts live on the device too, so that the host waits for nothing.
const METHODS: &str = "  def step(self: __torch__.fitch.Adam,
    parameters: List[Tensor],
    gradients: List[Tensor],
    first: List[Tensor],
    second: List[Tensor],
    max_second: List[Tensor],
    counts: List[Tensor],
    learning_rate: float,
    beta1: float,
    beta2: float,
    weight_decay: float,
    epsilon: float,
    amsgrad: bool) -> NoneType:
    torch._foreach_add_(counts, 1)
    torch._fused_adam_(parameters, gradients, first, second, max_second, counts, lr=learning_rate, beta1=beta1, beta2=beta2, weight_decay=weight_decay, eps=epsilon, amsgrad=amsgrad, maximize=False)
    return None
";

/// The rule.
#[derive(Debug)]
pub struct FusedAdam {
    operators: CModule,
    settings: nn::Adam,
}

impl FusedAdam {
    /// For parameters on a device.
    ///
    /// # Errors
    /// A libtorch without the operator.
    pub fn new(settings: nn::Adam, decay: Decay, device: Device) -> Result<FusedAdam> {
        let methods = match decay {
            Decay::Gradient => METHODS.to_string(),
            Decay::Decoupled => METHODS.replace("_fused_adam_", "_fused_adamw_"),
        };
        let operators = torch_ops::load("Adam", &methods, device).context("libtorch has no fused Adam")?;
        Ok(FusedAdam { operators, settings })
    }
}

impl Rule for FusedAdam {
    fn parts(&self) -> Vec<Part> {
        parts(&self.settings)
    }

    fn step(&self, pairs: &mut [(&mut Parameter, Tensor)], learning_rate: f64) -> Result<()> {
        let list = |of: &dyn Fn(&Parameter) -> Tensor| {
            IValue::TensorList(pairs.iter().map(|(parameter, _)| of(parameter)).collect())
        };
        let part = |index: usize| list(&|parameter| parameter.state[index].shallow_clone());
        let gradients = pairs.iter().map(|(_, gradient)| gradient.f_to_kind(Kind::Float));
        let nn::Adam { beta1, beta2, wd, eps, amsgrad } = self.settings;
        let max_second = if amsgrad { part(MAX_SECOND_MOMENT) } else { IValue::TensorList(Vec::new()) };
        let arguments = [
            list(&|parameter| parameter.value.shallow_clone()),
            IValue::TensorList(gradients.collect::<Result<_, _>>()?),
            part(FIRST_MOMENT),
            part(SECOND_MOMENT),
            max_second,
            part(COUNT),
            IValue::Double(learning_rate),
            IValue::Double(beta1),
            IValue::Double(beta2),
            IValue::Double(wd),
            IValue::Double(eps),
            IValue::Bool(amsgrad),
        ];
        self.operators.method_is("step", &arguments).context("cannot make a step of Adam")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::stateful::tests::assert_equal_to_tch;

    #[test]
    fn it_computes_what_adam_and_adamw_of_tch_do() {
        let settings = nn::Adam::default().beta1(0.8).beta2(0.95).wd(0.01).eps(1e-4);
        let nn::Adam { beta1, beta2, wd, eps, amsgrad } = settings;
        let rule = |decay| Box::new(FusedAdam::new(settings, decay, Device::Cpu).unwrap());
        assert_equal_to_tch(rule(Decay::Gradient), settings, 0.05);
        assert_equal_to_tch(rule(Decay::Decoupled), nn::AdamW { beta1, beta2, wd, eps, amsgrad }, 0.05);
    }
}
