//! `fit`: the training loop and the callbacks that steer it. It must not know the command line, where
//! the data came from, or how a model was put together: any [`ModuleT`] in a variable store can be fitted.

mod callback;
pub mod callbacks;
mod checkpoint;
mod evaluate;
mod thread_count;
mod training;

pub use crate::metrics::{EpochRecord, History};
pub use callback::{Callback, SavedState, Stop, StopReason};
pub use checkpoint::{Checkpoint, CheckpointStore, TrainingState};
pub use evaluate::{Evaluation, evaluate};
pub use training::Training;

use crate::data::{Augmentation, Samples};
use crate::metrics::{Loss, Metric};
use crate::model::Backpropagation;
use crate::optim::Optimizer;
use crate::random::step_seeds;
use anyhow::{Result, ensure};
use tch::nn::{ModuleT, VarStore};

/// Batches in evaluation are at least this large: without gradients they cost little memory.
const EVALUATION_BATCH: usize = 2048;

/// The size of the batches in evaluation, for a batch size in training.
pub fn evaluation_batch_size(batch_size: usize) -> usize {
    batch_size.max(EVALUATION_BATCH)
}

/// A training to be run: what is trained, how, and for how long.
///
/// ```
/// use fitch::{data::Samples, optim::{Optimizer, keras_adam}, train::{Fit, callbacks::EarlyStopping}};
/// use tch::{Device, Kind, Tensor, nn};
///
/// # fn main() -> anyhow::Result<()> {
/// tch::manual_seed(0);
/// let inputs = Tensor::rand([200, 2], (Kind::Float, Device::Cpu));
/// let labels = inputs.select(1, 0).gt_tensor(&inputs.select(1, 1)).to_kind(Kind::Int64);
/// let (train, validation) = (Samples::new(&inputs, &labels)?, Samples::new(&inputs, &labels)?);
///
/// let variables = nn::VarStore::new(Device::Cpu);
/// let model = nn::linear(variables.root(), 2, 2, Default::default());
/// let mut stopping = EarlyStopping::new("val_loss").patience(3);
/// let outcome = Fit::new(&model, &variables, Optimizer::new(&variables, keras_adam(), 0.1)?)
///     .epochs(30)
///     .callback(&mut stopping)
///     .run(&train, Some(&validation))?;
/// assert!(outcome.history.epochs.last().unwrap().metrics["val_accuracy"] > 0.9);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Fit<'a> {
    model: &'a dyn ModuleT,
    variables: &'a VarStore,
    optimizer: Optimizer,
    loss: Loss,
    validation_loss: Option<Loss>,
    augmentation: Option<Augmentation>,
    metrics: Vec<Metric>,
    epochs: usize,
    batch_size: usize,
    seed: u64,
    callbacks: Vec<&'a mut dyn Callback>,
    store: Option<&'a mut dyn CheckpointStore>,
    checkpoint: Option<Checkpoint>,
    backpropagation: Option<&'a mut dyn Backpropagation>,
}

/// What came of a training.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// One record an epoch.
    pub history: History,
    /// Why it ended.
    pub stop: Stop,
    /// How many steps were made after the last recorded epoch, in one that was cut short.
    pub unrecorded_steps: usize,
    /// Wall-clock time, in seconds.
    pub seconds: f64,
}

impl<'a> Fit<'a> {
    /// Trains a classifier: cross-entropy of its logits as loss, accuracy as metric, batches of 128, one
    /// epoch, seed 0, until told otherwise. The optimizer must be one over the `variables`, and the
    /// variables those of the model.
    pub fn new(model: &'a dyn ModuleT, variables: &'a VarStore, optimizer: Optimizer) -> Fit<'a> {
        Fit {
            model,
            variables,
            optimizer,
            loss: Loss::cross_entropy(),
            validation_loss: None,
            augmentation: None,
            metrics: vec![Metric::accuracy()],
            epochs: 1,
            batch_size: 128,
            seed: 0,
            callbacks: Vec::new(),
            store: None,
            checkpoint: None,
            backpropagation: None,
        }
    }

    /// How many times all samples are seen.
    pub fn epochs(self, epochs: usize) -> Self {
        Fit { epochs, ..self }
    }

    /// How many samples there are in a step.
    pub fn batch_size(self, batch_size: usize) -> Self {
        Fit { batch_size, ..self }
    }

    /// Decides the order of the samples and, through libtorch's global random state, dropout.
    pub fn seed(self, seed: u64) -> Self {
        Fit { seed, ..self }
    }

    /// Another loss than cross-entropy.
    pub fn loss(self, loss: Loss) -> Self {
        Fit { loss, ..self }
    }

    /// Another loss for the validation set than for training, where that one is smoothed, say.
    pub fn validation_loss(self, loss: Loss) -> Self {
        Fit { validation_loss: Some(loss), ..self }
    }

    /// Changes the pictures of each batch of training.
    pub fn augmentation(self, augmentation: Augmentation) -> Self {
        Fit { augmentation: Some(augmentation), ..self }
    }

    /// One more metric beside accuracy.
    pub fn metric(mut self, metric: Metric) -> Self {
        self.metrics.push(metric);
        self
    }

    /// These metrics only; accuracy makes no sense for a regression.
    pub fn metrics(self, metrics: Vec<Metric>) -> Self {
        Fit { metrics, ..self }
    }

    /// One more callback. They are called in the order in which they were added.
    pub fn callback(mut self, callback: &'a mut dyn Callback) -> Self {
        self.callbacks.push(callback);
        self
    }

    /// More callbacks, called after those that were added before.
    pub fn callbacks(mut self, callbacks: impl IntoIterator<Item = &'a mut dyn Callback>) -> Self {
        self.callbacks.extend(callbacks);
        self
    }

    /// Keeps a checkpoint after every epoch, when training stops within one, and when the store wants one.
    pub fn checkpoints(self, store: &'a mut dyn CheckpointStore) -> Self {
        Fit { store: Some(store), ..self }
    }

    /// Goes on from a checkpoint. With the same samples, settings and callbacks, the outcome is that of a
    /// training that was never paused; the number of epochs may be another.
    pub fn resume(self, checkpoint: Checkpoint) -> Self {
        Fit { checkpoint: Some(checkpoint), ..self }
    }

    /// Trains with gradients that the model computes itself, instead of libtorch's autograd; it must work
    /// on the same variables. This needs an optimizer of [`Optimizer::new`].
    pub fn backpropagation(self, backpropagation: &'a mut dyn Backpropagation) -> Self {
        Fit { backpropagation: Some(backpropagation), ..self }
    }

    /// Trains. Everything random follows from the seed, so that the same call on the same machine with
    /// the same number of threads gives the same weights; libtorch's global random state is set anew at
    /// every step.
    ///
    /// # Errors
    /// Settings that make no sense, a callback's error, or a fault of the device. Libtorch faults inside
    /// the model itself panic, as tch's layers do.
    pub fn run(mut self, train: &Samples, validation: Option<&Samples>) -> Result<Outcome> {
        self.check(train, validation)?;
        let device = self.variables.device();
        let train = train.to_device(device)?;
        let validation = validation.map(|samples| samples.to_device(device)).transpose()?;
        let (batch_size, seed) = (self.batch_size, self.seed);
        let (mut store, checkpoint) = (self.store.take(), self.checkpoint.take());
        let (mut training, mut callbacks) = Training::begin(self, train.len(), validation)?;

        checkpoint.iter().try_for_each(|checkpoint| training.restore(checkpoint))?;
        callbacks.iter_mut().try_for_each(|callback| callback.train_begin(&mut training))?;
        checkpoint.iter().try_for_each(|checkpoint| checkpoint.restore_callbacks(&mut callbacks, device))?;
        for epoch in training.epochs_left() {
            training.begin_epoch(epoch)?;
            callbacks.iter_mut().try_for_each(|callback| callback.epoch_begin(&mut training))?;
            training.begin_steps();

            let batches = train.shuffled_batches(batch_size, seed, epoch)?.after(training.step);
            for (batch, step_seed) in batches.zip(step_seeds(seed, epoch).skip(training.step)) {
                let batch = batch?;
                tch::manual_seed(step_seed);
                training.step(&batch)?;
                callbacks.iter_mut().try_for_each(|callback| callback.step_end(&mut training))?;
                training.offer_checkpoint(&mut store, &callbacks)?;
                if training.is_stopping() {
                    break;
                }
            }
            if training.was_cut_short() {
                break;
            }

            training.end_epoch()?;
            callbacks.iter_mut().try_for_each(|callback| callback.epoch_end(&mut training))?;
            training.offer_checkpoint(&mut store, &callbacks)?;
            if training.is_stopping() {
                break;
            }
        }
        store.map_or(Ok(()), |store| store.finish())?;
        callbacks.iter_mut().try_for_each(|callback| callback.train_end(&mut training))?;
        Ok(training.finish())
    }

    fn check(&self, train: &Samples, validation: Option<&Samples>) -> Result<()> {
        ensure!(self.epochs > 0, "there must be at least one epoch");
        ensure!(self.batch_size > 0, "a batch must hold at least one sample");
        ensure!(!train.is_empty(), "there are no samples to train on");
        ensure!(validation.is_none_or(|samples| !samples.is_empty()), "the validation set is empty");
        ensure!(
            self.backpropagation.is_none() || self.optimizer.state().is_some(),
            "gradients of the model's own need an optimizer that takes them: Optimizer::new"
        );
        let mut taken = vec!["loss", "epoch", "learning_rate", "seconds"];
        for Metric { name, .. } in &self.metrics {
            ensure!(!taken.contains(&name.as_str()), "there is more than one metric called {name}");
            ensure!(!name.starts_with("val_") && !name.is_empty(), "a metric cannot be called '{name}'");
            taken.push(name);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
