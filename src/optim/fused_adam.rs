//! Adam over all parameters in one step, with its state in tensors of ours. It must not know what the
//! parameters belong to.
//!
//! On a CPU the step is [`adam_step`], elsewhere an operator of libtorch's that tch does not bind.

use super::Decay;
use super::adam_step::{Moved, adam_step};
use crate::operators;
use crate::values::values_mut;
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use tch::nn::{Adam, VarStore};
use tch::{CModule, Device, IValue, Kind, Tensor};

/// The step counts live on the device too, so that nothing waits for it.
const METHODS: &str = "  def step(self: __torch__.fitch.FusedAdam,
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

/// Adam over the trainable variables that a store had when it was made.
#[derive(Debug)]
pub struct FusedAdam {
    /// None where the step is ours.
    operators: Option<CModule>,
    settings: Adam,
    decay: Decay,
    /// The greatest norm of all gradients together.
    greatest_norm: Option<f64>,
    parameters: Vec<Parameter>,
}

/// A parameter with its share of the state.
#[derive(Debug)]
struct Parameter {
    name: String,
    value: Tensor,
    first_moment: Tensor,
    second_moment: Tensor,
    greatest_second_moment: Tensor,
    /// How many steps were made, float32, one value.
    count: Tensor,
}

impl FusedAdam {
    /// With the settings of tch's Adam.
    ///
    /// # Errors
    /// A variable that is not float32 and contiguous, or too little memory.
    pub fn new(settings: Adam, decay: Decay, variables: &VarStore) -> Result<FusedAdam> {
        let is_ours = variables.device() == Device::Cpu && !settings.amsgrad;
        FusedAdam::with(settings, decay, variables, !is_ours)
    }

    fn with(settings: Adam, decay: Decay, variables: &VarStore, by_libtorch: bool) -> Result<FusedAdam> {
        let methods = match decay {
            Decay::Gradient => METHODS.to_string(),
            Decay::Decoupled => METHODS.replace("_fused_adam_", "_fused_adamw_"),
        };
        let load = || operators::load("FusedAdam", &methods, variables.device());
        let operators = by_libtorch.then(load).transpose().context("libtorch has no fused Adam")?;
        let sorted: BTreeMap<String, Tensor> = variables.variables().into_iter().collect();
        let trainable = sorted.into_iter().filter(|(_, value)| value.requires_grad());
        let parameter = |(name, value): (String, Tensor)| -> Result<Parameter> {
            ensure!(value.kind() == Kind::Float, "{name} is {:?}; only float32 can be trained", value.kind());
            ensure!(value.is_contiguous(), "{name} is not contiguous");
            let zeros = || value.detach().f_zeros_like();
            Ok(Parameter {
                first_moment: zeros()?,
                second_moment: zeros()?,
                greatest_second_moment: if settings.amsgrad { zeros()? } else { Tensor::new() },
                count: Tensor::f_zeros([0i64; 0], (Kind::Float, value.device()))?,
                name,
                value,
            })
        };
        let parameters = trainable.map(parameter).collect::<Result<_>>()?;
        Ok(FusedAdam { operators, settings, decay, greatest_norm: None, parameters })
    }

    /// Makes the gradients smaller where their norm, all of them together, is greater than this.
    pub(super) fn clip_norm(&mut self, greatest: f64) {
        self.greatest_norm = Some(greatest);
    }

    /// Computes the gradients of a loss (one value) and moves every parameter that it depends on.
    ///
    /// The gradients are used where they come up, which saves adding them to what `grad` holds, and setting
    /// that to zero.
    ///
    /// # Errors
    /// A loss that depends on no parameter, or a fault of the device.
    pub fn step(&mut self, loss: &Tensor, learning_rate: f64) -> Result<()> {
        let values: Vec<&Tensor> = self.parameters.iter().map(|parameter| &parameter.value).collect();
        let gradients = Tensor::f_run_backward(&[loss], &values, false, false)
            .context("cannot compute the gradients of the loss")?;
        self.apply_in_order(gradients, learning_rate)
    }

    /// Moves the parameters by gradients that were computed elsewhere, found by their names.
    ///
    /// # Errors
    /// A name of no parameter, or a fault of the device.
    pub fn apply(&mut self, gradients: Vec<(&str, Tensor)>, learning_rate: f64) -> Result<()> {
        let mut in_order: Vec<Tensor> = self.parameters.iter().map(|_| Tensor::new()).collect();
        for (name, gradient) in gradients {
            let number = self.parameters.iter().position(|parameter| parameter.name == name);
            in_order[number.with_context(|| format!("there is no parameter {name}"))?] = gradient;
        }
        self.apply_in_order(in_order, learning_rate)
    }

    /// One gradient a parameter; where it is undefined, the parameter stays.
    fn apply_in_order(&mut self, gradients: Vec<Tensor>, learning_rate: f64) -> Result<()> {
        let _no_gradient = tch::no_grad_guard();
        let gradients = match self.greatest_norm {
            Some(greatest) => clipped(gradients, greatest)?,
            None => gradients,
        };
        let pairs = self.parameters.iter_mut().zip(gradients).filter(|(_, gradient)| gradient.defined());
        // Either step goes through the values as they lie in memory.
        let pairs = pairs.map(|(parameter, gradient)| Ok((parameter, gradient.f_contiguous()?)));
        let mut pairs = pairs.collect::<Result<Vec<_>>>()?;
        match &self.operators {
            Some(operators) => step_by_libtorch(operators, &pairs, &self.settings, learning_rate),
            None => {
                let moved = pairs.iter_mut().map(|(parameter, gradient)| parameter.moved_by(gradient));
                adam_step(moved.collect(), &self.settings, self.decay, learning_rate)
            }
        }
    }

    /// Takes over a state that [`FusedAdam::state`] gave.
    ///
    /// # Errors
    /// A part that is missing or has another shape.
    pub fn load_state(&mut self, saved: &BTreeMap<String, Tensor>) -> Result<()> {
        let _no_gradient = tch::no_grad_guard();
        for (name, mut tensor) in self.state() {
            let value = saved.get(&name).with_context(|| format!("there is no {name}"))?;
            ensure!(value.size() == tensor.size(), "{name} has the shape {:?}", value.size());
            tensor.f_copy_(value)?;
        }
        Ok(())
    }

    /// The state by name, `dense_1.weight.first_moment` and so on; the tensors themselves, not copies.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let mut state = BTreeMap::new();
        for parameter in &self.parameters {
            for (part, tensor) in [
                ("first_moment", &parameter.first_moment),
                ("second_moment", &parameter.second_moment),
                ("greatest_second_moment", &parameter.greatest_second_moment),
                ("count", &parameter.count),
            ] {
                if tensor.defined() {
                    state.insert(format!("{}.{part}", parameter.name), tensor.shallow_clone());
                }
            }
        }
        state
    }
}

impl Parameter {
    /// Itself and a gradient for its next step on the CPU.
    fn moved_by<'a>(&'a mut self, gradient: &'a Tensor) -> Moved<'a> {
        let count = &mut values_mut::<f32>(&mut self.count)[0];
        *count += 1.0;
        Moved {
            value: &mut self.value,
            first_moment: &mut self.first_moment,
            second_moment: &mut self.second_moment,
            gradient,
            count: f64::from(*count),
        }
    }
}

/// Gradients whose norm is at most `greatest`, as PyTorch's `clip_grad_norm_` computes it. The device is not waited
/// for.
fn clipped(gradients: Vec<Tensor>, greatest: f64) -> Result<Vec<Tensor>> {
    let defined = gradients.iter().filter(|gradient| gradient.defined());
    let norms = defined.map(|gradient| gradient.f_to_kind(Kind::Float)?.f_norm());
    let norms: Vec<Tensor> = norms.collect::<Result<_, _>>()?;
    let norm = Tensor::f_stack(&norms, 0)?.f_norm()?;
    let factor = (norm + 1e-6).f_reciprocal()?.f_mul_scalar(greatest)?.f_clamp_max(1.0)?;
    let scaled = |gradient: Tensor| match gradient.defined() {
        true => Ok(gradient.f_mul(&factor.f_to_kind(gradient.kind())?)?),
        false => Ok(gradient),
    };
    gradients.into_iter().map(scaled).collect()
}

fn step_by_libtorch(
    operators: &CModule,
    pairs: &[(&mut Parameter, Tensor)],
    settings: &Adam,
    learning_rate: f64,
) -> Result<()> {
    let list = |of: fn(&Parameter) -> &Tensor| {
        IValue::TensorList(pairs.iter().map(|(parameter, _)| of(parameter).shallow_clone()).collect())
    };
    let gradients = pairs.iter().map(|(_, gradient)| gradient.f_to_kind(Kind::Float));
    let Adam { beta1, beta2, wd, eps, amsgrad } = *settings;
    let greatest = match amsgrad {
        true => list(|parameter| &parameter.greatest_second_moment),
        false => IValue::TensorList(Vec::new()),
    };
    let arguments = [
        list(|parameter| &parameter.value),
        IValue::TensorList(gradients.collect::<Result<_, _>>()?),
        list(|parameter| &parameter.first_moment),
        list(|parameter| &parameter.second_moment),
        greatest,
        list(|parameter| &parameter.count),
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
    use crate::data::{Reading, Source};
    use crate::model::{Model, specification};
    use crate::optim::Optimizer;
    use tch::nn;
    use tch::nn::ModuleT;

    /// Both optimizers are given the gradients of one training: in two trainings, rounding alone would
    /// drive the weights apart.
    #[test]
    fn five_hundred_steps_are_those_of_tch() {
        let digits = Source::Digits.load(&Reading::default(), &mut |_| ()).unwrap().train_samples().unwrap();
        let hidden = specification::parse("dense 64, relu, dense 48, tanh").unwrap();
        let model = Model::classifier(&[8, 8], hidden, 10).unwrap();
        let [trained, mut before, mut expected] = [(); 3].map(|()| VarStore::new(Device::Cpu));
        let network = model.build(&trained.root()).unwrap();
        for copy in [&mut before, &mut expected] {
            model.build(&copy.root()).unwrap();
            copy.copy(&trained).unwrap();
        }
        let names: Vec<String> = trained.variables().into_keys().collect();
        let values = |variables: &VarStore| -> Vec<Tensor> {
            let mut found = variables.variables();
            names.iter().map(|name| found.remove(name).unwrap()).collect()
        };
        let weights = values(&expected);
        let mut fused = Optimizer::adam(&trained, 0.001).unwrap();
        let mut reference = Optimizer::reference_adam(&expected, 0.001).unwrap();

        let batches = (1..).flat_map(|epoch| digits.shuffled_batches(128, 0, epoch).unwrap());
        for (step, batch) in batches.take(500).enumerate() {
            if step == 250 {
                fused.set_learning_rate(0.0003);
                reference.set_learning_rate(0.0003);
            }
            let batch = batch.unwrap();
            let loss = network.forward_t(&batch.inputs, true).cross_entropy_for_logits(&batch.targets);
            let gradients = Tensor::run_backward(&[&loss], &values(&trained), true, false);
            fused.step(&loss).unwrap();
            // The gradient of the sum of the products is the other factor.
            let products = weights.iter().zip(&gradients).map(|(weight, gradient)| weight * gradient);
            reference.step(&products.map(|product| product.sum(Kind::Float)).sum()).unwrap();
        }
        assert_eq!(names.len(), 6);
        for (name, value) in trained.variables() {
            let distance = f64::try_from((&value - &expected.variables()[&name]).abs().max()).unwrap();
            assert!(distance <= 1e-6, "{name} is off by {distance:e}");
            assert_ne!(value, before.variables()[&name], "{name} was trained");
        }
    }

    #[test]
    fn every_setting_of_tch_is_heeded() {
        let mut settings = Adam::default().beta1(0.8).beta2(0.95).wd(0.01).eps(1e-4);
        let ways = [(false, false), (false, true), (true, true)];
        let decays = [Decay::Gradient, Decay::Decoupled];
        let all = ways.into_iter().flat_map(|way| decays.map(|decay| (way, decay)));
        for ((amsgrad, by_libtorch), decay) in all {
            settings = settings.amsgrad(amsgrad);
            let weight = |variables: &VarStore| variables.root().var("weight", &[3], nn::Init::Const(0.5));
            let targets = Tensor::from_slice(&[1f32, -2.0, 0.1]);
            let stores = [VarStore::new(Device::Cpu), VarStore::new(Device::Cpu)];
            let weights = stores.each_ref().map(weight);
            let mut fused = FusedAdam::with(settings, decay, &stores[0], by_libtorch).unwrap();
            let Adam { beta1, beta2, wd, eps, amsgrad } = settings;
            let decoupled = nn::AdamW { beta1, beta2, wd, eps, amsgrad };
            let mut reference = match decay {
                Decay::Gradient => nn::OptimizerConfig::build(settings, &stores[1], 0.05).unwrap(),
                Decay::Decoupled => nn::OptimizerConfig::build(decoupled, &stores[1], 0.05).unwrap(),
            };
            for step in 0..50 {
                let loss =
                    |weight: &Tensor| ((weight - &targets) * f64::from(step % 7)).square().sum(Kind::Float);
                fused.step(&loss(&weights[0]), 0.05).unwrap();
                reference.backward_step(&loss(&weights[1]));
            }
            let distance = f64::try_from((&weights[0] - &weights[1]).abs().max()).unwrap();
            assert!(distance < 1e-6, "amsgrad {amsgrad}, {decay:?}, by libtorch {by_libtorch}: {distance:e}");
            assert_eq!(f64::try_from(&fused.state()["weight.count"]).unwrap(), 50.0);
        }
    }

    #[test]
    fn gradients_from_elsewhere_move_the_parameters_of_their_names() {
        let stores = [VarStore::new(Device::Cpu), VarStore::new(Device::Cpu)];
        let weights = stores.each_ref().map(|store| store.root().ones("weight", &[5_000]));
        let _ = stores.each_ref().map(|store| store.root().ones("bias", &[3]));
        let [mut by_loss, mut by_gradients] =
            stores.each_ref().map(|store| FusedAdam::new(Adam::default(), Decay::Gradient, store).unwrap());
        // Gradients that bfloat16 holds exactly.
        let factors = Tensor::arange(5_000, (Kind::Float, Device::Cpu)).remainder(256) / 64.0 - 1.0;
        for kind in [Kind::Float, Kind::BFloat16] {
            by_loss.step(&(&weights[0] * &factors).sum(Kind::Float), 0.01).unwrap();
            by_gradients.apply(vec![("weight", factors.to_kind(kind))], 0.01).unwrap();
            assert_eq!(weights[0], weights[1], "{kind:?}");
        }
        assert_eq!(Vec::<f32>::try_from(&stores[1].variables()["bias"]).unwrap(), [1.0; 3]);
        let fault = by_gradients.apply(vec![("wrong", factors.shallow_clone())], 0.01).unwrap_err();
        assert!(fault.to_string().contains("there is no parameter wrong"), "{fault}");
    }

    #[test]
    fn gradients_are_clipped_by_the_norm_of_all_together() {
        let gradients = || vec![Tensor::from_slice(&[3f32, 0.0]), Tensor::new(), Tensor::from_slice(&[4f32])];
        let values = |gradients: Vec<Tensor>| -> Vec<f32> {
            let defined = gradients.into_iter().filter(Tensor::defined);
            defined.flat_map(|gradient| Vec::<f32>::try_from(gradient).unwrap()).collect()
        };
        assert_eq!(values(clipped(gradients(), 10.0).unwrap()), [3.0, 0.0, 4.0]);
        let found = values(clipped(gradients(), 1.0).unwrap());
        assert!((found[0] - 0.6).abs() < 1e-6 && (found[2] - 0.8).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn a_parameter_without_a_gradient_stays_and_other_kinds_are_refused() {
        let variables = VarStore::new(Device::Cpu);
        let used = variables.root().zeros("used", &[2]);
        let unused = variables.root().ones("unused", &[2]);
        let mut adam = FusedAdam::new(Adam::default(), Decay::Gradient, &variables).unwrap();
        adam.step(&used.sum(Kind::Float), 0.1).unwrap();
        assert_eq!(Vec::<f32>::try_from(&unused).unwrap(), [1.0, 1.0]);
        assert!(Vec::<f32>::try_from(&used).unwrap().iter().all(|value| (value + 0.1).abs() < 1e-6));

        let mut doubles = VarStore::new(Device::Cpu);
        let _ = doubles.root().zeros("weight", &[2]);
        doubles.double();
        let fault = FusedAdam::new(Adam::default(), Decay::Gradient, &doubles).unwrap_err().to_string();
        assert!(fault.contains("weight is Double"), "{fault}");
    }
}
