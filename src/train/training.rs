//! The state of a training under way: what callbacks see of it and may change. It must not know any
//! callback.

use super::checkpoint::TrainingState;
use super::evaluate::evaluate_samples;
use super::thread_count::ThreadCount;
use super::{Callback, EpochRecord, Fit, History, Outcome, Stop, StopReason, evaluation_batch_size};
use crate::data::{Augmentation, Batch, Samples};
use crate::kernels::threads::threads;
use crate::metrics::{Better, Loss, Metric, RunningMeans};
use crate::model::Backpropagation;
use crate::optim::Optimizer;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::time::Instant;
use tch::nn::{ModuleT, VarStore};
use tch::{Device, Tensor};

/// A training under way.
#[derive(Debug)]
pub struct Training<'a> {
    /// The number of the epoch, from 1; 0 before the first one.
    pub epoch: usize,
    /// How many epochs there are to be at most.
    pub epochs: usize,
    /// How many steps of this epoch are done.
    pub step: usize,
    /// How many steps an epoch has.
    pub steps: usize,
    /// What is trained.
    pub variables: &'a VarStore,
    /// The epochs that are complete.
    pub history: History,
    model: &'a dyn ModuleT,
    backpropagation: Option<&'a mut dyn Backpropagation>,
    thread_count: ThreadCount,
    optimizer: Optimizer,
    loss: Loss,
    /// None for that of training.
    validation_loss: Option<Loss>,
    augmentation: Option<Augmentation>,
    metrics: Vec<Metric>,
    validation: Option<Samples>,
    evaluation_batch_size: usize,
    means: RunningMeans,
    stop: Option<Stop>,
    notes: Vec<String>,
    train_start: Instant,
    epoch_start: Instant,
    /// Time from before a pause, in seconds.
    earlier_seconds: f64,
    earlier_epoch_seconds: f64,
    /// The learning rate of a checkpoint within the epoch that is about to go on.
    resumed_rate: Option<f64>,
}

impl<'a> Training<'a> {
    /// Takes a training's settings apart into its state and its callbacks.
    pub(super) fn begin(
        fit: Fit<'a>,
        samples: usize,
        validation: Option<Samples>,
    ) -> Result<(Training<'a>, Vec<&'a mut dyn Callback>)> {
        let Fit { model, variables, optimizer, loss, metrics, epochs, batch_size, .. } = fit;
        let Fit { callbacks, backpropagation, validation_loss, augmentation, .. } = fit;
        let names = std::iter::once("loss").chain(metrics.iter().map(|metric| metric.name.as_str()));
        let training = Training {
            epoch: 0,
            epochs,
            step: 0,
            steps: samples.div_ceil(batch_size),
            variables,
            history: History::new(names),
            means: RunningMeans::new(1 + metrics.len(), variables.device())?,
            model,
            backpropagation,
            thread_count: ThreadCount::new(threads() as u32),
            optimizer,
            loss,
            validation_loss,
            augmentation,
            metrics,
            validation,
            evaluation_batch_size: evaluation_batch_size(batch_size),
            stop: None,
            notes: Vec::new(),
            train_start: Instant::now(),
            epoch_start: Instant::now(),
            earlier_seconds: 0.0,
            earlier_epoch_seconds: 0.0,
            resumed_rate: None,
        };
        Ok((training, callbacks))
    }

    pub(super) fn begin_epoch(&mut self, epoch: usize) -> Result<()> {
        self.epoch = epoch;
        self.epoch_start = Instant::now();
        if self.resumed_rate.is_none() {
            self.step = 0;
            self.earlier_epoch_seconds = 0.0;
            self.means = RunningMeans::new(1 + self.metrics.len(), self.variables.device())?;
        }
        Ok(())
    }

    /// After a pause within an epoch, whatever callbacks did at its (second) beginning, the learning rate
    /// is the one that it was.
    pub(super) fn begin_steps(&mut self) {
        if let Some(rate) = self.resumed_rate.take() {
            self.set_learning_rate(rate);
        }
    }

    /// The epochs that are still to be run; none after a stop.
    pub(super) fn epochs_left(&self) -> std::ops::RangeInclusive<usize> {
        let first = self.history.epochs.len() + 1;
        if self.is_stopping() { first..=first - 1 } else { first..=self.epochs }
    }

    /// Takes the position of a checkpoint.
    pub(super) fn go_on_from(&mut self, state: &TrainingState, sums: &Tensor, samples: usize) -> Result<()> {
        self.set_learning_rate(state.learning_rate);
        self.history = state.history.clone();
        self.epoch = if state.step > 0 { state.epoch } else { state.history.epochs.len() };
        self.earlier_seconds = state.seconds;
        self.stop = state.early_stop.clone();
        if state.step > 0 {
            self.step = state.step;
            self.earlier_epoch_seconds = state.epoch_seconds;
            self.resumed_rate = Some(state.learning_rate);
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

    /// One step: from a batch to gradients, moved weights and the sums of the metrics.
    pub(super) fn step(&mut self, batch: &Batch) -> Result<()> {
        let start = Instant::now();
        self.thread_count.use_chosen_threads();
        let inputs = match &self.augmentation {
            None => batch.inputs.shallow_clone(),
            Some(augmentation) => tch::no_grad(|| augmentation.apply(&batch.inputs))?,
        };
        let (outputs, loss);
        match &mut self.backpropagation {
            None => {
                outputs = self.model.forward_t(&inputs, true);
                loss = self.loss.call(&outputs, &batch.targets);
                self.optimizer.step(&loss)?;
            }
            Some(backpropagation) => {
                outputs = backpropagation.forward(&inputs)?;
                let gradient;
                (loss, gradient) = self.loss.value_and_gradient(&outputs, &batch.targets)?;
                self.optimizer.apply(backpropagation.backward(gradient)?)?;
            }
        }
        self.means.add(&loss, &self.metrics, &outputs, &batch.targets, batch.size)?;
        self.step += 1;
        // What libtorch computes by itself may depend on the number of threads.
        if self.backpropagation.is_some() && self.variables.device() == Device::Cpu {
            self.thread_count.step_done(start.elapsed());
        }
        Ok(())
    }

    pub(super) fn end_epoch(&mut self) -> Result<()> {
        let mut metrics = self.running_means()?;
        if self.validation.is_some() && self.stop_reason() != Some(StopReason::NonFinite) {
            metrics.extend(self.validate()?);
        }
        self.history.epochs.push(EpochRecord {
            epoch: self.epoch,
            metrics,
            learning_rate: self.learning_rate(),
            seconds: self.epoch_seconds(),
        });
        Ok(())
    }

    /// Whether the epoch was left before its last step. Such an epoch is not recorded, unless the reason
    /// is that its loss is no number: then the record shows it.
    pub(super) fn was_cut_short(&self) -> bool {
        self.step < self.steps && self.stop_reason() != Some(StopReason::NonFinite)
    }

    pub(super) fn finish(self) -> Outcome {
        self.thread_count.use_all_threads();
        let completed = || Stop {
            reason: StopReason::Completed,
            message: format!("completed {} epochs", self.history.epochs.len()),
        };
        Outcome {
            stop: self.stop.clone().unwrap_or_else(completed),
            seconds: self.seconds(),
            unrecorded_steps: if self.history.epochs.len() < self.epoch { self.step } else { 0 },
            history: self.history,
        }
    }

    /// The seconds since training began, pauses aside.
    pub fn seconds(&self) -> f64 {
        self.earlier_seconds + self.train_start.elapsed().as_secs_f64()
    }

    /// The seconds since the epoch began, pauses aside.
    pub fn epoch_seconds(&self) -> f64 {
        self.earlier_epoch_seconds + self.epoch_start.elapsed().as_secs_f64()
    }

    /// The record of the last complete epoch.
    pub fn record(&self) -> Option<&EpochRecord> {
        self.history.epochs.last()
    }

    /// The means of loss and metrics over the steps of this epoch so far. This waits for the device.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn running_means(&self) -> Result<BTreeMap<String, f64>> {
        Ok(self.metric_names().map(str::to_string).zip(self.means.read()?).collect())
    }

    /// The mean loss over the steps of this epoch so far. This waits for the device.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn running_loss(&self) -> Result<f64> {
        Ok(self.means.read()?[0])
    }

    /// Evaluates the validation set with the weights as they are now; names start with `val_`. This may
    /// be done at any step and changes nothing.
    ///
    /// # Errors
    /// No validation set, or a fault of the device.
    pub fn validate(&self) -> Result<BTreeMap<String, f64>> {
        let samples = self.validation.as_ref().context("there is no validation set")?;
        self.thread_count.use_all_threads();
        let batch_size = self.evaluation_batch_size;
        let loss = self.validation_loss.as_ref().unwrap_or(&self.loss);
        let means = evaluate_samples(self.model, samples, loss, &self.metrics, batch_size, |_| ())?;
        Ok(self.metric_names().map(|name| format!("val_{name}")).zip(means).collect())
    }

    fn metric_names(&self) -> impl Iterator<Item = &str> {
        std::iter::once("loss").chain(self.metrics.iter().map(|metric| metric.name.as_str()))
    }

    /// Finds a metric to monitor and tells what is better in it.
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

    /// Uses another learning rate from the next step on.
    pub fn set_learning_rate(&mut self, learning_rate: f64) {
        self.optimizer.set_learning_rate(learning_rate);
    }

    /// Asks for the end of training, after this step or epoch. The first one to ask gives the reason.
    pub fn stop(&mut self, reason: StopReason, message: String) {
        self.stop.get_or_insert(Stop { reason, message });
    }

    /// Whether the end was asked for.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }

    /// The stop that was asked for, if one was.
    pub(super) fn stopped(&self) -> Option<&Stop> {
        self.stop.as_ref()
    }

    /// Why the end was asked for, if it was.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.stop.as_ref().map(|stop| stop.reason)
    }

    /// Leaves a line for people; whoever displays the training shows it.
    pub fn note(&mut self, line: String) {
        self.notes.push(line);
    }

    /// The lines left since the last call.
    pub fn take_notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }
}
