//! The checkpoints of a run: the newest one, and whether training goes on from it.

use super::built_model::RecordedRun;
use crate::config::{self, Configuration};
use crate::failure::Hint;
use crate::terminal::Terminal;
use anyhow::Result;
use fitch::run::CheckpointFolder;
use fitch::train::{Checkpoint, DiskCheckpoints, Newest, StopReason};
use std::path::Path;

/// The newest checkpoint that can be read, with a warning for each damaged one.
pub fn newest(folder: CheckpointFolder, terminal: &Terminal) -> Result<Newest> {
    let mut newest = DiskCheckpoints::within(folder).newest()?;
    let count = newest.damaged.len();
    for (index, fault) in newest.damaged.drain(..).enumerate() {
        let is_last = index + 1 == count && newest.checkpoint.is_none();
        let next = if is_last { "there is none before it" } else { "going back to the one before it" };
        terminal.warn(&format!("{fault:#}; {next}"));
    }
    Ok(newest)
}

/// The checkpoint that a run goes on from, unless it has nothing left to do; none if it was killed before it
/// had one, so that it begins anew.
pub fn to_resume(
    run: &RecordedRun,
    configuration: &Configuration,
    terminal: &Terminal,
) -> Result<Option<Checkpoint>> {
    let Newest { checkpoint, settings, .. } = newest(run.folder.checkpoints(), terminal)?;
    let Some(mut checkpoint) = checkpoint else {
        let has_begun = run.record.stop_reason.is_some() || run.folder.weights_file().exists();
        if has_begun || !run.folder.checkpoints().is_empty()? {
            return Err(without_whole_one(run).into());
        }
        return Ok(None);
    };
    if let Some(change) = settings.and_then(|before| config::change_since(&before, &run.options).transpose())
    {
        return Err(Hint {
            message: format!(
                "{} was edited after the run had begun: {}",
                run.folder.record_file().display(),
                change?
            ),
            hint: "put back what was there; other options need a new run".to_string(),
        }
        .into());
    }
    if let Some(end) = end_of(run, configuration) {
        return Err(end.into());
    }
    if is_more_patient(run, configuration) {
        checkpoint.state.early_stop = None;
    }
    Ok(Some(checkpoint))
}

/// How a run came to an end that it cannot go on from with these options; none if it can. A run that was killed
/// after its last epoch still has its files to write.
pub fn end_of(run: &RecordedRun, configuration: &Configuration) -> Option<Hint> {
    let (record, shown) = (&run.record, run.folder.path().display());
    let ended_by = |reason: StopReason| record.stop_reason.as_deref() == Some(reason.name());
    let (message, hint) = if ended_by(StopReason::Completed) {
        let epochs = record.epochs_run.filter(|epochs| *epochs >= configuration.epochs)?;
        (format!("{shown} has run all of its {epochs} epochs"), "a greater --epochs")
    } else if ended_by(StopReason::EarlyStopping) && !is_more_patient(run, configuration) {
        (format!("{shown} was ended by early stopping"), "a greater --patience")
    } else if ended_by(StopReason::TimeLimit) {
        let seconds = record.seconds.unwrap_or_default();
        let limit = configuration.time_limit.filter(|limit| limit.as_secs_f64() <= seconds)?;
        (format!("{shown} has used up its time limit of {limit:?}"), "a greater --time-limit")
    } else {
        return None;
    };
    Some(Hint {
        message,
        hint: format!("{hint} goes on; fitch report {shown} makes the files that it lacks"),
    })
}

fn is_more_patient(run: &RecordedRun, configuration: &Configuration) -> bool {
    configuration.patience() > run.options.patience.unwrap_or_default() as usize
}

/// What to say of a run whose checkpoints are all damaged.
pub fn without_whole_one(run: &RecordedRun) -> Hint {
    Hint {
        message: format!("{} has no whole checkpoint to go on from", run.folder.path().display()),
        hint: format!("a new run can have its options, in {}", run.folder.record_file().display()),
    }
}

/// The command that resumes a run.
pub fn resume_command(folder: &Path) -> String {
    format!("fitch train --resume {}", folder.display())
}
