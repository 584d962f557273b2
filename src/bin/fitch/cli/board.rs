//! The options of `board`.

use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct BoardOptions {
    /// The folder whose runs are shown
    #[arg(value_name = "FOLDER", default_value = "runs")]
    pub folder: PathBuf,

    /// The port; 0 for any that is free
    #[arg(long, value_name = "N", default_value_t = 8030)]
    pub port: u16,

    /// The name or address to answer at; any but this machine's own needs the token in the printed address
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub host: String,

    /// Do not open a browser
    #[arg(long)]
    pub no_open: bool,
}
