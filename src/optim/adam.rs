//! Adam (Kingma and Ba, 2015) and AdamW (Loshchilov and Hutter, 2019), in the form of PyTorch's `adam`.

use super::Settings;
use super::adam_state::{Decay, parts};
use super::fused_adam::FusedAdam;
use super::rule::{IntoRule, Parameter, Part, Rule, check_below_one, check_not_negative};
use crate::kernels::has_own_code;
use crate::kernels::tensor_slice::{Value, increment};
use crate::kernels::update::{Elementwise, Update, update};
use anyhow::Result;
use multiversion::multiversion;
use tch::{Device, Tensor, nn};

/// Adam on a CPU, by all threads at once. libtorch's operator computes the same, but takes as long again to
/// be called, and takes gradients in bfloat16 only after a copy.
#[derive(Debug)]
struct Adam {
    settings: nn::Adam,
    decay: Decay,
}

impl Settings for nn::Adam {}

impl IntoRule for nn::Adam {
    fn into_rule(self, device: Device) -> Result<Box<dyn Rule>> {
        rule(self, Decay::Gradient, device)
    }
}

impl Settings for nn::AdamW {}

impl IntoRule for nn::AdamW {
    fn into_rule(self, device: Device) -> Result<Box<dyn Rule>> {
        let nn::AdamW { beta1, beta2, wd, eps, amsgrad } = self;
        rule(nn::Adam { beta1, beta2, wd, eps, amsgrad }, Decay::Decoupled, device)
    }
}

fn rule(settings: nn::Adam, decay: Decay, device: Device) -> Result<Box<dyn Rule>> {
    check_below_one("beta1", settings.beta1)?;
    check_below_one("beta2", settings.beta2)?;
    check_not_negative("wd (weight decay)", settings.wd)?;
    check_not_negative("eps", settings.eps)?;
    match has_own_code(device) && !settings.amsgrad {
        true => Ok(Box::new(Adam { settings, decay })),
        false => Ok(Box::new(FusedAdam::new(settings, decay, device)?)),
    }
}

impl Rule for Adam {
    fn parts(&self) -> Vec<Part> {
        parts(&self.settings)
    }

    fn step(&self, pairs: &mut [(&mut Parameter, Tensor)], learning_rate: f64) -> Result<()> {
        let updates = pairs.iter_mut().map(|(parameter, gradient)| {
            let [first_moment, second_moment, count] = parameter.state.as_mut_slice() else {
                unreachable!("the state has the parts that the rule stated")
            };
            let count = f64::from(increment(count)?);
            let step = Step::new(&self.settings, self.decay, learning_rate, count);
            Ok(Update { tensors: [&mut parameter.value, first_moment, second_moment], gradient, step })
        });
        update(updates.collect::<Result<_>>()?)
    }
}

/// The factors of a parameter's step.
#[derive(Clone, Copy, Debug)]
struct Step {
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    weight_decay: f32,
    /// The share of a value that a decoupled decay leaves.
    kept: f32,
    epsilon: f32,
    /// The learning rate over the bias correction of the first moment.
    rate: f32,
    /// Corrects the bias of the root of the second moment.
    second_correction: f32,
}

impl Step {
    /// `count` is the number of the step, from 1.
    fn new(settings: &nn::Adam, decay: Decay, learning_rate: f64, count: f64) -> Step {
        let (coupled, decoupled) = match decay {
            Decay::Gradient => (settings.wd, 0.0),
            Decay::Decoupled => (0.0, settings.wd),
        };
        Step {
            one_minus_beta1: (1.0 - settings.beta1) as f32,
            beta2: settings.beta2 as f32,
            one_minus_beta2: (1.0 - settings.beta2) as f32,
            weight_decay: coupled as f32,
            kept: (1.0 - learning_rate * decoupled) as f32,
            epsilon: settings.eps as f32,
            rate: (learning_rate / (1.0 - settings.beta1.powf(count))) as f32,
            second_correction: (1.0 - settings.beta2.powf(count)).sqrt().recip() as f32,
        }
    }
}

impl Elementwise<3> for Step {
    fn apply<G: Value + Into<f32>>(self, [value, first, second]: [&mut [f32]; 3], gradient: &[G]) {
        step(value, first, second, gradient, self);
    }
}

/// The formula.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2+fma"))]
fn step<G: Value + Into<f32>>(
    value: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    gradient: &[G],
    by: Step,
) {
    for (((value, first), second), gradient) in value.iter_mut().zip(first).zip(second).zip(gradient) {
        let gradient: f32 = (*gradient).into() + by.weight_decay * *value;
        *first += (gradient - *first) * by.one_minus_beta1;
        *second = *second * by.beta2 + gradient * gradient * by.one_minus_beta2;
        *value = *value * by.kept - by.rate * *first / (second.sqrt() * by.second_correction + by.epsilon);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::stateful::tests::assert_equal_to_tch;

    #[test]
    fn every_setting_of_tch_has_its_effect() {
        let settings = nn::Adam::default().beta1(0.8).beta2(0.95).wd(0.01).eps(1e-4);
        for amsgrad in [false, true] {
            let settings = settings.amsgrad(amsgrad);
            let nn::Adam { beta1, beta2, wd, eps, amsgrad } = settings;
            let decoupled = nn::AdamW { beta1, beta2, wd, eps, amsgrad };
            assert_equal_to_tch(settings.into_rule(Device::Cpu).unwrap(), settings, 0.05);
            assert_equal_to_tch(decoupled.into_rule(Device::Cpu).unwrap(), decoupled, 0.05);
        }
    }

    #[test]
    fn settings_out_of_their_range_are_errors_that_name_them() {
        let fault = |settings: nn::Adam| settings.into_rule(Device::Cpu).unwrap_err().to_string();
        assert_eq!(fault(nn::Adam::default().beta1(1.0)), "beta1 must be from 0 to below 1, not 1");
        assert!(fault(nn::Adam::default().beta2(-0.1)).starts_with("beta2 must be"));
        assert!(fault(nn::Adam::default().eps(f64::NAN)).starts_with("eps must be"));
        assert!(fault(nn::Adam::default().wd(-1.0)).starts_with("wd (weight decay) must be"));
    }
}
