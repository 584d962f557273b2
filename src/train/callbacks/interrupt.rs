//! Ends training at a request from outside: a signal handler, a button.

use crate::train::{Callback, StopReason, Training};
use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Ends training after the step during which a flag was raised.
#[derive(Clone, Debug)]
pub struct StopOnRequest {
    requested: Arc<AtomicBool>,
}

impl StopOnRequest {
    /// Watches a flag that another thread raises.
    pub fn new(requested: Arc<AtomicBool>) -> StopOnRequest {
        StopOnRequest { requested }
    }
}

impl Callback for StopOnRequest {
    fn step_end(&mut self, training: &mut Training) -> Result<()> {
        if self.requested.load(Ordering::Relaxed) {
            let (epoch, step, steps) = (training.epoch(), training.step(), training.steps());
            let message = format!("interrupted in epoch {epoch} at step {step} of {steps}");
            training.stop_all(StopReason::Interrupted, message);
        }
        Ok(())
    }
}
