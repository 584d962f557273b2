//! Progress of trainings, downloads and decoding, drawn through the [`Terminal`](crate::terminal::Terminal).

mod download;
mod epochs;
mod training;

pub use download::DownloadProgress;
pub use epochs::EpochLines;
pub use training::{Shown, TrainingProgress};

use crate::terminal::Terminal;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// How the progress of training is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProgressKind {
    Auto,
    Bar,
    Lines,
    None,
}

impl ProgressKind {
    /// The kind that is chosen for a terminal where the choice was left open.
    pub fn on(self, terminal: &Terminal) -> ProgressKind {
        match self {
            ProgressKind::Auto if terminal.is_interactive => ProgressKind::Bar,
            ProgressKind::Auto => ProgressKind::Lines,
            chosen => chosen,
        }
    }
}
