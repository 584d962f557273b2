//! `fitch train`: from options to a run folder.

mod checks;
mod explanation;
mod finish;
mod groups;
mod initial_network;
mod optimizer;
mod processes;
mod rate_test;
mod recorded;
mod repeat;
mod run_in_progress;
pub(in crate::commands) mod splits;
mod stopper;
mod work;

use super::built_model::RecordedRun;
use super::checkpoints::{self, resume_command};
use super::data_guard::DataGuard;
use super::plots::LivePlots;
use super::restart_with_short_spins;
use crate::cli::{RateOption, TrainOptions};
use crate::config::{self, Architecture, Configuration};
use crate::exit::Exit;
use crate::failure::{self, AtRank, UsageError};
use crate::precision::Precision;
use crate::progress::{ProgressKind, Shown, TrainingProgress};
use crate::signals;
use crate::terminal::Terminal;
use anyhow::{Context, Result};
use checks::{check_device, check_free, check_processes, check_shards};
use explanation::explain;
use fitch::data::BatchSource;
use fitch::device::{self, DeviceChoice};
use fitch::distributed::Place;
use fitch::metrics::{Loss, Metric};
use fitch::optim::Optimizer;
use fitch::run::RunFolder;
use fitch::train::callbacks::{HistoryFile, StopOnRequest, TensorBoard, TerminateOnNan, TimeLimit};
use fitch::train::{Checkpoint, DiskCheckpoints, Every, Fit, Outcome, StopReason, Stopping, evaluate_in};
use rate_test::RateTest;
use repeat::Repetition;
use run_in_progress::{RunInProgress, TENSORBOARD};
pub use splits::Splits;
use std::time::Duration;
use stopper::stopper;
use work::{Work, prepare};

pub fn run(mut flags: TrainOptions, terminal: &Terminal) -> Result<Exit> {
    restart_with_short_spins();
    flags.dataset = config::one_dataset(flags.data_argument.take(), flags.dataset)?;
    let Some(place) = Place::from_env()? else { return run_at(None, flags, terminal) };
    let of_others = terminal.for_errors();
    let terminal = if place.rank == 0 { terminal } else { &of_others };
    run_at(Some(&place), flags, terminal).map_err(|fault| fault.context(AtRank(place.rank)))
}

/// Trains, at a place among several processes if there is one.
fn run_at(place: Option<&Place>, flags: TrainOptions, terminal: &Terminal) -> Result<Exit> {
    let resumed = resumed_run(&flags)?;
    let repeated = Repetition::of(&flags)?;
    let (mut options, warnings) = match (&resumed, &repeated) {
        (_, Some(repeated)) => (repeated.options.clone(), Vec::new()),
        (Some(run), None) => {
            let had_rate_test = run.folder.file(rate_test::TABLE).exists();
            (config::resolve_resumed(&flags, &run.options, had_rate_test)?, Vec::new())
        }
        (None, None) => config::resolve(&flags)?,
    };
    if let Some(run) = &resumed {
        // What is named now is checked below.
        let dataset = options.dataset.as_deref().filter(|_| flags.dataset.is_none());
        let validation = options.validation.as_deref().filter(|_| flags.validation.is_none());
        run.check_data_is_there(dataset, validation, &resume_command(run.folder.path()))?;
    }
    let mut configuration = config::check(&options)?;
    let of_repeated = repeated.as_ref().filter(|_| flags.model.is_none()).map(|repeated| &repeated.run);
    if let (Some(run), Architecture::File(file)) =
        (resumed.as_ref().or(of_repeated), &mut configuration.architecture)
    {
        *file = run.folder.network_file();
    }
    // Before any process of several begins: all come to the same.
    if let Some(end) = resumed
        .as_ref()
        .filter(|_| flags.resume_if_any)
        .and_then(|run| checkpoints::end_of(run, &configuration))
    {
        terminal.say(&format!("nothing is left to do: {}", end.message));
        return Ok(Exit::Success);
    }
    let check_folder = |configuration: &Configuration| match (&configuration.out, &resumed) {
        (Some(out), None) => check_free(out),
        _ => Ok(()),
    };
    if place.is_none() {
        check_folder(&configuration)?;
    }
    // Runs of earlier versions have one shard.
    let processes = place.map_or(configuration.processes, |place| place.size);
    let shards = *configuration.shards.get_or_insert(if resumed.is_some() { 1 } else { processes });
    check_shards(shards, processes, configuration.batch_size)?;
    let local_processes = place.map_or(configuration.processes, |place| place.local_size);
    check_device(configuration.machine.device, local_processes)?;
    match (place, configuration.processes) {
        (None, 1) => {}
        (None, processes) => {
            if configuration.machine.device == DeviceChoice::AnyCuda {
                // Once, not by each process.
                device::count_cuda()?;
            }
            return processes::run(processes, terminal);
        }
        (Some(place), processes) => {
            check_processes(place, processes)?;
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            if options.threads.is_none() {
                configuration.machine.threads = (cores / place.local_size).max(1);
            }
        }
    }
    if cfg!(debug_assertions) {
        terminal.warn("this is a debug build, which is slow; scripts/fitch builds and runs a fast one");
    }
    warnings.iter().for_each(|warning| terminal.warn(warning));
    repeated.iter().for_each(|repeated| terminal.say(&repeated.describe()));

    let mut work = prepare(configuration, place, resumed.as_ref(), terminal)?;
    work.group.ensure_same(&work.common_lines(&options, resumed.is_some())?)?;
    if work.group.is_first() {
        // The other processes notice if the first one ends here.
        check_folder(&work.configuration)?;
    }
    let mut rate_test = None;
    if work.configuration.optimization.learning_rate.is_none() {
        let Some(test) = RateTest::run(&work, terminal)? else { return Ok(Exit::Interrupted) };
        // As if it had been given.
        options.learning_rate = Some(RateOption::Rate(test.found));
        work.configuration.optimization.learning_rate = config::check(&options)?.optimization.learning_rate;
        rate_test = Some(test);
    }
    if !work.group.is_first() {
        return follow(&work, terminal);
    }
    let before = repeated.as_ref().map(|repeated| &repeated.run.record);
    let (run, checkpoint) = RunInProgress::open(&work, options, resumed, before, terminal)?;
    let differences = repeated.as_ref().and_then(|repeated| repeated.differences(&run.record));
    differences.iter().for_each(|differences| terminal.warn(differences));
    if let Some(Err(fault)) = rate_test.map(|test| test.write(&run.folder)) {
        terminal.warn(&format!("the test of learning rates is not written: {fault:#}"));
    }
    let mut stopper = stopper(&work.configuration);
    let shown = work.shown(terminal);
    let terminal = &terminal.with_live_line(shown.style == ProgressKind::Bar);
    let mut progress = TrainingProgress::new(terminal, shown, Some(&run.lock));
    let records = Some(&run);
    let outcome = failure::guard(|| train(&work, records, checkpoint, &mut stopper, &mut progress, terminal))
        .map_err(|fault| explain(fault, &run.folder, &work.configuration))?;
    // The test is what a later evaluation will repeat.
    if work.configuration.precision == Precision::Tf32 {
        device::allow_tf32(false)?;
    }
    if outcome.stop.reason != StopReason::Completed {
        terminal.say(&outcome.stop.message);
    }
    progress.tell_of_end();
    progress.draw_curve(&outcome.history);
    finish::finish(&work, run, &outcome, stopper.as_deref(), terminal)
}

/// Trains with the first process, which writes and prints.
fn follow(work: &Work, terminal: &Terminal) -> Result<Exit> {
    let mut stopper = stopper(&work.configuration);
    let shown = Shown { style: ProgressKind::None, ..work.shown(terminal) };
    let mut progress = TrainingProgress::new(terminal, shown, None);
    let outcome = failure::guard(|| train(work, None, None, &mut stopper, &mut progress, terminal))?;
    if finish::shares_test(&outcome) {
        let test = work.splits.test.to_device(work.device)?;
        failure::guard(|| evaluate_in(&work.network, &test, work.configuration.batch_size, &work.group))?;
    }
    Ok(match outcome.stop.reason {
        StopReason::Interrupted => Exit::Interrupted,
        StopReason::NonFinite => Exit::Failure,
        _ => Exit::Success,
    })
}

/// The run to continue: that of `--resume`, or that of `--resume-if-any` if it has begun.
fn resumed_run(flags: &TrainOptions) -> Result<Option<RecordedRun>> {
    if !flags.resume_if_any {
        return flags.resume.as_deref().map(RecordedRun::open).transpose();
    }
    let Some(out) = config::given_out(flags)? else {
        return Err(
            UsageError(vec!["--resume-if-any: needs the folder of the run, --out".to_string()]).into()
        );
    };
    // A start that was killed before it had written its record has left nothing to go on from.
    let record = RunFolder::open(&out).map(|folder| folder.record_file());
    if record.is_ok_and(|record| record.exists()) { RecordedRun::open(&out).map(Some) } else { Ok(None) }
}

/// Trains; without a run, another process keeps the records.
fn train(
    work: &Work,
    run: Option<&RunInProgress>,
    checkpoint: Option<Checkpoint>,
    stopper: &mut Option<Box<dyn Stopping>>,
    progress: &mut TrainingProgress,
    terminal: &Terminal,
) -> Result<Outcome> {
    let Work { configuration, dataset, splits, network, .. } = work;
    let learning_rate = configuration.optimization.learning_rate.context("no learning rate was tested")?;
    let optimizer = optimizer::optimizer(configuration, learning_rate, network.variables())?;
    let mut unchanged_data = run.map(|run| DataGuard::new(dataset, &run.record.dataset.fingerprint));
    let mut terminate_on_nan = TerminateOnNan;
    let mut plateau = configuration.plateau.clone();
    let mut schedule = configuration.optimization.schedule;
    let mut time_limit = configuration.time_limit.map(TimeLimit::new);
    let mut stop_on_request = StopOnRequest::new(signals::listen(terminal)?);
    let mut history_file =
        run.map(|run| HistoryFile::new(run.folder.history_file()).form(configuration.csv_form));
    let mut tensorboard = run.map(|run| {
        // Markdown keeps the lines of indented text.
        let summary: String = run.summary.lines().map(|line| format!("    {line}\n")).collect();
        TensorBoard::new(run.folder.file(TENSORBOARD)).text("model summary", summary)
    });
    let mut live_plots = run.map(|run| LivePlots::new(&run.folder));
    let mut checkpoints = run.map(|run| checkpoints_of(run, configuration)).transpose()?;
    let mut fit = fit_of(work, optimizer)
        .epochs(configuration.epochs)
        .callback(&mut unchanged_data)
        // What stops training comes before what writes and displays its result.
        .callback(&mut terminate_on_nan)
        .callback(stopper)
        .callback(&mut schedule)
        .callback(&mut plateau)
        .callback(&mut time_limit)
        .callback(&mut stop_on_request)
        .callback(&mut history_file)
        .callback(&mut tensorboard)
        .callback(&mut live_plots)
        .callback(progress);
    for metric in Metric::of_classes(&configuration.metrics, dataset.classes.len())? {
        fit = fit.metric(metric);
    }
    if let Some(decay) = configuration.optimization.ema {
        fit = fit.ema(decay);
    }
    if let Some(checkpoints) = &mut checkpoints {
        fit = fit.checkpoints(checkpoints);
    }
    if let Some(checkpoint) = checkpoint {
        fit = fit.resume(checkpoint);
    }
    fit.run(&splits.train, splits.validation.as_ref().map(|samples| samples as &dyn BatchSource))
}

/// How a step is made, in a test of learning rates as in the training.
fn fit_of(work: &Work, optimizer: Optimizer) -> Fit<'_> {
    let Work { configuration, class_weights, network, group, .. } = work;
    let mut fit = Fit::network(network, optimizer)
        .batch_size(configuration.batch_size)
        .accumulate(configuration.accumulate)
        .seed(configuration.seed)
        .distributed(group);
    if let Some(shards) = configuration.shards {
        fit = fit.shards(shards);
    }
    if let Some(augmentation) = configuration.augmentation {
        fit = fit.transform_batch(move |batch| augmentation.apply_to_batch(batch));
    }
    match optimizer::training_loss(&configuration.optimization, class_weights.as_deref()) {
        Some(loss) => fit.loss(loss).validation_loss(Loss::cross_entropy()),
        None => fit,
    }
}

/// Where the checkpoints of a run go.
fn checkpoints_of(run: &RunInProgress, configuration: &Configuration) -> Result<DiskCheckpoints> {
    let settings = config::settings(&config::options_of_record(&run.record.asked_config())?)?;
    let checkpoints =
        DiskCheckpoints::within(run.folder.checkpoints()).keep(configuration.keep).settings(settings)?;
    Ok(match configuration.checkpoint_every {
        // Whoever counts steps counts on all of them.
        Some(every @ Every::Steps(_)) => checkpoints.every(every).pause(Duration::ZERO),
        Some(every) => checkpoints.every(every),
        None => checkpoints,
    })
}
