//! `fitch sweep`: one training for each combination of options, several at a time, and a table of the
//! results. After an interruption of any kind, the same command continues.

mod combinations;
mod places;
mod plan;
mod results;
mod slurm;
mod work;

use super::doctor::working_gpus;
use crate::cli::SweepOptions;
use crate::exit::Exit;
use crate::failure::UsageError;
use crate::signals;
use crate::terminal::Terminal;
use anyhow::{Context, Result, bail, ensure};
use fitch::device::DeviceChoice;
use fitch::files::write_whole;
use fitch::run::{RunFolder, RunLock, RunRecord};
use fitch::train::StopReason;
use plan::{Plan, PlannedRun};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use work::{Ended, Numbers, Workers};

pub fn run(options: &SweepOptions, terminal: &Terminal) -> Result<Exit> {
    let plan = Plan::read(&options.plan)?;
    let sweep = Sweep { folder: folder(options), plan };
    let numbers = Numbers::check(options)?;
    if options.slurm {
        terminal.result(&slurm::script(options, &sweep)?)?;
        return Ok(Exit::Success);
    }
    if options.table {
        if !sweep.folder.is_dir() {
            terminal.say(&format!("no run has started yet: there is no {}", sweep.folder.display()));
            return Ok(Exit::Success);
        }
        return sweep.report(terminal);
    }
    sweep.write_plan()?;
    let chosen = sweep.choose(options.run)?;
    // Of a job array, each task is a process of its own.
    let _lock = if options.run.is_none() { Some(sweep.lock()?) } else { None };
    let is_interrupted = signals::listen(terminal)?;
    // A run alone chooses for itself, as others may be at work beside it.
    let gpus = match options.run {
        Some(_) => Ok(Vec::new()),
        None => sweep.gpus_for(&chosen),
    };
    if is_interrupted.load(Ordering::Relaxed) {
        return Ok(Exit::Interrupted);
    }
    let gpus = gpus?;
    if let [first, others @ ..] = gpus.as_slice() {
        let names = others.iter().fold(format!("cuda:{first}"), |names, gpu| format!("{names}, cuda:{gpu}"));
        terminal.say(&format!("runs for a GPU train on {names}"));
    }
    let ended = Workers::new(numbers, &gpus, &chosen).run(&sweep, &chosen, &is_interrupted, terminal)?;
    if options.run.is_none() {
        sweep.report(terminal)?;
    }
    Ok(match ended {
        Ended::Well => Exit::Success,
        Ended::WithFailures => Exit::Failure,
        Ended::Interrupted => Exit::Interrupted,
    })
}

/// The plan and the folder of its runs: `OUT/001` and so on, each with its options, `001.toml`, and its log,
/// `001.log`.
struct Sweep {
    folder: PathBuf,
    plan: Plan,
}

/// The progress of a run.
enum State {
    New,
    /// Interrupted, perhaps with a checkpoint.
    Begun,
    Finished(Box<RunRecord>),
}

/// That of `--out`, else one with the name of the plan.
fn folder(options: &SweepOptions) -> PathBuf {
    let name = options.plan.file_stem().unwrap_or_default();
    options.out.clone().unwrap_or_else(|| Path::new("sweeps").join(name))
}

impl Sweep {
    /// `001`, with as many digits as the last run needs.
    fn name(&self, run: &PlannedRun) -> String {
        let digits = self.plan.runs.len().to_string().len().max(3);
        format!("{:0digits$}", run.number)
    }

    fn path(&self, run: &PlannedRun) -> PathBuf {
        self.folder.join(self.name(run))
    }

    fn file(&self, run: &PlannedRun, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.name(run)))
    }

    /// Writes the options of every run, which must be those of an earlier start.
    fn write_plan(&self) -> Result<()> {
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot create {}", self.folder.display()))?;
        for run in &self.plan.runs {
            let (path, text) = (self.file(run, "toml"), toml::to_string(&run.options)?);
            match fs::read_to_string(&path) {
                Ok(before) => ensure!(
                    before == text,
                    "{} differs from the plan, so {} holds another sweep; choose another --out",
                    path.display(),
                    self.folder.display()
                ),
                Err(_) => write_whole(&path, text.as_bytes())?,
            }
        }
        Ok(())
    }

    /// Keeps other sweeps out of the folder.
    fn lock(&self) -> Result<RunLock> {
        match RunLock::take_file(&self.folder.join("sweep.lock"))? {
            Ok(lock) => Ok(lock),
            Err(holder) => bail!("{}: another sweep is at work here ({holder})", self.folder.display()),
        }
    }

    /// The run with that number, or all.
    fn choose(&self, number: Option<i64>) -> Result<Vec<&PlannedRun>> {
        let Some(number) = number else { return Ok(self.plan.runs.iter().collect()) };
        let run = usize::try_from(number).ok().and_then(|number| self.plan.runs.get(number.wrapping_sub(1)));
        let rule = || format!("--run {number}: the plan has runs 1 to {}", self.plan.runs.len());
        Ok(vec![run.ok_or_else(|| UsageError(vec![rule()]))?])
    }

    fn state(&self, run: &PlannedRun) -> Result<State> {
        let path = self.path(run);
        let Ok(folder) = RunFolder::open(&path) else { return Ok(State::New) };
        let record = RunRecord::load(&folder)?;
        let interrupted = StopReason::Interrupted.name();
        Ok(match record.stop_reason.as_deref() {
            Some(reason) if reason != interrupted => State::Finished(Box::new(record)),
            _ => State::Begun,
        })
    }

    /// The GPUs that work, if any of the runs that are not finished may use one.
    fn gpus_for(&self, runs: &[&PlannedRun]) -> Result<Vec<usize>> {
        let is_finished = |run: &PlannedRun| matches!(self.state(run), Ok(State::Finished(_)));
        match runs.iter().all(|run| run.device == DeviceChoice::Cpu || is_finished(run)) {
            true => Ok(Vec::new()),
            false => working_gpus(),
        }
    }

    /// Shows the table and the best run or, of folds, combination, and writes the tables of both.
    fn report(&self, terminal: &Terminal) -> Result<Exit> {
        let results = results::Results::of(self)?;
        let columns = terminal.result_columns();
        let path = self.folder.join("results.csv");
        write_whole(&path, &results.as_csv()?)?;
        let mut written = path.display().to_string();
        let (table, best) = match results.combinations() {
            None => (results.as_table(columns), results.best()),
            Some(combinations) => {
                let path = self.folder.join("combinations.csv");
                write_whole(&path, &combinations.as_csv()?)?;
                written = format!("{} and {written}", path.display());
                (combinations.as_table(columns), combinations.best())
            }
        };
        terminal.result(&table)?;
        terminal.result_in_words(&best)?;
        results.changed_data().iter().for_each(|warning| terminal.warn(warning));
        terminal.say(&format!("written to {written}"));
        Ok(Exit::Success)
    }
}
