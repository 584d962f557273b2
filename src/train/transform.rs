//! A change of each training batch, such as augmentation.

use crate::data::{Batch, MixedBatch};
use anyhow::{Result, ensure};
use std::fmt;
use tch::Tensor;

type Function<'a> = dyn Fn(&Batch) -> Result<MixedBatch> + 'a;

/// Turns a training batch into what the model is given.
pub struct Transform<'a>(Box<Function<'a>>);

impl<'a> Transform<'a> {
    /// Of the inputs alone.
    pub fn of_inputs(function: impl Fn(&Tensor) -> Result<Tensor> + 'a) -> Transform<'a> {
        Transform::of_batches(move |batch| {
            Ok(MixedBatch::plain(function(&batch.inputs)?, batch.targets.shallow_clone()))
        })
    }

    pub fn of_batches(function: impl Fn(&Batch) -> Result<MixedBatch> + 'a) -> Transform<'a> {
        Transform(Box::new(function))
    }

    /// Applies it without recording gradients.
    ///
    /// # Errors
    /// Those of the function; a share that is none.
    pub fn apply(&self, batch: &Batch) -> Result<MixedBatch> {
        let mixed = tch::no_grad(|| (self.0)(batch))?;
        let share = mixed.others.as_ref().map_or(0.0, |(_, share)| *share);
        ensure!((0.0..=1.0).contains(&share), "the share of other targets is {share}, not from 0 to 1");
        Ok(mixed)
    }
}

impl fmt::Debug for Transform<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("Transform")
    }
}
