//! The best epoch of a training.

use serde::{Deserialize, Serialize};

/// The best value of the monitored metric so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Its epoch, from 1.
    pub epoch: usize,
    /// The value.
    pub value: f64,
}
