//! The result of a training.

use super::{History, Stop};
use crate::optim::Optimizer;
use anyhow::Error;

/// The result of a training.
#[derive(Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// One record for each epoch.
    pub history: History,
    /// Why training ended.
    pub stop: Stop,
    /// The number of steps after the last recorded epoch, if one was cut short.
    pub unrecorded_steps: usize,
    /// Wall-clock time, in seconds.
    pub seconds: f64,
    /// Why the last checkpoint was not kept, if it was not: the training is whole, but cannot be resumed from
    /// its end.
    pub checkpoint_fault: Option<Error>,
    /// The optimizer with its state, to train on with. It is that of the last step, even if other weights were
    /// restored since.
    pub optimizer: Optimizer,
}
