//! One file a subcommand, each a short story in terms of the library.

mod evaluate;
mod runs;
mod summary;
mod table;
mod train;

use crate::cli::Command;
use crate::terminal::Terminal;
use anyhow::Result;
use std::process::ExitCode;

pub fn run(command: Command, terminal: &Terminal) -> Result<ExitCode> {
    match command {
        Command::Train(options) => train::run(*options, terminal),
        Command::Evaluate(options) => evaluate::run(options, terminal),
        Command::Runs(options) => runs::run(&options, terminal),
        Command::Summary(options) => summary::run(&options, terminal),
    }
}
