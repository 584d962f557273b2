//! `fitch completions`: what a shell needs to complete commands and options.

use crate::cli::{self, CompletionsOptions};
use crate::exit::Exit;
use crate::terminal::Terminal;
use anyhow::{Context, Result};

pub fn run(options: &CompletionsOptions, terminal: &Terminal) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut cli::command(), "fitch", &mut script);
    terminal.result(&String::from_utf8(script).context("the script is not UTF-8")?)?;
    Ok(Exit::Success)
}
