//! The checkpoints of a run: the newest one, and whether training goes on from it.

use super::built_model::RecordedRun;
use crate::config::{self, Configuration};
use crate::failure::Hint;
use crate::terminal::Terminal;
use anyhow::Result;
use fitch::run::CheckpointFolder;
use fitch::train::{Checkpoint, DiskCheckpoints, Newest, StopReason, TrainingState};
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
    let shown = run.folder.path().display();
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
    let ended_by = |reason: StopReason| run.record.stop_reason.as_deref() == Some(reason.name());
    let done = |message: String, hint: &str| Hint {
        message,
        hint: format!("{hint} goes on; fitch report {shown} makes the files that it lacks"),
    };
    let TrainingState { epoch, seconds, .. } = checkpoint.state;
    // A run that was killed after its last epoch still has its files to write.
    if epoch > configuration.epochs && ended_by(StopReason::Completed) {
        let message = format!("{shown} has run all of its {} epochs", epoch - 1);
        return Err(done(message, "a greater --epochs").into());
    }
    let patience_before = run.options.patience.unwrap_or_default();
    if configuration.patience() > patience_before as usize {
        checkpoint.state.early_stop = None;
    } else if ended_by(StopReason::EarlyStopping) {
        let message = format!("{shown} was ended by early stopping");
        return Err(done(message, "a greater --patience").into());
    }
    let limit = configuration.time_limit.filter(|limit| limit.as_secs_f64() <= seconds);
    if let Some(limit) = limit.filter(|_| ended_by(StopReason::TimeLimit)) {
        let message = format!("{shown} has used up its time limit of {limit:?}");
        return Err(done(message, "a greater --time-limit").into());
    }
    Ok(Some(checkpoint))
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
