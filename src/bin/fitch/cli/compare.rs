//! The options of `compare`.

use super::DataOptions;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

pub const EXAMPLES: &str = "\
Examples:
  fitch compare runs/A runs/B
  fitch compare runs/A runs/B runs/C --format json
  fitch compare runs/A model.pt --dataset mnist --differences differences.csv --sheet differences.png

All models classify the same test images. McNemar's exact test asks of each two whether one is right more
often where the other is wrong; the p-values of several pairs are corrected by Holm's method.";

#[derive(Debug, Args)]
pub struct CompareOptions {
    /// Run folders or TorchScript files, two or more; such a file can run code, so only use files you trust
    #[arg(value_name = "MODEL", required = true, num_args = 2..)]
    pub models: Vec<PathBuf>,

    /// The data set with the test images, a name or a path [default: that of the runs; required for files]
    #[arg(long, value_name = "NAME or PATH")]
    pub dataset: Option<String>,

    #[command(flatten)]
    pub reading: DataOptions,

    /// The format of the results: table, for people; csv, a row for each pair of models; json, one object with
    /// everything
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: CompareFormat,

    /// Write the images that only some of the models classify correctly into this file, .csv: their file or row,
    /// the true class, and what each model predicts
    #[arg(long, value_name = "FILE")]
    pub differences: Option<PathBuf>,

    /// Draw the first of these images, by the models that are right, into this file, .png
    #[arg(long, value_name = "FILE")]
    pub sheet: Option<PathBuf>,

    /// auto, cpu, cuda or cuda:N [default: that of each run; auto for a file]
    #[arg(short, long, value_name = "DEVICE")]
    pub device: Option<String>,

    /// CPU threads [default: that of each run; one a core for a file]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub threads: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CompareFormat {
    Table,
    Csv,
    Json,
}
