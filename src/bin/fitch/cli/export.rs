//! The options of `export`.

use super::OneOf;
use clap::Args;
use fitch::export::ImageInput;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct ExportOptions {
    /// The run folder
    #[arg(value_name = "RUN")]
    pub run: PathBuf,

    /// The file: TorchScript if its name ends in .pt, a program of torch.export if it ends in .pt2, ONNX if it ends in
    /// .onnx [default: RUN/model.pt]
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,

    /// The input of an ONNX or .pt2 file: raw pixels of a byte each, or floats as the first layer takes them, pixels
    /// from 0 to 1 [default: uint8 if the data are bytes, else float] (TorchScript takes both)
    #[arg(long, value_name = "TYPE")]
    pub input: Option<OneOf<ImageInput>>,

    /// Divide the logits by a temperature that is fitted to the run's validation images, so that probabilities say
    /// how often predictions are right; no prediction changes
    #[arg(long)]
    pub calibrate: bool,

    /// Where the run's data lie now, to calibrate [default: where they were]
    #[arg(long, value_name = "PATH", requires = "calibrate")]
    pub dataset: Option<String>,

    /// Where its validation images lie now, if they had a place of their own [default: where they were]
    #[arg(long, value_name = "PATH", requires = "calibrate")]
    pub validation: Option<String>,
}
