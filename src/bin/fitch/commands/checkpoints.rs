//! When checkpoints of a run are made, and how a run goes on from one.

use super::built_model::RecordedRun;
use crate::config::{Configuration, Every};
use crate::failure::Hint;
use crate::terminal::Terminal;
use anyhow::{Context, Result, bail};
use fitch::run::CheckpointFolder;
use fitch::train::{Checkpoint, CheckpointStore, StopReason, Training, TrainingState};
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Instant;

/// The checkpoints of a run. They are written while training goes on, one at a time: the disk takes longer
/// to keep one than a small network to train an epoch.
#[derive(Debug)]
pub struct RunCheckpoints {
    folder: CheckpointFolder,
    every: Option<Every>,
    keep: usize,
    last: Instant,
    /// Writes the last one.
    writer: Option<JoinHandle<Result<()>>>,
}

impl RunCheckpoints {
    pub fn new(folder: CheckpointFolder, configuration: &Configuration) -> RunCheckpoints {
        let Configuration { checkpoint_every: every, keep, .. } = *configuration;
        RunCheckpoints { folder, every, keep, last: Instant::now(), writer: None }
    }
}

impl CheckpointStore for RunCheckpoints {
    fn is_due_within_epoch(&mut self, training: &Training) -> bool {
        match self.every {
            None => false,
            Some(Every::Time(time)) => self.last.elapsed() >= time,
            Some(Every::Steps(steps)) => {
                ((training.epoch - 1) * training.steps + training.step).is_multiple_of(steps)
            }
        }
    }

    fn store(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let Checkpoint { state, tensors } = checkpoint;
        let text = toml::to_string(&state).context("the checkpoint has no text")?;
        let unwritten = self.folder.prepare((state.epoch - 1, state.step), text, &tensors)?;
        self.finish()?;
        let keep = self.keep;
        self.writer = Some(thread::spawn(move || {
            yield_to_others();
            unwritten.write(keep)
        }));
        self.last = Instant::now();
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        match self.writer.take().map(JoinHandle::join) {
            Some(Err(_)) => bail!("the thread that writes checkpoints has failed"),
            Some(Ok(written)) => written,
            None => Ok(()),
        }
    }
}

/// Lets this thread run only where no other wants to: training waits for the slowest of its threads.
#[cfg(target_os = "linux")]
fn yield_to_others() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: 0 is the calling thread, and the parameters live. If it fails, the thread is as any other.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &parameters) };
}

#[cfg(not(target_os = "linux"))]
fn yield_to_others() {}

/// Where a training ends with an error, that is what is told.
impl Drop for RunCheckpoints {
    fn drop(&mut self) {
        let _ = self.finish();
    }
}

/// The newest checkpoint that is whole; broken ones are told.
pub fn newest(folder: &CheckpointFolder, terminal: &Terminal) -> Result<Option<Checkpoint>> {
    let Some(kept) =
        folder.newest(|fault| terminal.warn(&format!("{fault:#}; the one before it is tried")))?
    else {
        return Ok(None);
    };
    let state: TrainingState =
        toml::from_str(&kept.state).with_context(|| format!("{}: state.toml", kept.path.display()))?;
    Ok(Some(Checkpoint { state, tensors: kept.tensors }))
}

/// The checkpoint that a run goes on from, unless there is nothing left for it to do.
pub fn to_resume(
    run: &RecordedRun,
    configuration: &Configuration,
    terminal: &Terminal,
) -> Result<Checkpoint> {
    let shown = run.folder.path().display();
    let folder = run.folder.checkpoints();
    folder.remove_unfinished();
    let Some(mut checkpoint) = newest(&folder, terminal)? else {
        bail!("{shown} has no whole checkpoint to go on from");
    };
    let ended_by = |reason: StopReason| run.record.stop_reason.as_deref() == Some(reason.name());
    let done = |message: String, hint: &str| Hint { message, hint: hint.to_string() };
    let TrainingState { epoch, seconds, .. } = checkpoint.state;
    // A run that was killed after its last epoch still has its files to write.
    if epoch > configuration.epochs && ended_by(StopReason::Completed) {
        let message = format!("{shown} has run all of its {} epochs", epoch - 1);
        return Err(done(message, "a greater --epochs goes on").into());
    }
    let patience_before = run.options.patience.unwrap_or_default();
    if configuration.patience() > patience_before as usize {
        checkpoint.state.early_stop = None;
    } else if ended_by(StopReason::EarlyStopping) {
        let message = format!("{shown} was ended by early stopping");
        return Err(done(message, "a greater --patience goes on").into());
    }
    let limit = configuration.time_limit.filter(|limit| limit.as_secs_f64() <= seconds);
    if let Some(limit) = limit.filter(|_| ended_by(StopReason::TimeLimit)) {
        let message = format!("{shown} has used up its time limit of {limit:?}");
        return Err(done(message, "a greater --time-limit goes on").into());
    }
    Ok(checkpoint)
}

/// The command that goes on with a run.
pub fn resume_command(folder: &Path) -> String {
    format!("fitch train --resume {}", folder.display())
}
