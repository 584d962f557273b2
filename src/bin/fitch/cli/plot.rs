//! The options of `plot`.

use clap::Args;
use std::path::PathBuf;

pub const EXAMPLES: &str = "\
Examples:
  fitch plot runs/NAME                              redraw the run's own plots
  fitch plot runs/A runs/B --to compare.svg         loss and accuracy of both
  fitch plot history.csv --metric loss --terminal   right here

Several runs are compared by their validation curves.";

#[derive(Debug, Args)]
pub struct PlotOptions {
    /// Run folders or CSV files; several share one plot
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,

    /// The file of the plot, .svg or .png [default: the loss and accuracy plots of a run folder]
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,

    /// A metric to plot, without val_; may be repeated [default: loss and accuracy]
    #[arg(long = "metric", value_name = "NAME")]
    pub metrics: Vec<String>,

    /// Use a logarithmic axis [default: where most values would be squashed at the bottom otherwise]
    #[arg(long)]
    pub log: bool,

    /// Use a linear axis
    #[arg(long, conflicts_with = "log")]
    pub linear: bool,

    /// Draw the training curves of several runs too
    #[arg(long)]
    pub training: bool,

    /// Plot in the terminal
    #[arg(long, conflicts_with = "to")]
    pub terminal: bool,
}
