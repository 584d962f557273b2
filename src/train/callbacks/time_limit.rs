//! Ends training when its time is up.

use crate::train::{Callback, StopReason, Training};
use anyhow::Result;
use std::time::Duration;

/// Ends training after the first step that reaches the limit.
#[derive(Clone, Copy, Debug)]
pub struct TimeLimit {
    limit: Duration,
}

impl TimeLimit {
    /// A limit on the training time, counted from the beginning of the training without pauses.
    pub fn new(limit: Duration) -> TimeLimit {
        TimeLimit { limit }
    }
}

impl Callback for TimeLimit {
    fn step_end(&mut self, training: &mut Training) -> Result<()> {
        if training.seconds() >= self.limit.as_secs_f64() {
            let message = format!(
                "the time limit of {:?} is reached: stopped in epoch {} at step {} of {}",
                self.limit,
                training.epoch(),
                training.step(),
                training.steps()
            );
            training.stop_all(StopReason::TimeLimit, message);
        }
        Ok(())
    }
}
