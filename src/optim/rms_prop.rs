//! RMSprop (Tieleman and Hinton, 2012), as PyTorch has it. It must not know where the gradients come from.

use super::sgd::decayed;
use super::stateful::{Parameter, Part, Rule};
use anyhow::{Result, ensure};
use tch::{Tensor, nn};

/// With the settings of tch's: `mean_square = alpha * mean_square + (1 - alpha) * gradient^2`, and the step is the
/// gradient over `sqrt(mean_square) + epsilon`, or a velocity of such.
#[derive(Debug)]
pub struct RmsProp {
    settings: nn::RmsProp,
}

impl RmsProp {
    /// # Errors
    /// The centered form.
    pub fn new(settings: nn::RmsProp) -> Result<RmsProp> {
        ensure!(!settings.centered, "the centered form is not supported");
        Ok(RmsProp { settings })
    }
}

impl Rule for RmsProp {
    fn parts(&self) -> Vec<Part> {
        let mut parts = vec![Part::of_each("mean_square")];
        if self.settings.momentum > 0.0 {
            parts.push(Part::of_each("velocity"));
        }
        parts
    }

    fn step(&self, pairs: &mut [(&mut Parameter, Tensor)], learning_rate: f64) -> Result<()> {
        let nn::RmsProp { alpha, eps, wd, momentum, .. } = self.settings;
        for (parameter, gradient) in pairs {
            let gradient = decayed(&parameter.value, gradient, wd)?;
            let [mean_square, velocity @ ..] = parameter.state.as_mut_slice() else {
                unreachable!("the parts of the state are those of the rule")
            };
            let square = gradient.f_square()?.f_mul_scalar(1.0 - alpha)?;
            let _ = mean_square.f_mul_scalar_(alpha)?.f_add_(&square)?;
            let mut step = gradient.f_div(&mean_square.f_sqrt()?.f_add_scalar(eps)?)?;
            if let [velocity] = velocity {
                let _ = velocity.f_mul_scalar_(momentum)?.f_add_(&step)?;
                step = velocity.shallow_clone();
            }
            let _ = parameter.value.f_sub_(&step.f_mul_scalar(learning_rate)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::stateful::tests::assert_equal_to_tch;

    #[test]
    fn steps_are_those_of_tch() {
        for (momentum, wd) in [(0.0, 0.0), (0.9, 0.0), (0.5, 0.01)] {
            let settings = nn::RmsProp { momentum, wd, ..nn::RmsProp::default() };
            assert_equal_to_tch(RmsProp::new(settings).unwrap(), settings, 0.001);
        }
        assert!(RmsProp::new(nn::RmsProp { centered: true, ..nn::RmsProp::default() }).is_err());
    }
}
