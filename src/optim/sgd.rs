//! Stochastic gradient descent with momentum, as PyTorch has it. It must not know where the gradients come from.

use super::stateful::{Parameter, Part, Rule};
use anyhow::{Result, ensure};
use tch::{Kind, Tensor, nn};

/// With the settings of tch's: `velocity = momentum * velocity + gradient; value -= rate * velocity`, with Nesterov's
/// momentum `value -= rate * (gradient + momentum * velocity)`.
#[derive(Debug)]
pub struct Sgd {
    settings: nn::Sgd,
}

impl Sgd {
    /// # Errors
    /// A dampening, whose first step is another than those that follow.
    pub fn new(settings: nn::Sgd) -> Result<Sgd> {
        ensure!(settings.dampening == 0.0, "a dampening is not supported");
        Ok(Sgd { settings })
    }
}

impl Rule for Sgd {
    fn parts(&self) -> Vec<Part> {
        if self.settings.momentum == 0.0 { Vec::new() } else { vec![Part::of_each("velocity")] }
    }

    fn step(&self, pairs: &mut [(&mut Parameter, Tensor)], learning_rate: f64) -> Result<()> {
        let nn::Sgd { momentum, wd, nesterov, .. } = self.settings;
        for (parameter, gradient) in pairs {
            let mut gradient = decayed(&parameter.value, gradient, wd)?;
            if let [velocity] = parameter.state.as_mut_slice() {
                let _ = velocity.f_mul_scalar_(momentum)?.f_add_(&gradient)?;
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
    fn steps_are_those_of_tch() {
        for (momentum, nesterov, wd) in
            [(0.0, false, 0.0), (0.9, false, 0.0), (0.9, true, 0.01), (0.0, false, 0.1)]
        {
            let settings = nn::Sgd { momentum, dampening: 0.0, wd, nesterov };
            assert_equal_to_tch(Sgd::new(settings).unwrap(), settings, 0.001);
        }
        assert!(Sgd::new(nn::Sgd { dampening: 0.1, ..nn::Sgd::default() }).is_err());
    }
}
