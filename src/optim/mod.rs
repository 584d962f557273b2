//! The optimizer: Adam, SGD and RMSprop with their state in our hands, or any of tch's. It
//! must not know the loop that calls it.

mod adam;
mod adam_step;
mod rms_prop;
mod sgd;
mod stateful;

use anyhow::{Context, Result, anyhow, ensure};
use stateful::{Rule, StatefulOptimizer};
use std::collections::BTreeMap;
use tch::Tensor;
use tch::nn::{self, OptimizerConfig};

/// Keras's epsilon; PyTorch's and tch's is 1e-8.
pub const KERAS_EPSILON: f64 = 1e-7;

/// Greater learning rates only overflow float32, in which libtorch refuses to compute then.
pub const GREATEST_LEARNING_RATE: f64 = 1e6;

/// Whether a learning rate can be trained with.
pub fn is_learning_rate(rate: f64) -> bool {
    rate > 0.0 && rate <= GREATEST_LEARNING_RATE
}

/// What a weight decay makes smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decay {
    /// The values, through their gradients: an L2 penalty.
    Gradient,
    /// The values themselves, in proportion to the learning rate (Loshchilov and Hutter, 2019): AdamW.
    Decoupled,
}

/// An optimizer over the trainable variables of a store.
#[derive(Debug)]
pub struct Optimizer {
    kind: Kind,
    learning_rate: f64,
    greatest_norm: Option<f64>,
}

#[derive(Debug)]
enum Kind {
    Open(StatefulOptimizer),
    Tch(nn::Optimizer),
}

/// Adam's settings as Keras has them.
pub fn keras_adam() -> nn::Adam {
    nn::Adam::default().eps(KERAS_EPSILON)
}

impl Optimizer {
    /// Adam (Kingma and Ba, 2015) with Keras's settings: beta 0.9 and 0.999, epsilon 1e-7.
    ///
    /// # Errors
    /// As [`Optimizer::new`], or variables that are not all float32.
    pub fn adam(variables: &nn::VarStore, learning_rate: f64) -> Result<Optimizer> {
        Optimizer::adam_with_decay(variables, learning_rate, 0.0, Decay::Gradient)
    }

    /// The same with a weight decay of at least 0.
    ///
    /// # Errors
    /// As [`Optimizer::adam`].
    pub fn adam_with_decay(
        variables: &nn::VarStore,
        learning_rate: f64,
        weight_decay: f64,
        decay: Decay,
    ) -> Result<Optimizer> {
        let settings = keras_adam().wd(weight_decay);
        Optimizer::open(adam::Adam::new(settings, decay, variables.device())?, variables, learning_rate)
    }

    /// Stochastic gradient descent with tch's settings.
    ///
    /// # Errors
    /// As [`Optimizer::adam`]; a dampening, which is not supported.
    pub fn sgd(variables: &nn::VarStore, learning_rate: f64, settings: nn::Sgd) -> Result<Optimizer> {
        Optimizer::open(sgd::Sgd::new(settings)?, variables, learning_rate)
    }

    /// RMSprop with tch's settings.
    ///
    /// # Errors
    /// As [`Optimizer::adam`]; the centered form, which is not supported.
    pub fn rms_prop(
        variables: &nn::VarStore,
        learning_rate: f64,
        settings: nn::RmsProp,
    ) -> Result<Optimizer> {
        Optimizer::open(rms_prop::RmsProp::new(settings)?, variables, learning_rate)
    }

    fn open(rule: impl Rule + 'static, variables: &nn::VarStore, learning_rate: f64) -> Result<Optimizer> {
        check_learning_rate(learning_rate)?;
        let open = StatefulOptimizer::new(rule, variables).context("cannot set up the optimizer")?;
        Ok(Optimizer { kind: Kind::Open(open), learning_rate, greatest_norm: None })
    }

    /// Makes the gradients smaller where their norm, all of them together, is greater than this, as Keras's
    /// `global_clipnorm` and PyTorch's `clip_grad_norm_` do.
    pub fn clip_norm(mut self, greatest: f64) -> Optimizer {
        if let Kind::Open(open) = &mut self.kind {
            open.clip_norm(greatest);
        }
        Optimizer { greatest_norm: Some(greatest), ..self }
    }

    /// The same by tch's own optimizer, to compare with: slower, and its state cannot be saved.
    ///
    /// # Errors
    /// As [`Optimizer::new`].
    pub fn reference_adam(variables: &nn::VarStore, learning_rate: f64) -> Result<Optimizer> {
        Optimizer::new(keras_adam(), variables, learning_rate)
    }

    /// Any optimizer that tch can configure. Its state cannot be saved.
    ///
    /// # Errors
    /// A learning rate that is not above 0 or too great, or settings that libtorch refuses.
    pub fn new(
        config: impl OptimizerConfig,
        variables: &nn::VarStore,
        learning_rate: f64,
    ) -> Result<Optimizer> {
        check_learning_rate(learning_rate)?;
        let inner = config.build(variables, learning_rate).context("cannot set up the optimizer")?;
        Ok(Optimizer { kind: Kind::Tch(inner), learning_rate, greatest_norm: None })
    }

    /// The state, by the names of the variables and of its parts, `dense_1.weight.first_moment` and so on: the
    /// tensors themselves, not copies. None of an optimizer of tch's, which keeps its state to itself.
    pub fn state(&self) -> Option<BTreeMap<String, Tensor>> {
        match &self.kind {
            Kind::Open(open) => Some(open.state()),
            Kind::Tch(_) => None,
        }
    }

    /// Takes over a state that [`Optimizer::state`] gave.
    ///
    /// # Errors
    /// An optimizer of tch's; a part that is missing or has another shape.
    pub fn load_state(&mut self, saved: &BTreeMap<String, Tensor>) -> Result<()> {
        self.opened()?.load_state(saved)
    }

    fn opened(&mut self) -> Result<&mut StatefulOptimizer> {
        match &mut self.kind {
            Kind::Open(open) => Ok(open),
            Kind::Tch(_) => Err(anyhow!("an optimizer of tch's own keeps its state to itself")),
        }
    }

    /// The learning rate in use.
    pub fn learning_rate(&self) -> f64 {
        self.learning_rate
    }

    /// Uses another learning rate from the next step on.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        if learning_rate != self.learning_rate {
            if let Kind::Tch(inner) = &mut self.kind {
                inner.set_lr(learning_rate);
            }
            self.learning_rate = learning_rate;
        }
    }

    /// Computes the gradients of the loss (one value) and moves the variables by them.
    ///
    /// # Errors
    /// A loss without a gradient, or too little memory.
    pub fn step(&mut self, loss: &Tensor) -> Result<()> {
        match &mut self.kind {
            Kind::Open(open) => open.step(loss, self.learning_rate),
            Kind::Tch(inner) => {
                inner.zero_grad();
                loss.f_backward().context("cannot compute the gradients of the loss")?;
                if let Some(greatest) = self.greatest_norm {
                    inner.clip_grad_norm(greatest);
                }
                inner.step();
                Ok(())
            }
        }
    }

    /// Moves the variables by gradients that were computed elsewhere, found by their names.
    ///
    /// # Errors
    /// An optimizer of tch's, which takes none; a name of no variable; too little memory.
    pub fn apply(&mut self, gradients: Vec<(&str, Tensor)>) -> Result<()> {
        let rate = self.learning_rate;
        self.opened()?.apply(gradients, rate)
    }
}

fn check_learning_rate(rate: f64) -> Result<()> {
    ensure!(
        is_learning_rate(rate),
        "a learning rate of {rate} is not above 0 and at most {GREATEST_LEARNING_RATE}"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn adam_moves_by_the_learning_rate_at_first_and_follows_its_changes() {
        let store = nn::VarStore::new(Device::Cpu);
        let weight = store.root().zeros("weight", &[1]);
        let mut optimizer = Optimizer::adam(&store, 0.01).unwrap();
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
            assert!(Optimizer::adam(&store, rate).is_err());
        }
    }
}
