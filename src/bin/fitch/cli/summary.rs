//! The options of `summary`.

use super::{DataOptions, OneOf};
use clap::{Args, ValueEnum};
use fitch::report::Orientation;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct SummaryOptions {
    /// The data set that the model classifies, a name or a path [default: digits]
    #[arg(value_name = "DATA")]
    pub data_argument: Option<String>,

    /// The data set as an option, the same as DATA
    #[arg(long, value_name = "NAME or PATH")]
    pub dataset: Option<String>,

    #[command(flatten)]
    pub reading: DataOptions,

    /// The network: mlp, cnn, a TOML file of layers, or a TorchScript file [default: mlp]
    #[arg(long, value_name = "NAME or FILE")]
    pub model: Option<String>,

    /// Hidden layers instead of a named network, as `fitch train --layers` takes them
    #[arg(long, value_name = "LAYERS", conflicts_with = "model")]
    pub layers: Option<String>,

    /// Count these parameters as non-trainable, as `fitch train --freeze` takes them
    #[arg(long, value_name = "NAMES")]
    pub freeze: Option<String>,

    /// The version of Keras that the table looks like
    #[arg(long, value_name = "STYLE", default_value = "keras3")]
    pub style: StyleOption,

    /// Draw the layers into this file instead: .svg, .png or .dot
    #[arg(long, value_name = "FILE", help_heading = "Diagram")]
    pub to: Option<PathBuf>,

    #[command(flatten)]
    pub diagram: DiagramFlags,
}

/// What a drawing of the layers shows.
#[derive(Debug, Args)]
pub struct DiagramFlags {
    /// The direction in which the layers follow each other
    #[arg(long, value_name = "WAY", default_value = "down", help_heading = "Diagram")]
    pub direction: OneOf<Orientation>,

    /// Leave out the names of the layers
    #[arg(long, help_heading = "Diagram")]
    pub no_names: bool,

    /// Leave out the shapes
    #[arg(long, help_heading = "Diagram")]
    pub no_shapes: bool,

    /// Leave out the parameter counts
    #[arg(long, help_heading = "Diagram")]
    pub no_parameters: bool,
}

/// The style of the table. (The library's `SummaryStyle` also holds the width of the terminal.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StyleOption {
    Keras3,
    Keras1,
}
