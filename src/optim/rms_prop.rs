//! RMSprop (Tieleman and Hinton, 2012; centered: Graves, 2013), as PyTorch's `RMSprop`.

use super::Settings;
use super::rule::{IntoRule, Parameter, Part, Rule, check_not_negative};
use super::sgd::decayed;
use anyhow::Result;
use tch::{Device, Tensor, nn};

/// `mean_square = alpha * mean_square + (1 - alpha) * gradient^2`. A step is the gradient over
/// `sqrt(mean_square) + epsilon`, or a velocity of such steps. Centered, the square of the mean gradient is
/// subtracted from the mean square.
#[derive(Debug)]
struct RmsProp {
    settings: nn::RmsProp,
}

impl Settings for nn::RmsProp {}

impl IntoRule for nn::RmsProp {
    fn into_rule(self, _: Device) -> Result<Box<dyn Rule>> {
        check_not_negative("alpha", self.alpha)?;
        check_not_negative("eps", self.eps)?;
        check_not_negative("wd (weight decay)", self.wd)?;
        check_not_negative("momentum", self.momentum)?;
        Ok(Box::new(RmsProp { settings: self }))
    }
}

impl Rule for RmsProp {
    fn parts(&self) -> Vec<Part> {
        let mut parts = vec![Part::per_value("mean_square")];
        if self.settings.centered {
            parts.push(Part::per_value("mean_gradient"));
        }
        if self.settings.momentum > 0.0 {
            parts.push(Part::per_value("velocity"));
        }
        parts
    }

    fn step(&self, pairs: &mut [(&mut Parameter, Tensor)], learning_rate: f64) -> Result<()> {
        let nn::RmsProp { alpha, eps, wd, momentum, centered } = self.settings;
        let moved = |mean: &mut Tensor, by: &Tensor| -> Result<()> {
            let _ = mean.f_mul_scalar_(alpha)?.f_add_(&by.f_mul_scalar(1.0 - alpha)?)?;
            Ok(())
        };
        for (parameter, gradient) in pairs {
            let gradient = decayed(&parameter.value, gradient, wd)?;
            let (mean_square, mean_gradient, velocity) = match (centered, parameter.state.as_mut_slice()) {
                (false, [square]) => (square, None, None),
                (false, [square, velocity]) => (square, None, Some(velocity)),
                (true, [square, mean]) => (square, Some(mean), None),
                (true, [square, mean, velocity]) => (square, Some(mean), Some(velocity)),
                _ => unreachable!("the state has the parts that the rule stated"),
            };
            moved(mean_square, &gradient.f_square()?)?;
            let mut variance = mean_square.shallow_clone();
            if let Some(mean_gradient) = mean_gradient {
                moved(mean_gradient, &gradient)?;
                variance = variance.f_sub(&mean_gradient.f_square()?)?;
            }
            let mut step = gradient.f_div(&variance.f_sqrt()?.f_add_scalar(eps)?)?;
            if let Some(velocity) = velocity {
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
    fn every_setting_of_tch_has_its_effect() {
        for (momentum, wd, centered) in
            [(0.0, 0.0, false), (0.9, 0.0, false), (0.5, 0.01, false), (0.0, 0.01, true), (0.5, 0.0, true)]
        {
            let settings = nn::RmsProp { momentum, wd, centered, alpha: 0.9, eps: 1e-6 };
            assert_equal_to_tch(settings.into_rule(Device::Cpu).unwrap(), settings, 0.001);
        }
        let settings = nn::RmsProp { alpha: -0.1, ..nn::RmsProp::default() };
        assert!(settings.into_rule(Device::Cpu).is_err());
    }
}
