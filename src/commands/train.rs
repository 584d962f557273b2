//! `fitch train`: from options to a run folder.

use super::checkpoints::{self, RunCheckpoints, resume_command};
use super::export::{IMAGES_TO_VERIFY, write_torchscript};
use super::pictures::{LivePictures, draw_run};
use super::start_libtorch;
use super::table::table;
use super::trained_run::{RecordedRun, model_card};
use super::unchanged_data::UnchangedData;
use crate::cli::{AdamOption, TrainOptions};
use crate::config::{self, Configuration, Stopping};
use crate::failure::{Hint, out_of_memory};
use crate::interrupt;
use crate::progress::{DownloadProgress, TrainingProgress};
use crate::terminal::Terminal;
use anyhow::{Error, Result, ensure};
use fitch::data::{Dataset, Samples, Source, split};
use fitch::device;
use fitch::export::TrainedModel;
use fitch::model::{Model, SummaryStyle, summary, with_separators};
use fitch::optim::Optimizer;
use fitch::run::{DatasetRecord, RunFolder, RunLock, RunRecord, save_weights, write_whole};
use fitch::train::callbacks::{
    Best, EarlyStopping, HistoryFile, StopOnRequest, TerminateOnNan, TheanoPatience, TimeLimit,
};
use fitch::train::{Callback, Checkpoint, Fit, Outcome, StopReason, TrainingState, evaluate};
use std::path::PathBuf;
use std::process::ExitCode;
use tch::nn::VarStore;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The width that the summary in the run folder is drawn for.
const SUMMARY_COLUMNS: usize = 80;

pub fn run(flags: TrainOptions, terminal: &Terminal) -> Result<ExitCode> {
    let resumed = flags.resume.as_deref().map(RecordedRun::open).transpose()?;
    let (options, warnings) = match &resumed {
        Some(run) => (config::resolve_resumed(&flags, &run.options)?, Vec::new()),
        None => config::resolve(&flags)?,
    };
    let mut configuration = config::check(&options)?;
    if cfg!(debug_assertions) {
        terminal.warn("this is a debug build, which is slow; scripts/fitch builds and runs a fast one");
    }
    warnings.iter().for_each(|warning| terminal.warn(warning));
    if let (Some(out), None) = (&configuration.out, &resumed) {
        RunFolder::check_free(out)?;
    }
    let chosen = start_libtorch(configuration.machine)?;
    let threads = configuration.machine.threads;
    let device = device::device_name(chosen.device);
    terminal.say(&format!("device: {device} ({}), {threads} threads", chosen.reason));

    interrupt::explain_bus_errors();
    let mut download = DownloadProgress::new(terminal, configuration.progress);
    let dataset = configuration.source.load(&configuration.data_dir, &mut |event| download.show(event))?;
    let sides = Sides::split(&dataset, &configuration)?;
    terminal.say(&sides.describe(&dataset.name, &configuration));

    tch::manual_seed(configuration.seed as i64);
    let variables = VarStore::new(chosen.device);
    let shape = dataset.train.pixels.size().split_off(1);
    let model = Model::classifier(&shape, std::mem::take(&mut configuration.hidden), dataset.classes.len())?;
    let network = model.build(&variables.root())?;
    let optimizer = match configuration.adam {
        AdamOption::Fused => Optimizer::adam(&variables, configuration.learning_rate)?,
        AdamOption::Reference => Optimizer::reference_adam(&variables, configuration.learning_rate)?,
    };

    let started = OffsetDateTime::now_utc();
    let folder = match &resumed {
        Some(run) => run.folder.clone(),
        None => create_folder(&configuration, started)?,
    };
    let _lock = RunLock::take(&folder)?;
    let checkpoint = match &resumed {
        Some(run) => Some(resume(run, &configuration, &dataset, terminal)?),
        None => None,
    };
    let recorded = recorded_options(options, &configuration)?;
    let mut record = match resumed {
        // What came of it before stays until it is known anew.
        Some(run) => RunRecord { device, threads, config: recorded, stop_reason: None, ..run.record },
        None => RunRecord {
            fitch_version: env!("CARGO_PKG_VERSION").to_string(),
            libtorch_version: env!("FITCH_LIBTORCH_VERSION").to_string(),
            started: started.format(&Rfc3339)?,
            device,
            threads,
            seed: configuration.seed,
            dataset: sides.record(&dataset)?,
            parameters: model.parameter_count(),
            config: recorded,
            stop_reason: None,
            epochs_run: None,
            monitor: configuration.monitor.clone(),
            best_epoch: None,
            best_value: None,
            weights_epoch: None,
            test_loss: None,
            test_accuracy: None,
            seconds: None,
        },
    };
    record.save(&folder)?;
    let drawn = summary(&model, SummaryStyle::Keras3 { columns: SUMMARY_COLUMNS });
    write_whole(&folder.summary_file(), drawn.as_bytes())?;

    let mut terminate_on_nan = TerminateOnNan;
    let mut stopper = Stopper::new(&configuration);
    let mut plateau = configuration.plateau.clone();
    let mut time_limit = configuration.time_limit.map(TimeLimit::new);
    let mut stop_on_request = StopOnRequest::new(interrupt::listen(*terminal)?);
    let mut unchanged_data = UnchangedData::new(&dataset, &record.dataset.fingerprint);
    let mut history_file = HistoryFile::new(folder.history_file()).form(configuration.csv_form);
    let mut live_pictures = LivePictures::new(&folder, &drawn)?;
    let mut progress = TrainingProgress::new(terminal, configuration.progress);
    let mut checkpoints = RunCheckpoints::new(folder.checkpoints(), &configuration);
    let mut fit = Fit::new(&network, &variables, optimizer)
        .epochs(configuration.epochs)
        .batch_size(configuration.batch_size)
        .seed(configuration.seed)
        .callback(&mut unchanged_data)
        // What stops training comes before what writes and shows the outcome.
        .callback(&mut terminate_on_nan)
        .callbacks(stopper.callback())
        .callbacks(plateau.as_mut().map(|plateau| plateau as &mut dyn Callback))
        .callbacks(time_limit.as_mut().map(|limit| limit as &mut dyn Callback))
        .callback(&mut stop_on_request)
        .callback(&mut history_file)
        .callback(&mut live_pictures)
        .callback(&mut progress);
    if configuration.adam == AdamOption::Fused {
        fit = fit.checkpoints(&mut checkpoints);
    }
    if let Some(checkpoint) = checkpoint {
        fit = fit.resume(checkpoint);
    }
    let outcome = fit
        .run(&sides.train, sides.validation.as_ref())
        .map_err(|fault| explain(fault, &folder, &configuration))?;
    let reason = outcome.stop.reason;
    if reason != StopReason::Completed {
        terminal.say(&outcome.stop.message);
    }

    let best = stopper.best().or_else(|| {
        let best = outcome.history.best(&configuration.monitor, configuration.direction());
        best.map(|(epoch, value)| Best { epoch, value })
    });
    record.stop_reason = Some(reason.name().to_string());
    record.epochs_run = Some(outcome.history.epochs.len());
    record.best_epoch = best.map(|best| best.epoch);
    record.best_value = best.map(|best| best.value);
    record.seconds = Some(outcome.seconds);
    record.weights_epoch = stopper
        .restores()
        .or_else(|| (outcome.unrecorded_steps == 0).then_some(outcome.history.epochs.len()));
    if reason == StopReason::NonFinite && stopper.restores().is_none() {
        record.weights_epoch = restore_last_good(&folder, &variables, terminal)?;
        if record.weights_epoch.is_none() {
            record.save(&folder)?;
            return Err(diverged(&outcome, "no weights were saved").into());
        }
    }

    let layers = model.hidden_layers();
    let metadata = [("format", "pt"), ("fitch_version", &record.fitch_version), ("layers", &layers)];
    save_weights(&folder.weights_file(), &variables, &metadata)?;
    let test = evaluate(&network, &sides.test.to_device(chosen.device)?, configuration.batch_size)?;
    record.test_loss = Some(test.loss);
    record.test_accuracy = Some(test.accuracy);
    let card = model_card(&record, &model);
    let trained = TrainedModel { model: &model, variables: &variables, card: &card };
    let images = dataset.test.pixels.f_slice(0, 0, IMAGES_TO_VERIFY, 1)?;
    write_torchscript(&folder.model_file(), trained, &network, &images)?;
    draw_run(&folder, &record, &outcome.history, &model, &dataset, &test)?;
    // Last, so that a run whose record tells its end has all of its files.
    record.save(&folder)?;
    progress.draw_curve(&outcome.history);
    terminal.result(&report(&outcome, &record, &folder)?)?;
    match reason {
        StopReason::Interrupted => {
            if configuration.adam == AdamOption::Fused {
                terminal.hint(&format!("{} goes on from here", resume_command(folder.path())));
            }
            Ok(ExitCode::from(interrupt::EXIT_CODE))
        }
        StopReason::NonFinite => {
            let epoch = record.weights_epoch.unwrap_or_default();
            Err(diverged(&outcome, &format!("the weights of epoch {epoch}, before that, were saved")).into())
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// The checkpoint that a run goes on from, after a look at whether it can.
fn resume(
    run: &RecordedRun,
    configuration: &Configuration,
    dataset: &Dataset,
    terminal: &Terminal,
) -> Result<Checkpoint> {
    let shown = run.folder.path().display();
    ensure!(
        configuration.adam == AdamOption::Fused,
        "{shown} was trained with --adam reference, whose state cannot be saved, so it cannot go on"
    );
    let (before, now) = (&run.record.dataset.fingerprint, dataset.fingerprint()?);
    ensure!(
        *before == now,
        "the images of {} are not those that {shown} was trained on (fingerprint {now}, it was {before})",
        dataset.name
    );
    let checkpoint = checkpoints::to_resume(run, configuration, terminal)?;
    let TrainingState { epoch, step, steps, .. } = checkpoint.state;
    let within = if step > 0 { format!(", after step {step} of {steps}") } else { String::new() };
    terminal.say(&format!("going on with {shown} in epoch {epoch}{within}"));
    Ok(checkpoint)
}

/// After a training diverged without best weights: those of the last checkpoint, and their epoch.
fn restore_last_good(folder: &RunFolder, variables: &VarStore, terminal: &Terminal) -> Result<Option<usize>> {
    let Some(checkpoint) = checkpoints::newest(&folder.checkpoints(), terminal)? else { return Ok(None) };
    checkpoint.load_weights(variables)?;
    Ok(Some(checkpoint.state.history.epochs.len()))
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

/// The images in their roles.
struct Sides {
    train: Samples,
    validation: Option<Samples>,
    test: Samples,
}

impl Sides {
    fn split(dataset: &Dataset, configuration: &Configuration) -> Result<Sides> {
        let Configuration { validation_share, split: method, seed, limit, .. } = *configuration;
        let mut rows = split::split(&dataset.train.labels, validation_share, method, seed)?;
        if let Some(limit) = limit {
            rows.train.truncate(limit);
        }
        let validation = match rows.validation.as_slice() {
            [] => None,
            held_out => Some(dataset.train_samples()?.choose(held_out)?),
        };
        Ok(Sides {
            train: dataset.train_samples()?.choose(&rows.train)?,
            validation,
            test: dataset.test_samples()?,
        })
    }

    fn validation_size(&self) -> usize {
        self.validation.as_ref().map_or(0, Samples::len)
    }

    /// `mnist: 54,000 train, 6,000 validation (stratified), 10,000 test`.
    fn describe(&self, name: &str, configuration: &Configuration) -> String {
        let count = |number: usize| with_separators(number as i64);
        let validation = match self.validation_size() {
            0 => "no validation".to_string(),
            size => format!("{} validation ({})", count(size), configuration.split.name()),
        };
        format!("{name}: {} train, {validation}, {} test", count(self.train.len()), count(self.test.len()))
    }

    fn record(&self, dataset: &Dataset) -> Result<DatasetRecord> {
        Ok(DatasetRecord {
            name: dataset.name.clone(),
            train: self.train.len(),
            validation: self.validation_size(),
            test: self.test.len(),
            classes: dataset.classes.clone(),
            shape: dataset.train.pixels.size().split_off(1),
            maximum: dataset.maximum,
            border: dataset.border()?,
            fingerprint: dataset.fingerprint()?,
        })
    }
}

/// What ends training early and decides which weights remain.
enum Stopper {
    Never,
    Patience(EarlyStopping),
    Theano(TheanoPatience),
}

impl Stopper {
    fn new(configuration: &Configuration) -> Stopper {
        let Configuration { monitor, keep_last_weights, .. } = configuration;
        match configuration.stopping {
            Stopping::Never => Stopper::Never,
            Stopping::Patience(settings) => {
                let stopping = EarlyStopping::new(monitor).settings(settings).mode(configuration.direction());
                Stopper::Patience(if *keep_last_weights { stopping.keep_last_weights() } else { stopping })
            }
            Stopping::Theano(steps) => {
                let stopping = TheanoPatience::new(monitor, steps);
                Stopper::Theano(if *keep_last_weights { stopping.keep_last_weights() } else { stopping })
            }
        }
    }

    fn callback(&mut self) -> Option<&mut dyn Callback> {
        match self {
            Stopper::Never => None,
            Stopper::Patience(stopping) => Some(stopping),
            Stopper::Theano(stopping) => Some(stopping),
        }
    }

    fn best(&self) -> Option<Best> {
        match self {
            Stopper::Never => None,
            Stopper::Patience(stopping) => stopping.best(),
            Stopper::Theano(stopping) => stopping.best(),
        }
    }

    fn restores(&self) -> Option<usize> {
        match self {
            Stopper::Never => None,
            Stopper::Patience(stopping) => stopping.restores(),
            Stopper::Theano(stopping) => stopping.restores(),
        }
    }
}

fn create_folder(configuration: &Configuration, started: OffsetDateTime) -> Result<RunFolder> {
    if let Some(out) = &configuration.out {
        return RunFolder::create(out);
    }
    // Colons would not do in a file name everywhere.
    let time = started.replace_nanosecond(0)?.format(&Rfc3339)?.replace(':', "-");
    RunFolder::create_numbered(&PathBuf::from("runs").join(format!("{}-{time}", configuration.source.name())))
}

/// The options as they are recorded: with what was found out in place of what was not given, so that a
/// later evaluation finds the same data.
fn recorded_options(mut options: TrainOptions, configuration: &Configuration) -> Result<serde_json::Value> {
    if let Source::Folder(path) = &configuration.source {
        options.dataset = Some(path.canonicalize()?.display().to_string());
    }
    if let Source::Known(_) = &configuration.source {
        options.data_dir = Some(configuration.data_dir.canonicalize()?);
    }
    options.threads = Some(configuration.machine.threads as i64);
    Ok(serde_json::to_value(options)?)
}

fn diverged(outcome: &Outcome, weights: &str) -> Hint {
    Hint {
        message: format!("training diverged: {}; {weights}", outcome.stop.message),
        hint: "a smaller --learning-rate usually helps".to_string(),
    }
}

/// What a user wants to know at the end.
fn report(outcome: &Outcome, record: &RunRecord, folder: &RunFolder) -> Result<String> {
    let Outcome { history, .. } = outcome;
    let rows = history.metric_names.iter().filter_map(|name| {
        let (epoch, best) = history.best(name, config::direction_of(name))?;
        let last = history.epochs.last()?.metrics.get(name)?;
        Some(vec![name.clone(), format!("{best:.4}"), epoch.to_string(), format!("{last:.4}")])
    });
    let mut text = table(["metric", "best", "in epoch", "last"], rows.collect());
    let weights = match record.weights_epoch {
        Some(epoch) => format!("the weights of epoch {epoch}"),
        None => "the weights of an unfinished epoch".to_string(),
    };
    if let (Some(accuracy), Some(loss)) = (record.test_accuracy, record.test_loss) {
        text += &format!(
            "\ntest accuracy {accuracy:.4}, test loss {loss:.4} ({} images, {weights})\n",
            with_separators(record.dataset.test as i64)
        );
    }
    text += &format!("\nwritten to {}: {}\n", folder.path().display(), folder.names()?.join(", "));
    Ok(text)
}
