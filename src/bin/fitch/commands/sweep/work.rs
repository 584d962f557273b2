//! The processes of a sweep: one for each run, several at a time.

use super::places::{Place, Places};
use super::plan::PlannedRun;
use super::{State, Sweep};
use crate::cli::SweepOptions;
use crate::commands::children::{ask_to_stop, detach_from_terminal};
use crate::failure::UsageError;
use crate::terminal::Terminal;
use anyhow::{Context, Result, bail};
use fitch::run::{RunFolder, RunLock};
use fitch::text::counted;
use std::fs::{self, OpenOptions};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// The time between two looks at a process.
const PAUSE: Duration = Duration::from_millis(50);
/// The longest wait for a run that another process holds.
const TIME_TO_END: Duration = Duration::from_secs(10);

/// What the options say of the processes, checked.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    processes: Option<usize>,
    threads: Option<usize>,
    per_gpu: usize,
}

/// The places of the processes, and the threads of each.
#[derive(Clone, Debug)]
pub struct Workers {
    places: Places,
    processes: usize,
    threads: usize,
}

/// What is still to be done, and where there is room for it.
struct Queue<'a> {
    waiting: Vec<&'a PlannedRun>,
    places: Places,
}

impl<'a> Queue<'a> {
    /// The first run that has a place; none while all that could have one are taken.
    fn next(&mut self) -> Option<(&'a PlannedRun, Place)> {
        let places = &mut self.places;
        let has_place = |(index, run): (usize, &&PlannedRun)| Some((index, places.acquire(run.device)?));
        let (index, place) = self.waiting.iter().enumerate().find_map(has_place)?;
        Some((self.waiting.remove(index), place))
    }
}

/// How the runs ended, taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Well,
    WithFailures,
    Interrupted,
}

impl Numbers {
    /// # Errors
    /// Numbers out of range.
    pub fn check(options: &SweepOptions) -> Result<Numbers> {
        let number = |flag: &str, value: Option<i64>| {
            let rule =
                |value| UsageError(vec![format!("--{flag} {value}: must be a whole number from 1 to 1024")]);
            let checked = |value| usize::try_from(value).ok().filter(|value| (1..=1024).contains(value));
            value.map(|value| checked(value).ok_or_else(|| rule(value))).transpose()
        };
        Ok(Numbers {
            processes: number("processes", options.processes)?,
            threads: number("threads", options.threads)?,
            per_gpu: number("per-gpu", options.per_gpu)?.unwrap_or(1),
        })
    }
}

impl Workers {
    /// For these runs, on a machine with these GPUs.
    pub fn new(numbers: Numbers, gpus: &[usize], runs: &[&PlannedRun]) -> Workers {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let on_cpu = numbers.processes.unwrap_or(cores.min(2));
        let in_all = numbers.processes.unwrap_or(runs.len());
        let places = Places::new(on_cpu, gpus, numbers.per_gpu, in_all);
        let processes = places.at_a_time(runs.iter().map(|run| run.device));
        let threads = numbers.threads.unwrap_or((cores / processes.max(1)).max(1));
        Workers { places, processes, threads }
    }

    /// Trains the runs that are not finished, and reports how each ended.
    pub fn run(
        &self,
        sweep: &Sweep,
        runs: &[&PlannedRun],
        is_interrupted: &AtomicBool,
        terminal: &Terminal,
    ) -> Result<Ended> {
        let queue = Mutex::new(Queue { waiting: runs.to_vec(), places: self.places.clone() });
        let failures = Mutex::new(Vec::new());
        let work = || {
            while !is_interrupted.load(Ordering::Relaxed) {
                let mut open = locked(&queue);
                let Some((run, place)) = open.next() else {
                    match open.waiting.is_empty() {
                        true => break,
                        false => drop(open),
                    }
                    thread::sleep(PAUSE);
                    continue;
                };
                drop(open);
                if let Err(fault) = self.finish(sweep, run, place, is_interrupted, terminal) {
                    terminal.error(&format!("{}: {fault:#}", sweep.path(run).display()));
                    locked(&failures).push(run.number);
                }
                locked(&queue).places.release(place);
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.processes {
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
        place: Place,
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
        let description = run.describe(&sweep.plan.varied);
        terminal.say(&match place {
            Place::Cpu => format!("run {}: {description}", sweep.name(run)),
            Place::Gpu(index) => format!("run {}: {description}, on cuda:{index}", sweep.name(run)),
        });
        let log_path = sweep.file(run, "log");
        let log = OpenOptions::new().create(true).append(true).open(&log_path);
        let log = log.with_context(|| format!("cannot write {}", log_path.display()))?;
        let mut command =
            Command::new(std::env::current_exe().context("cannot find the path of this program")?);
        command.arg("train").args(arguments).args(["--progress", "lines"]);
        if run.options.threads.is_none() {
            command.args(["--threads", &self.threads.to_string()]);
        }
        if let Some(device) = device_option(run, place, resumes) {
            command.args(["--device", &device]);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        detach_from_terminal(&mut command);
        let status = wait(command.spawn().context("cannot start a training")?, is_interrupted)?;
        let end_of_log = || last_lines(&fs::read_to_string(&log_path).unwrap_or_default());
        match sweep.state(run) {
            Ok(State::Finished(record)) if status.success() => {
                let accuracy = record.test_accuracy.map(|accuracy| format!(", test accuracy {accuracy:.4}"));
                terminal.say(&format!(
                    "run {}: {} after {}, {} {:.4}{}",
                    sweep.name(run),
                    record.stop_reason.unwrap_or_default(),
                    counted(record.epochs_run.unwrap_or_default(), "epoch"),
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

/// The device to train on, unless the options of the run say enough. A run that is resumed may have had
/// another place.
fn device_option(run: &PlannedRun, place: Place, resumes: bool) -> Option<String> {
    match place {
        Place::Gpu(index) => Some(format!("cuda:{index}")),
        Place::Cpu if resumes => Some(run.options.device.clone().unwrap_or("auto".to_string())),
        Place::Cpu => None,
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
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
    use crate::cli::TrainOptions;
    use fitch::device::DeviceChoice::{self, Auto, Cpu, Cuda};
    use fitch::metrics::Better;

    fn runs(devices: &[DeviceChoice]) -> Vec<PlannedRun> {
        let run = |(index, &device): (usize, &DeviceChoice)| PlannedRun {
            number: index + 1,
            values: Vec::new(),
            options: TrainOptions::default(),
            direction: Better::Lower,
            device,
        };
        devices.iter().enumerate().map(run).collect()
    }

    fn workers(processes: Option<usize>, per_gpu: usize, gpus: &[usize], runs: &[PlannedRun]) -> Workers {
        let numbers = Numbers { processes, threads: None, per_gpu };
        Workers::new(numbers, gpus, &runs.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_run_goes_past_those_that_wait_for_another_place() {
        let runs = runs(&[Cuda(1), Cuda(1), Auto, Cpu, Auto]);
        let places = Places::new(1, &[0, 1], 1, 9);
        let mut queue = Queue { waiting: runs.iter().collect(), places };
        let mut next = |ended: Option<Place>| {
            ended.into_iter().for_each(|place| queue.places.release(place));
            queue.next().map(|(run, place)| (run.number, place))
        };
        assert_eq!(next(None), Some((1, Place::Gpu(1))));
        assert_eq!(next(None), Some((3, Place::Gpu(0))));
        assert_eq!(next(None), Some((4, Place::Cpu)));
        assert_eq!(next(None), None);
        assert_eq!(next(Some(Place::Gpu(0))), Some((5, Place::Gpu(0))));
        assert_eq!(next(Some(Place::Gpu(1))), Some((2, Place::Gpu(1))));
        assert_eq!(next(None), None);
    }

    /// One that was begun on a GPU would ask for it again where there is none.
    #[test]
    fn a_resumed_run_goes_on_where_it_has_a_place_now() {
        let run = &runs(&[Auto])[0];
        assert_eq!(device_option(run, Place::Gpu(2), true).as_deref(), Some("cuda:2"));
        assert_eq!(device_option(run, Place::Gpu(2), false).as_deref(), Some("cuda:2"));
        assert_eq!(device_option(run, Place::Cpu, true).as_deref(), Some("auto"));
        assert_eq!(device_option(run, Place::Cpu, false), None);
    }

    #[test]
    fn gpus_decide_how_many_runs_train_at_a_time_unless_there_is_a_bound() {
        let (many, few) = (runs(&[Auto; 20]), runs(&[Auto; 3]));
        let gpus = [0, 1, 2, 3];
        assert_eq!(workers(None, 1, &gpus, &many).processes, 4);
        assert_eq!(workers(None, 3, &gpus, &many).processes, 12);
        assert_eq!(workers(Some(5), 3, &gpus, &many).processes, 5);
        assert_eq!(workers(None, 3, &gpus, &few).processes, 3);
        assert_eq!(workers(Some(3), 1, &[], &many).processes, 3);
        assert_eq!(workers(Some(9), 1, &[], &few).processes, 3);
    }

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
