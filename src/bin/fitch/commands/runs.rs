//! `fitch runs`: the runs below a folder and their results.

use super::table::table;
use crate::cli::RunsOptions;
use crate::exit::Exit;
use crate::terminal::Terminal;
use anyhow::{Context, Result};
use fitch::run::{RunFolder, RunRecord};
use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};

pub fn run(options: &RunsOptions, terminal: &Terminal) -> Result<Exit> {
    let mut folders = Vec::new();
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
        "test loss",
        "seconds",
    ];
    let table =
        table(head, rows).first(&["run", "best", "test accuracy", "epochs", "ended", "started", "data"]);
    terminal.result(&table.fit(terminal.result_columns()))?;
    Ok(Exit::Success)
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
    let best = match (record.best_value, record.best_epoch) {
        (Some(value), Some(epoch)) => format!("{value:.4} in {epoch}"),
        _ => "-".to_string(),
    };
    vec![
        folder.path().display().to_string(),
        started,
        record.dataset.name.clone(),
        record.stop_reason.clone().unwrap_or_else(|| "unfinished".to_string()),
        record.epochs_run.map_or("-".to_string(), |epochs| epochs.to_string()),
        best,
        record.monitor.clone(),
        number(record.test_accuracy, 4),
        number(record.test_loss, 4),
        number(record.seconds, 1),
    ]
}
