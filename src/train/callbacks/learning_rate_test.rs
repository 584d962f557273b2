//! A range test of learning rates: which of them a training should have.

use crate::kernels::named_tensors::assign;
use crate::train::{Callback, StopReason, Training};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use tch::Tensor;

/// How much of the smoothed loss of a step is that of the steps before it.
const SMOOTHING: f64 = 0.9;
/// The test ends when the smoothed loss is this many times its minimum.
const DIVERGED: f64 = 4.0;

/// Trains with a learning rate that grows by the same factor from step to step, and watches the loss (Smith, 2015):
/// [`found`](LearningRateTest::found) is the rate to train with. The variables have their values back when it ends; the
/// optimizer does not, so that the training needs another. Its number of epochs is one that always suffices, since
/// the test ends by itself.
///
/// ```
/// use fitch::{data::Source, model::{Layers, Model, Network}, optim::{Optimizer, keras_adam}, train::Fit};
/// use fitch::train::callbacks::LearningRateTest;
/// use tch::Device;
///
/// # fn main() -> anyhow::Result<()> {
/// let digits = Source::find("digits")?.load()?.train_samples()?;
/// let model = Model::classifier(&[8, 8], Layers::parse("dense 32, relu")?, 10)?;
/// let network = Network::new(model, Device::Cpu)?;
/// let adam = |rate| Optimizer::new(network.variables(), keras_adam(), rate);
///
/// let mut test = LearningRateTest::new();
/// Fit::network(&network, adam(0.001)?).epochs(test.steps()).callback(&mut test).run(&digits, None)?;
/// let rate = test.found().expect("a rate at which the loss falls");
/// Fit::network(&network, adam(rate)?).epochs(2).run(&digits, None)?;
/// # assert!((1e-4..1.0).contains(&rate), "{rate}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct LearningRateTest {
    lowest: f64,
    highest: f64,
    steps: usize,
    tried: Vec<TriedRate>,
    /// The sum of the losses in this epoch so far, and the samples that they are of.
    seen: (f64, usize),
    weights: BTreeMap<String, Tensor>,
}

/// What came of a step with a learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TriedRate {
    /// The rate of the step.
    pub learning_rate: f64,
    /// The loss of its samples before the step.
    pub loss: f64,
    /// The mean of this loss and those before it, the latest counting most.
    pub smoothed_loss: f64,
}

impl Default for LearningRateTest {
    fn default() -> LearningRateTest {
        LearningRateTest::new()
    }
}

impl LearningRateTest {
    /// From 1e-6 to 10 in 100 steps.
    pub fn new() -> LearningRateTest {
        LearningRateTest {
            lowest: 1e-6,
            highest: 10.0,
            steps: 100,
            tried: Vec::new(),
            seen: (0.0, 0),
            weights: BTreeMap::new(),
        }
    }

    /// The number of steps at most.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The rates that were tried, in order.
    pub fn tried(&self) -> &[TriedRate] {
        &self.tried
    }

    /// The rate to train with, in two digits; none if the loss fell at no rate.
    pub fn found(&self) -> Option<f64> {
        found(&self.tried)
    }

    fn rate(&self, step: usize) -> f64 {
        let share = step as f64 / (self.steps - 1).max(1) as f64;
        self.lowest * (self.highest / self.lowest).powf(share)
    }

    /// Notes the loss of a step and, unless it was the last one, sets the rate of the next.
    fn note(&mut self, training: &mut Training) -> Result<()> {
        let (sum, samples) = training.loss_sum()?;
        let loss = (sum - self.seen.0) / (samples - self.seen.1) as f64;
        self.seen = (sum, samples);
        let smoothed_loss = smoothed(self.tried.iter().map(|tried| tried.loss).chain([loss]));
        self.tried.push(TriedRate { learning_rate: training.learning_rate(), loss, smoothed_loss });
        let least = self.tried.iter().map(|tried| tried.smoothed_loss).fold(f64::INFINITY, f64::min);
        let has_diverged = !loss.is_finite() || smoothed_loss > DIVERGED * least;
        match has_diverged || self.tried.len() == self.steps {
            true => {
                let message = format!("tested {} learning rates", self.tried.len());
                training.stop(StopReason::Completed, message);
            }
            false => training.set_learning_rate(self.rate(self.tried.len())),
        }
        Ok(())
    }
}

impl Callback for LearningRateTest {
    fn train_begin(&mut self, training: &mut Training) -> Result<()> {
        let copy = |(name, value): (String, Tensor)| {
            let value = value.detach();
            let mut copy = value.f_empty_like()?;
            copy.f_copy_(&value)?;
            Ok((name, copy))
        };
        let weights: Result<_> = training.variables().variables().into_iter().map(copy).collect();
        self.weights = weights.context("cannot keep a copy of the weights")?;
        self.tried.clear();
        training.set_learning_rate(self.rate(0));
        Ok(())
    }

    fn epoch_begin(&mut self, _training: &mut Training) -> Result<()> {
        self.seen = (0.0, 0);
        Ok(())
    }

    fn step_end(&mut self, training: &mut Training) -> Result<()> {
        if training.is_stopping() { Ok(()) } else { self.note(training) }
    }

    fn train_end(&mut self, training: &mut Training) -> Result<()> {
        let weights = std::mem::take(&mut self.weights);
        assign(training.variables().variables(), &weights).context("cannot restore the weights")
    }
}

/// A mean in which each loss counts for a tenth less than the next.
fn smoothed(losses: impl Iterator<Item = f64>) -> f64 {
    let (sum, weight) =
        losses.fold((0.0, 0.0), |(sum, weight), loss| (SMOOTHING * sum + loss, SMOOTHING * weight + 1.0));
    sum / weight
}

/// The rate to train with.
fn found(tried: &[TriedRate]) -> Option<f64> {
    let least = tried.iter().min_by(|one, other| one.smoothed_loss.total_cmp(&other.smoothed_loss))?;
    in_two_digits(least.learning_rate / 10.0)
}

fn in_two_digits(rate: f64) -> Option<f64> {
    format!("{rate:.1e}").parse().ok()
}
