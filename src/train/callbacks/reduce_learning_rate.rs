//! Lowers the learning rate when a metric stands still, as Keras 3.15.1's `ReduceLROnPlateau`.

use crate::metrics::Better;
use crate::train::{Callback, SavedState, Training};
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use toml::Table;

/// Multiplies the learning rate by a factor after `patience` epochs without improvement.
#[derive(Clone, Debug, PartialEq)]
pub struct ReduceLearningRateOnPlateau {
    monitor: String,
    /// What the learning rate is multiplied by, above 0 and below 1; Keras's default is 0.1.
    pub factor: f64,
    /// How many epochs without improvement it takes; Keras's default is 10.
    pub patience: usize,
    /// An improvement must be greater than this; Keras's default is 0.0001.
    pub min_delta: f64,
    /// How many epochs after a reduction are not counted; Keras's default is 0.
    pub cooldown: usize,
    /// The learning rate never goes below this; Keras's default is 0.
    pub min_learning_rate: f64,
    direction: Better,
    best: Option<f64>,
    wait: usize,
    cooling: usize,
}

impl ReduceLearningRateOnPlateau {
    /// Watches a metric by its name in the history, with Keras's defaults.
    pub fn new(monitor: impl Into<String>) -> ReduceLearningRateOnPlateau {
        ReduceLearningRateOnPlateau {
            monitor: monitor.into(),
            factor: 0.1,
            patience: 10,
            min_delta: 1e-4,
            cooldown: 0,
            min_learning_rate: 0.0,
            direction: Better::Lower,
            best: None,
            wait: 0,
            cooling: 0,
        }
    }

    /// Takes an epoch's value and gives the learning rate for the next one.
    fn observe(&mut self, value: f64, learning_rate: f64) -> f64 {
        if self.cooling > 0 {
            self.cooling -= 1;
            self.wait = 0;
        }
        if self.direction.improves(value, self.best, self.min_delta) {
            self.best = Some(value);
            self.wait = 0;
        } else if self.cooling == 0 {
            self.wait += 1;
            if self.wait >= self.patience && learning_rate > self.min_learning_rate {
                self.cooling = self.cooldown;
                self.wait = 0;
                return (learning_rate * self.factor).max(self.min_learning_rate);
            }
        }
        learning_rate
    }
}

/// What survives a pause.
#[derive(Serialize, Deserialize)]
struct Progress {
    best: Option<f64>,
    wait: usize,
    cooling: usize,
}

impl Callback for ReduceLearningRateOnPlateau {
    fn state_name(&self) -> Option<&'static str> {
        Some("reduce_learning_rate")
    }

    fn save(&self) -> Result<SavedState> {
        let progress = Progress { best: self.best, wait: self.wait, cooling: self.cooling };
        Ok(SavedState { values: Table::try_from(progress)?, ..SavedState::default() })
    }

    fn load(&mut self, saved: SavedState) -> Result<()> {
        let Progress { best, wait, cooling } = saved.values.try_into()?;
        (self.best, self.wait, self.cooling) = (best, wait, cooling);
        Ok(())
    }

    fn train_begin(&mut self, training: &mut Training) -> Result<()> {
        ensure!(self.factor > 0.0 && self.factor < 1.0, "a factor of {} is not between 0 and 1", self.factor);
        self.direction = training.direction_of(&self.monitor)?;
        (self.best, self.wait, self.cooling) = (None, 0, 0);
        Ok(())
    }

    fn epoch_end(&mut self, training: &mut Training) -> Result<()> {
        let value = training.record().and_then(|record| record.metrics.get(&self.monitor)).copied();
        let Some(value) = value else { return Ok(()) };
        let before = training.learning_rate();
        let after = self.observe(value, before);
        if after != before {
            training.set_learning_rate(after);
            training.note(format!(
                "{} stands still: the learning rate goes from {before} to {after} after epoch {}",
                self.monitor, training.epoch
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The learning rate after each epoch, starting from 1.
    fn rates(mut callback: ReduceLearningRateOnPlateau, values: &[f64]) -> Vec<f64> {
        let mut rate = 1.0;
        let mut after = |value: &f64| {
            rate = callback.observe(*value, rate);
            rate
        };
        values.iter().map(&mut after).collect()
    }

    fn half(patience: usize) -> ReduceLearningRateOnPlateau {
        ReduceLearningRateOnPlateau { factor: 0.5, patience, ..ReduceLearningRateOnPlateau::new("loss") }
    }

    #[test]
    fn it_halves_after_patience_epochs_without_improvement() {
        assert_eq!(rates(half(2), &[5.0, 5.0, 5.0, 5.0, 5.0]), [1.0, 1.0, 0.5, 0.5, 0.25]);
        assert_eq!(rates(half(2), &[5.0, 5.0, 4.0, 4.0, 4.0]), [1.0, 1.0, 1.0, 1.0, 0.5]);
    }

    #[test]
    fn an_improvement_must_be_greater_than_min_delta() {
        assert_eq!(rates(half(1), &[5.0, 4.99995, 4.9]), [1.0, 0.5, 0.5]);
    }

    #[test]
    fn epochs_of_cooldown_are_not_counted() {
        let callback = ReduceLearningRateOnPlateau { cooldown: 2, ..half(1) };
        // Keras 3.15.1: the epoch in which the cooldown ends counts again.
        assert_eq!(rates(callback, &[5.0; 6]), [1.0, 0.5, 0.5, 0.25, 0.25, 0.125]);
    }

    #[test]
    fn it_stays_above_the_minimum_and_passes_over_nan() {
        let callback = ReduceLearningRateOnPlateau { min_learning_rate: 0.4, ..half(1) };
        assert_eq!(rates(callback, &[5.0; 4]), [1.0, 0.5, 0.4, 0.4]);
        assert_eq!(rates(half(1), &[f64::NAN, 5.0, 4.0]), [0.5, 0.5, 0.5]);
    }

    #[test]
    fn greater_is_better_for_an_accuracy() {
        let callback = ReduceLearningRateOnPlateau { direction: Better::Higher, ..half(1) };
        assert_eq!(rates(callback, &[0.5, 0.6, 0.6]), [1.0, 1.0, 0.5]);
    }
}
