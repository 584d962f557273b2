//! One training in several processes of one thread each: against one process with as many threads, against the
//! same work without the exchange, and against PyTorch's DistributedDataParallel.

use crate::table::{Table, median};
use crate::{EPOCHS, Options, Trained, WARM_UP, add, peer_report};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::{Command, Stdio};

/// Times everything in turn, round after round.
pub fn compare(data: &Path, processes: usize, options: &Options, table: &mut Table) -> Result<()> {
    for round in 1..=options.rounds.max(1) {
        let mut line = format!("round {round}:");
        for (model, contender) in [("mlp", "torch-ddp"), ("cnn", "torch-ddp-cnn")] {
            let alone = epoch(data, model, &[1, processes, 1])?;
            let together = epoch(data, model, &[processes, 1, processes])?;
            let without_exchange = epoch(data, model, &[1, 1, processes])? / processes as f64;
            let name = |what: &str| format!("{model}: {what}");
            table.add(&name("one process, epoch, s"), [alone]);
            table.add(&name("several processes, epoch, s"), [together]);
            table.add(&name("several processes / one"), [together / alone]);
            table.add(&name("share of the exchange"), [1.0 - without_exchange / together]);
            line += &format!(" {model} {alone:.2} s, in {processes} processes {together:.2} s;");
            let Some(python) = &options.peers else { continue };
            let report = peer_report(python, contender, &data.join("mnist"), processes)?;
            ensure!(report.accuracy > 0.97, "{}: accuracy {}", report.version, report.accuracy);
            let peer = Trained { epoch: median(&report.seconds[WARM_UP..]), accuracy: report.accuracy };
            add(table, contender, &peer, alone);
            table.add(&name("several processes / torch-ddp"), [together / peer.epoch]);
            line += &format!(" {contender} {:.2} s;", peer.epoch);
        }
        println!("{line}");
    }
    Ok(())
}

/// The median seconds of an epoch of 54,000 images in so many processes, threads of each, and shards.
fn epoch(data: &Path, model: &str, &[processes, threads, shards]: &[usize; 3]) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let run = folder.path().join("run");
    let mut program = Command::new(env!("CARGO_BIN_EXE_fitch"));
    program.args([
        "train",
        "--dataset",
        "mnist",
        "--model",
        model,
        "--progress",
        "none",
        "--no-early-stopping",
    ]);
    program.args(["--limit", "54000", "--epochs", &EPOCHS.to_string(), "--shards", &shards.to_string()]);
    program.args(["--processes", &processes.to_string(), "--threads", &threads.to_string()]);
    // Without validation, as the others.
    program.args(["--validation-split", "0", "--data-dir"]).arg(data).arg("--out").arg(&run);
    let output = program.stdout(Stdio::null()).output()?;
    ensure!(output.status.success(), "fitch train failed: {}", String::from_utf8_lossy(&output.stderr));
    let history = std::fs::read_to_string(run.join("history.csv"))?;
    let mut seconds = Vec::new();
    for row in history.lines().skip(1) {
        seconds.push(row.rsplit(',').next().unwrap_or_default().parse::<f64>().context("seconds")?);
    }
    Ok(median(&seconds[WARM_UP..]))
}
