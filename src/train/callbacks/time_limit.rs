//! Ends a training when its time is used up.

use crate::train::{Callback, StopReason, Training};
use anyhow::Result;
use std::time::Duration;

/// Ends a training at the first step after the time is used up.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimit {
    limit: Duration,
}

impl TimeLimit {
    /// Counted from the beginning of the training.
    pub fn new(limit: Duration) -> TimeLimit {
        TimeLimit { limit }
    }
}

impl Callback for TimeLimit {
    fn step_end(&mut self, training: &mut Training) -> Result<()> {
        if training.seconds() >= self.limit.as_secs_f64() {
            let story = format!(
                "the time limit of {:?} is reached: stopped in epoch {} at step {} of {}",
                self.limit, training.epoch, training.step, training.steps
            );
            training.stop(StopReason::TimeLimit, story);
        }
        Ok(())
    }
}
