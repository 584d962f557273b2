//! A watch on the image files: they are mapped, not read, so they could change while training runs.

use anyhow::{Result, ensure};
use fitch::data::Dataset;
use fitch::train::{Callback, Training};

/// Ends a training whose images are no longer those that it began with. As long as no mapped file has new
/// times or another length, that costs next to nothing.
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
        // A file that was only touched, or replaced by another under its name, leaves the mapped images as
        // they were.
        ensure!(
            !self.dataset.files_have_changed() || self.dataset.fingerprint()? == self.fingerprint,
            "the image files of {} were changed while training ran (noticed in epoch {})",
            self.dataset.name,
            training.epoch()
        );
        Ok(())
    }
}
