//! The options of `sweep`.

use clap::Args;
use std::path::PathBuf;

pub const EXAMPLES: &str = "\
The plan is a TOML file with options of `train`:

  [options]                            # the same in every run
  dataset = \"mnist\"
  epochs = 20
  [vary]                               # one run for each combination
  learning-rate = [0.001, 0.003]
  layers = [\"dense 128, relu\", \"dense 512, relu, dropout 0.2\"]
  seed = [0, 1, 2]

With search = \"random\" and runs = 50 above [options], every run samples each option independently, from a \
list or from a range such as { range = [16, 256] } or { log-range = [0.0001, 0.01] }; another seed = 1 there \
samples others.

With folds = 5 above [options], each combination is trained five times, each time with another fifth of the \
training images held out for validation. The means over the folds choose the best combination, never the test set.

With GPUs that work, one run at a time trains on each; device = \"cpu\" in the plan keeps runs on the CPU, \
device = \"cuda:1\" on that GPU.

Runs are written to DIR/001 and so on. After an interruption, the same command continues the sweep.

Exit codes: 0 done; 1 a run failed; 2 wrong usage; 130 interrupted.";

#[derive(Debug, Args)]
pub struct SweepOptions {
    /// The plan, a TOML file
    #[arg(value_name = "FILE")]
    pub plan: PathBuf,

    /// The folder of the sweep [default: sweeps/ and the plan's name]
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Runs to train at the same time, on CPU and GPUs together [default: on the CPU 2, or 1 on a single core;
    /// on GPUs as many as --per-gpu allows; no limit for Slurm]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub processes: Option<i64>,

    /// Runs to train at the same time on each GPU; small networks leave room for several [default: 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true, conflicts_with_all = ["run", "slurm"])]
    pub per_gpu: Option<i64>,

    /// CPU threads of each run, unless the plan sets them [default: an equal part of the cores; 4 for Slurm]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub threads: Option<i64>,

    /// Train run N only
    #[arg(long, value_name = "N", allow_negative_numbers = true, conflicts_with_all = ["table", "slurm"])]
    pub run: Option<i64>,

    /// Only show the results so far
    #[arg(long, conflicts_with = "slurm")]
    pub table: bool,

    /// Print a script for Slurm's sbatch that runs the sweep as a job array
    #[arg(long)]
    pub slurm: bool,
}
