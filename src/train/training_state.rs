//! The position of a training: what of it are numbers and texts.

use super::{History, Stop};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::Table;

/// The part of a checkpoint that is not tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingState {
    /// The epoch to continue in, from 1.
    pub epoch: usize,
    /// The number of its steps that are done.
    pub step: usize,
    /// The number of steps in an epoch.
    pub steps: usize,
    /// The learning rate in use.
    pub learning_rate: f64,
    /// The training time so far, in seconds.
    pub seconds: f64,
    /// The part of it that belongs to the epoch to continue in.
    pub epoch_seconds: f64,
    /// The early stop that ended training at this checkpoint, if one did; without it, training continues.
    pub early_stop: Option<Stop>,
    /// The samples seen in that epoch.
    pub(super) samples: usize,
    /// The values of callbacks, by their names.
    pub(super) callbacks: BTreeMap<String, Table>,
    /// The epochs that are complete. It is that of the training itself as long as nothing changes, so that a
    /// checkpoint costs no more after many epochs than after one.
    #[serde(with = "shared")]
    pub history: Arc<History>,
}

/// An [`Arc`] as what is in it.
mod shared {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::sync::Arc;

    pub fn serialize<T: Serialize, S: Serializer>(shared: &Arc<T>, serializer: S) -> Result<S::Ok, S::Error> {
        (**shared).serialize(serializer)
    }

    pub fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Arc<T>, D::Error> {
        T::deserialize(deserializer).map(Arc::new)
    }
}
