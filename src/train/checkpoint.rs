//! A training paused between two steps, with all that it takes to go on as if it had not been. It must
//! not know where checkpoints are kept, or when they are due.

use super::{Callback, History, SavedState, Stop, StopReason, Training};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Debug;
use tch::nn::VarStore;
use tch::{Device, Tensor};
use toml::Table;

/// Everything that a training is, its settings and its data aside.
#[derive(Debug)]
pub struct Checkpoint {
    /// Numbers and texts.
    pub state: TrainingState,
    /// Weights, the optimizer's state, sums of metrics, what callbacks keep; the live ones.
    pub tensors: BTreeMap<String, Tensor>,
}

/// The part of a checkpoint that is no tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingState {
    /// The epoch to go on in, from 1.
    pub epoch: usize,
    /// How many of its steps are done.
    pub step: usize,
    /// How many steps an epoch has.
    pub steps: usize,
    /// The learning rate in use.
    pub learning_rate: f64,
    /// How long it was trained, in seconds.
    pub seconds: f64,
    /// How much of that belongs to the epoch to go on in.
    pub epoch_seconds: f64,
    /// The early stop that ended the training with this checkpoint; without it, training goes on.
    pub early_stop: Option<Stop>,
    /// The samples seen in that epoch.
    samples: usize,
    /// What callbacks keep, by their names.
    callbacks: BTreeMap<String, Table>,
    /// The epochs that are complete.
    pub history: History,
}

/// Where checkpoints go.
pub trait CheckpointStore: Debug {
    /// Whether one is wanted after a step (not the last of an epoch).
    fn is_due_within_epoch(&mut self, training: &Training) -> bool;

    /// Keeps a checkpoint. Its tensors change when training goes on; what is copied of them may be written
    /// meanwhile.
    ///
    /// # Errors
    /// It, or the one before it, could not be written; those that were kept before still are.
    fn store(&mut self, checkpoint: Checkpoint) -> Result<()>;

    /// Waits until every checkpoint is kept; called when training ends, errors aside.
    ///
    /// # Errors
    /// As [`CheckpointStore::store`].
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Callbacks as the loop holds them.
pub(super) type Callbacks<'a> = Vec<&'a mut dyn Callback>;

impl Training<'_> {
    /// The training as it stands, between two steps.
    pub(super) fn checkpoint(&self, callbacks: &Callbacks) -> Result<Checkpoint> {
        let optimizer = self.optimizer_state()?;
        let is_complete = self.history.epochs.len() == self.epoch;
        let (sums, samples) = self.means().parts();
        let mut tensors = BTreeMap::from([("means".to_string(), sums)]);
        let mut add = |prefix: &str, values: BTreeMap<String, Tensor>| {
            tensors.extend(values.into_iter().map(|(name, value)| (format!("{prefix}/{name}"), value)));
        };
        add("weights", self.variables.variables().into_iter().collect());
        add("optimizer", optimizer);
        let mut kept = BTreeMap::new();
        for callback in callbacks {
            let Some(name) = callback.state_name() else { continue };
            let SavedState { values, tensors } = callback.save()?;
            add(&format!("callbacks/{name}"), tensors);
            kept.insert(name.to_string(), values);
        }
        let state = TrainingState {
            epoch: if is_complete { self.epoch + 1 } else { self.epoch },
            step: if is_complete { 0 } else { self.step },
            steps: self.steps,
            learning_rate: self.learning_rate(),
            seconds: self.seconds(),
            epoch_seconds: if is_complete { 0.0 } else { self.epoch_seconds() },
            early_stop: self.stopped().filter(|stop| stop.reason == StopReason::EarlyStopping).cloned(),
            samples: if is_complete { 0 } else { samples },
            callbacks: kept,
            history: self.history.clone(),
        };
        Ok(Checkpoint { state, tensors })
    }

    /// Keeps a checkpoint at the end of an epoch, where training stops within one, and where the store
    /// wants one; never one of a training whose loss is no number any more.
    pub(super) fn offer_checkpoint(
        &self,
        store: &mut Option<&mut dyn CheckpointStore>,
        callbacks: &Callbacks,
    ) -> Result<()> {
        let Some(store) = store else { return Ok(()) };
        let ends_epoch = self.history.epochs.len() == self.epoch;
        // After the last step of an epoch comes its end, with a checkpoint of its own.
        let within = self.step < self.steps && (self.is_stopping() || store.is_due_within_epoch(self));
        if (ends_epoch || within)
            && self.stop_reason() != Some(StopReason::NonFinite)
            && self.running_loss()?.is_finite()
        {
            store.store(self.checkpoint(callbacks)?)?;
        }
        Ok(())
    }

    /// Becomes the training that a checkpoint was made of, callbacks aside.
    pub(super) fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let state = &checkpoint.state;
        let (was, is) = (state.steps, self.steps);
        ensure!(was == is, "the checkpoint is of a training with {was} steps an epoch, not {is}");
        let (were, are) = (&state.history.metric_names, &self.history.metric_names);
        ensure!(were == are, "the checkpoint has the metrics {}, not {}", were.join(", "), are.join(", "));
        checkpoint.load_weights(self.variables)?;
        self.load_optimizer(&checkpoint.tensors_below("optimizer"))?;
        let sums = checkpoint.tensors.get("means").context("the checkpoint has no sums of metrics")?;
        self.go_on_from(state, sums, state.samples)
    }
}

impl Checkpoint {
    /// Gives callbacks their state back, its tensors on the device.
    pub(super) fn restore_callbacks(&self, callbacks: &mut Callbacks, device: Device) -> Result<()> {
        for callback in callbacks {
            let Some(name) = callback.state_name() else { continue };
            let values = self.state.callbacks.get(name);
            let values = values.with_context(|| format!("the checkpoint has no state of {name}"))?.clone();
            let on_device = |(name, tensor): (String, Tensor)| Ok((name, tensor.f_to_device(device)?));
            let tensors = self.tensors_below(&format!("callbacks/{name}"));
            let tensors = tensors.into_iter().map(on_device).collect::<Result<_>>()?;
            callback.load(SavedState { values, tensors }).with_context(|| format!("the state of {name}"))?;
        }
        Ok(())
    }

    /// Gives the variables of a store the weights of the checkpoint.
    ///
    /// # Errors
    /// Weights that are missing or of another shape.
    pub fn load_weights(&self, variables: &VarStore) -> Result<()> {
        let values = self.tensors_below("weights");
        let _no_gradient = tch::no_grad_guard();
        for (name, mut variable) in variables.variables() {
            let value = values.get(&name).with_context(|| format!("the checkpoint has no weights {name}"))?;
            let (is, needed) = (value.size(), variable.size());
            ensure!(
                is == needed,
                "{name} has the shape {is:?} in the checkpoint, but the model needs {needed:?}"
            );
            variable.f_copy_(value)?;
        }
        Ok(())
    }

    fn tensors_below(&self, prefix: &str) -> BTreeMap<String, Tensor> {
        let start = format!("{prefix}/");
        let named = self.tensors.iter().filter_map(|(name, value)| Some((name.strip_prefix(&start)?, value)));
        named.map(|(name, value)| (name.to_string(), value.shallow_clone())).collect()
    }
}

#[cfg(test)]
mod tests;
