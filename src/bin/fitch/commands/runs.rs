//! `fitch runs`: the runs below a folder and their results.

use super::epochs_so_far::EpochsSoFar;
use super::table::table;
use crate::cli::RunsOptions;
use crate::config;
use crate::exit::Exit;
use crate::failure::Hint;
use crate::terminal::Terminal;
use anyhow::{Context, Result};
use fitch::run::{Look, RunFolder, RunLock, RunRecord};
use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};

pub fn run(options: &RunsOptions, terminal: &Terminal) -> Result<Exit> {
    let mut folders = Vec::new();
    check_there(&options.folder)?;
    find_runs(&options.folder, &mut folders)
        .with_context(|| format!("cannot look for runs below {}", options.folder.display()))?;
    let mut runs = Vec::new();
    for folder in folders {
        match RunRecord::load(&folder) {
            Ok(record) => runs.push((folder, record)),
            Err(fault) => terminal.warn(&format!("{fault:#}")),
        }
    }
    if runs.is_empty() {
        terminal.say(&format!("there are no runs below {}", options.folder.display()));
        return Ok(Exit::Success);
    }
    runs.sort_by_key(|(folder, record)| Reverse((record.started.clone(), folder.path().to_path_buf())));
    let rows = runs.iter().map(|(folder, record)| row(folder, record)).collect();
    let head = [
        "run",
        "started",
        "data",
        "ended",
        "epochs",
        "best",
        "monitor",
        "test accuracy",
        "95 % interval",
        "test loss",
        "seconds",
    ];
    let first = ["run", "best", "test accuracy", "epochs", "ended", "95 % interval", "started", "data"];
    let table = table(head, rows).first(&first);
    terminal.result(&table.fit(terminal.result_columns()))?;
    Ok(Exit::Success)
}

/// Fails where there is no such folder, as before the first run.
pub fn check_there(folder: &Path) -> Result<()> {
    if folder.exists() {
        return Ok(());
    }
    let message = format!("there is no folder {}", folder.display());
    let hint = "fitch train writes a run below runs, or to the folder that --out names".to_string();
    Err(Hint { message, hint }.into())
}

/// Finds every run in a folder and below it; a run is not searched for further runs.
pub fn find_runs(folder: &Path, found: &mut Vec<RunFolder>) -> std::io::Result<()> {
    if let Ok(run) = RunFolder::open(folder) {
        found.push(run);
        return Ok(());
    }
    let entries: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    // Links could lead in a circle. A folder that cannot be read hides only its own runs.
    for entry in entries.iter().filter(|entry| entry.is_dir() && !entry.is_symlink()) {
        let _ = find_runs(entry, found);
    }
    Ok(())
}

fn row(folder: &RunFolder, record: &RunRecord) -> Vec<String> {
    let number = |value: Option<f64>, digits: usize| {
        value.map_or("-".to_string(), |value| format!("{value:.digits$}"))
    };
    let started =
        record.started.split('.').next().unwrap_or_default().trim_end_matches('Z').replace('T', " ");
    let mut best = record.best_epoch.zip(record.best_value);
    let (mut epochs, mut state) = (record.epochs_run, record.stop_reason.clone());
    if state.is_none() {
        let mut so_far = EpochsSoFar::default();
        let direction = config::direction_of(&record.monitor);
        if so_far.look(&folder.history_file(), &record.monitor, direction).is_ok() {
            (epochs, best) = (Some(so_far.epochs), so_far.best);
        }
        let is_running = matches!(RunLock::look(folder), Some(Look { is_held: true, .. }));
        state = Some(if is_running { "running" } else { "unfinished" }.to_string());
    }
    let best = best.map_or("-".to_string(), |(epoch, value)| format!("{value:.4} in {epoch}"));
    vec![
        folder.path().display().to_string(),
        started,
        record.dataset.name.clone(),
        state.unwrap_or_default(),
        epochs.map_or("-".to_string(), |epochs| epochs.to_string()),
        best,
        record.monitor.clone(),
        number(record.test_accuracy, 4),
        record.test_accuracy_interval.map_or("-".to_string(), |interval| format!("{interval:.4}")),
        number(record.test_loss, 4),
        number(record.seconds, 1),
    ]
}
