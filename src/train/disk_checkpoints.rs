//! Checkpoints in a folder, written while training goes on.

use super::fault::text;
use super::history_log::{self, HistoryLog};
use super::{Checkpoint, CheckpointStore, History, Newest, Training, TrainingState};
use crate::files::LockedFile;
use crate::kernels::process::run_when_idle;
use crate::run::{CheckpointFolder, KeptCheckpoint};
use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use toml::Table;

/// Where short epochs follow each other, a checkpoint after each would take longer than they do.
const PAUSE: Duration = Duration::from_secs(1);
/// After this many pauses training waits for a checkpoint that is still being written.
const PATIENCE: u32 = 10;
/// What is added to the state of a training.
const SETTINGS: &str = "settings";

/// The checkpoints of a training in a folder. Each is whole or absent, whatever happens while it is written;
/// the newest two are kept. A background thread writes them, one at a time: the disk takes longer for one
/// than a small network for an epoch. After epochs of less than a second, not each has one, but the last one
/// always has.
///
/// ```
/// use fitch::{data::Source, optim::{Optimizer, keras_adam}, train::{DiskCheckpoints, Fit}};
/// use tch::{Device, nn};
///
/// # fn main() -> anyhow::Result<()> {
/// # let folder = tempfile::tempdir()?.path().join("checkpoints");
/// let digits = Source::find("digits")?.load()?.train_samples()?;
/// let variables = nn::VarStore::new(Device::Cpu);
/// let model = nn::seq().add_fn(|images| images.flatten(1, -1)).add(
///     nn::linear(variables.root(), 64, 10, Default::default()));
/// let optimizer = Optimizer::new(&variables, keras_adam(), 0.001)?;
///
/// let mut checkpoints = DiskCheckpoints::open(folder)?;
/// let outcome = Fit::new(&model, &variables, optimizer)
///     .epochs(2)
///     .resume_from(&mut checkpoints) // starts, or goes on where the last run of this program ended
///     .run(&digits, None)?;
/// # assert_eq!(outcome.history.epochs.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct DiskCheckpoints {
    folder: CheckpointFolder,
    every: Option<Every>,
    keep: usize,
    pause: Duration,
    settings: Table,
    log: HistoryLog,
    last: Instant,
    has_any: bool,
    /// Writes the last one.
    writer: Option<JoinHandle<Result<()>>>,
    // Given back after the writer has ended.
    lock: Option<FolderLock>,
}

/// How often a checkpoint is kept within an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// After this many steps, counted from the first one of the training.
    Steps(usize),
    /// After the first step that ends this long after the last checkpoint.
    Time(Duration),
}

impl DiskCheckpoints {
    /// The checkpoints in a folder, which is created if it does not exist. No other process can open them as
    /// long as these are.
    ///
    /// # Errors
    /// The folder cannot be written, or another process has it.
    pub fn open(path: impl Into<PathBuf>) -> Result<DiskCheckpoints> {
        let path = path.into();
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let Some(lock) = LockedFile::try_lock(&path.join("checkpoints.lock"))? else {
            bail!("{} is in use by another process", path.display());
        };
        let folder = CheckpointFolder::new(path);
        folder.remove_unfinished();
        let mut checkpoints = DiskCheckpoints::within(folder);
        checkpoints.lock = Some(FolderLock(Some(lock)));
        Ok(checkpoints)
    }

    /// The checkpoints in the folder of a run, of which this process holds the
    /// [`RunLock`](crate::run::RunLock).
    pub fn within(folder: CheckpointFolder) -> DiskCheckpoints {
        DiskCheckpoints {
            folder,
            every: None,
            keep: 2,
            pause: PAUSE,
            settings: Table::new(),
            log: HistoryLog::default(),
            last: Instant::now(),
            has_any: false,
            writer: None,
            lock: None,
        }
    }

    /// The number of checkpoints to keep, at least 1.
    pub fn keep(mut self, keep: usize) -> Self {
        self.keep = keep;
        self
    }

    /// The least time between the checkpoints of two epochs, a second unless it is set here; zero keeps one
    /// after every epoch.
    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// What the training was set to, to be kept in every checkpoint: whoever resumes it can compare.
    ///
    /// # Errors
    /// Settings that TOML cannot represent.
    pub fn settings(mut self, settings: impl Serialize) -> Result<Self> {
        self.settings = Table::try_from(settings)?;
        Ok(self)
    }

    /// Keeps checkpoints within epochs, too, not only after each.
    pub fn every(mut self, every: Every) -> Self {
        self.every = Some(every);
        self
    }

    /// The newest checkpoint that can be read, and what is wrong with newer ones.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn newest(&self) -> Result<Newest> {
        let mut damaged = Vec::new();
        let found = self.folder.newest(|fault| damaged.push(fault))?;
        let Some(found) = found else { return Ok(Newest { damaged, ..Newest::default() }) };
        let path = found.path.display().to_string();
        let (checkpoint, settings) = read(found).with_context(|| path)?;
        Ok(Newest { checkpoint: Some(checkpoint), damaged, settings })
    }
}

/// The checkpoint that was found, and the settings in it.
fn read(found: KeptCheckpoint) -> Result<(Checkpoint, Option<Table>)> {
    let mut table: Table = toml::from_str(&found.state).context("state.toml")?;
    let settings = table.remove(SETTINGS).and_then(|settings| settings.try_into().ok());
    let mut state: TrainingState = table.try_into().context("state.toml")?;
    if let Some(text) = &found.text {
        state.history = history_log::read(&state.history.metric_names, text).context("its history")?;
    }
    Ok((Checkpoint { state, tensors: found.tensors }, settings))
}

impl CheckpointStore for DiskCheckpoints {
    fn is_due_within_epoch(&mut self, training: &Training) -> bool {
        match self.every {
            None => false,
            Some(Every::Time(time)) => self.last.elapsed() >= time,
            Some(Every::Steps(steps)) => training.total_steps().is_multiple_of(steps),
        }
    }

    fn is_due_after_epoch(&mut self, _: &Training) -> bool {
        let since = self.last.elapsed();
        // The writer has to wait for other programs, training should not wait for the writer.
        let is_writing = self.writer.as_ref().is_some_and(|writer| !writer.is_finished());
        !self.has_any || since >= self.pause && (!is_writing || since >= PATIENCE * self.pause)
    }

    fn store(&mut self, checkpoint: Checkpoint) -> Result<()> {
        let Checkpoint { mut state, tensors } = checkpoint;
        let growth = self.log.growth(&state.history);
        let metric_names = state.history.metric_names.clone();
        state.history = Arc::new(History { metric_names, epochs: Vec::new() });
        let mut table = Table::try_from(&state).context("the checkpoint has no text")?;
        if !self.settings.is_empty() {
            table.insert(SETTINGS.to_string(), self.settings.clone().into());
        }
        let text = toml::to_string(&table).context("the checkpoint has no text")?;
        let unwritten = self.folder.prepare((state.epoch - 1, state.step), text, &tensors, growth)?;
        self.finish()?;
        let keep = self.keep;
        self.write(move || unwritten.write(keep));
        (self.last, self.has_any) = (Instant::now(), true);
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        let written = match self.writer.take().map(JoinHandle::join) {
            Some(Err(panic)) => {
                let reason = text(&*panic).unwrap_or("no reason given").to_string();
                Err(anyhow!(reason).context("the thread that writes checkpoints panicked"))
            }
            Some(Ok(written)) => written,
            None => Ok(()),
        };
        if written.is_err() {
            // What of it is on the disk is not known.
            self.log = HistoryLog::default();
        }
        written
    }

    fn newest(&mut self) -> Result<Newest> {
        self.finish()?;
        DiskCheckpoints::newest(self)
    }
}

impl DiskCheckpoints {
    fn write(&mut self, work: impl FnOnce() -> Result<()> + Send + 'static) {
        self.writer = Some(thread::spawn(|| {
            run_when_idle();
            work()
        }));
    }
}

/// If training ends with an error, that error is the one to report, not what the writer says.
impl Drop for DiskCheckpoints {
    fn drop(&mut self) {
        let _ = self.finish();
        self.lock = None;
    }
}

/// Removes the lock's file when it is dropped.
#[derive(Debug)]
struct FolderLock(Option<LockedFile>);

impl Drop for FolderLock {
    fn drop(&mut self) {
        if let Some(locked) = self.0.take() {
            locked.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::optim::{Optimizer, keras_adam};
    use crate::train::tests::{classifier, points};
    use crate::train::{Fit, Outcome};
    use std::path::Path;
    use tch::Tensor;

    fn fit(epochs: usize, checkpoints: &mut DiskCheckpoints) -> (Outcome, Tensor) {
        let (variables, model) = classifier();
        let optimizer = Optimizer::new(&variables, keras_adam(), 0.1).unwrap();
        let fit = Fit::new(&model, &variables, optimizer).epochs(epochs).batch_size(16);
        (fit.resume_from(checkpoints).run(&points(70), None).unwrap(), model.ws)
    }

    /// With a checkpoint after every epoch.
    fn open(folder: &Path) -> DiskCheckpoints {
        DiskCheckpoints::open(folder).unwrap().pause(Duration::ZERO)
    }

    #[test]
    fn a_program_that_is_run_again_goes_on_where_it_ended() {
        let place = tempfile::tempdir().unwrap();
        let open = |name: &str| open(&place.path().join(name));
        let (whole, weights) = fit(5, &mut open("whole"));
        let _ = fit(3, &mut open("parts"));
        let (rest, resumed) = fit(5, &mut open("parts"));
        assert_eq!(resumed, weights);
        let losses = |outcome: &Outcome| {
            outcome.history.epochs.iter().map(|record| record.metrics["loss"]).collect::<Vec<_>>()
        };
        assert_eq!(losses(&rest), losses(&whole));
        let mut kept: Vec<_> = fs::read_dir(place.path().join("parts"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        kept.sort();
        let expected = ["00000004-0000000000", "00000005-0000000000", "history.tsv"];
        assert_eq!(kept, expected, "the two newest, what they share, and no lock");
    }

    #[test]
    fn short_epochs_do_not_each_have_a_checkpoint_but_the_first_and_the_last_have() {
        let place = tempfile::tempdir().unwrap();
        let long = Duration::from_secs(1_000);
        let mut checkpoints = DiskCheckpoints::open(place.path()).unwrap().pause(long).keep(10);
        let (outcome, weights) = fit(50, &mut checkpoints);
        let newest = checkpoints.newest().unwrap().checkpoint.unwrap();
        assert_eq!((newest.state.epoch, &*newest.state.history), (51, &outcome.history));
        drop(checkpoints);
        let mut names: Vec<_> =
            fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["00000001-0000000000", "00000050-0000000000", "history.tsv"]);
        // The state does not grow with the history.
        let state = |name: &str| fs::metadata(place.path().join(name).join("state.toml")).unwrap().len();
        assert!(state("00000050-0000000000") < state("00000001-0000000000") + 100);
        fs::remove_dir_all(place.path().join("00000050-0000000000")).unwrap();
        assert_eq!(fit(50, &mut DiskCheckpoints::open(place.path()).unwrap()).1, weights);
    }

    #[test]
    fn settings_come_back_with_the_checkpoint() {
        let place = tempfile::tempdir().unwrap();
        let settings = std::collections::BTreeMap::from([("optimizer", "adam")]);
        let mut checkpoints = DiskCheckpoints::open(place.path()).unwrap().settings(&settings).unwrap();
        let _ = fit(2, &mut checkpoints);
        let found = checkpoints.newest().unwrap().settings.unwrap();
        assert_eq!(found["optimizer"].as_str(), Some("adam"));
        assert_eq!(found.len(), 1);
    }

    /// Version 0.1.0 had the history in each state.
    #[test]
    fn a_checkpoint_with_the_history_in_its_state_is_read() {
        let place = tempfile::tempdir().unwrap();
        let mut checkpoints = open(place.path());
        let (outcome, _) = fit(3, &mut checkpoints);
        let Checkpoint { state, tensors } = checkpoints.newest().unwrap().checkpoint.unwrap();
        let kept = KeptCheckpoint {
            path: place.path().to_path_buf(),
            state: toml::to_string(&state).unwrap(),
            tensors,
            text: None,
        };
        assert_eq!(*read(kept).unwrap().0.state.history, outcome.history);
    }

    #[test]
    fn a_damaged_newest_checkpoint_is_named_and_the_one_before_it_taken() {
        let place = tempfile::tempdir().unwrap();
        let (_, weights) = fit(5, &mut open(place.path()));
        fs::write(place.path().join("00000005-0000000000/state.toml"), "").unwrap();
        let mut checkpoints = DiskCheckpoints::open(place.path()).unwrap();
        let newest = checkpoints.newest().unwrap();
        assert_eq!(newest.checkpoint.unwrap().state.epoch, 5, "the fifth epoch comes next");
        assert!(newest.damaged[0].to_string().contains("00000005-0000000000 is broken"));
        assert_eq!(fit(5, &mut checkpoints).1, weights);
        drop(checkpoints);
        for folder in ["00000004-0000000000", "00000005-0000000000"] {
            fs::write(place.path().join(folder).join("state.toml"), "").unwrap();
        }
        let (variables, model) = classifier();
        let mut checkpoints = DiskCheckpoints::open(place.path()).unwrap();
        let fit = Fit::new(&model, &variables, Optimizer::new(&variables, keras_adam(), 0.1).unwrap());
        let fault = fit.resume_from(&mut checkpoints).run(&points(70), None).unwrap_err();
        assert!(format!("{fault:#}").starts_with("no checkpoint can be read: "), "{fault:#}");
    }

    #[test]
    fn training_is_not_lost_if_its_last_checkpoint_cannot_be_kept() {
        #[derive(Debug)]
        struct Removes(PathBuf, usize);
        impl crate::train::Callback for Removes {
            fn epoch_end(&mut self, training: &mut crate::train::Training) -> Result<()> {
                if training.epoch() == self.1 {
                    // The writer may be at work in it.
                    fs::rename(&self.0, self.0.with_extension("moved"))?;
                    fs::write(&self.0, "")?;
                }
                Ok(())
            }
        }
        let run = |last: usize| {
            let place = tempfile::tempdir().unwrap();
            let folder = place.path().join("kept");
            let mut checkpoints = open(&folder);
            let mut removes = Removes(folder.clone(), last);
            let (variables, model) = classifier();
            let optimizer = Optimizer::new(&variables, keras_adam(), 0.1).unwrap();
            let fit = Fit::new(&model, &variables, optimizer).epochs(4).batch_size(16);
            fit.callback(&mut removes).checkpoints(&mut checkpoints).run(&points(70), None)
        };
        let outcome = run(4).unwrap();
        assert_eq!(outcome.history.epochs.len(), 4);
        assert!(outcome.checkpoint_fault.is_some());
        assert!(run(2).is_err(), "an earlier one is an error");
    }

    #[test]
    fn one_process_or_owner_at_a_time_has_the_folder() {
        let place = tempfile::tempdir().unwrap();
        let first = DiskCheckpoints::open(place.path()).unwrap();
        assert!(DiskCheckpoints::open(place.path()).unwrap_err().to_string().contains("is in use"));
        drop(first);
        DiskCheckpoints::open(place.path()).unwrap();
    }

    /// A panic of the writer was an error without a reason.
    #[test]
    fn a_panic_of_the_writer_is_an_error_with_its_reason() {
        let place = tempfile::tempdir().unwrap();
        let mut checkpoints = DiskCheckpoints::open(place.path()).unwrap();
        checkpoints.write(|| panic!("no tensor of that name"));
        let fault = format!("{:#}", checkpoints.finish().unwrap_err());
        assert_eq!(fault, "the thread that writes checkpoints panicked: no tensor of that name");
    }
}
