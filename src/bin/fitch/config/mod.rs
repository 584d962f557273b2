//! From raw options to one checked configuration: each rule once, one error for each bad value. It must
//! not know training.

mod network;
mod optimization;
mod reading;
mod resolve;

pub use network::layers_of;
pub use optimization::{ClassWeights, Optimization};
pub use reading::with_reading;
pub use resolve::{defaults, options_of, resolve, resolve_resumed};

use crate::cli::{
    AdamOption, ModeOption, PrecisionOption, ProgressOption, SplitOption, StoppingOption, TrainOptions,
};
use crate::failure::UsageError;
use anyhow::Result;
use fitch::data::{Augmentation, LoadOptions, Source, split::SplitMethod};
use fitch::device::DeviceChoice;
use fitch::metrics::Better;
use fitch::model::Layers;
use fitch::optim::{MAX_LEARNING_RATE, is_learning_rate};
use fitch::train::Every;
use fitch::train::callbacks::{CsvForm, EarlyStoppingSettings, ReduceLearningRateOnPlateau};
use reading::{check_reading, check_source};
use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

/// libtorch starts as many threads as it is told to; far beyond the cores that only exhausts the system.
const GREATEST_THREADS: i64 = 1024;

/// Checks the options that tell where data are and how they are read, alone.
pub fn check_data(options: &TrainOptions) -> Result<(Source, LoadOptions)> {
    let mut checker = Checker::default();
    match (check_source(options, &mut checker), check_reading(options, &mut checker)) {
        (Some(source), Some(reading)) if checker.faults.is_empty() => Ok((source, reading)),
        _ => Err(UsageError(checker.faults).into()),
    }
}

/// A configuration in which every value was checked.
#[derive(Debug)]
pub struct Configuration {
    pub source: Source,
    pub reading: LoadOptions,
    pub validation_share: f64,
    pub split: SplitMethod,
    pub limit: Option<usize>,
    pub hidden: Layers,
    pub epochs: usize,
    pub batch_size: usize,
    pub learning_rate: f64,
    pub seed: u64,
    pub time_limit: Option<Duration>,
    pub monitor: String,
    pub mode: Option<Better>,
    pub stopping: Stopping,
    pub keep_last_weights: bool,
    pub plateau: Option<ReduceLearningRateOnPlateau>,
    pub machine: Machine,
    pub out: Option<PathBuf>,
    pub progress: ProgressOption,
    pub csv_form: CsvForm,
    pub optimization: Optimization,
    pub augmentation: Option<Augmentation>,
    pub precision: PrecisionOption,
    pub checkpoint_every: Option<Every>,
    pub keep: usize,
}

impl Configuration {
    /// How long early stopping waits, in its own unit; 0 without it.
    pub fn patience(&self) -> usize {
        match &self.stopping {
            Stopping::Never => 0,
            Stopping::Patience(settings) => settings.patience,
            Stopping::Theano(steps) => *steps,
        }
    }

    /// What is better in the monitored metric.
    pub fn direction(&self) -> Better {
        self.mode.unwrap_or(direction_of(&self.monitor))
    }
}

/// What is better in a metric of the program's.
pub fn direction_of(metric: &str) -> Better {
    if metric.ends_with("accuracy") { Better::Higher } else { Better::Lower }
}

/// When training ends before its last epoch.
#[derive(Debug)]
pub enum Stopping {
    Never,
    Patience(EarlyStoppingSettings),
    /// A number of steps.
    Theano(usize),
}

/// Collects one error for each bad value.
#[derive(Default)]
struct Checker {
    faults: Vec<String>,
}

impl Checker {
    /// Notes a fault and gives nothing.
    fn fault<T>(&mut self, flag: &str, value: impl Display, rule: &str) -> Option<T> {
        self.faults.push(format!("--{flag} {value}: {rule}"));
        None
    }

    /// A whole number of at least `least`.
    fn count(&mut self, flag: &str, value: Option<i64>, least: i64) -> Option<usize> {
        let value = value?;
        if value < least {
            return self.fault(flag, value, &format!("must be a whole number of at least {least}"));
        }
        usize::try_from(value).ok()
    }

    /// A number for which the rule holds.
    fn number(&mut self, flag: &str, value: Option<f64>, rule: &str, holds: fn(f64) -> bool) -> Option<f64> {
        let value = value?;
        if !holds(value) {
            return self.fault(flag, value, rule);
        }
        Some(value)
    }

    fn finite(&mut self, flag: &str, value: Option<f64>) -> Option<f64> {
        self.number(flag, value, "must be a finite number", f64::is_finite)
    }
}

/// None only where what was given was wrong.
fn given_or_none<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(checked) => checked.map(Some),
    }
}

/// Checks every value.
pub fn check(options: &TrainOptions) -> Result<Configuration> {
    let mut checker = Checker::default();
    match check_with(options, &mut checker) {
        Some(configuration) if checker.faults.is_empty() => Ok(configuration),
        _ => Err(UsageError(checker.faults).into()),
    }
}

/// Where a command runs.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    pub device: DeviceChoice,
    pub threads: usize,
}

/// Checks the options of the machine alone.
pub fn check_machine(device: &str, threads: Option<i64>) -> Result<Machine> {
    let mut checker = Checker::default();
    match check_machine_with(device, threads, &mut checker) {
        Some(machine) => Ok(machine),
        None => Err(UsageError(checker.faults).into()),
    }
}

fn check_machine_with(device: &str, threads: Option<i64>, checker: &mut Checker) -> Option<Machine> {
    let choice = device
        .parse::<DeviceChoice>()
        .or_else(|rule| checker.fault("device", device, &rule.to_string()).ok_or(()));
    let threads = check_threads(threads, checker);
    Some(Machine { device: choice.ok()?, threads: threads? })
}

/// Gives nothing only after a fault was noted. Every field is looked at before the first `?`, so that all
/// faults are told at once.
fn check_with(options: &TrainOptions, checker: &mut Checker) -> Option<Configuration> {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let source = check_source(options, checker);
    let layers = text(&options.layers);
    let hidden = Layers::parse(&layers);
    if let Err(fault) = &hidden {
        checker.faults.push(format!("--layers: {fault}"));
    }
    let share_rule = "must be a share from 0 to below 1";
    let validation_share =
        checker.number("validation-split", options.validation_split, share_rule, |share| {
            (0.0..1.0).contains(&share)
        });
    let limit = checker.count("limit", options.limit, 1);
    let epochs = checker.count("epochs", options.epochs, 1);
    let batch_size = checker.count("batch-size", options.batch_size, 1);
    let rate_rule = format!("must be a number above 0 and at most {MAX_LEARNING_RATE}");
    let learning_rate = checker.number("learning-rate", options.learning_rate, &rate_rule, is_learning_rate);
    let optimization = optimization::check(options, learning_rate, checker);
    let augmentation = match options.augment.as_deref().map(str::parse::<Augmentation>) {
        None => Some(None),
        Some(Ok(augmentation)) => Some(Some(augmentation)),
        Some(Err(rule)) => checker.fault("augment", options.augment.as_deref()?, &rule.to_string()),
    };
    let seed = checker.count("seed", options.seed, 0);
    let time_limit = check_time_limit(options.time_limit.as_deref(), checker);
    let machine = check_machine_with(&text(&options.device), options.threads, checker);
    let precision = check_precision(options, checker);
    let stopping = check_stopping(options, checker);
    let plateau = check_plateau(options, checker);
    let csv_form = check_csv_form(options, checker);
    let checkpoint_every = check_every(options.checkpoint_every.as_deref(), checker);
    let keep = checker.count("keep", options.keep, 1);
    let reading = check_reading(options, checker);

    Some(Configuration {
        source: source?,
        reading: reading?,
        validation_share: validation_share?,
        split: match options.split? {
            SplitOption::Stratified => SplitMethod::Stratified,
            SplitOption::Shuffled => SplitMethod::Shuffled,
            SplitOption::Last => SplitMethod::Last,
        },
        limit,
        hidden: hidden.ok()?,
        epochs: epochs?,
        batch_size: batch_size?,
        learning_rate: learning_rate?,
        seed: seed? as u64,
        time_limit,
        monitor: text(&options.monitor),
        mode: match options.mode? {
            ModeOption::Auto => None,
            ModeOption::Min => Some(Better::Lower),
            ModeOption::Max => Some(Better::Higher),
        },
        stopping: stopping?,
        keep_last_weights: options.keep_last_weights?,
        plateau,
        machine: machine?,
        out: options.out.clone(),
        progress: options.progress?,
        csv_form: csv_form?,
        optimization: optimization?,
        augmentation: augmentation?,
        precision: precision?,
        checkpoint_every,
        keep: keep?,
    })
}

/// The precision; runs of earlier versions, which had none, are float32.
fn check_precision(options: &TrainOptions, checker: &mut Checker) -> Option<PrecisionOption> {
    let precision = options.precision.unwrap_or(PrecisionOption::Float32);
    if precision == PrecisionOption::Bf16 && options.adam == Some(AdamOption::Reference) {
        return checker.fault("precision", "bf16", "needs --adam fused");
    }
    Some(precision)
}

fn check_time_limit(limit: Option<&str>, checker: &mut Checker) -> Option<Duration> {
    let limit = limit?;
    match humantime::parse_duration(limit) {
        Ok(duration) if !duration.is_zero() => Some(duration),
        _ => {
            checker.fault("time-limit", limit, "must be a time above 0 with its unit, such as 90s, 10m or 2h")
        }
    }
}

fn check_threads(threads: Option<i64>, checker: &mut Checker) -> Option<usize> {
    match threads {
        None => Some(std::thread::available_parallelism().map_or(1, usize::from)),
        Some(threads) if (1..=GREATEST_THREADS).contains(&threads) => usize::try_from(threads).ok(),
        Some(threads) => {
            checker.fault("threads", threads, &format!("must be a whole number from 1 to {GREATEST_THREADS}"))
        }
    }
}

fn check_every(every: Option<&str>, checker: &mut Checker) -> Option<Every> {
    let every = every?;
    let rule = "must be a number of steps of at least 1, or a time above 0 with its unit, such as 90s or 10m";
    match (every.parse::<usize>(), humantime::parse_duration(every)) {
        (Ok(steps), _) if steps > 0 => Some(Every::Steps(steps)),
        (Err(_), Ok(time)) if !time.is_zero() => Some(Every::Time(time)),
        _ => checker.fault("checkpoint-every", every, rule),
    }
}

fn check_csv_form(options: &TrainOptions, checker: &mut Checker) -> Option<CsvForm> {
    let separator_text = options.csv_separator.as_deref().unwrap_or_default();
    let separator = match separator_text {
        "," => Some(b','),
        ";" => Some(b';'),
        "\t" | "tab" => Some(b'\t'),
        other => checker.fault("csv-separator", format!("'{other}'"), "must be a comma, a semicolon or tab"),
    };
    let decimal = match options.csv_decimal.as_deref().unwrap_or_default() {
        "," if separator_text == "," => checker.fault(
            "csv-decimal",
            "','",
            "cannot be a comma where --csv-separator is one; give --csv-separator ';' too",
        ),
        "," => Some(','),
        "." => Some('.'),
        other => checker.fault("csv-decimal", format!("'{other}'"), "must be a point or a comma"),
    };
    Some(CsvForm { separator: separator?, decimal: decimal? })
}

fn check_stopping(options: &TrainOptions, checker: &mut Checker) -> Option<Stopping> {
    let monitor = options.monitor.as_deref().unwrap_or_default();
    let known = ["accuracy", "loss", "val_accuracy", "val_loss"];
    if !known.contains(&monitor) {
        checker.fault::<()>("monitor", monitor, &format!("must be one of {}", known.join(", ")));
    } else if monitor.starts_with("val_") && options.validation_split == Some(0.0) {
        checker.fault::<()>(
            "monitor",
            monitor,
            "cannot be watched: with --validation-split 0 nothing is validated",
        );
    }
    let theano = options.stopping == Some(StoppingOption::Theano);
    let patience = checker.count("patience", options.patience, i64::from(theano));
    let min_delta_rule = "must be a finite number of at least 0";
    let min_delta = checker
        .number("min-delta", options.min_delta, min_delta_rule, |delta| delta >= 0.0 && delta.is_finite());
    let baseline = checker.finite("baseline", options.baseline);
    let start_from_epoch = checker.count("start-from-epoch", options.start_from_epoch, 0);
    let stopping_threshold = checker.finite("stopping-threshold", options.stopping_threshold);
    let divergence_threshold = checker.finite("divergence-threshold", options.divergence_threshold);

    if options.no_early_stopping? {
        return Some(Stopping::Never);
    }
    if theano {
        if monitor != "val_loss" {
            return checker.fault("monitor", monitor, "--stopping theano watches val_loss only");
        }
        return patience.map(Stopping::Theano);
    }
    Some(Stopping::Patience(EarlyStoppingSettings {
        patience: patience?,
        min_delta: min_delta?,
        baseline,
        start_from_epoch: start_from_epoch?,
        stopping_threshold,
        divergence_threshold,
        check_finite: options.check_finite?,
    }))
}

fn check_plateau(options: &TrainOptions, checker: &mut Checker) -> Option<ReduceLearningRateOnPlateau> {
    let patience = checker.count("plateau-patience", options.plateau_patience, 1);
    let factor_rule = "must be between 0 and 1";
    let factor =
        checker.number("plateau-factor", options.plateau_factor, factor_rule, |x| x > 0.0 && x < 1.0);
    let positive = "must be a finite number of at least 0";
    let holds = |x: f64| x >= 0.0 && x.is_finite();
    let min_delta = checker.number("plateau-min-delta", options.plateau_min_delta, positive, holds);
    let cooldown = checker.count("plateau-cooldown", options.plateau_cooldown, 0);
    let least = checker.number("min-learning-rate", options.min_learning_rate, positive, holds);
    let plateau = ReduceLearningRateOnPlateau::new(options.monitor.clone()?);
    let plateau = plateau.patience(patience?).factor(factor?).min_delta(min_delta?);
    Some(plateau.cooldown(cooldown?).min_learning_rate(least?))
}

#[cfg(test)]
mod tests;
