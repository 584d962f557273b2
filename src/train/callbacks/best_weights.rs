//! A copy of the weights as they were at their best, to bring them back. It must not know what best means.

use anyhow::{Context, Result};
use std::collections::{BTreeMap, HashMap};
use tch::Tensor;
use tch::nn::VarStore;

/// A copy of all variables, buffers included, on their device; or, if the weights of the end are wanted,
/// nothing.
#[derive(Debug)]
pub struct BestWeights {
    wanted: bool,
    values: HashMap<String, Tensor>,
}

impl BestWeights {
    /// Nothing kept yet; if they are not `wanted`, nothing ever is.
    pub fn new(wanted: bool) -> BestWeights {
        BestWeights { wanted, values: HashMap::new() }
    }

    /// Whether weights are kept and brought back.
    pub fn are_wanted(&self) -> bool {
        self.wanted
    }

    /// What becomes of the weights, for people.
    pub fn fate(&self, best_epoch: usize) -> String {
        match self.wanted {
            true => format!("the weights of epoch {best_epoch} are restored"),
            false => "the weights of the end are kept".to_string(),
        }
    }

    /// Copies the variables as they are now, in place of what was kept before.
    ///
    /// # Errors
    /// Too little memory.
    pub fn keep(&mut self, variables: &VarStore) -> Result<()> {
        if !self.wanted {
            return Ok(());
        }
        let _no_gradient = tch::no_grad_guard();
        for (name, variable) in variables.variables() {
            match self.values.get_mut(&name) {
                Some(kept) => kept.f_copy_(&variable)?,
                None => {
                    let mut copy =
                        variable.f_empty_like().context("cannot keep a copy of the best weights")?;
                    copy.f_copy_(&variable)?;
                    self.values.insert(name, copy);
                }
            }
        }
        Ok(())
    }

    /// What is kept, by the names of the variables.
    pub fn saved(&self) -> BTreeMap<String, Tensor> {
        self.values.iter().map(|(name, value)| (name.clone(), value.shallow_clone())).collect()
    }

    /// Keeps what [`BestWeights::saved`] gave.
    pub fn load(&mut self, saved: BTreeMap<String, Tensor>) {
        if self.wanted {
            self.values = saved.into_iter().collect();
        }
    }

    /// Gives the variables the values that were kept; without any, they stay as they are.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn restore(&self, variables: &VarStore) -> Result<()> {
        let _no_gradient = tch::no_grad_guard();
        for (name, mut variable) in variables.variables() {
            if let Some(kept) = self.values.get(&name) {
                variable.f_copy_(kept)?;
            }
        }
        Ok(())
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
        best.keep(&store).unwrap();
        store.freeze();
        let _ = linear.ws.shallow_clone().fill_(7.0);
        store.unfreeze();
        best.restore(&store).unwrap();
        assert_eq!(linear.ws, first);
        assert!(linear.ws.requires_grad());
    }

    #[test]
    fn unwanted_weights_are_not_kept() {
        let store = VarStore::new(Device::Cpu);
        let weight = store.root().zeros("weight", &[2]);
        let mut best = BestWeights::new(false);
        best.keep(&store).unwrap();
        let _ = tch::no_grad(|| weight.shallow_clone().fill_(7.0));
        best.restore(&store).unwrap();
        assert_eq!(Vec::<f32>::try_from(&weight).unwrap(), [7.0, 7.0]);
    }
}
