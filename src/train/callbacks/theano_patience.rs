//! The growing patience of the Theano deep-learning tutorial (its `logistic_sgd.py` and `mlp.py`): patience
//! counts steps, and each marked improvement of the validation loss extends it.
//!
//! It is here to reproduce results of those scripts, which depend on where training stopped.

use super::BestWeights;
use crate::metrics::Better;
use crate::train::{Best, Callback, SavedState, StopReason, Stopping, Training};
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// The rule as a pure state machine over steps and validation losses.
#[derive(Clone, Debug, PartialEq)]
pub struct TheanoRule {
    patience: usize,
    increase: usize,
    improvement: f64,
    /// The step (from 0) of the best validation loss, and the loss.
    pub best: Option<(usize, f64)>,
}

impl TheanoRule {
    /// Training lasts at least `patience` steps. A loss below 0.995 of the best one extends that to twice the
    /// steps done so far.
    pub fn new(patience: usize) -> TheanoRule {
        TheanoRule { patience, increase: 2, improvement: 0.995, best: None }
    }

    /// The number of steps from one validation to the next.
    pub fn validation_interval(initial_patience: usize, steps_per_epoch: usize) -> usize {
        steps_per_epoch.min(initial_patience / 2).max(1)
    }

    /// Takes the validation loss after a step (from 0); `best` then says whether it was the best.
    pub fn observe(&mut self, step: usize, loss: f64) {
        let best = self.best.map_or(f64::INFINITY, |(_, loss)| loss);
        if loss.is_finite() && loss < best {
            if loss < best * self.improvement {
                self.patience = self.patience.max(step * self.increase);
            }
            self.best = Some((step, loss));
        }
    }

    /// Whether the patience is used up after a step (from 0) and its validation, if it had one.
    pub fn is_used_up(&self, step: usize) -> bool {
        self.patience <= step
    }
}

/// Ends training by the rule of the Theano tutorial and restores the best weights. Validation runs within
/// epochs, too, if the patience is shorter than two epochs.
#[derive(Debug)]
pub struct TheanoPatience {
    monitor: String,
    patience: usize,
    rule: TheanoRule,
    weights: BestWeights,
    interval: usize,
    best_epoch: usize,
}

impl TheanoPatience {
    /// Watches a metric of the validation set that is to be minimised. In the tutorial the patience is 10,000
    /// steps.
    pub fn new(monitor: impl Into<String>, patience: usize) -> TheanoPatience {
        TheanoPatience {
            monitor: monitor.into(),
            patience,
            rule: TheanoRule::new(patience),
            weights: BestWeights::new(true),
            interval: 1,
            best_epoch: 0,
        }
    }

    /// Keeps the weights of the last step instead of the best.
    pub fn keep_last_weights(self) -> Self {
        TheanoPatience { weights: BestWeights::new(false), ..self }
    }

    fn sentence(&self) -> String {
        let step = self.rule.best.map(|(step, _)| step + 1);
        self.weights.sentence(&self.monitor, self.best(), step)
    }

    /// Ends training if the patience is used up after a step (from 0); `loss` is that of its validation.
    fn after_step(&mut self, training: &mut Training, step: usize, loss: Option<f64>) -> Result<()> {
        if let Some(loss) = loss {
            self.rule.observe(step, loss);
            if self.rule.best.is_some_and(|(best_step, _)| best_step == step) {
                self.best_epoch = training.epoch();
                self.weights.keep(training.weights())?;
            }
        }
        if self.rule.is_used_up(step) {
            let message = format!(
                "early stopping in epoch {} after step {}: the patience of {} steps is used up; {}",
                training.epoch(),
                step + 1,
                self.rule.patience,
                self.sentence()
            );
            training.stop(StopReason::EarlyStopping, message);
        }
        Ok(())
    }
}

impl Stopping for TheanoPatience {
    fn best(&self) -> Option<Best> {
        self.rule.best.map(|(_, value)| Best { epoch: self.best_epoch, value })
    }

    fn restored_epoch(&self) -> Option<usize> {
        self.weights.restored_epoch(self.best())
    }
}

/// What has to survive a pause.
#[derive(Serialize, Deserialize)]
struct Progress {
    patience: usize,
    best: Option<(usize, f64)>,
    best_epoch: usize,
}

impl Callback for TheanoPatience {
    fn state_name(&self) -> Option<&'static str> {
        Some("theano_patience")
    }

    fn save(&self) -> Result<SavedState> {
        let TheanoRule { patience, best, .. } = self.rule;
        let progress = Progress { patience, best, best_epoch: self.best_epoch };
        Ok(SavedState::new(progress)?.with_tensors(self.weights.saved()))
    }

    fn load(&mut self, saved: SavedState) -> Result<()> {
        let Progress { patience, best, best_epoch } = saved.values()?;
        // The longer patience counts: the one set for now, or the one earned before the pause.
        self.rule.patience = self.rule.patience.max(patience);
        (self.rule.best, self.best_epoch) = (best, best_epoch);
        self.weights.load(saved.tensors);
        Ok(())
    }

    fn train_begin(&mut self, training: &mut Training) -> Result<()> {
        let direction = training.direction_of(&self.monitor)?;
        ensure!(
            direction == Better::Lower && self.monitor.starts_with("val_"),
            "the growing patience watches a loss of the validation set, not {}",
            self.monitor
        );
        self.rule = TheanoRule::new(self.patience);
        self.interval = TheanoRule::validation_interval(self.patience, training.steps());
        Ok(())
    }

    fn step_end(&mut self, training: &mut Training) -> Result<()> {
        if training.step() == training.steps() {
            return Ok(()); // The validation of the epoch comes next.
        }
        let done = training.total_steps();
        let due = done.is_multiple_of(self.interval);
        let loss = if due { training.validate()?.get(&self.monitor).copied() } else { None };
        self.after_step(training, done - 1, loss)
    }

    fn epoch_end(&mut self, training: &mut Training) -> Result<()> {
        let done = training.total_steps();
        let due = done.is_multiple_of(self.interval);
        let loss = training.monitored(&self.monitor);
        self.after_step(training, done - 1, loss.filter(|_| due))
    }

    fn train_end(&mut self, training: &mut Training) -> Result<()> {
        self.weights.end(training, self.sentence())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the rule with 10 steps an epoch and patience 20, one loss a validation, the last one
    /// repeating; gives the step at which it stops and that of the best loss, both from 0.
    fn run(losses: &[f64]) -> (usize, usize) {
        let (patience, steps) = (20, 10);
        let interval = TheanoRule::validation_interval(patience, steps);
        let mut rule = TheanoRule::new(patience);
        let mut validations = 0;
        for step in 0..1_000 {
            if (step + 1) % interval == 0 {
                rule.observe(step, losses[validations.min(losses.len() - 1)]);
                validations += 1;
            }
            if rule.is_used_up(step) {
                return (step, rule.best.unwrap().0);
            }
        }
        panic!("it never stopped");
    }

    #[test]
    fn vectors_of_the_tutorial() {
        // The loop of the tutorial's code, run by hand on these losses.
        assert_eq!(run(&[0.5, 0.4, 0.3, 0.3]), (58, 29));
        assert_eq!(run(&[0.5, 0.5]), (20, 9));
        assert_eq!(
            run(&[1.0, 0.995, 1.0]),
            (20, 19),
            "an improvement of exactly half a percent does not extend the patience"
        );
        assert_eq!(run(&[1.0, 0.994, 1.0]), (38, 19));
    }

    #[test]
    fn a_loss_that_is_not_finite_is_never_the_best() {
        assert_eq!(run(&[f64::NAN, 0.5, f64::NEG_INFINITY]), (38, 19));
    }

    #[test]
    fn validation_comes_at_least_twice_within_the_patience() {
        assert_eq!(TheanoRule::validation_interval(10_000, 422), 422);
        assert_eq!(TheanoRule::validation_interval(500, 422), 250);
        assert_eq!(TheanoRule::validation_interval(1, 422), 1);
    }
}
