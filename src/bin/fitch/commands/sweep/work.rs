//! The processes of a sweep: one for each run, several at a time.

use super::plan::PlannedRun;
use super::{State, Sweep};
use crate::cli::SweepOptions;
use crate::commands::children::{ask_to_stop, detach_from_terminal};
use crate::failure::UsageError;
use crate::terminal::Terminal;
use anyhow::{Context, Result, bail};
use fitch::run::{RunFolder, RunLock};
use std::fs::{self, OpenOptions};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The time between two looks at a process.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest wait for a run that another process holds.
const TIME_TO_END: Duration = Duration::from_secs(10);

/// The number of processes at a time, and the threads of each.
#[derive(Clone, Copy, Debug)]
pub struct Workers {
    pub processes: usize,
    pub threads: usize,
}

/// How the runs ended, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Well,
    WithFailures,
    Interrupted,
}

impl Workers {
    /// # Errors
    /// Numbers out of range.
    pub fn new(options: &SweepOptions, runs: usize) -> Result<Workers> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let number = |flag: &str, value: Option<i64>, default: usize| match value {
            None => Ok(default),
            Some(value) => {
                usize::try_from(value).ok().filter(|value| (1..=1024).contains(value)).ok_or_else(|| {
                    UsageError(vec![format!("--{flag} {value}: must be a whole number from 1 to 1024")])
                })
            }
        };
        let processes = number("processes", options.processes, cores.min(2))?.min(runs);
        let side_by_side = if options.run.is_some() { 1 } else { processes };
        let threads = number("threads", options.threads, (cores / side_by_side).max(1))?;
        Ok(Workers { processes, threads })
    }

    /// Trains the runs that are not finished, and reports how each ended.
    pub fn run(
        &self,
        sweep: &Sweep,
        runs: &[&PlannedRun],
        is_interrupted: &AtomicBool,
        terminal: &Terminal,
    ) -> Result<Ended> {
        let next = AtomicUsize::new(0);
        let failures = Mutex::new(Vec::new());
        let work = || {
            while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
                if is_interrupted.load(Ordering::Relaxed) {
                    break;
                }
                if let Err(fault) = self.finish(sweep, run, is_interrupted, terminal) {
                    terminal.error(&format!("{}: {fault:#}", sweep.path(run).display()));
                    failures.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(run.number);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.processes.min(runs.len()) {
                scope.spawn(work);
            }
        });
        let failures = failures.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        Ok(match (is_interrupted.load(Ordering::Relaxed), failures.is_empty()) {
            (true, _) => {
                terminal.hint("the same command continues from here");
                Ended::Interrupted
            }
            (false, true) => Ended::Well,
            (false, false) => Ended::WithFailures,
        })
    }

    /// Starts or resumes a run, until it is finished or interrupted.
    fn finish(
        &self,
        sweep: &Sweep,
        run: &PlannedRun,
        is_interrupted: &AtomicBool,
        terminal: &Terminal,
    ) -> Result<()> {
        let resumes = match sweep.state(run)? {
            State::Finished(_) => return Ok(()),
            State::Begun => can_resume(&RunFolder::open(&sweep.path(run))?)?,
            State::New => false,
        };
        // The training of a sweep that was killed may have come to its end in the meantime.
        if let State::Finished(_) = sweep.state(run)? {
            return Ok(());
        }
        let arguments = match resumes {
            true => vec!["--resume".into(), sweep.path(run)],
            false => vec!["--config".into(), sweep.file(run, "toml"), "--out".into(), sweep.path(run)],
        };
        terminal.say(&format!("run {}: {}", sweep.name(run), run.describe(&sweep.plan.varied)));
        let log_path = sweep.file(run, "log");
        let log = OpenOptions::new().create(true).append(true).open(&log_path);
        let log = log.with_context(|| format!("cannot write {}", log_path.display()))?;
        let mut command =
            Command::new(std::env::current_exe().context("cannot find the path of this program")?);
        command.arg("train").args(arguments).args(["--progress", "lines"]);
        if run.options.threads.is_none() {
            command.args(["--threads", &self.threads.to_string()]);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        detach_from_terminal(&mut command);
        let status = wait(command.spawn().context("cannot start a training")?, is_interrupted)?;
        let end_of_log = || last_lines(&fs::read_to_string(&log_path).unwrap_or_default());
        match sweep.state(run) {
            Ok(State::Finished(record)) if status.success() => {
                let accuracy = record.test_accuracy.map(|accuracy| format!(", test accuracy {accuracy:.4}"));
                terminal.say(&format!(
                    "run {}: {} after {} epochs, {} {:.4}{}",
                    sweep.name(run),
                    record.stop_reason.unwrap_or_default(),
                    record.epochs_run.unwrap_or_default(),
                    record.monitor,
                    record.best_value.unwrap_or(f64::NAN),
                    accuracy.unwrap_or_default()
                ));
                Ok(())
            }
            _ if is_interrupted.load(Ordering::Relaxed) => Ok(()),
            _ => bail!("ended with {status}; the end of {}:\n{}", log_path.display(), end_of_log()),
        }
    }
}

/// Whether a run that was started has a checkpoint to resume from; if it has none, its folder is removed.
fn can_resume(folder: &RunFolder) -> Result<bool> {
    let _lock = wait_for_lock(folder)?;
    if folder.checkpoints().newest(|_| ())?.is_some() {
        return Ok(true);
    }
    // Renamed first, under the lock, so that no other process begins in a half-removed folder.
    let (path, removed) = (folder.path(), folder.path().with_extension("removed"));
    let remove = || {
        if removed.exists() {
            fs::remove_dir_all(&removed)?;
        }
        fs::rename(path, &removed)?;
        fs::remove_dir_all(&removed)
    };
    remove().with_context(|| format!("cannot remove {}", path.display()))?;
    Ok(false)
}

/// The lock of a run. After a sweep was killed, its trainings take a moment to end.
fn wait_for_lock(folder: &RunFolder) -> Result<RunLock> {
    let start = Instant::now();
    loop {
        match RunLock::take(folder) {
            Err(_) if start.elapsed() < TIME_TO_END => thread::sleep(PAUSE),
            taken => return taken,
        }
    }
}

/// Waits for a process to end. If the sweep is interrupted, it interrupts the process, which ends after its
/// step.
fn wait(mut child: Child, is_interrupted: &AtomicBool) -> Result<ExitStatus> {
    let mut was_interrupted = false;
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for a training")? {
            return Ok(status);
        }
        if is_interrupted.load(Ordering::Relaxed) && !was_interrupted {
            was_interrupted = true;
            ask_to_stop(&child);
        }
        thread::sleep(PAUSE);
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(3)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_folder_is_removed_under_its_lock() {
        const FILES: usize = 3_000;
        let place = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(&place.path().join("001")).unwrap();
        for file in 0..FILES {
            fs::write(folder.path().join(file.to_string()), "").unwrap();
        }
        let is_removed = AtomicBool::new(false);
        let found_torn = thread::scope(|scope| {
            let other = scope.spawn(|| {
                let mut found_torn = false;
                while !is_removed.load(Ordering::Relaxed) {
                    if let Ok(lock) = RunLock::take(&folder) {
                        // The files and the lock's own.
                        found_torn |= fs::read_dir(folder.path()).map_or(0, Iterator::count) != FILES + 1;
                        drop(lock);
                    }
                    thread::sleep(Duration::from_micros(200));
                }
                found_torn
            });
            let removed = can_resume(&folder);
            is_removed.store(true, Ordering::Relaxed);
            assert!(!removed.unwrap());
            other.join().unwrap()
        });
        assert!(!found_torn, "another process had a folder that was being removed");
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
