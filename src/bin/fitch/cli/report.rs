//! The options of `report`.

use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct ReportOptions {
    /// The run folder
    #[arg(value_name = "RUN")]
    pub run: PathBuf,

    /// Write the page of the run to this file, and nothing into its folder
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,

    /// Where the data lie now, if they were moved
    #[arg(long, value_name = "NAME or PATH")]
    pub dataset: Option<String>,

    /// auto, cpu, cuda or cuda:N [default: the run's]
    #[arg(short, long, value_name = "DEVICE")]
    pub device: Option<String>,

    /// CPU threads [default: the run's]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub threads: Option<i64>,
}
