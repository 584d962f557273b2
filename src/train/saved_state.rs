//! The state that a callback keeps in a checkpoint.

use anyhow::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use tch::Tensor;
use toml::Table;

/// What a callback carries over a pause: values that serde can write, and tensors.
///
/// ```
/// use fitch::train::SavedState;
/// use std::collections::BTreeMap;
///
/// let progress = BTreeMap::from([("best", 0.25), ("worst", f64::NAN)]);
/// let state = SavedState::new(&progress)?;
/// assert_eq!(state.values::<BTreeMap<String, f64>>()?["best"], 0.25);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct SavedState {
    // TOML, because it has NaN and infinities, which JSON has not.
    pub(super) table: Table,
    /// Tensors by name. They may be the live ones: a checkpoint copies them when it is written.
    pub tensors: BTreeMap<String, Tensor>,
}

impl SavedState {
    /// Values with names: a struct or a map. Keep names and types as they are, and checkpoints of earlier
    /// versions of a program stay readable.
    ///
    /// # Errors
    /// Values that TOML cannot represent, such as an integer above 2^63.
    pub fn new(values: impl Serialize) -> Result<SavedState> {
        Ok(SavedState { table: Table::try_from(values)?, tensors: BTreeMap::new() })
    }

    /// With tensors.
    pub fn with_tensors(self, tensors: BTreeMap<String, Tensor>) -> SavedState {
        SavedState { tensors, ..self }
    }

    /// The values that [`SavedState::new`] was given.
    ///
    /// # Errors
    /// A value that is missing or has another type.
    pub fn values<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(self.table.clone().try_into()?)
    }
}
