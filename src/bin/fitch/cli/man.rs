//! The options of `man`.

use clap::Args;
use std::path::PathBuf;

pub const EXAMPLES: &str = "\
Examples:
  fitch man train | man -l -
  fitch man --to ~/.local/share/man/man1        then: man fitch-train";

#[derive(Debug, Args)]
pub struct ManOptions {
    /// The command whose page is printed [default: fitch itself]
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,

    /// Write the pages of all commands into this folder instead
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub to: Option<PathBuf>,
}
