//! Stochastic gradient descent with momentum, as PyTorch's `SGD`.

use super::Settings;
use super::rule::{IntoRule, Parameter, Part, Rule, check_not_negative};
use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor, nn};

/// `velocity = momentum * velocity + (1 - dampening) * gradient; value -= rate * velocity`. The first step
/// has no dampening (`velocity = gradient`). Nesterov's momentum (Sutskever et al., 2013): `value -= rate *
/// (gradient + momentum * velocity)`.
#[derive(Debug)]
struct Sgd {
    settings: nn::Sgd,
}

impl Settings for nn::Sgd {}

impl IntoRule for nn::Sgd {
    fn into_rule(self, _: Device) -> Result<Box<dyn Rule>> {
        let nn::Sgd { momentum, dampening, wd, nesterov } = self;
        check_not_negative("momentum", momentum)?;
        check_not_negative("wd (weight decay)", wd)?;
        ensure!(dampening.is_finite(), "dampening must be a finite number, not {dampening}");
        ensure!(
            !nesterov || (momentum > 0.0 && dampening == 0.0),
            "nesterov needs a momentum above 0 and no dampening, not {momentum} and {dampening}"
        );
        Ok(Box::new(Sgd { settings: self }))
    }
}

impl Rule for Sgd {
    fn parts(&self) -> Vec<Part> {
        match self.settings {
            nn::Sgd { momentum: 0.0, .. } => Vec::new(),
            nn::Sgd { dampening: 0.0, .. } => vec![Part::per_value("velocity")],
            _ => vec![Part::per_value("velocity"), Part::scalar("count")],
        }
    }

    fn step(&self, pairs: &mut [(&mut Parameter, Tensor)], learning_rate: f64) -> Result<()> {
        let nn::Sgd { momentum, dampening, wd, nesterov } = self.settings;
        for (parameter, gradient) in pairs {
            let mut gradient = decayed(&parameter.value, gradient, wd)?;
            if let [velocity, count @ ..] = parameter.state.as_mut_slice() {
                let added = match count {
                    [count] => dampened(&gradient, dampening, count)?,
                    _ => gradient.shallow_clone(),
                };
                let _ = velocity.f_mul_scalar_(momentum)?.f_add_(&added)?;
                gradient = match nesterov {
                    true => gradient.f_add(&velocity.f_mul_scalar(momentum)?)?,
                    false => velocity.shallow_clone(),
                };
            }
            let _ = parameter.value.f_sub_(&gradient.f_mul_scalar(learning_rate)?)?;
        }
        Ok(())
    }
}

/// The gradient times `1 - dampening`, or 1 in the first step. The host does not wait for the count.
fn dampened(gradient: &Tensor, dampening: f64, count: &mut Tensor) -> Result<Tensor> {
    let factor = count.f_clamp_max(1.0)?.f_mul_scalar(-dampening)?.f_add_scalar(1.0)?;
    let _ = count.f_add_scalar_(1.0)?;
    Ok(gradient.f_mul(&factor)?)
}

/// The gradient in float32, with that of an L2 penalty on the values.
pub(super) fn decayed(value: &Tensor, gradient: &Tensor, weight_decay: f64) -> Result<Tensor> {
    let gradient = gradient.f_to_kind(Kind::Float)?;
    if weight_decay == 0.0 {
        return Ok(gradient);
    }
    Ok(gradient.f_add(&value.f_mul_scalar(weight_decay)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::stateful::tests::assert_equal_to_tch;

    #[test]
    fn every_setting_of_tch_has_its_effect() {
        for (momentum, dampening, nesterov, wd) in [
            (0.0, 0.0, false, 0.0),
            (0.9, 0.0, false, 0.0),
            (0.9, 0.0, true, 0.01),
            (0.0, 0.0, false, 0.1),
            (0.9, 0.3, false, 0.01),
            (0.0, 0.3, false, 0.0),
        ] {
            let settings = nn::Sgd { momentum, dampening, wd, nesterov };
            assert_equal_to_tch(settings.into_rule(Device::Cpu).unwrap(), settings, 0.001);
        }
    }

    #[test]
    fn settings_that_pytorch_refuses_are_errors() {
        for (momentum, dampening, nesterov) in [(-0.1, 0.0, false), (0.0, 0.0, true), (0.9, 0.1, true)] {
            let settings = nn::Sgd { momentum, dampening, wd: 0.0, nesterov };
            assert!(settings.into_rule(Device::Cpu).is_err(), "{settings:?}");
        }
    }
}
