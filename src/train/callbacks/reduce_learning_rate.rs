//! Lowers the learning rate when a metric no longer improves, as Keras 3.15.1's `ReduceLROnPlateau`.

use crate::metrics::Better;
use crate::train::{Callback, SavedState, Training};
use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// Multiplies the learning rate by a factor after some epochs without improvement.
///
/// ```
/// use fitch::train::callbacks::ReduceLearningRateOnPlateau;
///
/// let plateau = ReduceLearningRateOnPlateau::new("val_loss").patience(3).factor(0.5);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ReduceLearningRateOnPlateau {
    monitor: String,
    factor: f64,
    patience: usize,
    min_delta: f64,
    cooldown: usize,
    min_learning_rate: f64,
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

    /// What the learning rate is multiplied by, above 0 and below 1; the default is 0.1.
    pub fn factor(self, factor: f64) -> Self {
        ReduceLearningRateOnPlateau { factor, ..self }
    }

    /// The number of epochs without improvement before a reduction; the default is 10.
    pub fn patience(self, patience: usize) -> Self {
        ReduceLearningRateOnPlateau { patience, ..self }
    }

    /// The least improvement that counts; the default is 0.0001.
    pub fn min_delta(self, min_delta: f64) -> Self {
        ReduceLearningRateOnPlateau { min_delta, ..self }
    }

    /// The number of epochs after a reduction that are not counted; the default is 0.
    pub fn cooldown(self, cooldown: usize) -> Self {
        ReduceLearningRateOnPlateau { cooldown, ..self }
    }

    /// The learning rate never goes below this; the default is 0.
    pub fn min_learning_rate(self, min_learning_rate: f64) -> Self {
        ReduceLearningRateOnPlateau { min_learning_rate, ..self }
    }

    /// The learning rate for the next epoch, from the value of this one.
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

/// What has to survive a pause.
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
        SavedState::new(progress)
    }

    fn load(&mut self, saved: SavedState) -> Result<()> {
        let Progress { best, wait, cooling } = saved.values()?;
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
        let value = training.monitored(&self.monitor);
        let Some(value) = value else { return Ok(()) };
        let before = training.learning_rate();
        let after = self.observe(value, before);
        if after != before {
            training.set_learning_rate(after);
            training.note(format!(
                "{} no longer improves: the learning rate goes from {before} to {after} after epoch {}",
                self.monitor,
                training.epoch()
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
        ReduceLearningRateOnPlateau::new("loss").factor(0.5).patience(patience)
    }

    #[test]
    fn it_halves_after_patience_epochs_without_improvement() {
        assert_eq!(rates(half(2), &[5.0, 5.0, 5.0, 5.0, 5.0]), [1.0, 1.0, 0.5, 0.5, 0.25]);
        assert_eq!(rates(half(2), &[5.0, 5.0, 4.0, 4.0, 4.0]), [1.0, 1.0, 1.0, 1.0, 0.5]);
    }

    #[test]
    fn an_improvement_must_exceed_min_delta() {
        assert_eq!(rates(half(1), &[5.0, 4.99995, 4.9]), [1.0, 0.5, 0.5]);
    }

    #[test]
    fn epochs_of_cooldown_are_not_counted() {
        let callback = half(1).cooldown(2);
        // Keras 3.15.1: the epoch in which the cooldown ends counts again.
        assert_eq!(rates(callback, &[5.0; 6]), [1.0, 0.5, 0.5, 0.25, 0.25, 0.125]);
    }

    #[test]
    fn it_stays_above_the_minimum_and_passes_over_nan() {
        let callback = half(1).min_learning_rate(0.4);
        assert_eq!(rates(callback, &[5.0; 4]), [1.0, 0.5, 0.4, 0.4]);
        assert_eq!(rates(half(1), &[f64::NAN, 5.0, 4.0]), [0.5, 0.5, 0.5]);
    }

    #[test]
    fn higher_is_better_for_an_accuracy() {
        let callback = ReduceLearningRateOnPlateau { direction: Better::Higher, ..half(1) };
        assert_eq!(rates(callback, &[0.5, 0.6, 0.6]), [1.0, 1.0, 0.5]);
    }
}
