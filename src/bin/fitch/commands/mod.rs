//! The subcommands, one file or folder each.

mod board;
mod built_model;
mod calibration;
mod checkpoints;
mod children;
mod compare;
mod completions;
mod copies;
mod data;
mod data_guard;
mod data_sheet;
mod doctor;
mod epochs_so_far;
mod evaluate;
mod export;
mod help;
mod ignored_options;
mod inspect;
mod json;
mod man;
mod mistakes;
mod near_copies;
mod output_file;
mod plot;
mod plots;
mod predict;
mod report;
mod run_files;
mod run_lock;
mod run_page;
mod runs;
mod summary;
mod suspects;
mod sweep;
mod table;
mod tested_model;
mod train;
mod understood;
mod watch;

use crate::cli::Command;
use crate::config::Machine;
use crate::exit::Exit;
use crate::terminal::Terminal;
use anyhow::Result;
use fitch::device::{self, ChosenDevice};
use fitch::distributed::Place;

/// Restarts the program, if necessary, with the environment that libgomp, libtorch's library of threads,
/// reads before `main`. To be called before anything else in a command that computes for long.
///
/// By default its threads spin for about 3 ms while they wait for work. Another program that keeps one core
/// busy then holds up the threads on the other cores, too: an epoch of MNIST on 2 cores took 4 to 27 times as
/// long. With a 150th of the spins it takes 2.5 to 3 times as long (less when training gives up a thread);
/// without such a neighbour the difference is within noise.
#[cfg(target_os = "linux")]
fn restart_with_short_spins() {
    use std::os::unix::process::CommandExt;
    let is_set = |name: &str| std::env::var_os(name).is_some();
    let Ok(program) = std::env::current_exe() else { return };
    if !is_set("GOMP_SPINCOUNT") && !is_set("OMP_WAIT_POLICY") {
        let mut arguments = std::env::args_os();
        let mut restarted = std::process::Command::new(program);
        restarted.arg0(arguments.next().unwrap_or_default()).args(arguments).env("GOMP_SPINCOUNT", "2000");
        // exec returns only if it fails; then training goes on with long spins.
        let _ = restarted.exec();
    }
}

#[cfg(not(target_os = "linux"))]
fn restart_with_short_spins() {}

/// Finds the device and sets the threads: the first call into libtorch.
fn start_libtorch(machine: Machine) -> Result<ChosenDevice> {
    start_libtorch_at(None, machine)
}

/// As [`start_libtorch`], perhaps in one of several processes that train together.
fn start_libtorch_at(place: Option<&Place>, machine: Machine) -> Result<ChosenDevice> {
    let chosen = match place {
        Some(place) => device::choose_for_process(machine.device, place.local_rank),
        None => device::choose(machine.device),
    }?;
    tch::set_num_threads(machine.threads as i32);
    Ok(chosen)
}

pub fn run(command: Command, terminal: &Terminal) -> Result<Exit> {
    match command {
        Command::Train(options) => train::run(*options, terminal),
        Command::Evaluate(options) => evaluate::run(options, terminal),
        Command::Compare(options) => compare::run(&options, terminal),
        Command::Predict(options) => predict::run(options, terminal),
        Command::Export(options) => export::run(options, terminal),
        Command::Plot(options) => plot::run(&options, terminal),
        Command::Report(options) => report::run(&options, terminal),
        Command::Runs(options) => runs::run(&options, terminal),
        Command::Watch(options) => watch::run(&options, terminal),
        Command::Board(options) => board::run(&options, terminal),
        Command::Sweep(options) => sweep::run(&options, terminal),
        Command::Data(command) => data::run(command, terminal),
        Command::Summary(options) => summary::run(options, terminal),
        Command::Doctor(options) => doctor::run(&options, terminal),
        Command::Completions(options) => completions::run(&options, terminal),
        Command::Man(options) => man::run(&options, terminal),
        Command::Help(options) => help::run(&options, terminal),
    }
}
