//! `fitch train`: from options to a run folder.

mod finish;
mod optimizer;
mod run_in_progress;
mod splits;
mod stopper;

use super::built_model::{BuiltModel, RecordedRun};
use super::checkpoints::{RunCheckpoints, resume_command};
use super::data_guard::DataGuard;
use super::plots::LivePlots;
use super::{restart_with_short_spins, start_libtorch};
use crate::cli::TrainOptions;
use crate::config::{self, Configuration};
use crate::exit::Exit;
use crate::failure::{Hint, out_of_memory};
use crate::precision::Precision;
use crate::progress::{DownloadProgress, TrainingProgress};
use crate::signals;
use crate::terminal::Terminal;
use anyhow::{Context, Error, Result, bail};
use fitch::data::{Augmentation, Dataset};
use fitch::device;
use fitch::metrics::Loss;
use fitch::model::Model;
use fitch::run::RunFolder;
use fitch::train::callbacks::{HistoryFile, StopOnRequest, TerminateOnNan, TimeLimit};
use fitch::train::{Callback, Checkpoint, Fit, Outcome, StopReason};
use run_in_progress::RunInProgress;
use splits::Splits;
use stopper::Stopper;
use tch::nn::VarStore;
use tch::{Device, Kind};

/// What a training works on.
struct Work {
    configuration: Configuration,
    device: Device,
    dataset: Dataset,
    splits: Splits,
    /// Freshly initialised at first.
    trained: BuiltModel,
}

pub fn run(flags: TrainOptions, terminal: &Terminal) -> Result<Exit> {
    restart_with_short_spins();
    let resumed = flags.resume.as_deref().map(RecordedRun::open).transpose()?;
    let (options, warnings) = match &resumed {
        Some(run) => (config::resolve_resumed(&flags, &run.options)?, Vec::new()),
        None => config::resolve(&flags)?,
    };
    let configuration = config::check(&options)?;
    if cfg!(debug_assertions) {
        terminal.warn("this is a debug build, which is slow; scripts/fitch builds and runs a fast one");
    }
    warnings.iter().for_each(|warning| terminal.warn(warning));
    if let (Some(out), None) = (&configuration.out, &resumed) {
        RunFolder::check_free(out)?;
    }

    let work = prepare(configuration, terminal)?;
    let (run, checkpoint) = RunInProgress::open(&work, options, resumed, terminal)?;
    let mut stopper = Stopper::new(&work.configuration);
    let mut progress = TrainingProgress::new(terminal, work.configuration.progress);
    let outcome = train(&work, &run, checkpoint, &mut stopper, &mut progress, terminal)
        .map_err(|fault| explain(fault, &run.folder, &work.configuration))?;
    if outcome.stop.reason != StopReason::Completed {
        terminal.say(&outcome.stop.message);
    }
    progress.draw_curve(&outcome.history);
    finish::finish(&work, run, &outcome, &stopper, terminal)
}

/// The device, the images and the network.
fn prepare(configuration: Configuration, terminal: &Terminal) -> Result<Work> {
    let precision = configuration.precision;
    if precision == Precision::Tf32 {
        allow_tf32();
    }
    let chosen = start_libtorch(configuration.machine)?;
    let (name, threads) = (device::device_name(chosen.device), configuration.machine.threads);
    terminal.say(&format!("device: {name} ({}), {threads} threads", chosen.reason));

    check_precision(precision, chosen.device, terminal)?;

    signals::explain_bus_errors();
    let mut download = DownloadProgress::new(terminal, configuration.progress);
    let dataset =
        configuration.source.load_with(&configuration.reading, &mut |event| download.show(event))?;
    dataset.notes.iter().for_each(|note| terminal.say(note));
    if configuration.augmentation.is_some() {
        Augmentation::check_shape(&dataset.shape()).context("--augment")?;
    }
    let splits = Splits::split(&dataset, &configuration)?;
    terminal.say(&splits.describe(&dataset.name, &configuration));

    tch::manual_seed(configuration.seed as i64);
    let variables = VarStore::new(chosen.device);
    let model = Model::classifier(&dataset.shape(), configuration.layers.clone(), dataset.classes.len())?;
    let network = model.build(&variables.root())?;
    let trained = BuiltModel { model, variables, network };
    Ok(Work { configuration, device: chosen.device, dataset, splits, trained })
}

fn train(
    work: &Work,
    run: &RunInProgress,
    checkpoint: Option<Checkpoint>,
    stopper: &mut Stopper,
    progress: &mut TrainingProgress,
    terminal: &Terminal,
) -> Result<Outcome> {
    let Work { configuration, dataset, splits, trained, .. } = work;
    let variables = &trained.variables;
    let optimizer = optimizer::optimizer(configuration, variables)?;
    let training_loss = optimizer::training_loss(&configuration.optimization, splits, &dataset.classes)?;
    let kind = configuration.precision.kind();
    let mut network = trained.model.explicit_gradients(variables, kind)?;
    if network.is_none() && kind != Kind::Float {
        bail!("--precision bf16: {} has a layer that has no form in it", trained.model.hidden_layers());
    }
    let mut unchanged_data = DataGuard::new(dataset, &run.record.dataset.fingerprint);
    let mut terminate_on_nan = TerminateOnNan;
    let mut plateau = configuration.plateau.clone();
    let mut schedule = configuration.optimization.schedule;
    let mut time_limit = configuration.time_limit.map(TimeLimit::new);
    let mut stop_on_request = StopOnRequest::new(signals::listen(terminal)?);
    let mut history_file = HistoryFile::new(run.folder.history_file()).form(configuration.csv_form);
    let mut live_plots = LivePlots::new(&run.folder, &run.summary)?;
    let mut checkpoints = RunCheckpoints::new(run.folder.checkpoints(), configuration);
    let mut fit = Fit::new(&trained.network, variables, optimizer)
        .epochs(configuration.epochs)
        .batch_size(configuration.batch_size)
        .seed(configuration.seed)
        .callback(&mut unchanged_data)
        // What stops training comes before what writes and shows the outcome.
        .callback(&mut terminate_on_nan)
        .callbacks(stopper.callback())
        .callbacks(schedule.as_mut().map(|schedule| schedule as &mut dyn Callback))
        .callbacks(plateau.as_mut().map(|plateau| plateau as &mut dyn Callback))
        .callbacks(time_limit.as_mut().map(|limit| limit as &mut dyn Callback))
        .callback(&mut stop_on_request)
        .callback(&mut history_file)
        .callback(&mut live_plots)
        .callback(progress);
    if let Some(augmentation) = configuration.augmentation {
        fit = fit.augmentation(augmentation);
    }
    if let Some(loss) = training_loss {
        fit = fit.loss(loss).validation_loss(Loss::cross_entropy());
    }
    fit = fit.checkpoints(&mut checkpoints);
    if let Some(network) = &mut network {
        fit = fit.backpropagation(network);
    }
    if let Some(checkpoint) = checkpoint {
        fit = fit.resume(checkpoint);
    }
    fit.run(&splits.train, splits.validation.as_ref())
}

/// Lets CUDA compute products of float32 in TF32, with 10 bits of mantissa instead of 23.
fn allow_tf32() {
    // SAFETY: the program still has one thread here, before its first call into libtorch, so that nothing reads the
    // environment meanwhile. cuBLAS reads this variable when it is loaded; tch has no other way to tell it.
    unsafe { std::env::set_var("NVIDIA_TF32_OVERRIDE", "1") };
}

/// Whether the device can compute so.
fn check_precision(precision: Precision, device: Device, terminal: &Terminal) -> Result<()> {
    match (precision, device) {
        (Precision::Tf32, Device::Cpu) => {
            bail!("--precision tf32 works on CUDA devices only; a CPU has float32 and bf16")
        }
        (Precision::Bf16, Device::Cpu) if !device::cpu_has_bfloat16() => {
            terminal.warn("this CPU has no instructions for bfloat16: float32 is faster on it");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A fault in training, with what to do about it.
fn explain(fault: Error, folder: &RunFolder, configuration: &Configuration) -> Error {
    let has_checkpoint = folder.checkpoints().newest(|_| ()).is_ok_and(|newest| newest.is_some());
    let message = match out_of_memory(&format!("{fault:#}")) {
        true => format!("training ran out of memory with a batch size of {}", configuration.batch_size),
        false => "training was ended by a fault".to_string(),
    };
    let hint = match has_checkpoint {
        true => format!("{} goes on from the last checkpoint", resume_command(folder.path())),
        false => "nothing was trained yet that could be kept".to_string(),
    };
    fault.context(Hint { message, hint })
}
