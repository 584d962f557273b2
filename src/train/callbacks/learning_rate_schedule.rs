//! A learning rate that is a function of the epoch.

use crate::optim::MAX_LEARNING_RATE;
use crate::train::{Callback, Training};
use anyhow::{Result, ensure};
use std::fmt;

type Schedule = dyn Fn(usize, f64) -> f64;

/// Sets the learning rate before each epoch by a function of (epoch from 1, current learning rate), as
/// Keras's `LearningRateScheduler`.
pub struct LearningRateSchedule {
    schedule: Box<Schedule>,
}

impl LearningRateSchedule {
    /// With a function such as `|epoch, rate| if epoch > 10 { rate * 0.9 } else { rate }`.
    pub fn new(schedule: impl Fn(usize, f64) -> f64 + 'static) -> LearningRateSchedule {
        LearningRateSchedule { schedule: Box::new(schedule) }
    }
}

impl fmt::Debug for LearningRateSchedule {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("LearningRateSchedule")
    }
}

impl Callback for LearningRateSchedule {
    fn epoch_begin(&mut self, training: &mut Training) -> Result<()> {
        let rate = (self.schedule)(training.epoch(), training.learning_rate());
        ensure!(
            (0.0..=MAX_LEARNING_RATE).contains(&rate),
            "the learning-rate schedule gives {rate} for epoch {}; it must be from 0 to {MAX_LEARNING_RATE}",
            training.epoch()
        );
        training.set_learning_rate(rate);
        Ok(())
    }
}
