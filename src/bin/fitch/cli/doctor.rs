//! The options of `doctor`.

use clap::Args;

pub const NOTES: &str = "\
The output is for a bug report: paste it as it is. It shows the paths of
libraries and caches, and environment variables that change how fitch computes.

Exit codes: 0 done; 1 a training failed, or its loss differs from the CPU's.";

#[derive(Debug, Args)]
pub struct DoctorOptions {
    /// Also train the digits for a few epochs on the CPU and each GPU that works, and compare the losses
    #[arg(long)]
    pub train: bool,

    /// Print only the indices of the GPUs that work, one a line
    #[arg(long, hide = true, conflicts_with = "train")]
    pub working_gpus: bool,
}
