//! The state of a training under way: what callbacks see of it and may change.

use super::evaluate::evaluate_batches;
use super::first_batch::try_batch;
use super::gradients::Gradients;
use super::settings::Settings;
use super::sharing::Sharing;
use super::thread_count::{RestoredThreads, ThreadCount};
use super::transform::Transform;
use super::{EpochRecord, History, Outcome, Stop, StopReason, TrainingState, evaluation_batch_size};
use crate::data::{Batch, BatchSource, MixedBatch};
use crate::kernels::has_own_code;
use crate::kernels::process::keep_freed_memory;
use crate::kernels::threads::threads;
use crate::metrics::{Better, Loss, Metric, RunningMeans};
use crate::optim::{Optimizer, WeightMean};
use crate::random::step_seeds;
use anyhow::{Context, Error, Result, bail};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use tch::nn::{ModuleT, VarStore};
use tch::{Device, Kind, Tensor};

/// A training under way.
#[derive(Debug)]
pub struct Training<'a> {
    epoch: usize,
    epochs: usize,
    step: usize,
    steps: usize,
    samples: usize,
    batch_size: usize,
    /// The number of batches in a step.
    accumulate: usize,
    pub(super) variables: &'a VarStore,
    /// Variables that training changes though they have no gradients, such as running means.
    pub(super) statistics: Vec<Tensor>,
    /// Shared with a checkpoint that is just being kept.
    history: Arc<History>,
    pub(super) model: &'a dyn ModuleT,
    pub(super) gradients: Option<Gradients<'a>>,
    sharing: Sharing<'a>,
    thread_count: ThreadCount,
    // Last of the threads, and whatever happens: what the caller computes next has all threads again.
    _threads: RestoredThreads,
    pub(super) optimizer: Optimizer,
    configured_learning_rate: f64,
    ema: Option<f64>,
    weight_mean: Option<WeightMean>,
    pub(super) loss: Loss,
    /// If it is another than that of training.
    validation_loss: Option<Loss>,
    transform: Option<Transform<'a>>,
    pub(super) metrics: Vec<Metric>,
    validation: Option<Box<dyn BatchSource + 'a>>,
    evaluation_batch_size: usize,
    pub(super) means: RunningMeans,
    stop: Option<Stop>,
    /// A stop that this process waits for until all know of it.
    wish: Option<Stop>,
    checkpoint_fault: Option<Error>,
    notes: Vec<String>,
    train_start: Instant,
    epoch_start: Instant,
    step_start: Instant,
    /// Time before a pause, in seconds.
    earlier_seconds: f64,
    earlier_epoch_seconds: f64,
    next_epoch: EpochStart,
}

/// How the next epoch begins.
#[derive(Clone, Copy, Debug, PartialEq)]
enum EpochStart {
    Fresh,
    /// Within the epoch, as a checkpoint left it, with the learning rate that was in use.
    Resumed {
        learning_rate: f64,
    },
}

impl<'a> Training<'a> {
    pub(super) fn begin(
        settings: Settings<'a>,
        sharing: Sharing<'a>,
        samples: usize,
        validation: Option<Box<dyn BatchSource + 'a>>,
    ) -> Result<Training<'a>> {
        let Settings { model, variables, optimizer, loss, metrics, epochs, batch_size, .. } = settings;
        let Settings { gradients, validation_loss, transform, accumulate, ema, .. } = settings;
        if has_own_code(variables.device()) {
            keep_freed_memory();
        }
        Ok(Training {
            epoch: 0,
            epochs,
            step: 0,
            steps: samples.div_ceil(batch_size.saturating_mul(accumulate)),
            samples,
            batch_size,
            accumulate,
            variables,
            statistics: if sharing.is_in_shards() { statistics(variables) } else { Vec::new() },
            history: Arc::new(history_of(&metrics)),
            means: RunningMeans::new(&metrics, variables.device())?,
            model,
            gradients,
            sharing,
            thread_count: ThreadCount::new(threads() as u32),
            _threads: RestoredThreads::now(),
            configured_learning_rate: optimizer.learning_rate(),
            optimizer,
            ema,
            weight_mean: None,
            loss,
            validation_loss,
            transform,
            metrics,
            validation,
            evaluation_batch_size: evaluation_batch_size(batch_size),
            stop: None,
            wish: None,
            checkpoint_fault: None,
            notes: Vec::new(),
            train_start: Instant::now(),
            epoch_start: Instant::now(),
            step_start: Instant::now(),
            earlier_seconds: 0.0,
            earlier_epoch_seconds: 0.0,
            next_epoch: EpochStart::Fresh,
        })
    }

    /// Tries the first batch of a source: a fault of model, data, loss and metrics together is found before
    /// the first step, and changes nothing.
    pub(super) fn try_first_batch(&self, source: &dyn BatchSource) -> Result<()> {
        let Some(batch) = source.batches(self.batch_size)?.next() else { return Ok(()) };
        let batch = batch?;
        let size = batch.size;
        let MixedBatch { inputs, targets, .. } = self.transformed(&batch)?;
        let losses: Vec<&Loss> = std::iter::once(&self.loss).chain(&self.validation_loss).collect();
        try_batch(self.model, &losses, &self.metrics, &Batch { inputs, targets, size })
    }

    pub(super) fn transformed(&self, batch: &Batch) -> Result<MixedBatch> {
        match &self.transform {
            None => Ok(MixedBatch::plain(batch.inputs.shallow_clone(), batch.targets.shallow_clone())),
            Some(transform) => transform.apply(batch),
        }
    }

    pub(super) fn begin_epoch(&mut self, epoch: usize) -> Result<()> {
        self.epoch = epoch;
        self.epoch_start = Instant::now();
        if self.next_epoch == EpochStart::Fresh {
            self.step = 0;
            self.earlier_epoch_seconds = 0.0;
            self.means = RunningMeans::new(&self.metrics, self.variables.device())?;
        }
        Ok(())
    }

    /// In an epoch that was paused, the learning rate is the one that was in use, whatever callbacks set when
    /// the epoch began once more.
    pub(super) fn begin_steps(&mut self) {
        if let EpochStart::Resumed { learning_rate } =
            std::mem::replace(&mut self.next_epoch, EpochStart::Fresh)
        {
            self.set_learning_rate(learning_rate);
        }
    }

    /// The epochs that are still to run; none after a stop.
    pub(super) fn epochs_left(&self) -> std::ops::RangeInclusive<usize> {
        let first = self.history.epochs.len() + 1;
        if self.is_stopping() { first..=first - 1 } else { first..=self.epochs }
    }

    /// Takes over the position of a checkpoint.
    pub(super) fn go_on_from(&mut self, state: &TrainingState, sums: &Tensor, samples: usize) -> Result<()> {
        self.set_learning_rate(state.learning_rate);
        self.history = state.history.clone();
        self.epoch = if state.step > 0 { state.epoch } else { state.history.epochs.len() };
        self.earlier_seconds = state.seconds;
        self.stop = state.early_stop.clone();
        if state.step > 0 {
            self.step = state.step;
            self.earlier_epoch_seconds = state.epoch_seconds;
            self.next_epoch = EpochStart::Resumed { learning_rate: state.learning_rate };
            self.means.restore(sums, samples)?;
        }
        Ok(())
    }

    pub(super) fn means(&self) -> &RunningMeans {
        &self.means
    }

    pub(super) fn optimizer_state(&self) -> Result<BTreeMap<String, Tensor>> {
        self.optimizer
            .state()
            .context("the state of this optimizer cannot be saved; that of Optimizer::new can")
    }

    pub(super) fn load_optimizer(&mut self, saved: &BTreeMap<String, Tensor>) -> Result<()> {
        self.optimizer.load_state(saved).context("the optimizer's state in the checkpoint")
    }

    pub(super) fn sharing(&self) -> Sharing<'a> {
        self.sharing
    }

    /// The batches of an epoch from the current step on: of each, the part of this process, with the seed of what is
    /// random in it.
    pub(super) fn batches<'b>(
        &self,
        source: &'b dyn BatchSource,
        seed: u64,
        epoch: usize,
    ) -> Result<impl Iterator<Item = (Result<Batch>, i64)> + use<'b>> {
        let done = self.step * self.accumulate;
        let batches = source.shuffled_parts(self.batch_size, seed, epoch, done, self.sharing.part())?;
        Ok(batches.zip(step_seeds(seed, epoch).skip(done)))
    }

    /// The number of samples in the current step, of all processes together.
    pub(super) fn size_of_step(&self) -> usize {
        let most = self.batch_size.saturating_mul(self.accumulate);
        most.min(self.samples.saturating_sub(self.step.saturating_mul(most)))
    }

    /// The number of batches in the current step.
    pub(super) fn batches_in_step(&self) -> usize {
        self.size_of_step().div_ceil(self.batch_size).max(1)
    }

    /// The number of samples in a batch of the current step, of all processes together.
    pub(super) fn size_of_batch(&self, index: usize) -> usize {
        self.batch_size.min(self.size_of_step().saturating_sub(index * self.batch_size))
    }

    /// What processes that train together must have in common, a line for each.
    pub(super) fn description(&self, seed: u64) -> Result<String> {
        let validation = self.validation.as_ref().map_or(0, |source| source.len());
        let mut lines = format!(
            "seed = {seed}\nepochs = {}\nbatch size = {}\nshards = {}\nsamples = {}\nvalidation samples = \
             {validation}\nlearning rate = {}\nbatches in a step = {}\ndecay of the mean = {:?}\nmetrics = {}\n",
            self.epochs,
            self.batch_size,
            self.sharing.shards(),
            self.samples,
            self.optimizer.learning_rate(),
            self.accumulate,
            self.ema,
            self.history.metric_names.join(", "),
        );
        let variables: BTreeMap<String, Tensor> = self.variables.variables().into_iter().collect();
        for (name, value) in variables {
            lines += &format!("{name} = {:?} {:?}\n", value.kind(), value.size());
        }
        Ok(lines)
    }

    pub(super) fn begin_step(&mut self) {
        self.step_start = Instant::now();
        self.thread_count.use_chosen_threads();
    }

    pub(super) fn end_step(&mut self) -> Result<()> {
        let done = self.total_steps();
        self.step += 1;
        if let Some(mean) = &mut self.weight_mean {
            mean.update(done)?;
        }
        // The results of autograd may depend on the number of threads.
        if self.gradients.is_some() && self.variables.device() == Device::Cpu {
            self.thread_count.step_done(self.step_start.elapsed());
        }
        Ok(())
    }

    /// Begins the mean of the weights, once they are those that training begins with.
    pub(super) fn begin_mean(&mut self) -> Result<()> {
        self.weight_mean = self.ema.map(|decay| WeightMean::new(self.variables, decay)).transpose()?;
        Ok(())
    }

    /// The mean of the weights, if there is one.
    pub(super) fn weight_mean(&self) -> Option<&WeightMean> {
        self.weight_mean.as_ref()
    }

    /// Leaves the mean in the variables, when training has ended.
    pub(super) fn leave_mean(&self) -> Result<()> {
        self.weight_mean.as_ref().map_or(Ok(()), WeightMean::assign_to_weights)
    }

    /// For which of the reasons this process wishes that all stop.
    pub(super) fn wishes(&self) -> [f64; StopReason::ALL.len()] {
        StopReason::ALL.map(|reason| f64::from(self.wish.as_ref().is_some_and(|wish| wish.reason == reason)))
    }

    /// Stops if any process wishes it.
    pub(super) fn grant(&mut self, wishes: &[f64]) {
        for (reason, _) in StopReason::ALL.into_iter().zip(wishes).filter(|(_, wish)| **wish > 0.0) {
            let message = match &self.wish {
                Some(own) if own.reason == reason => own.message.clone(),
                _ => format!("another process was asked to stop in epoch {}", self.epoch),
            };
            self.stop(reason, message);
        }
    }

    pub(super) fn end_epoch(&mut self) -> Result<()> {
        let mut metrics = self.running_means()?;
        if self.validation.is_some() && self.stop_reason() != Some(StopReason::NonFinite) {
            metrics.extend(self.validate()?);
        }
        let record = EpochRecord {
            epoch: self.epoch,
            metrics,
            learning_rate: self.learning_rate(),
            seconds: self.epoch_seconds(),
        };
        Arc::make_mut(&mut self.history).epochs.push(record);
        Ok(())
    }

    /// Whether the epoch ended before its last step. Such an epoch is recorded only if the reason is a loss
    /// that is not finite: then the record shows it.
    pub(super) fn was_cut_short(&self) -> bool {
        self.step < self.steps && self.stop_reason() != Some(StopReason::NonFinite)
    }

    pub(super) fn finish(self) -> Outcome {
        let completed = || Stop {
            reason: StopReason::Completed,
            message: format!("completed {} epochs", self.history.epochs.len()),
        };
        Outcome {
            stop: self.stop.clone().unwrap_or_else(completed),
            seconds: self.seconds(),
            unrecorded_steps: if self.history.epochs.len() < self.epoch { self.step } else { 0 },
            history: Arc::unwrap_or_clone(self.history),
            checkpoint_fault: self.checkpoint_fault,
            optimizer: self.optimizer,
        }
    }

    /// Whether nothing follows.
    fn is_over(&self) -> bool {
        self.is_stopping() || self.history.epochs.len() == self.epochs
    }

    /// A checkpoint was not kept: an error, unless training is over and can still give what was trained.
    pub(super) fn without_checkpoint(&mut self, fault: Error) -> Result<()> {
        if !self.is_over() {
            return Err(fault);
        }
        self.checkpoint_fault.get_or_insert(fault);
        Ok(())
    }

    /// The current epoch, from 1; 0 before the first one.
    pub fn epoch(&self) -> usize {
        self.epoch
    }

    /// The epoch that training ends with at the latest.
    pub fn epochs(&self) -> usize {
        self.epochs
    }

    /// The number of steps done in this epoch.
    pub fn step(&self) -> usize {
        self.step
    }

    /// The number of steps in an epoch.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// The number of steps done in all epochs up to now.
    pub fn total_steps(&self) -> usize {
        self.epoch.saturating_sub(1) * self.steps + self.step
    }

    /// What is trained.
    pub fn variables(&self) -> &'a VarStore {
        self.variables
    }

    /// The weights that validation evaluates and that remain when training ends, by their names: the mean with
    /// [`Fit::ema`](super::Fit::ema), otherwise the variables. They are the live tensors, not copies.
    pub fn weights(&self) -> BTreeMap<String, Tensor> {
        match &self.weight_mean {
            Some(mean) => mean.state(),
            None => self.variables.variables().into_iter().collect(),
        }
    }

    /// The epochs that are complete.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// The same, to keep it in a checkpoint.
    pub(super) fn shared_history(&self) -> Arc<History> {
        self.history.clone()
    }

    #[cfg(test)]
    pub(super) fn history_mut(&mut self) -> &mut History {
        Arc::make_mut(&mut self.history)
    }

    /// The seconds since training began, without pauses.
    pub fn seconds(&self) -> f64 {
        self.earlier_seconds + self.train_start.elapsed().as_secs_f64()
    }

    /// The seconds since the epoch began, without pauses.
    pub fn epoch_seconds(&self) -> f64 {
        self.earlier_epoch_seconds + self.epoch_start.elapsed().as_secs_f64()
    }

    /// The value of a metric in the epoch that has just ended, for a callback that goes by it; none if the epoch
    /// diverged before it was measured. A value that steers nothing is not passed over in silence.
    pub(super) fn monitored(&mut self, metric: &str) -> Option<f64> {
        let value = *self.record()?.metrics.get(metric)?;
        if !value.is_finite() && !self.is_stopping() {
            let note = format!("{metric} is {value} after epoch {}: that is no improvement", self.epoch);
            if !self.notes.contains(&note) {
                self.note(note);
            }
        }
        Some(value)
    }

    /// The record of the last complete epoch.
    pub fn record(&self) -> Option<&EpochRecord> {
        self.history.epochs.last()
    }

    /// The loss and the metrics over the steps of this epoch so far, without those of the whole epoch
    /// ([`Metric::of_epoch`]). This waits for the device.
    ///
    /// # Errors
    /// A fault of the device, a process that cannot be reached.
    pub fn running_means(&self) -> Result<BTreeMap<String, f64>> {
        let means = self.means.read(&self.metrics)?;
        self.sharing.check()?;
        let running = self.metrics.iter().filter(|metric| !metric.is_of_epoch());
        Ok(names(running).map(str::to_string).zip(means).collect())
    }

    /// The mean loss over the steps of this epoch so far. This waits for the device.
    ///
    /// # Errors
    /// A fault of the device, a process that cannot be reached.
    pub fn running_loss(&self) -> Result<f64> {
        let loss = self.means.loss()?;
        self.sharing.check()?;
        Ok(loss)
    }

    /// The sum of the losses of this epoch's samples so far, and their number. This waits for the device.
    pub(super) fn loss_sum(&self) -> Result<(f64, usize)> {
        let (sums, samples) = self.means.parts();
        let sum = sums.f_double_value(&[0])?;
        self.sharing.check()?;
        Ok((sum, samples))
    }

    /// Evaluates the validation set with the current [`weights`](Training::weights), by names that start with `val_`.
    /// This can be done after any step and changes nothing.
    ///
    /// # Errors
    /// No validation set, or a fault of the device.
    pub fn validate(&self) -> Result<BTreeMap<String, f64>> {
        let source = self.validation.as_ref().context("there is no validation set")?;
        self.thread_count.use_all_threads();
        let batch_size = self.evaluation_batch_size;
        let loss = self.validation_loss.as_ref().unwrap_or(&self.loss);
        let group = self.sharing.group();
        let evaluate =
            || evaluate_batches(self.model, &**source, loss, &self.metrics, batch_size, group, |_, _| Ok(()));
        let means = match &self.weight_mean {
            Some(mean) => mean.in_place_of_weights(evaluate)?,
            None => evaluate()?,
        };
        Ok(names(self.metrics.iter()).map(|name| format!("val_{name}")).zip(means).collect())
    }

    /// Whether lower or higher values are better in a metric that is to be monitored.
    ///
    /// # Errors
    /// A name that no epoch will record.
    pub fn direction_of(&self, metric: &str) -> Result<Better> {
        let (name, of_validation) = match metric.strip_prefix("val_") {
            Some(name) => (name, true),
            None => (metric, false),
        };
        if of_validation && self.validation.is_none() {
            bail!("cannot monitor {metric}: there is no validation set");
        }
        if name == "loss" {
            return Ok(Better::Lower);
        }
        match self.metrics.iter().find(|known| known.name == name) {
            Some(known) if known.is_of_epoch() && !of_validation => {
                bail!("cannot monitor {metric}: it is measured of the validation set only, as val_{metric}")
            }
            Some(known) => Ok(known.direction),
            None => {
                bail!("cannot monitor {metric}: the metrics are {}", self.history.metric_names.join(", "))
            }
        }
    }

    /// The learning rate in use.
    pub fn learning_rate(&self) -> f64 {
        self.optimizer.learning_rate()
    }

    /// The learning rate that the optimizer was made with, which schedules start from.
    pub fn configured_learning_rate(&self) -> f64 {
        self.configured_learning_rate
    }

    /// Uses another learning rate from the next step on.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.optimizer.set_learning_rate(learning_rate);
    }

    /// Ends training after this step or epoch. The first call decides the reason. If several processes train
    /// together, all must come to the same; for what only one of them knows, there is
    /// [`stop_all`](Training::stop_all).
    pub fn stop(&mut self, reason: StopReason, message: String) {
        self.stop.get_or_insert(Stop { reason, message });
    }

    /// Ends training for a reason that other processes may not know: if there are several, after the step at
    /// which all do, the next one as a rule.
    pub fn stop_all(&mut self, reason: StopReason, message: String) {
        match self.sharing.group() {
            None => self.stop(reason, message),
            Some(_) => drop(self.wish.get_or_insert(Stop { reason, message })),
        }
    }

    /// Whether training is about to end.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }

    /// The stop, if training is about to end.
    pub(super) fn stopped(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// Why training is about to end, if it is.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.stop.as_ref().map(|stop| stop.reason)
    }

    /// Leaves a line for people, for the callback that displays the training.
    pub fn note(&mut self, line: String) {
        self.notes.push(line);
    }

    /// The lines left since the last call.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }
}

/// The loss and the metrics.
fn names<'a>(metrics: impl Iterator<Item = &'a Metric>) -> impl Iterator<Item = &'a str> {
    std::iter::once("loss").chain(metrics.map(|metric| metric.name.as_str()))
}

/// An empty history: of training and validation, but for metrics of the whole epoch.
fn history_of(metrics: &[Metric]) -> History {
    let mut history = History::new(names(metrics.iter()));
    let has_none = |name: &String| metrics.iter().any(|metric| metric.is_of_epoch() && metric.name == *name);
    history.metric_names.retain(|name| !has_none(name));
    history
}

/// The variables of float32 that have no gradients, without those that are frozen. Those that do not change at all
/// stay as they are.
fn statistics(variables: &VarStore) -> Vec<Tensor> {
    let by_name: BTreeMap<String, Tensor> = variables.variables().into_iter().collect();
    let parameters: Vec<_> = variables.trainable_variables().iter().map(Tensor::data_ptr).collect();
    // Counts of batches, which networks of other programs have, are integers.
    let may_change = |value: &Tensor| {
        let is_number = matches!(value.kind(), Kind::Float | Kind::Double | Kind::Int64);
        is_number && !value.requires_grad() && !parameters.contains(&value.data_ptr())
    };
    by_name.into_values().filter(may_change).collect()
}
