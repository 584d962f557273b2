//! The command line, declared: one file a command with its names and help. What the values mean is checked
//! in [`config`](crate::config).

mod board;
mod brief;
mod choices;
mod compare;
mod completions;
mod data;
mod data_options;
mod doctor;
mod evaluate;
mod export;
mod help;
mod keyword;
mod man;
mod option_facts;
mod other_names;
mod plot;
mod predict;
mod report;
mod runs;
mod summary;
mod sweep;
mod switched_off;
mod train;
mod watch;

pub use board::BoardOptions;
pub use choices::{ModeOption, OptimizerOption, RateOption, ScheduleOption, StoppingOption};
pub use compare::{CompareFormat, CompareOptions};
pub use completions::CompletionsOptions;
pub use data::{DataCommand, FetchOptions, InspectFormat, InspectOptions};
pub use data_options::DataOptions;
pub use doctor::DoctorOptions;
pub use evaluate::{EvaluateFormat, EvaluateOptions, SuspectSplit};
pub use export::ExportOptions;
pub use help::HelpOptions;
pub use keyword::OneOf;
pub use man::ManOptions;
pub use option_facts::{OPTIONS, OptionFacts};
pub use other_names::{instead_of, same_as};
pub use plot::PlotOptions;
pub use predict::{InvertOption, PredictFormat, PredictOptions};
pub use report::ReportOptions;
pub use runs::RunsOptions;
pub use summary::{DiagramFlags, StyleOption, SummaryOptions};
pub use sweep::SweepOptions;
pub use switched_off::{is_off, take_off};
pub use train::TrainOptions;
pub use watch::WatchOptions;

use clap::{CommandFactory, Parser, Subcommand};
use console::Term;

/// In columns.
const NARROW: u16 = 60;

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
    /// Compare models on the same test images: whether one is better, and which images they differ on
    #[command(after_help = compare::EXAMPLES)]
    Compare(CompareOptions),
    /// Classify images, IDX files or CSV rows of pixels
    #[command(after_help = predict::EXAMPLES)]
    Predict(PredictOptions),
    /// Write the model of a run as TorchScript or ONNX
    Export(ExportOptions),
    /// Plot the curves of runs, or of CSV logs written by Keras and Lightning
    #[command(after_help = plot::EXAMPLES)]
    Plot(PlotOptions),
    /// Make the files that a run lacks: of a run that was killed, with the best weights so far
    Report(ReportOptions),
    /// List the runs in a folder with their results, newest first
    Runs(RunsOptions),
    /// Follow a run that another process trains; into a pipe, print its state once
    Watch(WatchOptions),
    /// Show the runs below a folder in a browser, live
    Board(BoardOptions),
    /// Train with every combination of some options, several at a time, and name the best
    #[command(after_help = sweep::EXAMPLES)]
    Sweep(SweepOptions),
    /// List the data sets that have a name, download one, or describe one
    #[command(subcommand)]
    Data(DataCommand),
    /// Print the layers of a model with their shapes and parameters, or draw them
    Summary(SummaryOptions),
    /// Show what a bug report needs: versions, libraries, GPUs, CPU, caches; try the devices
    #[command(after_help = doctor::NOTES)]
    Doctor(DoctorOptions),
    /// Print a script that makes a shell complete commands and options
    #[command(after_help = completions::EXAMPLES)]
    Completions(CompletionsOptions),
    /// Print a manual page, or write all of them
    #[command(after_help = man::EXAMPLES)]
    Man(ManOptions),
    /// Print a guide or the help of a command
    Help(HelpOptions),
}

/// The whole command line.
pub fn command() -> clap::Command {
    // Beside the longest options, a narrow terminal has room for a word a line.
    let is_narrow = Term::stdout().size_checked().is_some_and(|(_, columns)| columns < NARROW);
    for_all(Cli::command(), "fitch", &|command, _| {
        command.mut_args(other_names::with_other_names).next_line_help(is_narrow)
    })
}

/// The whole command line, with the help that `-h` prints.
pub fn brief_command() -> clap::Command {
    for_all(command(), "fitch", &brief::brief)
}

/// Changes a command, which is typed as `path`, and those below it.
fn for_all(
    command: clap::Command,
    path: &str,
    change: &dyn Fn(clap::Command, &str) -> clap::Command,
) -> clap::Command {
    change(command, path).mut_subcommands(|command| {
        let path = format!("{path} {}", command.get_name());
        for_all(command, &path, change)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declaration_is_sound() {
        command().debug_assert();
        brief_command().debug_assert();
    }

    #[test]
    fn help_shows_every_default_as_it_is() {
        let command = command();
        let train = command.find_subcommand("train").unwrap();
        let defaults = serde_json::to_value(TrainOptions::defaults()).unwrap();
        for argument in train.get_arguments().filter(|argument| argument.get_id() != "help") {
            let help = argument.get_help().unwrap().to_string();
            let default = match &defaults[argument.get_id().as_str()] {
                serde_json::Value::Null => "[default: ".to_string(), // none, or detected
                serde_json::Value::String(text) => format!("[default: {text}]"),
                number => format!("[default: {}]", number.to_string().trim_end_matches(".0")),
            };
            assert!(help.contains(&default), "--{}: {default}: {help}", argument.get_id());
        }
    }
}
