//! The command line, declared: names, help, nothing else. What the values mean is checked in
//! [`config`](crate::config).

mod help;
mod train;

pub use help::HelpOptions;
pub use train::{
    AdamOption, FormatOption, ModeOption, OptimizerOption, PrecisionOption, ProgressOption, ScheduleOption,
    SplitOption, StoppingOption, TrainOptions,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// fit for tch: trains image classifiers on libtorch
#[derive(Debug, Parser)]
#[command(name = "fitch", version, about, max_term_width = 100, arg_required_else_help = true)]
#[command(
    disable_help_subcommand = true,
    after_help = "`fitch help` lists the guides; `fitch help training` prints one."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a classifier and write a run folder
    #[command(after_help = train::EXAMPLES, args_override_self = true)]
    Train(Box<TrainOptions>),
    /// Evaluate a run or a TorchScript file on a test set: confusion matrix, precision, recall
    Evaluate(EvaluateOptions),
    /// Classify pictures, IDX files or CSV rows of pixels
    #[command(after_help = PREDICT_EXAMPLES)]
    Predict(PredictOptions),
    /// Write the model of a run as TorchScript or ONNX
    Export(ExportOptions),
    /// Draw the curves of runs, or of the CSV logs of Keras and Lightning
    #[command(after_help = PLOT_EXAMPLES)]
    Plot(PlotOptions),
    /// List the runs below a folder with their results, the newest first
    Runs(RunsOptions),
    /// Train with each combination of some options, several at a time, and tell which was best
    #[command(after_help = SWEEP_EXAMPLES)]
    Sweep(SweepOptions),
    /// Tell which data sets are known, fetch one, or look into one
    #[command(subcommand)]
    Data(DataCommand),
    /// Print the layers of a model with their shapes and parameters, or draw them
    Summary(SummaryOptions),
    /// Print a guide or the help of a command
    Help(HelpOptions),
}

const PREDICT_EXAMPLES: &str = "\
Examples:
  fitch predict runs/NAME digit.png scans/            a table in a terminal, CSV elsewhere
  fitch predict model.pt t10k-images-idx3-ubyte.gz --format jsonl --top 3

Exit codes: 0 done; 1 failed, or something could not be read; 2 wrong usage.";

const SWEEP_EXAMPLES: &str = "\
The plan is a TOML file of options under the names that `train` has:

  [options]                            # the same in every run
  dataset = \"mnist\"
  epochs = 20
  [vary]                               # a run for each combination
  learning-rate = [0.001, 0.003]
  layers = [\"dense 128, relu\", \"dense 512, relu, dropout 0.2\"]
  seed = [0, 1, 2]

With search = \"random\" and runs = 50 above [options], each option of each run is drawn by itself, from a
list or from a range such as { range = [16, 256] } or { log-range = [0.0001, 0.01] }; seed = 1 draws others.

Each run has its folder DIR/001 and so on. The same command goes on where a sweep was left.

Exit codes: 0 done; 1 a run failed; 2 wrong usage; 130 interrupted.";

const PLOT_EXAMPLES: &str = "\
Examples:
  fitch plot runs/NAME                              the run's own pictures, drawn again
  fitch plot runs/A runs/B --to compare.svg         loss and accuracy of both
  fitch plot history.csv --metric loss --terminal   here and now";

#[derive(Debug, Args)]
pub struct EvaluateOptions {
    /// A run folder, or a TorchScript file of a model
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,

    /// The data set whose test set is used [default: the run's; needed for a file]
    #[arg(long, value_name = "NAME or PATH")]
    pub dataset: Option<String>,

    #[command(flatten)]
    pub reading: DataOptions,

    /// The form of the results
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: EvaluateFormat,

    /// auto, cpu, cuda or cuda:N [default: the run's; auto for a file]
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<String>,

    /// Threads on the CPU [default: the run's; the machine's cores for a file]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub threads: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EvaluateFormat {
    /// For people
    Table,
    /// A row a class: its scores, and how often it was taken for each class
    Csv,
    /// Everything in one object
    Json,
}

#[derive(Debug, Args)]
pub struct PredictOptions {
    /// A run folder, or a TorchScript file of a model; code in a file is run: only use files you trust
    #[arg(value_name = "MODEL")]
    pub model: PathBuf,

    /// Pictures (PNG, JPEG, BMP), folders of them, IDX files of images, CSV files with a row of pixels an
    /// image; IDX and CSV may be gzipped
    #[arg(value_name = "INPUT", required = true)]
    pub inputs: Vec<PathBuf>,

    /// The form of the results; auto is a table in a terminal and CSV elsewhere
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub format: PredictFormat,

    /// Tell the K most likely classes
    #[arg(long, value_name = "K", default_value_t = 1, allow_negative_numbers = true)]
    pub top: i64,

    /// Tell the probabilities of all classes
    #[arg(long)]
    pub probabilities: bool,

    /// Exchange dark and bright in pictures: auto does it where a picture's border is bright and that of
    /// the training images dark, or the other way round; without a value, always
    #[arg(long, value_name = "WHEN", default_value = "auto", default_missing_value = "always",
          num_args = 0..=1, require_equals = true)]
    pub invert: InvertOption,

    /// auto, cpu, cuda or cuda:N
    #[arg(long, value_name = "DEVICE", default_value = "auto")]
    pub device: String,

    /// Threads on the CPU [default: the machine's cores]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub threads: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PredictFormat {
    Auto,
    /// For people
    Table,
    Csv,
    /// One array of objects
    Json,
    /// An object a line
    Jsonl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InvertOption {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Args)]
pub struct ExportOptions {
    /// The run folder
    #[arg(value_name = "RUN")]
    pub run: PathBuf,

    /// The file: TorchScript where its name ends in .pt, ONNX where it ends in .onnx
    /// [default: RUN/model.pt]
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,

    /// What an ONNX file takes: raw pixels, or floats from 0 to 1 (TorchScript takes both)
    #[arg(long, value_name = "TYPE", default_value = "uint8")]
    pub input: InputOption,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InputOption {
    Uint8,
    Float,
}

#[derive(Debug, Args)]
pub struct RunsOptions {
    /// The folder to look below
    #[arg(value_name = "DIR", default_value = "runs")]
    pub folder: PathBuf,
}

#[derive(Debug, Args)]
pub struct SweepOptions {
    /// The plan, a TOML file
    #[arg(value_name = "FILE")]
    pub plan: PathBuf,

    /// The folder of the sweep [default: sweeps/ and the plan's name]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// How many trainings there are at a time [default: 2, or 1 on a single core; no limit for Slurm]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub processes: Option<i64>,

    /// Threads of each on the CPU, unless the plan tells [default: the cores, shared out; 4 for Slurm]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub threads: Option<i64>,

    /// Only the run of this number
    #[arg(long, value_name = "N", allow_negative_numbers = true, conflicts_with_all = ["table", "slurm"])]
    pub run: Option<i64>,

    /// Only tell what came of the runs so far
    #[arg(long, conflicts_with = "slurm")]
    pub table: bool,

    /// Print a script for Slurm's sbatch that runs the sweep as a job array
    #[arg(long)]
    pub slurm: bool,
}

#[derive(Debug, Subcommand)]
pub enum DataCommand {
    /// The sets that can be had by name
    List {
        /// Where fetched sets are kept [default: FITCH_DATA_DIR, else the user's cache folder]
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
    },
    /// Fetch a set, and print the folder that it is in
    Fetch(FetchOptions),
    /// Tell what is in a set: form, sizes, values, classes, and images that are there twice
    Inspect(Box<InspectOptions>),
}

#[derive(Debug, Args)]
pub struct FetchOptions {
    /// mnist, fashion-mnist or kmnist
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Where fetched sets are kept [default: FITCH_DATA_DIR, else the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct InspectOptions {
    /// A name or a path, as `fitch train --dataset` takes it
    #[arg(value_name = "NAME or PATH")]
    pub dataset: String,

    /// Draw images of every class into a file, .png
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,

    #[command(flatten)]
    pub reading: DataOptions,
}

/// How data are read; `train` has the same options.
#[derive(Debug, Args)]
pub struct DataOptions {
    /// Where fetched sets and decoded images are kept [default: FITCH_DATA_DIR, else the user's cache folder]
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    pub data_dir: Option<PathBuf>,

    /// The form of what lies at a path [default: found out]
    #[arg(long, value_name = "FORM", help_heading = "Data")]
    pub data_format: Option<FormatOption>,

    /// Height and width that pictures of several sizes are stretched to, such as 28x28
    #[arg(long, value_name = "HxW", help_heading = "Data")]
    pub image_size: Option<String>,

    /// Leave out pictures that cannot be read
    #[arg(long, help_heading = "Data")]
    pub skip_bad: bool,

    /// Share of each class kept apart for the test where the data have no test set [default: 0.1]
    #[arg(long, value_name = "F", allow_negative_numbers = true, help_heading = "Data")]
    pub test_split: Option<f64>,

    /// The column of a table that has the labels, by its name or its number from 0
    #[arg(long, value_name = "NAME or N", help_heading = "Data")]
    pub label_column: Option<String>,

    /// Take only these classes, by their names, such as cat,dog [default: all]
    #[arg(long, value_name = "NAMES", help_heading = "Data")]
    pub classes: Option<String>,
}

#[derive(Debug, Args)]
pub struct SummaryOptions {
    /// The data set whose images and classes the model is for
    #[arg(long, value_name = "NAME or PATH", default_value = "digits")]
    pub dataset: String,

    #[command(flatten)]
    pub reading: DataOptions,

    /// The network: mlp, cnn, or a TOML file of layers [default: mlp]
    #[arg(long, value_name = "NAME or FILE")]
    pub model: Option<String>,

    /// Its hidden layers instead, as `fitch train --layers` takes them
    #[arg(long, value_name = "SPEC", conflicts_with = "model")]
    pub layers: Option<String>,

    /// The form of the table
    #[arg(long, value_name = "STYLE", default_value = "keras3")]
    pub style: StyleOption,

    /// Draw the layers into a file instead; its name ends in .svg, .png or .dot
    #[arg(long, value_name = "FILE", help_heading = "Diagram")]
    pub to: Option<PathBuf>,

    #[command(flatten)]
    pub diagram: DiagramFlags,
}

/// What a drawing of the layers shows.
#[derive(Debug, Args)]
pub struct DiagramFlags {
    /// Which way the layers follow each other in it
    #[arg(long, value_name = "WAY", default_value = "down", help_heading = "Diagram")]
    pub direction: DirectionOption,

    /// Leave out the names of the layers
    #[arg(long, help_heading = "Diagram")]
    pub no_names: bool,

    /// Leave out the shapes
    #[arg(long, help_heading = "Diagram")]
    pub no_shapes: bool,

    /// Leave out the numbers of parameters
    #[arg(long, help_heading = "Diagram")]
    pub no_parameters: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DirectionOption {
    Down,
    Right,
}

#[derive(Debug, Args)]
pub struct PlotOptions {
    /// Run folders or CSV files; several are drawn into one picture
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,

    /// The picture, .svg or .png [default: of a run folder, its loss and accuracy pictures]
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,

    /// A metric to draw, without val_; may be repeated [default: loss and accuracy]
    #[arg(long = "metric", value_name = "NAME")]
    pub metrics: Vec<String>,

    /// Draw in the terminal
    #[arg(long, conflicts_with = "to")]
    pub terminal: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StyleOption {
    Keras3,
    Keras1,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_declaration_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_tells_every_default_as_it_is() {
        let command = Cli::command();
        let train = command.find_subcommand("train").unwrap();
        let defaults = serde_json::to_value(crate::config::defaults()).unwrap();
        for argument in train.get_arguments().filter(|argument| argument.get_id() != "help") {
            let help = argument.get_help().unwrap().to_string();
            let default = match &defaults[argument.get_id().as_str()] {
                serde_json::Value::Null => "[default: ".to_string(), // none, or found out
                serde_json::Value::String(text) => format!("[default: {text}]"),
                number => format!("[default: {}]", number.to_string().trim_end_matches(".0")),
            };
            assert!(help.contains(&default), "--{}: {default}: {help}", argument.get_id());
        }
    }
}
