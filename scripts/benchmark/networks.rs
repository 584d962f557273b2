//! Training of a network that PyTorch made, resnet18 on 5,000 pictures of 64 x 64 pixels, against PyTorch's own
//! loop over the same file (scripted.py): seconds of an epoch and memory.

use crate::Options;
use crate::table::{Table, median};
use anyhow::{Context, Result, ensure};
use fitch::data::Samples;
use fitch::model::Network;
use fitch::optim::{Optimizer, keras_adam};
use fitch::train::Fit;
use serde::Deserialize;
use std::path::Path;
use std::process::{Command, Stdio};
use tch::{Device, Kind, Tensor};

const PICTURES: i64 = 5_000;
const SIDE: i64 = 64;
const CLASSES: i64 = 10;
const BATCH_SIZE: usize = 64;
/// The first one is to warm up.
const EPOCHS: usize = 3;

#[derive(Deserialize)]
struct Report {
    seconds: Vec<f64>,
    memory: f64,
    version: String,
}

/// Trains in turn, round after round.
pub fn compare(python: &Path, threads: usize, options: &Options, table: &mut Table) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("resnet18.pt");
    scripted(python, "make", &file, threads)?;
    for round in 1..=options.rounds.max(1) {
        let ours = median(&epochs(&file)?[1..]);
        let own_memory = peak_memory()?;
        let text = scripted(python, "train", &file, threads)?;
        let Report { seconds, memory, version } = serde_json::from_str(&text).context("scripted.py")?;
        ensure!(seconds.len() == EPOCHS, "{version}: {seconds:?}");
        let theirs = median(&seconds[1..]);
        println!("round {round}: fitch {ours:.2} s, {version} {theirs:.2} s");
        table.add("resnet18, fitch, epoch, s", [ours]);
        table.add("resnet18, PyTorch, epoch, s", [theirs]);
        table.add("resnet18, fitch / PyTorch", [ours / theirs]);
        table.add("resnet18, memory, fitch, MB", [own_memory / 1e6]);
        table.add("resnet18, memory, PyTorch, MB", [memory / 1e6]);
        table.add("resnet18, memory, fitch / PyTorch", [own_memory / memory]);
    }
    Ok(())
}

fn epochs(file: &Path) -> Result<Vec<f64>> {
    let pixels = Tensor::randint(256, [PICTURES, 3, SIDE, SIDE], (Kind::Uint8, Device::Cpu));
    let labels = Tensor::randint(CLASSES, [PICTURES], (Kind::Int64, Device::Cpu));
    let samples = Samples::new(&pixels, &labels)?.scaled_by(255.0);
    let network = Network::scripted(file, &[3, SIDE, SIDE], CLASSES as usize, Device::Cpu)?;
    let optimizer = Optimizer::new(network.variables(), keras_adam(), 0.001)?;
    let outcome =
        Fit::network(&network, optimizer).epochs(EPOCHS).batch_size(BATCH_SIZE).run(&samples, None)?;
    Ok(outcome.history.epochs.iter().map(|epoch| epoch.seconds).collect())
}

/// The most memory that this process had, in bytes.
fn peak_memory() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
}

fn scripted(python: &Path, what: &str, file: &Path, threads: usize) -> Result<String> {
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/benchmark/scripted.py"))
        .args([what.as_ref(), file.as_os_str()])
        .args(["--epochs", &EPOCHS.to_string(), "--threads", &threads.to_string()])
        .env_remove("GOMP_SPINCOUNT")
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| python.display().to_string())?;
    ensure!(output.status.success(), "scripted.py {what} failed");
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_string())
}
