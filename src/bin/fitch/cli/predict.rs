//! The options of `predict`.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

pub const EXAMPLES: &str = "\
Examples:
  fitch predict runs/NAME digit.png scans/
  fitch predict model.pt t10k-images-idx3-ubyte.gz --format jsonl --top 3

Exit codes: 0 done; 1 failed, or an input could not be read; 2 wrong usage.";

#[derive(Debug, Args)]
pub struct PredictOptions {
    /// A run folder or a TorchScript file; such a file can run code, so only use files you trust
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,

    /// Images (PNG, JPEG, WebP, GIF, TIFF, BMP), folders of images, IDX files, or CSV files with one row of
    /// pixels an image; IDX and CSV files may be gzipped; - is standard input
    #[arg(value_name = "INPUT", required = true)]
    pub inputs: Vec<PathBuf>,

    /// The format of the results: table, for people; csv; json, one array of objects; jsonl, an object a line;
    /// auto, a table in a terminal and CSV elsewhere
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub format: PredictFormat,

    /// Show the K most likely classes
    #[arg(long, value_name = "K", default_value_t = 1, allow_negative_numbers = true)]
    pub top: i64,

    /// Show the probabilities of all classes
    #[arg(long)]
    pub probabilities: bool,

    /// Invert images: auto inverts a grey image whose border is bright if the training images have dark borders,
    /// and the other way round; without a value, always
    #[arg(long, value_name = "WHEN", default_value = "auto", default_missing_value = "always",
          num_args = 0..=1, require_equals = true)]
    pub invert: InvertOption,

    /// Exchange the rows and columns of images in IDX and CSV files [default: as in the run's training images,
    /// and of EMNIST, by the names of its files]
    #[arg(long, value_name = "BOOL", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    pub transpose: Option<bool>,

    /// auto, cpu, cuda or cuda:N
    #[arg(short, long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,

    /// CPU threads [default: one a core]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub threads: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PredictFormat {
    Auto,
    Table,
    Csv,
    Json,
    Jsonl,
}

/// When images are inverted. (The library's `Inversion` also holds the border of the training images.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InvertOption {
    Auto,
    Always,
    Never,
}
