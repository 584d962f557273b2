//! One file a subcommand, each a short story in terms of the library.

mod checkpoints;
mod evaluate;
mod export;
mod pictures;
mod plot;
mod predict;
mod runs;
mod summary;
mod table;
mod train;
mod trained_run;
mod unchanged_data;

use crate::cli::Command;
use crate::config::Machine;
use crate::terminal::Terminal;
use anyhow::Result;
use fitch::device::{self, ChosenDevice};
use std::process::ExitCode;

/// Finds the device and sets the threads: the first call into libtorch.
fn start_libtorch(machine: Machine) -> Result<ChosenDevice> {
    let chosen = device::choose(machine.device)?;
    tch::set_num_threads(machine.threads as i32);
    Ok(chosen)
}

pub fn run(command: Command, terminal: &Terminal) -> Result<ExitCode> {
    match command {
        Command::Train(options) => train::run(*options, terminal),
        Command::Evaluate(options) => evaluate::run(options, terminal),
        Command::Predict(options) => predict::run(options, terminal),
        Command::Export(options) => export::run(options, terminal),
        Command::Plot(options) => plot::run(&options, terminal),
        Command::Runs(options) => runs::run(&options, terminal),
        Command::Summary(options) => summary::run(&options, terminal),
    }
}
