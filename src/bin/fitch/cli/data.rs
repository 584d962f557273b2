//! The commands of `data` and their options.

use super::DataOptions;
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// List the data sets that have a name
    List {
        /// Where downloads are kept [default: FITCH_DATA_DIR, else the user's cache folder]
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Download a data set and print its folder
    Fetch(FetchOptions),
    /// Describe a data set: format, sizes, pixel values, classes, identical images, images that look alike
    Inspect(Box<InspectOptions>),
}

#[derive(Debug, Args)]
pub struct FetchOptions {
    /// mnist, fashion-mnist or kmnist
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Where downloads are kept [default: FITCH_DATA_DIR, else the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct InspectOptions {
    /// A name or a path, as `fitch train --dataset` takes it
    #[arg(value_name = "NAME or PATH")]
    pub dataset: String,

    /// Draw images of every class into this file, .png
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,

    /// Draw some images with random changes of them beside, as `fitch train --augment` makes them
    #[arg(long, value_name = "CHANGES", requires = "to", help_heading = "Random changes")]
    pub augment: Option<String>,

    /// Draw images that look alike side by side into this file, .png
    #[arg(long, value_name = "FILE")]
    pub near_copies: Option<PathBuf>,

    /// The format of the description: table, for people; json, with everything
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: InspectFormat,

    /// Seed of the random changes
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Random changes")]
    pub seed: i64,

    #[command(flatten)]
    pub reading: DataOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InspectFormat {
    Table,
    Json,
}
