//! A training between two steps, with everything that it takes to continue as if it had not been paused.

use super::{Callback, SavedState, StopReason, Training, TrainingState};
use crate::distributed::Group;
use crate::kernels::named_tensors::assign;
use anyhow::{Context, Error, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Debug;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};
use toml::Table;

/// The whole state of a training; its settings and its data are not part of it.
#[derive(Debug)]
pub struct Checkpoint {
    /// Numbers and texts.
    pub state: TrainingState,
    /// Weights, their mean if there is one, the optimizer's state, sums of metrics, the tensors of callbacks: the
    /// live ones.
    pub tensors: BTreeMap<String, Tensor>,
}

/// Where checkpoints go. [`DiskCheckpoints`](super::DiskCheckpoints) keeps them in a folder.
pub trait CheckpointStore: Debug {
    /// Whether to keep a checkpoint after this step, which is not the last one of an epoch.
    fn is_due_within_epoch(&mut self, training: &Training) -> bool;

    /// Whether to keep a checkpoint after this epoch, which is not the last one: after the last one there
    /// always is one.
    fn is_due_after_epoch(&mut self, _training: &Training) -> bool {
        true
    }

    /// Keeps a checkpoint. Its tensors change as soon as training continues; copies of them may be written
    /// meanwhile.
    ///
    /// # Errors
    /// This checkpoint, or the one before it, could not be written; earlier ones are still there.
    fn store(&mut self, checkpoint: Checkpoint) -> Result<()>;

    /// Waits until every checkpoint is kept. Called when training ends without an error.
    ///
    /// # Errors
    /// As [`CheckpointStore::store`].
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    /// The newest checkpoint that was kept, for [`Fit::resume_from`](super::Fit::resume_from).
    ///
    /// # Errors
    /// The store cannot be read.
    fn newest(&mut self) -> Result<Newest> {
        Ok(Newest::default())
    }
}

/// The newest checkpoint of a store.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Newest {
    /// The newest one that can be read.
    pub checkpoint: Option<Checkpoint>,
    /// What is wrong with those that are newer.
    pub damaged: Vec<Error>,
    /// The settings that were kept in it, if there are any:
    /// [`DiskCheckpoints::settings`](super::DiskCheckpoints::settings).
    pub settings: Option<Table>,
}

/// Where the mean of the weights is among the tensors, if there is one.
const MEAN: &str = "ema";

/// Callbacks as the loop holds them.
pub(super) type Callbacks<'a> = Vec<&'a mut dyn Callback>;

impl Training<'_> {
    /// The training as it stands, between two steps.
    pub(super) fn checkpoint(&self, callbacks: &Callbacks) -> Result<Checkpoint> {
        let optimizer = self.optimizer_state()?;
        let is_complete = self.history().epochs.len() == self.epoch();
        let (sums, samples) = self.means().parts();
        let mut tensors = BTreeMap::from([("means".to_string(), sums)]);
        let mut add = |prefix: &str, values: BTreeMap<String, Tensor>| {
            tensors.extend(values.into_iter().map(|(name, value)| (format!("{prefix}/{name}"), value)));
        };
        add("weights", self.variables().variables().into_iter().collect());
        add("optimizer", optimizer);
        if let Some(mean) = self.weight_mean() {
            add(MEAN, mean.state());
        }
        let mut kept = BTreeMap::new();
        for callback in callbacks {
            let Some(name) = callback.state_name() else { continue };
            let SavedState { table, tensors } = callback.save()?;
            add(&format!("callbacks/{name}"), tensors);
            kept.insert(name.to_string(), table);
        }
        let state = TrainingState {
            epoch: if is_complete { self.epoch() + 1 } else { self.epoch() },
            step: if is_complete { 0 } else { self.step() },
            steps: self.steps(),
            learning_rate: self.learning_rate(),
            seconds: self.seconds(),
            epoch_seconds: if is_complete { 0.0 } else { self.epoch_seconds() },
            early_stop: self.stopped().filter(|stop| stop.reason == StopReason::EarlyStopping).cloned(),
            samples: if is_complete { 0 } else { samples },
            callbacks: kept,
            history: self.shared_history(),
        };
        Ok(Checkpoint { state, tensors })
    }

    /// Keeps a checkpoint at the end of training, when it stops within an epoch, and when the store asks for
    /// one; but none of a training whose loss is not finite any more.
    pub(super) fn offer_checkpoint(
        &mut self,
        store: &mut Option<&mut dyn CheckpointStore>,
        callbacks: &Callbacks,
    ) -> Result<()> {
        let Some(store) = store else { return Ok(()) };
        let ends_epoch = self.history().epochs.len() == self.epoch();
        let is_due = if ends_epoch {
            self.is_stopping() || self.epoch() == self.epochs() || store.is_due_after_epoch(self)
        } else {
            // The last step of an epoch is followed by its end, which may have a checkpoint of its own.
            self.step() < self.steps() && (self.is_stopping() || store.is_due_within_epoch(self))
        };
        if is_due && self.stop_reason() != Some(StopReason::NonFinite) && self.running_loss()?.is_finite() {
            let kept = self.checkpoint(callbacks).and_then(|checkpoint| store.store(checkpoint));
            return kept.or_else(|fault| self.without_checkpoint(fault));
        }
        Ok(())
    }

    /// Takes over the state of a checkpoint, but for that of callbacks.
    pub(super) fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let state = &checkpoint.state;
        let (was, is) = (state.steps, self.steps());
        ensure!(was == is, "the checkpoint is of a training with {was} steps an epoch, not {is}");
        let (were, are) = (&state.history.metric_names, &self.history().metric_names);
        ensure!(were == are, "the checkpoint has the metrics {}, not {}", were.join(", "), are.join(", "));
        checkpoint.load_weights(self.variables())?;
        self.load_optimizer(&checkpoint.tensors_below("optimizer"))?;
        if let Some(mean) = self.weight_mean() {
            mean.load_state(&checkpoint.tensors_below(MEAN))
                .context("the mean of the weights in the checkpoint")?;
        }
        let sums = checkpoint.tensors.get("means").context("the checkpoint has no sums of metrics")?;
        self.go_on_from(state, sums, state.samples)
    }
}

impl Training<'_> {
    /// Lets every process begin with the weights and the checkpoint of the first one, once all have the same
    /// settings.
    ///
    /// # Errors
    /// [`Fault::Different`](crate::distributed::Fault::Different); a process that cannot be reached.
    pub(super) fn begin_alike(&self, own: Option<Checkpoint>, seed: u64) -> Result<Option<Checkpoint>> {
        let Some(group) = self.sharing().group() else { return Ok(own) };
        group.ensure_same(&self.description(seed)?)?;
        let variables: BTreeMap<String, Tensor> = self.variables().variables().into_iter().collect();
        variables.values().try_for_each(|value| group.take_from_first(value))?;
        Checkpoint::of_first(own, group)
    }
}

/// What a process has to know to receive the tensors of a checkpoint.
#[derive(Serialize, Deserialize)]
struct Announcement {
    state: TrainingState,
    tensors: Vec<(String, SavedKind, Vec<i64>)>,
}

/// The types of tensors in checkpoints.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum SavedKind {
    Float,
    Double,
    Int64,
}

impl Checkpoint {
    /// The checkpoint of the first process of a group, if it has one, in all of them.
    fn of_first(own: Option<Checkpoint>, group: &Group) -> Result<Option<Checkpoint>> {
        let announced = match &own {
            Some(Checkpoint { state, tensors }) => {
                let described = |(name, tensor): (&String, &Tensor)| {
                    let kind = match tensor.kind() {
                        Kind::Float => SavedKind::Float,
                        Kind::Double => SavedKind::Double,
                        Kind::Int64 => SavedKind::Int64,
                        other => bail!("{name} is {other:?}, which cannot be sent"),
                    };
                    Ok((name.clone(), kind, tensor.size()))
                };
                let tensors = tensors.iter().map(described).collect::<Result<_>>()?;
                toml::to_string(&Table::try_from(Announcement { state: state.clone(), tensors })?)?
            }
            None => String::new(),
        };
        let announced = String::from_utf8(group.bytes_of_first(announced.as_bytes())?)?;
        if announced.is_empty() {
            return Ok(None);
        }
        let Announcement { state, tensors } = toml::from_str(&announced)?;
        let mut received = BTreeMap::new();
        for (name, kind, size) in tensors {
            let kind = match kind {
                SavedKind::Float => Kind::Float,
                SavedKind::Double => Kind::Double,
                SavedKind::Int64 => Kind::Int64,
            };
            let tensor = match own.as_ref().filter(|_| group.is_first()) {
                Some(own) => own.tensors[&name].shallow_clone(),
                None => Tensor::f_zeros(&size, (kind, Device::Cpu))?,
            };
            group.take_from_first(&tensor)?;
            received.insert(name, tensor);
        }
        Ok(Some(Checkpoint { state, tensors: received }))
    }

    /// Gives callbacks their state back, its tensors on the device.
    pub(super) fn restore_callbacks(&self, callbacks: &mut Callbacks, device: Device) -> Result<()> {
        for callback in callbacks {
            let Some(name) = callback.state_name() else { continue };
            let table = self.state.callbacks.get(name);
            let table = table.with_context(|| format!("the checkpoint has no state of {name}"))?.clone();
            let on_device = |(name, tensor): (String, Tensor)| Ok((name, tensor.f_to_device(device)?));
            let tensors = self.tensors_below(&format!("callbacks/{name}"));
            let tensors = tensors.into_iter().map(on_device).collect::<Result<_>>()?;
            callback.load(SavedState { table, tensors }).with_context(|| format!("the state of {name}"))?;
        }
        Ok(())
    }

    /// Gives the variables of a store the weights of the checkpoint: those that are trained, not their mean.
    ///
    /// # Errors
    /// Weights that are missing or of another shape.
    pub fn load_weights(&self, variables: &VarStore) -> Result<()> {
        assign(variables.variables(), &self.tensors_below("weights")).context("the weights in the checkpoint")
    }

    /// Gives the variables of a store the weights that the training would leave if it ended here: the best so
    /// far if a callback keeps them, else the mean of the weights if there is one, else those of the checkpoint.
    /// Returns their epoch, unless it was not complete.
    ///
    /// # Errors
    /// Weights that are missing or of another shape.
    pub fn load_final_weights(&self, variables: &VarStore) -> Result<Option<usize>> {
        let names = variables.variables();
        for (name, progress) in &self.state.callbacks {
            let kept = self.tensors_below(&format!("callbacks/{name}"));
            if !kept.is_empty() && names.keys().all(|name| kept.contains_key(name)) {
                assign(names, &kept).context("the best weights in the checkpoint")?;
                return Ok(best_epoch(progress));
            }
        }
        match self.tensors_below(MEAN) {
            none if none.is_empty() => self.load_weights(variables)?,
            mean => assign(names, &mean).context("the mean of the weights in the checkpoint")?,
        }
        Ok((self.state.step == 0).then_some(self.state.history.epochs.len()))
    }

    fn tensors_below(&self, prefix: &str) -> BTreeMap<String, Tensor> {
        let start = format!("{prefix}/");
        let named = self.tensors.iter().filter_map(|(name, value)| Some((name.strip_prefix(&start)?, value)));
        named.map(|(name, value)| (name.to_string(), value.shallow_clone())).collect()
    }
}

/// The epoch of the best weights, as the callbacks that keep them save it.
fn best_epoch(progress: &Table) -> Option<usize> {
    let epoch = progress.get("best_epoch").or_else(|| progress.get("best")?.get("epoch"))?;
    usize::try_from(epoch.as_integer()?).ok()
}

#[cfg(test)]
mod tests;
