//! The `fitch` program: reads the command line, runs the command, tells the exit code.

mod cli;
mod commands;
mod config;
mod failure;
mod interrupt;
mod progress;
mod terminal;

use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let terminal = terminal::Terminal::new();
    match failure::guard(|| commands::run(cli.command, &terminal)) {
        Ok(code) => code,
        Err(fault) => failure::report(&fault, &terminal),
    }
}
