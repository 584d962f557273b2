//! The growing patience of the Theano deep-learning tutorial (its `logistic_sgd.py` and `mlp.py`):
//! patience counts steps, and each marked improvement of the validation loss prolongs it. It is here so that
//! results of those scripts can be reproduced; they depend on where training stopped.

use super::BestWeights;
use crate::metrics::Better;
use crate::train::{Callback, SavedState, StopReason, Training};
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use toml::Table;

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
    /// At least `patience` steps are made. A loss below 0.995 of the best one prolongs that to twice the
    /// steps made so far.
    pub fn new(patience: usize) -> TheanoRule {
        TheanoRule { patience, increase: 2, improvement: 0.995, best: None }
    }

    /// After how many steps each the validation loss is asked for, with so many steps an epoch.
    pub fn validation_interval(initial_patience: usize, steps_per_epoch: usize) -> usize {
        steps_per_epoch.min(initial_patience / 2).max(1)
    }

    /// Takes the validation loss after a step (from 0). Whether it was the best is told by `best`.
    pub fn observe(&mut self, step: usize, loss: f64) {
        let best = self.best.map_or(f64::INFINITY, |(_, loss)| loss);
        if loss.is_finite() && loss < best {
            if loss < best * self.improvement {
                self.patience = self.patience.max(step * self.increase);
            }
            self.best = Some((step, loss));
        }
    }

    /// Whether the patience is used up after a step (from 0) and its validation, if there was one.
    pub fn is_used_up(&self, step: usize) -> bool {
        self.patience <= step
    }
}

/// Stops a training by the rule of the Theano tutorials and brings the best weights back. Validation runs within an epoch
/// where the patience is shorter than two epochs.
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
    /// Watches a metric of the validation set that is to be minimised; the tutorial's patience is 10,000
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

    /// Leaves the weights of the last step in place.
    pub fn keep_last_weights(self) -> Self {
        TheanoPatience { weights: BestWeights::new(false), ..self }
    }

    /// The epoch in which the best value came, and the value.
    pub fn best(&self) -> Option<super::Best> {
        self.rule.best.map(|(_, value)| super::Best { epoch: self.best_epoch, value })
    }

    /// The epoch whose weights are brought back when training ends.
    pub fn restores(&self) -> Option<usize> {
        self.best().filter(|_| self.weights.are_wanted()).map(|best| best.epoch)
    }

    fn best_story(&self) -> String {
        let (monitor, epoch) = (&self.monitor, self.best_epoch);
        match self.rule.best {
            Some((step, loss)) => {
                let step = step + 1;
                format!(
                    "the best {monitor} is {loss:.6} after step {step} in epoch {epoch}; {}",
                    self.weights.fate(epoch)
                )
            }
            None => format!("no {monitor} was finite"),
        }
    }

    /// After the validation of a step, if one is due, and always: is the patience used up?
    fn after_step(&mut self, training: &mut Training, step: usize, loss: Option<f64>) -> Result<()> {
        if let Some(loss) = loss {
            self.rule.observe(step, loss);
            if self.rule.best.is_some_and(|(best_step, _)| best_step == step) {
                self.best_epoch = training.epoch;
                self.weights.keep(training.variables)?;
            }
        }
        if self.rule.is_used_up(step) {
            let story = format!(
                "early stopping in epoch {} after step {}: the patience of {} steps is used up; {}",
                training.epoch,
                step + 1,
                self.rule.patience,
                self.best_story()
            );
            training.stop(StopReason::EarlyStopping, story);
        }
        Ok(())
    }
}

/// What survives a pause.
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
        Ok(SavedState { values: Table::try_from(progress)?, tensors: self.weights.saved() })
    }

    fn load(&mut self, saved: SavedState) -> Result<()> {
        let Progress { patience, best, best_epoch } = saved.values.try_into()?;
        // A longer patience of now counts; a longer one that was earned counts too.
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
        self.interval = TheanoRule::validation_interval(self.patience, training.steps);
        Ok(())
    }

    fn step_end(&mut self, training: &mut Training) -> Result<()> {
        if training.step == training.steps {
            return Ok(()); // The epoch's own validation is about to come.
        }
        let done = (training.epoch - 1) * training.steps + training.step;
        let due = done.is_multiple_of(self.interval);
        let loss = if due { training.validate()?.get(&self.monitor).copied() } else { None };
        self.after_step(training, done - 1, loss)
    }

    fn epoch_end(&mut self, training: &mut Training) -> Result<()> {
        let done = training.epoch * training.steps;
        let due = done.is_multiple_of(self.interval);
        let loss = training.record().and_then(|record| record.metrics.get(&self.monitor)).copied();
        self.after_step(training, done - 1, loss.filter(|_| due))
    }

    fn train_end(&mut self, training: &mut Training) -> Result<()> {
        self.weights.restore(training.variables)?;
        if training.stop_reason() != Some(StopReason::EarlyStopping) {
            training.note(self.best_story());
        }
        Ok(())
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
            "an improvement of exactly half a percent prolongs nothing"
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
