//! From raw options to one checked configuration: one rule for each value, one error for each bad value.
//! It must not know training.

mod checker;
mod checkpoints;
mod data;
mod machine;
mod metrics;
mod model;
mod normalization;
mod optimization;
mod options_file;
mod output;
mod repeat;
mod resolve;
mod schedule;
mod settings;
mod stopping;
mod without_effect;

pub use data::{check_data, one_dataset, with_reading};
pub use machine::{Machine, check_machine};
pub use metrics::direction_of;
pub use model::{Architecture, is_network_file, layers_of, parse_layers};
pub use normalization::Normalize;
pub use optimization::{ClassWeights, Optimization};
pub use options_file::{options_of, plain};
pub use output::csv_form;
pub use repeat::{options_to_repeat, resolve_repeated};
pub use resolve::{given_out, had_reference_adam, options_of_record, resolve, resolve_resumed};
pub use settings::{change_since, common, settings};
pub use stopping::Stopping;

use crate::cli::TrainOptions;
use crate::precision::Precision;
use crate::progress::ProgressKind;
use anyhow::Result;
use checker::{Checker, given_or_none};
use fitch::data::split::{Fold, SplitMethod};
use fitch::data::{Augmentation, LoadOptions, Source};
use fitch::metrics::{Better, ClassMetric};
use fitch::train::Every;
use fitch::train::callbacks::{CsvForm, ReduceLearningRateOnPlateau};
use std::path::PathBuf;
use std::time::Duration;

/// A configuration in which every value was checked.
#[derive(Debug)]
pub struct Configuration {
    pub source: Source,
    pub reading: LoadOptions,
    pub validation_share: f64,
    /// Held out in place of the share.
    pub fold: Option<Fold>,
    pub split: SplitMethod,
    pub limit: Option<usize>,
    /// Whether copies are left out of the training images.
    pub drops_duplicates: bool,
    /// What is trained.
    pub architecture: Architecture,
    /// Where to start from.
    pub weights: Option<PathBuf>,
    /// Patterns of names.
    pub freeze: Option<String>,
    pub normalization: Option<Normalize>,
    pub epochs: usize,
    pub batch_size: usize,
    /// The number of batches in a step.
    pub accumulate: usize,
    pub seed: u64,
    pub time_limit: Option<Duration>,
    /// What is recorded beside loss and accuracy.
    pub metrics: Vec<ClassMetric>,
    pub monitor: String,
    /// What is better in the monitored metric, if the user said so.
    pub mode: Option<Better>,
    pub stopping: Stopping,
    pub keep_last_weights: bool,
    pub plateau: Option<ReduceLearningRateOnPlateau>,
    pub machine: Machine,
    pub processes: usize,
    /// Of a batch; none if they are to be as many as the processes.
    pub shards: Option<usize>,
    /// How long a process waits for others.
    pub peer_timeout: Duration,
    pub out: Option<PathBuf>,
    pub progress: ProgressKind,
    pub csv_form: CsvForm,
    pub optimization: Optimization,
    pub augmentation: Option<Augmentation>,
    pub precision: Precision,
    pub checkpoint_every: Option<Every>,
    pub keep: usize,
}

impl Configuration {
    /// What is better in the monitored metric.
    pub fn direction(&self) -> Better {
        self.mode.unwrap_or(direction_of(&self.monitor))
    }

    /// How long early stopping waits, in its own unit; 0 without early stopping.
    pub fn patience(&self) -> usize {
        self.stopping.patience()
    }
}

/// Checks every value.
///
/// # Errors
/// A [`UsageError`](crate::failure::UsageError) with one line for each bad value.
pub fn check(options: &TrainOptions) -> Result<Configuration> {
    Checker::run(|checker| check_with(options, checker))
}

/// Checks every field before the first `?`, so that the user reads of all faults at once. The options have
/// all defaults; without one, there is no configuration.
fn check_with(options: &TrainOptions, checker: &mut Checker) -> Option<Configuration> {
    let source = data::check_source(options, checker);
    let reading = data::check_reading(options, checker);
    let validation_share = checker.share("validation-split", options.validation_split);
    let fold = data::check_fold(options, checker);
    let limit = checker.count("limit", options.limit, 1);
    let architecture = model::check_architecture(options, checker);
    let normalization = options.normalize.as_deref().map(|text| normalization::check(text, checker));
    let epochs = checker.count("epochs", options.epochs, 1);
    let batch_size = checker.count("batch-size", options.batch_size, 1);
    let accumulate = checker.count("accumulate", options.accumulate.or(Some(1)), 1);
    let optimization = optimization::check(options, checker);
    let augmentation = options.augment.as_deref().map(|changes| match changes.parse::<Augmentation>() {
        Ok(augmentation) => Some(augmentation),
        Err(fault) => checker.fault("augment", changes, &fault.to_string()),
    });
    let seed = checker.count("seed", options.seed, 0);
    let time_limit = checker.duration("time-limit", options.time_limit.as_deref());
    let machine = machine::check(options.device.as_deref()?, options.threads, checker);
    let processes = machine::check_processes(options.processes, checker);
    let shards = options.shards.map(|shards| checker.count("shards", Some(shards), 1));
    let peer_timeout = checker.duration("peer-timeout", options.peer_timeout.as_deref());
    let metrics = metrics::check(options, checker);
    let monitor = metrics::check_monitor(options, checker);
    let stopping = stopping::check(options, checker);
    let plateau = schedule::check_plateau(options, checker);
    let csv_form = output::check_csv_form(options, checker);
    let checkpoint_every = checkpoints::check_every(options.checkpoint_every.as_deref(), checker);
    let keep = checker.count("keep", options.keep, 1);

    Some(Configuration {
        source: source?,
        reading: reading?,
        validation_share: validation_share?,
        fold: given_or_none(fold)?,
        split: options.split?.0,
        limit,
        drops_duplicates: options.drop_duplicates.unwrap_or_default(),
        architecture: architecture?,
        weights: options.weights.as_ref().map(PathBuf::from),
        freeze: options.freeze.clone(),
        normalization: given_or_none(normalization)?,
        epochs: epochs?,
        batch_size: batch_size?,
        accumulate: accumulate?,
        seed: seed? as u64,
        time_limit,
        metrics: metrics?,
        monitor: monitor?,
        mode: stopping::better(options.mode?),
        stopping: stopping?,
        keep_last_weights: options.keep_last_weights?,
        plateau,
        machine: machine?,
        processes: processes?,
        shards: given_or_none(shards)?,
        peer_timeout: peer_timeout?,
        out: options.out.clone(),
        progress: options.progress?,
        csv_form: csv_form?,
        optimization: optimization?,
        augmentation: given_or_none(augmentation)?,
        precision: options.precision?,
        checkpoint_every,
        keep: keep?,
    })
}

#[cfg(test)]
mod tests;
