//! The options of `watch`.

use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct WatchOptions {
    /// The run folder
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
}
