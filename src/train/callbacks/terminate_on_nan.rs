//! Ends training when the loss becomes NaN or infinite: it does not recover.

use crate::train::{Callback, StopReason, Training};
use anyhow::Result;
use tch::Device;

/// Checks the loss after each step on the CPU, and after each epoch on other devices, where reading it would
/// make the host wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct TerminateOnNan;

impl TerminateOnNan {
    fn check(training: &mut Training, loss: Option<f64>) {
        if let Some(loss) = loss.filter(|loss| !loss.is_finite()) {
            let message = format!(
                "the loss became {loss} in epoch {} by step {} of {}",
                training.epoch(),
                training.step(),
                training.steps()
            );
            training.stop(StopReason::NonFinite, message);
        }
    }
}

impl Callback for TerminateOnNan {
    fn step_end(&mut self, training: &mut Training) -> Result<()> {
        if training.variables().device() == Device::Cpu {
            let loss = training.running_loss()?;
            Self::check(training, Some(loss));
        }
        Ok(())
    }

    fn epoch_end(&mut self, training: &mut Training) -> Result<()> {
        let loss = training.record().and_then(|record| record.metrics.get("loss")).copied();
        Self::check(training, loss);
        Ok(())
    }
}
