//! The options of `runs`.

use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct RunsOptions {
    /// The folder to search
    #[arg(value_name = "DIR", default_value = "runs")]
    pub folder: PathBuf,
}
