//! Why a training ends.

use serde::{Deserialize, Serialize};

/// Why a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// All epochs were run.
    Completed,
    /// The monitored metric no longer improved, or passed a threshold.
    EarlyStopping,
    /// A user or another program asked for it.
    Interrupted,
    /// The time limit was reached.
    TimeLimit,
    /// The loss became NaN or infinite.
    NonFinite,
}

impl StopReason {
    pub(super) const ALL: [StopReason; 5] = [
        StopReason::Completed,
        StopReason::EarlyStopping,
        StopReason::Interrupted,
        StopReason::TimeLimit,
        StopReason::NonFinite,
    ];

    /// The word for files, such as `early_stopping`.
    pub fn name(self) -> &'static str {
        match self {
            StopReason::Completed => "completed",
            StopReason::EarlyStopping => "early_stopping",
            StopReason::Interrupted => "interrupted",
            StopReason::TimeLimit => "time_limit",
            StopReason::NonFinite => "non_finite",
        }
    }
}

/// The end of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// Why it ended.
    pub reason: StopReason,
    /// The same in a sentence, for people.
    pub message: String,
}
