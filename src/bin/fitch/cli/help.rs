//! `fitch help`, declared.

use clap::Args;

#[derive(Debug, Args)]
pub struct HelpOptions {
    /// A topic or a command; without it, both are listed
    #[arg(value_name = "TOPIC or COMMAND")]
    pub subject: Vec<String>,
}
