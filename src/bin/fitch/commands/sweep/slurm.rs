//! A sweep as a job array of Slurm (<https://slurm.schedmd.com/job_array.html>).

use super::Sweep;
use crate::cli::SweepOptions;
use anyhow::{Context, Result};
use fitch::device::DeviceChoice;
use std::path::{Path, absolute};

/// Default threads of a training: the cores of this machine say nothing about those of a cluster.
const THREADS: i64 = 4;

/// The script for `sbatch`: one task for each run.
pub fn script(options: &SweepOptions, sweep: &Sweep) -> Result<String> {
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let plan = absolute(&options.plan)?;
    let folder = absolute(&sweep.folder)?;
    let on_cuda = |device| matches!(device, DeviceChoice::AnyCuda | DeviceChoice::Cuda(_));
    let gpu = match sweep.plan.runs.iter().any(|run| on_cuda(run.device)) {
        true => "#SBATCH --gres=gpu:1\n",
        false => "",
    };
    let name: String = sweep
        .folder
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .chars()
        .map(|sign| if sign.is_alphanumeric() || "-_.".contains(sign) { sign } else { '-' })
        .collect();
    let call = format!("{} sweep {} --out {}", quoted(&program)?, quoted(&plan)?, quoted(&folder)?);
    Ok(format!(
        "#!/bin/sh\n\
         # {runs} runs. When they have ended, this shows their results:\n\
         #     {call} --table\n\
         #SBATCH --job-name=fitch-{name}\n\
         #SBATCH --array=1-{runs}{limit}\n\
         #SBATCH --cpus-per-task={threads}\n\
         # Slurm signals a training before its time is up; it stops after its step. Submit again to continue.\n\
         # B: the training takes the place of this script, and only with that letter does Slurm signal it.\n\
         #SBATCH --signal=B:TERM@60\n\
         {gpu}\
         exec {call} --threads {threads} --run \"$SLURM_ARRAY_TASK_ID\"\n",
        runs = sweep.plan.runs.len(),
        limit = options.processes.map_or(String::new(), |processes| format!("%{processes}")),
        threads = options.threads.unwrap_or(THREADS),
    ))
}

/// Quotes a path for a POSIX shell.
fn quoted(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(format!("'{}'", text.replace('\'', r"'\''")))
}
