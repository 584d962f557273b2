//! An exponential mean of the weights (Polyak and Juditsky, 1992), which is often better than the weights of any
//! single step.

use crate::kernels::named_tensors::assign;
use crate::kernels::tensor_slice::{Value, as_slice};
use crate::kernels::update::{Elementwise, Update, update};
use crate::kernels::{has_own_code, torch_ops};
use anyhow::{Context, Result};
use multiversion::multiversion;
use std::collections::BTreeMap;
use tch::nn::VarStore;
use tch::{CModule, IValue, Tensor};

/// All means of a device in one call.
const METHODS: &str = "  def step(self: __torch__.fitch.Mean,
    means: List[Tensor],
    weights: List[Tensor],
    share: float) -> NoneType:
    torch._foreach_lerp_(means, weights, share)
    return None
";

/// The mean of all variables of a store, buffers such as running means included, as timm has it; Keras leaves those
/// out. What is not of floats, such as a count, is copied.
#[derive(Debug)]
pub(crate) struct WeightMean {
    decay: f64,
    pairs: Vec<Pair>,
    /// Where libtorch computes.
    operators: Option<CModule>,
}

#[derive(Debug)]
struct Pair {
    name: String,
    weight: Tensor,
    mean: Tensor,
}

impl WeightMean {
    /// Begins with the weights as they are.
    ///
    /// # Errors
    /// Too little memory, or a libtorch without the operator.
    pub fn new(variables: &VarStore, decay: f64) -> Result<WeightMean> {
        let _no_gradient = tch::no_grad_guard();
        let by_name: BTreeMap<String, Tensor> = variables.variables().into_iter().collect();
        let pair = |(name, weight): (String, Tensor)| {
            let mean = copy(&weight).context("cannot keep a mean of the weights")?;
            Ok(Pair { name, weight, mean })
        };
        let device = variables.device();
        let operators = match has_own_code(device) {
            true => None,
            false => {
                Some(torch_ops::load("Mean", METHODS, device).context("libtorch has no _foreach_lerp_")?)
            }
        };
        Ok(WeightMean { decay, pairs: by_name.into_iter().map(pair).collect::<Result<_>>()?, operators })
    }

    /// Takes in the weights after a step; `done` steps came before it. The host does not wait for the device.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn update(&mut self, done: usize) -> Result<()> {
        let _no_gradient = tch::no_grad_guard();
        let share = 1.0 - decay_after(self.decay, done);
        let (floats, others): (Vec<&mut Pair>, Vec<&mut Pair>) =
            self.pairs.iter_mut().partition(|pair| pair.weight.is_floating_point());
        others.into_iter().try_for_each(|pair| pair.mean.f_copy_(&pair.weight))?;
        let Some(operators) = &self.operators else { return update_on_cpu(floats, share) };
        let list = |of: &dyn Fn(&Pair) -> &Tensor| {
            IValue::TensorList(floats.iter().map(|pair| of(pair).shallow_clone()).collect())
        };
        let arguments = [list(&|pair| &pair.mean), list(&|pair| &pair.weight), IValue::Double(share)];
        operators.method_is("step", &arguments).context("cannot take the mean of the weights")?;
        Ok(())
    }

    /// The means by the names of the variables: the tensors themselves, not copies.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        self.pairs.iter().map(|pair| (pair.name.clone(), pair.mean.shallow_clone())).collect()
    }

    /// Takes over what [`WeightMean::state`] gave.
    ///
    /// # Errors
    /// A mean that is missing or has another shape.
    pub fn load_state(&self, saved: &BTreeMap<String, Tensor>) -> Result<()> {
        assign(self.state(), saved)
    }

    /// Gives the variables the means.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn assign_to_weights(&self) -> Result<()> {
        assign(self.weights(), &self.state())
    }

    /// Works with the means in place of the weights.
    ///
    /// # Errors
    /// Those of the work; too little memory.
    pub fn in_place_of_weights<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let kept = self.weights().map(|(name, weight)| Ok((name, copy(&weight)?)));
        let kept: BTreeMap<String, Tensor> = kept.collect::<Result<_>>()?;
        self.assign_to_weights()?;
        let result = work();
        assign(self.weights(), &kept)?;
        result
    }

    fn weights(&self) -> impl Iterator<Item = (String, Tensor)> {
        self.pairs.iter().map(|pair| (pair.name.clone(), pair.weight.shallow_clone()))
    }
}

/// The decay of a step that `done` others came before. At first it is less than it will be, by TensorFlow's formula, or
/// the initial weights would weigh on the mean for several times 1 / (1 - decay) steps.
fn decay_after(decay: f64, done: usize) -> f64 {
    decay.min((1.0 + done as f64) / (10.0 + done as f64))
}

fn copy(tensor: &Tensor) -> Result<Tensor> {
    let tensor = tensor.detach();
    let mut copy = tensor.f_empty_like()?;
    copy.f_copy_(&tensor)?;
    Ok(copy)
}

/// In code of ours, which comes to the same with any number of threads.
fn update_on_cpu(pairs: Vec<&mut Pair>, share: f64) -> Result<()> {
    let (ours, others): (Vec<&mut Pair>, Vec<&mut Pair>) =
        pairs.into_iter().partition(|pair| as_slice::<f32>(&pair.weight).is_some());
    for pair in others {
        let _ = pair.mean.f_lerp_(&pair.weight, share)?;
    }
    let step = Step { share: share as f32 };
    let updates =
        ours.into_iter().map(|pair| Update { tensors: [&mut pair.mean], gradient: &pair.weight, step });
    update(updates.collect())
}

/// Moves a mean towards the weight, which takes the place of a gradient.
#[derive(Clone, Copy, Debug)]
struct Step {
    share: f32,
}

impl Elementwise<1> for Step {
    fn apply<G: Value + Into<f32>>(self, [mean]: [&mut [f32]; 1], weight: &[G]) {
        step(mean, weight, self);
    }
}

/// The formula.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2+fma"))]
fn step<G: Value + Into<f32>>(mean: &mut [f32], weight: &[G], by: Step) {
    for (mean, weight) in mean.iter_mut().zip(weight) {
        let weight: f32 = (*weight).into();
        *mean += (weight - *mean) * by.share;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::without_own_code;
    use tch::{Device, Kind};

    #[test]
    fn the_mean_follows_its_formula_on_any_device() {
        let follow = || {
            let store = VarStore::new(Device::Cpu);
            let weight = store.root().zeros("weight", &[5000]);
            let transposed = Tensor::zeros([3, 2], (Kind::Float, Device::Cpu)).tr();
            let _ = store.root().add("transposed", transposed, false);
            let count = store.root().add("count", Tensor::from(0i64), false);
            let mut mean = WeightMean::new(&store, 0.4).unwrap();
            let mut expected = 0.0;
            for done in 0..6 {
                let value = (done * done) as f64;
                tch::no_grad(|| {
                    for variable in store.variables().values() {
                        let _ = variable.shallow_clone().fill_(value);
                    }
                });
                mean.update(done).unwrap();
                // 1 / 10, 2 / 11 and so on until it is 0.4, after 5 steps.
                let decay = [0.1, 2.0 / 11.0, 0.25, 4.0 / 13.0, 5.0 / 14.0, 0.4][done];
                expected = decay * expected + (1.0 - decay) * value;
            }
            let state = mean.state();
            for name in ["weight", "transposed"] {
                assert!((&state[name] - expected).abs().max().double_value(&[]) < 1e-5, "{name} {expected}");
            }
            assert_eq!(i64::try_from(&state["count"]).unwrap(), 25);
            let seen = mean.in_place_of_weights(|| Ok(weight.mean(Kind::Float).double_value(&[]))).unwrap();
            assert!((seen - expected).abs() < 1e-4);
            assert_eq!((weight.max().double_value(&[]), i64::try_from(&count).unwrap()), (25.0, 25));
            mean.assign_to_weights().unwrap();
            assert_eq!(weight, state["weight"]);
        };
        follow();
        without_own_code(follow);
    }

    #[test]
    fn what_does_not_change_stays_to_the_last_bit() {
        let store = VarStore::new(Device::Cpu);
        let frozen = store.root().randn("frozen", &[1000], 0.0, 1.0).set_requires_grad(false);
        let mut mean = WeightMean::new(&store, 0.999).unwrap();
        (0..20).for_each(|done| mean.update(done).unwrap());
        assert_eq!(mean.state()["frozen"], frozen);
    }
}
