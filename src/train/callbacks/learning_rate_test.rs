//! A range test of learning rates: which of them a training should have.

use crate::kernels::named_tensors::assign;
use crate::train::{Callback, StopReason, Training};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use tch::Tensor;

/// The test ends when the mean of the last losses is this many times its minimum,
const DIVERGED: f64 = 4.0;
/// in which each loss counts for so much of the next one.
const MEMORY: f64 = 0.9;
/// The width of the bell curve that smooths the losses, in steps: its standard deviation.
const WIDTH: f64 = 4.0;
/// In the first steps, this many, the rate is too low to change the loss.
const STEPS_AT_REST: usize = 20;
/// How much of its way down the smoothed loss has gone at the rate to train with.
const SHARE_OF_FALL: f64 = 2.0 / 3.0;

/// Trains with a learning rate that grows by the same factor from step to step, from 1e-6 to 10 in 100 steps, and
/// watches the loss (Smith, 2015): it stays, falls, and rises again. [`found`](LearningRateTest::found) is the rate
/// in the lower half of the fall.
///
/// When it ends, the variables have the values that they had before. The optimizer has not: a training needs a new one.
/// [`steps`](LearningRateTest::steps) epochs always suffice.
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
    done: Vec<Done>,
    /// The sum of the losses in this epoch so far, and the samples that they are of.
    seen: (f64, usize),
    weights: BTreeMap<String, Tensor>,
}

/// A step that was done.
#[derive(Clone, Copy, Debug)]
struct Done {
    learning_rate: f64,
    loss: f64,
    samples: usize,
}

/// What came of a step with a learning rate.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct TriedRate {
    /// The rate of the step.
    pub learning_rate: f64,
    /// The loss of its samples, before they moved the weights.
    pub loss: f64,
    /// The mean of this loss and those around it, the nearest counting most.
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
            done: Vec::new(),
            seen: (0.0, 0),
            weights: BTreeMap::new(),
        }
    }

    /// The number of steps at most.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The rates that were tried, in order, as long as the loss was finite.
    pub fn tried(&self) -> Vec<TriedRate> {
        let smoothed = smoothed(&self.done).into_iter();
        let tried =
            self.done.iter().zip(smoothed).map(|(&Done { learning_rate, loss, .. }, smoothed_loss)| {
                TriedRate { learning_rate, loss, smoothed_loss }
            });
        tried.collect()
    }

    /// The rate to train with, in two digits: where the smoothed loss is two thirds of the way down to its minimum.
    /// None if it does not fall.
    pub fn found(&self) -> Option<f64> {
        found(&self.tried())
    }

    fn rate(&self, step: usize) -> f64 {
        let share = step as f64 / (self.steps - 1).max(1) as f64;
        self.lowest * (self.highest / self.lowest).powf(share)
    }

    /// Notes the loss of a step and, unless it was the last one, sets the rate of the next.
    fn note(&mut self, training: &mut Training) -> Result<()> {
        let (sum, samples) = training.loss_sum()?;
        let samples_of_step = samples - self.seen.1;
        let loss = (sum - self.seen.0) / samples_of_step as f64;
        self.seen = (sum, samples);
        if loss.is_finite() {
            self.done.push(Done { learning_rate: training.learning_rate(), loss, samples: samples_of_step });
        }
        let has_diverged = !loss.is_finite() || has_diverged(&self.done);
        match has_diverged || self.done.len() == self.steps {
            true => {
                let message = format!("tried {} learning rates", self.done.len());
                training.stop(StopReason::Completed, message);
            }
            false => training.set_learning_rate(self.rate(self.done.len())),
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
        self.done.clear();
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

/// Whether the last losses are far above the lowest ones.
fn has_diverged(done: &[Done]) -> bool {
    let (mut sum, mut weight, mut least, mut mean) = (0.0, 0.0, f64::INFINITY, f64::INFINITY);
    for Done { loss, samples, .. } in done {
        (sum, weight) = (MEMORY * sum + loss * *samples as f64, MEMORY * weight + *samples as f64);
        mean = sum / weight;
        least = mean.min(least);
    }
    mean > DIVERGED * least
}

/// The means of the losses around each step, by their samples and by a bell curve.
fn smoothed(done: &[Done]) -> Vec<f64> {
    let at = |step: usize| {
        let weighted = done.iter().enumerate().map(|(other, Done { loss, samples, .. })| {
            let distance = (step as f64 - other as f64) / WIDTH;
            let weight = *samples as f64 * (-0.5 * distance * distance).exp();
            (loss * weight, weight)
        });
        let (sum, weight) =
            weighted.fold((0.0, 0.0), |(sum, all), (loss, weight)| (sum + loss, all + weight));
        sum / weight
    };
    (0..done.len()).map(at).collect()
}

/// The rate where two thirds of the fall are done. fastai and Lightning propose that of the steepest place, which is
/// about the same, but depends more on chance.
fn found(tried: &[TriedRate]) -> Option<f64> {
    let mut at_rest: Vec<f64> = tried.iter().take(STEPS_AT_REST).map(|tried| tried.loss).collect();
    at_rest.sort_by(f64::total_cmp);
    let start = *at_rest.get(at_rest.len() / 2)?;
    let by_loss = |one: &(usize, &TriedRate), other: &(usize, &TriedRate)| {
        one.1.smoothed_loss.total_cmp(&other.1.smoothed_loss)
    };
    let (bottom, lowest) = tried.iter().enumerate().min_by(by_loss)?;
    let level = start - SHARE_OF_FALL * (start - lowest.smoothed_loss);
    let above = tried[..bottom].iter().rposition(|tried| tried.smoothed_loss >= level)?;
    format!("{:.1e}", tried[above + 1].learning_rate).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{Optimizer, keras_adam};
    use crate::train::tests::{classifier, points};
    use crate::train::{Fit, StopReason};

    /// Losses over rates from 1e-6 to 10, each half of the batches in a row being a little higher than the other.
    fn steps(loss: impl Fn(f64) -> f64) -> Vec<Done> {
        let test = LearningRateTest::new();
        let step = |step: usize| {
            let learning_rate = test.rate(step);
            let noise = if step.is_multiple_of(2) { 0.02 } else { -0.02 };
            Done { learning_rate, loss: loss(learning_rate) + noise, samples: 128 }
        };
        (0..test.steps).map(step).collect()
    }

    fn found_in(done: Vec<Done>) -> Option<f64> {
        LearningRateTest { done, ..LearningRateTest::new() }.found()
    }

    #[test]
    fn the_fall_is_found_whatever_follows() {
        // From 2.3 down to 0.3 between 1e-4 and 1e-2, two thirds of it at 2.2e-3, which is between the rates of two
        // steps; then up again, little or much.
        for top in [0.0, 0.5, 30.0] {
            let rate = found_in(steps(|rate| {
                let fall = ((rate.log10() + 4.0) / 2.0).clamp(0.0, 1.0);
                let rise = (rate.log10() + 1.0).clamp(0.0, 1.0);
                2.3 - 2.0 * fall + top * rise
            }));
            assert!((1.7e-3..2.9e-3).contains(&rate.unwrap()), "{rate:?} {top}");
        }
    }

    #[test]
    fn without_a_fall_there_is_no_rate() {
        assert_eq!(found_in(Vec::new()), None);
        assert_eq!(found_in(steps(|rate| 2.3 + rate)), None, "it only rises");
        assert_eq!(found_in(steps(|_| 2.3).into_iter().take(1).collect()), None);
    }

    #[test]
    fn losses_far_above_the_lowest_end_the_test() {
        assert!(!has_diverged(&[]) && !has_diverged(&steps(|_| 2.3)));
        let rising = steps(|rate| if rate < 1.0 { 2.3 } else { 2.3 * rate * 10.0 });
        assert!(has_diverged(&rising) && !has_diverged(&rising[..80]));
    }

    #[test]
    fn a_test_leaves_the_weights_as_they_were_and_finds_a_rate_that_trains() {
        let (store, model) = classifier();
        let adam = |rate| Optimizer::new(&store, keras_adam(), rate).unwrap();
        let mut test = LearningRateTest::new();
        let fit = Fit::new(&model, &store, adam(0.3)).epochs(test.steps()).batch_size(16).ema(0.9);
        let outcome = fit.callback(&mut test).run(&points(200), None).unwrap();
        assert_eq!(outcome.stop.reason, StopReason::Completed);
        assert_eq!(model.ws, model.ws.zeros_like());
        let tried = test.tried();
        assert_eq!((tried[0].learning_rate, tried.len()), (1e-6, 100));
        let fit = Fit::new(&model, &store, adam(test.found().unwrap())).epochs(10).batch_size(16);
        let outcome = fit.run(&points(200), None).unwrap();
        assert!(outcome.history.epochs[9].metrics["accuracy"] > 0.9, "{:?}", outcome.history.epochs[9]);
    }
}
