//! A copy of the weights at their best, restored when training ends, and the sentence about it.

use crate::kernels::named_tensors::assign;
use crate::train::{Best, StopReason, Training};
use anyhow::{Context, Result};
use std::collections::{BTreeMap, HashMap};
use tch::Tensor;
use tch::nn::VarStore;

/// A copy of all weights, buffers included, on their device; nothing, if the last weights are to stay.
#[derive(Debug)]
pub struct BestWeights {
    is_enabled: bool,
    values: HashMap<String, Tensor>,
}

impl BestWeights {
    /// Nothing kept yet; unless it `is_enabled`, nothing ever is.
    pub fn new(is_enabled: bool) -> BestWeights {
        BestWeights { is_enabled, values: HashMap::new() }
    }

    /// The epoch whose weights are restored when training ends.
    pub fn restored_epoch(&self, best: Option<Best>) -> Option<usize> {
        best.filter(|_| self.is_enabled).map(|best| best.epoch)
    }

    /// What the best value was, and which weights remain, in a sentence. The value came after `step` of the
    /// training, if that is not the end of its epoch.
    pub fn sentence(&self, monitor: &str, best: Option<Best>, step: Option<usize>) -> String {
        let Some(Best { epoch, value }) = best else { return format!("{monitor} was never finite") };
        let after = step.map(|step| format!(" after step {step}")).unwrap_or_default();
        let weights = match self.is_enabled {
            true => format!("the weights of epoch {epoch} are restored"),
            false => "the last weights are kept".to_string(),
        };
        format!("the best {monitor} is {value:.6}{after} in epoch {epoch}; {weights}")
    }

    /// Restores the weights at the end of training, and leaves the sentence as a note, unless it is part of
    /// the message of an early stop.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn end(&self, training: &mut Training, sentence: String) -> Result<()> {
        self.restore(training.variables())?;
        if self.values.is_empty() && training.history().epochs.is_empty() {
            training.note("no epoch was completed".to_string());
        } else if training.stop_reason() != Some(StopReason::EarlyStopping) {
            training.note(sentence);
        }
        Ok(())
    }

    /// Copies [`Training::weights`] as they are now, in place of what was kept before.
    ///
    /// # Errors
    /// Too little memory.
    pub fn keep(&mut self, weights: BTreeMap<String, Tensor>) -> Result<()> {
        if !self.is_enabled {
            return Ok(());
        }
        let _no_gradient = tch::no_grad_guard();
        for (name, weight) in weights {
            match self.values.get_mut(&name) {
                Some(kept) => kept.f_copy_(&weight)?,
                None => {
                    let mut copy = weight.f_empty_like().context("cannot keep a copy of the best weights")?;
                    copy.f_copy_(&weight)?;
                    self.values.insert(name, copy);
                }
            }
        }
        Ok(())
    }

    /// The kept values, by the names of the variables.
    pub fn saved(&self) -> BTreeMap<String, Tensor> {
        self.values.iter().map(|(name, value)| (name.clone(), value.shallow_clone())).collect()
    }

    /// Takes over what [`BestWeights::saved`] returned.
    pub fn load(&mut self, saved: BTreeMap<String, Tensor>) {
        if self.is_enabled {
            self.values = saved.into_iter().collect();
        }
    }

    /// Gives the variables the kept values, if there are any.
    ///
    /// # Errors
    /// A fault of the device.
    fn restore(&self, variables: &VarStore) -> Result<()> {
        if self.values.is_empty() {
            return Ok(());
        }
        assign(variables.variables(), &self.saved()).context("cannot restore the best weights")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, nn};

    #[test]
    fn kept_weights_come_back() {
        let mut store = VarStore::new(Device::Cpu);
        let linear = nn::linear(store.root(), 3, 2, Default::default());
        let first = linear.ws.detach().copy();
        let mut best = BestWeights::new(true);
        best.restore(&store).unwrap();
        assert_eq!(linear.ws, first, "nothing was kept yet");
        best.keep(store.variables().into_iter().collect()).unwrap();
        store.freeze();
        let _ = linear.ws.shallow_clone().fill_(7.0);
        store.unfreeze();
        best.restore(&store).unwrap();
        assert_eq!(linear.ws, first);
        assert!(linear.ws.requires_grad());
    }

    #[test]
    fn disabled_it_keeps_nothing() {
        let store = VarStore::new(Device::Cpu);
        let weight = store.root().zeros("weight", &[2]);
        let mut best = BestWeights::new(false);
        best.keep(store.variables().into_iter().collect()).unwrap();
        let _ = tch::no_grad(|| weight.shallow_clone().fill_(7.0));
        best.restore(&store).unwrap();
        assert_eq!(Vec::<f32>::try_from(&weight).unwrap(), [7.0, 7.0]);
    }
}
