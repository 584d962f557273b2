//! Optimizers: Adam, AdamW, SGD and RMSprop with state that can be saved, and any of tch's own. The room
//! knows nothing of the loop that calls them.

mod adam;
mod adam_state;
mod fused_adam;
mod rms_prop;
mod rule;
mod sgd;
mod stateful;
mod weight_mean;

use anyhow::{Context, Result, bail, ensure};
use rule::IntoRule;
use stateful::{StatefulOptimizer, distinct_variables};
use std::collections::{BTreeMap, HashSet};
use tch::nn::{self, OptimizerConfig};
use tch::{Kind, Tensor};
pub(crate) use weight_mean::WeightMean;

/// Keras's epsilon; PyTorch's and tch's is 1e-8.
pub const KERAS_EPSILON: f64 = 1e-7;

/// Larger learning rates only overflow float32.
pub const MAX_LEARNING_RATE: f64 = 1e6;

/// Whether a learning rate can be trained with.
pub fn is_learning_rate(rate: f64) -> bool {
    rate > 0.0 && rate <= MAX_LEARNING_RATE
}

/// Adam (Kingma and Ba, 2015) with Keras's settings: beta 0.9 and 0.999, epsilon 1e-7.
pub fn keras_adam() -> nn::Adam {
    nn::Adam::default().eps(KERAS_EPSILON)
}

/// Settings of an optimizer whose state can be saved: tch's [`Adam`](nn::Adam), [`AdamW`](nn::AdamW),
/// [`Sgd`](nn::Sgd) and [`RmsProp`](nn::RmsProp), every field of which has the effect that it has in PyTorch.
pub trait Settings: IntoRule {}

/// An optimizer over the trainable variables of a store.
///
/// ```
/// use fitch::optim::Optimizer;
/// use tch::{Device, Kind, nn};
///
/// # fn main() -> anyhow::Result<()> {
/// let variables = nn::VarStore::new(Device::Cpu);
/// let weight = variables.root().ones("weight", &[3]);
/// let mut optimizer = Optimizer::new(&variables, nn::Adam { wd: 1e-4, ..Default::default() }, 0.01)?;
/// optimizer.step(&weight.square().sum(Kind::Float))?;
/// assert!(weight.double_value(&[0]) < 1.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Optimizer {
    backend: Backend,
    learning_rate: f64,
}

#[derive(Debug)]
enum Backend {
    Stateful { inner: StatefulOptimizer, max_norm: Option<f64> },
    Tch { inner: nn::Optimizer, max_norm: Option<f64> },
}

impl Optimizer {
    /// An optimizer with tch's settings, over the float32 variables that the store has now. Its state can be
    /// saved, and it takes gradients from elsewhere. Tied weights, one tensor under several names
    /// ([`Path::add`](nn::Path::add) of a [`shallow_clone`](Tensor::shallow_clone)), are moved once a step.
    ///
    /// # Errors
    /// A learning rate that is not above 0 and at most [`MAX_LEARNING_RATE`]; a setting out of its range; a
    /// variable that is not float32 and contiguous; variables that overlap in memory without being one
    /// tensor.
    pub fn new(variables: &nn::VarStore, settings: impl Settings, learning_rate: f64) -> Result<Optimizer> {
        check_learning_rate(learning_rate)?;
        let rule = settings.into_rule(variables.device());
        let inner = rule.and_then(|rule| StatefulOptimizer::new(rule, variables));
        let inner = inner.context("cannot set up the optimizer")?;
        Ok(Optimizer { backend: Backend::Stateful { inner, max_norm: None }, learning_rate })
    }

    /// An optimizer of tch's own, by any configuration that tch can build. It keeps its state to itself, so a
    /// training with it cannot be resumed, and it takes no gradients but autograd's.
    ///
    /// # Errors
    /// As [`Optimizer::new`], but of variables of any kind; settings that libtorch refuses; tied weights,
    /// which it would move once for each name.
    pub fn opaque(
        variables: &nn::VarStore,
        config: impl OptimizerConfig,
        learning_rate: f64,
    ) -> Result<Optimizer> {
        check_learning_rate(learning_rate)?;
        let tied = distinct_variables(variables)?.into_iter().find(|(names, _)| names.len() > 1);
        if let Some((names, _)) = tied {
            bail!(
                "{} are one tensor, which an optimizer of tch's would move several times",
                names.join(" and ")
            );
        }
        let inner = config.build(variables, learning_rate).context("cannot set up the optimizer")?;
        Ok(Optimizer { backend: Backend::Tch { inner, max_norm: None }, learning_rate })
    }

    /// Clips gradients to a global norm, as Keras's `global_clipnorm` and PyTorch's `clip_grad_norm_` do.
    pub fn clip_norm(mut self, norm: f64) -> Optimizer {
        let (Backend::Stateful { max_norm, .. } | Backend::Tch { max_norm, .. }) = &mut self.backend;
        *max_norm = Some(norm);
        self
    }

    /// The state by the names of the variables and of its parts, `dense_1.weight.first_moment` and so on: the
    /// tensors themselves, not copies. None for an optimizer of tch's own.
    pub fn state(&self) -> Option<BTreeMap<String, Tensor>> {
        match &self.backend {
            Backend::Stateful { inner, .. } => Some(inner.state()),
            Backend::Tch { .. } => None,
        }
    }

    /// Takes over a state that [`Optimizer::state`] gave.
    ///
    /// # Errors
    /// An optimizer of tch's own; a part that is missing or has another shape.
    pub fn load_state(&mut self, saved: &BTreeMap<String, Tensor>) -> Result<()> {
        match &mut self.backend {
            Backend::Stateful { inner, .. } => inner.load_state(saved),
            Backend::Tch { .. } => bail!("an optimizer of tch's own keeps its state to itself"),
        }
    }

    /// Whether what this optimizer moves are variables of that store, all of them or some (others may be frozen), but
    /// not none.
    pub fn is_over(&self, variables: &nn::VarStore) -> bool {
        let place = |tensor: &Tensor| tensor.data_ptr() as usize;
        let places: HashSet<usize> = variables.variables().values().map(place).collect();
        let moved: Vec<usize> = match &self.backend {
            Backend::Stateful { inner, .. } => inner.values().map(place).collect(),
            Backend::Tch { inner, .. } => inner.trainable_variables().iter().map(place).collect(),
        };
        !moved.is_empty() && moved.iter().all(|place| places.contains(place))
    }

    /// The learning rate in use.
    pub fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// Uses another learning rate from the next step on.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        if learning_rate != self.learning_rate {
            if let Backend::Tch { inner, .. } = &mut self.backend {
                inner.set_lr(learning_rate);
            }
            self.learning_rate = learning_rate;
        }
    }

    /// Computes the gradients of the loss (one value) and moves the variables.
    ///
    /// # Errors
    /// A loss without a gradient, or too little memory.
    pub fn step(&mut self, loss: &Tensor) -> Result<()> {
        self.move_by(self.differentiate(loss)?)
    }

    /// The gradients of a loss (one value).
    ///
    /// # Errors
    /// As [`Optimizer::step`].
    pub(crate) fn differentiate(&self, loss: &Tensor) -> Result<Gradients> {
        ensure!(loss.requires_grad(), WITHOUT_GRADIENT);
        Ok(match &self.backend {
            Backend::Stateful { inner, .. } => Gradients::Each(inner.differentiate(loss)?),
            Backend::Tch { .. } => Gradients::Of(loss.shallow_clone()),
        })
    }

    /// Gradients from elsewhere, as [`Optimizer::apply`] takes them.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn collect(&self, gradients: Vec<(&str, Tensor)>) -> Result<Gradients> {
        match &self.backend {
            Backend::Stateful { inner, .. } => inner.collect(gradients).map(Gradients::Each),
            Backend::Tch { .. } => bail!("an optimizer of tch's own takes no gradients but autograd's"),
        }
    }

    /// Moves the variables.
    ///
    /// # Errors
    /// A fault of the device.
    pub(crate) fn move_by(&mut self, gradients: Gradients) -> Result<()> {
        match (&mut self.backend, gradients) {
            (Backend::Stateful { inner, max_norm }, Gradients::Each(gradients)) => {
                inner.move_by(gradients, self.learning_rate, *max_norm)
            }
            (Backend::Stateful { inner, max_norm }, Gradients::Of(loss)) => {
                inner.move_by(inner.differentiate(&loss)?, self.learning_rate, *max_norm)
            }
            (Backend::Tch { .. }, Gradients::Each(_)) => {
                bail!("an optimizer of tch's own takes no gradients but autograd's")
            }
            (Backend::Tch { inner, max_norm }, Gradients::Of(loss)) => {
                inner.zero_grad();
                loss.f_backward().context("cannot compute the gradients of the loss")?;
                if let Some(max_norm) = max_norm {
                    inner.clip_grad_norm(*max_norm);
                }
                inner.step();
                Ok(())
            }
        }
    }

    /// Moves the variables by gradients from elsewhere, each under the name of its variable and of its shape.
    /// The gradients of tied weights, under each of their names, are added up. A variable without a gradient
    /// stays.
    ///
    /// # Errors
    /// An optimizer of tch's own, which takes none; an unknown name, or one that comes twice; a gradient of
    /// another shape, on another device or not of floats; too little memory.
    pub fn apply(&mut self, gradients: Vec<(&str, Tensor)>) -> Result<()> {
        self.move_by(self.collect(gradients)?)
    }

    /// The variables that are moved, in the order of [`Gradients::Each`].
    pub(crate) fn variables(&self) -> Vec<Tensor> {
        match &self.backend {
            Backend::Stateful { inner, .. } => inner.values().map(Tensor::shallow_clone).collect(),
            Backend::Tch { inner, .. } => inner.trainable_variables(),
        }
    }
}

/// What the variables are to be moved by.
#[derive(Debug)]
pub(crate) enum Gradients {
    /// The gradient of each variable, undefined where there is none.
    Each(Vec<Tensor>),
    /// Those of a loss, which an optimizer of tch's own computes itself.
    Of(Tensor),
}

impl Gradients {
    /// The sums with those of another batch, in float32.
    ///
    /// # Errors
    /// Those of a loss; too little memory.
    pub(crate) fn plus(self, other: Gradients) -> Result<Gradients> {
        let (Gradients::Each(ours), Gradients::Each(others)) = (self, other) else {
            bail!("an optimizer of tch's own takes the gradients of one batch only")
        };
        let _no_gradient = tch::no_grad_guard();
        let sum = |(one, other): (Tensor, Tensor)| match (one.defined(), other.defined()) {
            (true, true) => Ok(one.f_to_kind(Kind::Float)?.f_add(&other)?),
            (true, false) => Ok(one),
            (false, _) => Ok(other),
        };
        ours.into_iter().zip(others).map(sum).collect::<Result<_>>().map(Gradients::Each)
    }
}

/// libtorch, asked for the gradients of such a loss by name, ends the process.
pub(crate) const WITHOUT_GRADIENT: &str = "the loss has no gradient: it depends on no variable, or only by way of \
    argmax, comparisons, detach or no_grad";

fn check_learning_rate(rate: f64) -> Result<()> {
    ensure!(
        is_learning_rate(rate),
        "a learning rate of {rate} is not above 0 and at most {MAX_LEARNING_RATE}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    /// Once, the process ended with SIGSEGV.
    #[test]
    fn a_loss_without_a_gradient_is_an_error() {
        let store = nn::VarStore::new(Device::Cpu);
        let weight = store.root().ones("weight", &[1]);
        let optimizers = [
            Optimizer::new(&store, keras_adam(), 0.01).unwrap(),
            Optimizer::opaque(&store, nn::Sgd::default(), 0.01).unwrap(),
        ];
        for mut optimizer in optimizers {
            let within_no_grad = tch::no_grad(|| weight.square());
            for loss in [Tensor::from(1f32), weight.detach().square(), within_no_grad] {
                let fault = optimizer.step(&loss).unwrap_err().to_string();
                assert!(fault.contains("the loss has no gradient"), "{fault}");
            }
            assert_eq!(f64::try_from(&weight).unwrap(), 1.0);
        }
    }

    #[test]
    fn adam_moves_by_the_learning_rate_at_first_and_follows_its_changes() {
        let store = nn::VarStore::new(Device::Cpu);
        let weight = store.root().zeros("weight", &[1]);
        let mut optimizer = Optimizer::new(&store, keras_adam(), 0.01).unwrap();
        let value = || f64::try_from(&weight).unwrap();
        optimizer.step(&(&weight * 3.0).sum(tch::Kind::Float)).unwrap();
        // Adam's first step is learning_rate * g / (|g| + epsilon').
        assert!((value() + 0.01).abs() < 1e-6);
        optimizer.set_learning_rate(0.1);
        optimizer.step(&(&weight * 3.0).sum(tch::Kind::Float)).unwrap();
        assert!((value() + 0.11).abs() < 1e-5);
        assert_eq!(optimizer.learning_rate(), 0.1);
    }

    #[test]
    fn impossible_learning_rates_are_refused() {
        let store = nn::VarStore::new(Device::Cpu);
        for rate in [0.0, -1.0, 1e38, f64::NAN, f64::INFINITY] {
            assert!(Optimizer::new(&store, keras_adam(), rate).is_err());
            assert!(Optimizer::opaque(&store, keras_adam(), rate).is_err());
        }
    }

    #[test]
    fn an_optimizer_knows_the_store_that_it_is_over() {
        let stores = [nn::VarStore::new(Device::Cpu), nn::VarStore::new(Device::Cpu)];
        let _ = stores.each_ref().map(|store| store.root().zeros("weight", &[2]));
        for optimizer in [
            Optimizer::new(&stores[0], nn::Sgd::default(), 0.1).unwrap(),
            Optimizer::opaque(&stores[0], nn::Sgd::default(), 0.1).unwrap(),
        ] {
            assert!(optimizer.is_over(&stores[0]) && !optimizer.is_over(&stores[1]));
        }
        let empty = nn::VarStore::new(Device::Cpu);
        assert!(
            !Optimizer::new(&empty, nn::Sgd::default(), 0.1).unwrap().is_over(&empty),
            "it moves nothing"
        );
        let _ = (&stores[0].root() / "frozen").zeros("weight", &[2]).set_requires_grad(false);
        let optimizer = Optimizer::new(&stores[0], nn::Sgd::default(), 0.1).unwrap();
        assert!(optimizer.is_over(&stores[0]), "one of two is frozen");
    }
}
