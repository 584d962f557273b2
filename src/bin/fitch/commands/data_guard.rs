//! A watch on the image files: they are mapped, not read, so they could change while training runs.

use anyhow::{Result, ensure};
use fitch::data::Dataset;
use fitch::train::{Callback, Training};

/// Ends a training whose images are no longer those that it began with. As long as no mapped file has new
/// times or another length, that costs next to nothing; images in memory cannot change.
#[derive(Debug)]
pub struct DataGuard<'a> {
    dataset: &'a Dataset,
    fingerprint: &'a str,
    /// Changes of files after which the images were still the same.
    harmless: Vec<String>,
}

impl DataGuard<'_> {
    pub fn new<'a>(dataset: &'a Dataset, fingerprint: &'a str) -> DataGuard<'a> {
        DataGuard { dataset, fingerprint, harmless: Vec::new() }
    }
}

impl Callback for DataGuard<'_> {
    fn epoch_end(&mut self, training: &mut Training) -> Result<()> {
        // A file that was only touched, or replaced by another under its name, leaves the mapped images as
        // they were.
        let changed = self.dataset.changed_files();
        if changed != self.harmless {
            ensure!(
                self.dataset.fingerprint()? == self.fingerprint,
                "the image files of {} were changed while training ran (noticed in epoch {})",
                self.dataset.name,
                training.epoch()
            );
            self.harmless = changed;
        }
        Ok(())
    }
}
