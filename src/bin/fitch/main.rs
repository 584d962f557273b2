//! The `fitch` program: reads the command line, runs the command, tells the exit code.

mod cli;
mod commands;
mod config;
mod exit;
mod failure;
mod hints;
mod progress;
mod signals;
mod terminal;

use clap::Parser;

fn main() {
    let cli = cli::Cli::parse();
    let terminal = terminal::Terminal::new();
    let exit = match failure::guard(|| commands::run(cli.command, &terminal)) {
        Ok(exit) => exit,
        Err(fault) => failure::report(&fault, &terminal),
    };
    exit.leave()
}
