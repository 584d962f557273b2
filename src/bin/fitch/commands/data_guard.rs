//! A watch on the images: raw files are mapped, not read, so they could change while training runs.

use anyhow::{Result, ensure};
use fitch::data::Dataset;
use fitch::train::{Callback, Training};

/// Ends a training whose images are no longer those that it began with.
#[derive(Debug)]
pub struct DataGuard<'a> {
    dataset: &'a Dataset,
    fingerprint: &'a str,
}

impl DataGuard<'_> {
    pub fn new<'a>(dataset: &'a Dataset, fingerprint: &'a str) -> DataGuard<'a> {
        DataGuard { dataset, fingerprint }
    }
}

impl Callback for DataGuard<'_> {
    fn epoch_end(&mut self, training: &mut Training) -> Result<()> {
        ensure!(
            self.dataset.fingerprint()? == self.fingerprint,
            "the image files of {} were changed while training ran (noticed in epoch {})",
            self.dataset.name,
            training.epoch
        );
        Ok(())
    }
}
