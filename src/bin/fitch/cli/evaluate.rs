//! The options of `evaluate`.

use super::DataOptions;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct EvaluateOptions {
    /// A run folder or a TorchScript file
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,

    /// The data set with the test set, a name or a path [default: the run's; required for a file]
    #[arg(value_name = "DATA")]
    pub data_argument: Option<String>,

    /// The data set as an option, the same as DATA
    #[arg(long, value_name = "NAME or PATH")]
    pub dataset: Option<String>,

    #[command(flatten)]
    pub reading: DataOptions,

    /// The format of the results: table, for people; csv, a row for each class with its scores and how many of
    /// its images were predicted as each class; json, one object with everything
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: EvaluateFormat,

    /// Print the confusion matrix of more than 30 classes too, which csv and json always have
    #[arg(long)]
    pub matrix: bool,

    /// Write the images that were predicted wrongly into this file, .csv: their file or row, true and
    /// predicted class, probability
    #[arg(long, value_name = "FILE")]
    pub mistakes: Option<PathBuf>,

    /// Draw the calibration into this file, .svg or .png
    #[arg(long, value_name = "FILE")]
    pub reliability: Option<PathBuf>,

    /// Write the images whose labels are probably wrong into this file, .csv, the most suspicious first: their file or
    /// row, label, predicted class and its probability; draw them into a .png file beside it
    #[arg(long, value_name = "FILE", help_heading = "Wrong labels")]
    pub suspects: Option<PathBuf>,

    /// Where to look for wrong labels. The model has been trained on the labels of training images, so that it may
    /// have learned wrong ones
    #[arg(
        long,
        value_name = "SPLIT",
        default_value = "test",
        requires = "suspects",
        help_heading = "Wrong labels"
    )]
    pub on: SuspectSplit,

    /// auto, cpu, cuda or cuda:N [default: the run's; auto for a file]
    #[arg(short, long, value_name = "DEVICE")]
    pub device: Option<String>,

    /// CPU threads [default: the run's; one a core for a file]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub threads: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EvaluateFormat {
    Table,
    Csv,
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SuspectSplit {
    Train,
    Validation,
    Test,
    All,
}
