//! The `fitch` program: reads the command line, runs the command, reports failures, sets the exit code.

mod cli;
mod command_line;
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

fn main() {
    signals::survive_size_limits();
    let terminal = terminal::Terminal::new();
    let (cli, command) = command_line::parse(&terminal);
    let exit = match failure::guard(|| commands::run(cli.command, &terminal)) {
        Ok(exit) => exit,
        Err(fault) => failure::report(&fault, &command, &terminal),
    };
    exit.leave()
}
