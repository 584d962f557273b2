//! The `fitch` program: reads the command line, runs the command, reports failures, sets the exit code.

mod cli;
mod commands;
mod config;
mod exit;
mod failure;
mod hints;
mod patient_writer;
mod precision;
mod progress;
mod signals;
mod suggestion;
mod terminal;
mod working_folder;

use clap::{ArgMatches, CommandFactory, FromArgMatches};

fn main() {
    signals::survive_size_limits();
    let matches = cli::Cli::command().get_matches();
    let cli = cli::Cli::from_arg_matches(&matches).unwrap_or_else(|fault| fault.exit());
    let terminal = terminal::Terminal::new();
    let exit = match failure::guard(|| commands::run(cli.command, &terminal)) {
        Ok(exit) => exit,
        Err(fault) => failure::report(&fault, &command_name(&matches), &terminal),
    };
    exit.leave()
}

/// `train`, `data inspect`: the command that was given, as it is typed.
fn command_name(matches: &ArgMatches) -> String {
    let subcommands = std::iter::successors(matches.subcommand(), |(_, matches)| matches.subcommand());
    subcommands.map(|(name, _)| name).collect::<Vec<_>>().join(" ")
}
