//! `fitch train`: from options to a run folder.

mod finish;
mod initial_network;
mod optimizer;
mod processes;
mod rate_test;
mod run_in_progress;
mod splits;
mod stopper;

use super::built_model::RecordedRun;
use super::checkpoints::{self, resume_command};
use super::data_guard::DataGuard;
use super::ignored_options::ignored_options;
use super::plots::LivePlots;
use super::understood::Understood;
use super::{restart_with_short_spins, start_libtorch_at};
use crate::cli::{RateOption, TrainOptions};
use crate::config::{self, Architecture, Configuration};
use crate::exit::Exit;
use crate::failure::{self, AtRank, Hint, UsageError};
use crate::precision::Precision;
use crate::progress::{DownloadProgress, ProgressKind, Shown, TrainingProgress};
use crate::signals;
use crate::terminal::Terminal;
use anyhow::{Context, Error, Result, bail};
use fitch::data::{BatchSource, Dataset, Source};
use fitch::device::{self, DeviceChoice};
use fitch::distributed::{self, Group, Meeting, Place};
use fitch::metrics::Loss;
use fitch::model::Network;
use fitch::optim::Optimizer;
use fitch::run::{RunFolder, WeightsRecord};
use fitch::train::callbacks::{HistoryFile, StopOnRequest, TensorBoard, TerminateOnNan, TimeLimit};
use fitch::train::{
    Checkpoint, DiskCheckpoints, Every, Fault, Fit, Outcome, StopReason, Stopping, evaluate_in,
};
use rate_test::RateTest;
use run_in_progress::{RunInProgress, TENSORBOARD};
use splits::Splits;
use std::path::Path;
use std::time::Duration;
use stopper::stopper;
use tch::Device;

/// What a training works on.
struct Work {
    configuration: Configuration,
    device: Device,
    dataset: Dataset,
    splits: Splits,
    /// Of each class in the training loss; none if they are equal.
    class_weights: Option<Vec<f32>>,
    /// Not trained yet.
    network: Network,
    /// Where its weights come from, if they are not freshly initialised.
    weights: Option<WeightsRecord>,
    /// The processes that train together; this one alone as a rule.
    group: Group,
}

impl Work {
    /// What is shown of the training.
    fn shown(&self, terminal: &Terminal) -> Shown {
        let Work { configuration, splits, .. } = self;
        Shown {
            style: configuration.progress.on(terminal),
            monitor: configuration.monitor.clone(),
            direction: configuration.direction(),
            validates: splits.validation.is_some(),
            time_limit: configuration.time_limit,
        }
    }
}

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
    let (mut options, warnings) = match &resumed {
        Some(run) => {
            let had_rate_test = run.folder.file(rate_test::TABLE).exists();
            (config::resolve_resumed(&flags, &run.options, had_rate_test)?, Vec::new())
        }
        None => config::resolve(&flags)?,
    };
    if let Some(run) = &resumed {
        // What is named now is checked below.
        let dataset = options.dataset.as_deref().filter(|_| flags.dataset.is_none());
        let validation = options.validation.as_deref().filter(|_| flags.validation.is_none());
        run.check_data_is_there(dataset, validation, &resume_command(run.folder.path()))?;
    }
    let mut configuration = config::check(&options)?;
    if let (Some(run), Architecture::File(file)) = (&resumed, &mut configuration.architecture) {
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

    let mut work = prepare(configuration, place, resumed.as_ref(), terminal)?;
    work.group.ensure_same(&common_lines(&work, &options, resumed.is_some())?)?;
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
    let (run, checkpoint) = RunInProgress::open(&work, options, resumed, terminal)?;
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

/// Refuses to start processes from one of several.
fn check_processes(place: &Place, processes: usize) -> Result<()> {
    let is_ours = matches!(place.meeting, Meeting::File(_)) && processes == place.size;
    if processes == 1 || is_ours {
        return Ok(());
    }
    let fault = format!("--processes {processes}: this is one of {} processes already", place.size);
    Err(UsageError(vec![fault]).into())
}

/// Refuses one GPU for several processes of this machine.
fn check_device(device: DeviceChoice, local_processes: usize) -> Result<()> {
    let DeviceChoice::Cuda(index) = device else { return Ok(()) };
    if local_processes == 1 {
        return Ok(());
    }
    let fault = format!(
        "--device cuda:{index}: is one GPU, but there are {local_processes} processes on this machine; --device cuda \
         gives each of them another, and CUDA_VISIBLE_DEVICES says which GPUs they may have"
    );
    Err(UsageError(vec![fault]).into())
}

fn check_shards(shards: usize, processes: usize, batch_size: usize) -> Result<()> {
    let fault = if !shards.is_multiple_of(processes) {
        let divisors = (1..=shards).filter(|count| shards.is_multiple_of(*count));
        let divisors: Vec<String> = divisors.map(|count| count.to_string()).collect();
        let noun = if shards == 1 { "shard" } else { "shards" };
        format!(
            "{processes} processes cannot share {shards} {noun} of a batch evenly: --processes can be {} \
             (--shards is fixed at the first start)",
            divisors.join(", ")
        )
    } else if shards > batch_size {
        format!("--batch-size {batch_size}: cannot be cut into {shards} shards")
    } else {
        return Ok(());
    };
    Err(UsageError(vec![fault]).into())
}

/// What must be the same in all processes of a group.
fn common_lines(work: &Work, options: &TrainOptions, is_resumed: bool) -> Result<String> {
    if work.group.size() == 1 {
        return Ok(String::new());
    }
    Ok(format!(
        "fitch = {}\ncontinues a run = {is_resumed}\n{}fingerprint of the images = {}\nnetwork = {}\n",
        env!("CARGO_PKG_VERSION"),
        toml::to_string(&config::common(options)?)?,
        work.dataset.fingerprint()?,
        work.network.file_digest().unwrap_or_default()
    ))
}

/// Fails before anything is loaded if a new run cannot have that folder.
fn check_free(out: &Path) -> Result<()> {
    RunFolder::check_free(out).map_err(|fault| match RunFolder::open(out) {
        Ok(_) => {
            let hint = format!("{} goes on with the run in it", resume_command(out));
            Hint { message: format!("{fault:#}"), hint }.into()
        }
        Err(_) => fault,
    })
}

/// The device, the images and the network.
fn prepare(
    mut configuration: Configuration,
    place: Option<&Place>,
    resumed: Option<&RecordedRun>,
    terminal: &Terminal,
) -> Result<Work> {
    let precision = configuration.precision;
    let chosen = start_libtorch_at(place, configuration.machine)?;
    let (name, threads) = (device::device_name(chosen.device), configuration.machine.threads);
    let processes = place.map_or(String::new(), |place| format!(" in each of {} processes", place.size));
    terminal.say(&format!("device: {name} ({}), {threads} threads{processes}", chosen.reason));
    let group = match place {
        Some(place) => {
            let mut tell = |missing: &[usize]| terminal.must_say(&processes::waiting(place, missing));
            Group::join(place, chosen.device, configuration.peer_timeout, &mut tell)?
        }
        None => Group::alone(),
    };

    set_precision(precision, chosen.device, terminal)?;

    signals::explain_bus_errors();
    let mut download = DownloadProgress::new(terminal, configuration.progress);
    let reading = &configuration.reading;
    let source = configuration.source.located(reading, &mut |event| download.show(event))?;
    let dataset = source.load_with(reading, &mut |event| download.show(event))?;
    let splits = Splits::split(&dataset, &source, &configuration)?;
    if let Some(augmentation) = &configuration.augmentation {
        let range = splits.range.map(|value| value / dataset.maximum);
        augmentation.check(&dataset.shape(), range).context("--augment")?;
    }
    terminal.say(&splits.describe(&dataset.name, &configuration));
    initial_network::check_normalization(&configuration, &dataset)?;
    let are_standardized = match &configuration.architecture {
        Architecture::Layers(layers) => {
            layers.are_standardized() && !layers.are_normalized() || dataset.has_mixed_ranges()?
        }
        Architecture::File(_) => false,
    };
    let understood = Understood {
        dataset: &dataset,
        format: source.format_name().unwrap_or_default(),
        reading: &configuration.reading,
        class_counts: &splits.class_counts,
        range: splits.range,
        are_standardized,
    };
    if matches!(source, Source::Path { .. }) {
        understood.lines().iter().for_each(|line| terminal.say(line));
    }
    splits.note.iter().for_each(|note| terminal.warn(note));
    ignored_options(&source, reading, &dataset).iter().for_each(|fault| terminal.warn(fault));
    let weights = &configuration.optimization.class_weights;
    let class_weights = optimizer::class_weights(weights, &splits, &dataset.classes)?;
    class_weights.iter().for_each(|weights| terminal.say(&understood.class_weights(weights)));

    if let Architecture::Layers(layers) = &mut configuration.architecture {
        if layers.standardize_within() {
            let fault =
                "--layers: standardize must be the first layer: it takes the means of the training samples";
            return Err(UsageError(vec![fault.to_string()]).into());
        }
        if are_standardized {
            *layers = layers.clone().standardized();
        }
        if configuration.normalization.is_some() {
            *layers = layers.clone().normalized();
        }
    }
    let network = initial_network::build(&configuration, &dataset, &splits, chosen.device, terminal)?;
    let weights = initial_network::take_weights(&configuration, &network, &group, resumed, terminal)?;
    Ok(Work { configuration, device: chosen.device, dataset, splits, class_weights, network, weights, group })
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
    let settings = config::settings(&config::options_of_record(&run.record.config)?)?;
    let checkpoints =
        DiskCheckpoints::within(run.folder.checkpoints()).keep(configuration.keep).settings(settings)?;
    Ok(match configuration.checkpoint_every {
        // Whoever counts steps counts on all of them.
        Some(every @ Every::Steps(_)) => checkpoints.every(every).pause(Duration::ZERO),
        Some(every) => checkpoints.every(every),
        None => checkpoints,
    })
}

/// Sets the device to a precision; refuses one that it does not have.
fn set_precision(precision: Precision, device: Device, terminal: &Terminal) -> Result<()> {
    match (precision, device) {
        (Precision::Tf32, Device::Cpu) => {
            bail!("--precision tf32 works on CUDA devices only; a CPU has float32 and bf16")
        }
        (Precision::Tf32, _) => {
            if !device::has_bfloat16(device) {
                terminal.warn("this GPU has no TF32 (compute capability 8.0): it computes in float32");
            }
            device::allow_tf32(true)
        }
        (Precision::Bf16, _) if !device::has_bfloat16(device) => {
            terminal.warn("this device has no instructions for bfloat16: float32 is faster on it");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A fault of training, with what to do about it.
fn explain(fault: Error, folder: &RunFolder, configuration: &Configuration) -> Error {
    let out_of_memory =
        || format!("training ran out of memory with a batch size of {}", configuration.batch_size);
    let message = match fault.downcast_ref() {
        _ if matches!(fault.downcast_ref(), Some(distributed::Fault::Different { .. })) => return fault,
        // It was found before the first step, and resuming would meet it again.
        Some(Fault::BatchDoesNotFit(_) | Fault::OtherVariables | Fault::NothingToTrain) => return fault,
        Some(Fault::OutOfMemory) => out_of_memory(),
        // From a thread of its own.
        _ if device::is_out_of_memory(&format!("{fault:#}")) => out_of_memory(),
        Some(Fault::DeviceLost) => "training ended because the device failed".to_string(),
        _ if fault.is::<distributed::Fault>() => "training ended".to_string(),
        _ => "training ended with a fault".to_string(),
    };
    let newest = DiskCheckpoints::within(folder.checkpoints()).newest();
    let hint = match newest.ok().and_then(|newest| newest.checkpoint) {
        Some(Checkpoint { state, .. }) => {
            let within = if state.step > 0 { format!(", step {}", state.step + 1) } else { String::new() };
            let command = resume_command(folder.path());
            format!("{command} goes on from the last checkpoint, with epoch {}{within}", state.epoch)
        }
        None => "it ended before its first checkpoint".to_string(),
    };
    fault.context(Hint { message, hint })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_a_machine_do_not_share_a_gpu() {
        let fault = check_device(DeviceChoice::Cuda(1), 2).unwrap_err().to_string();
        assert!(fault.starts_with("--device cuda:1: is one GPU, but there are 2 processes"), "{fault}");
        check_device(DeviceChoice::Cuda(1), 1).unwrap();
        for device in [DeviceChoice::Auto, DeviceChoice::AnyCuda, DeviceChoice::Cpu] {
            check_device(device, 2).unwrap();
        }
    }
}
