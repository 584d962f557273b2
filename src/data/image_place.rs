//! Where an image stands in a data set.

use super::{Dataset, Images};

/// Where an image stands in a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImagePlace {
    /// Its split, as [`Dataset::splits`] names it. That of a validation image that was held out is `train`.
    pub split: &'static str,
    /// Its index in the split.
    pub index: usize,
}

impl ImagePlace {
    /// The images of its split; the training images if the data set has no such split.
    pub fn images(self, dataset: &Dataset) -> &Images {
        dataset.splits().find(|(name, _)| *name == self.split).map_or(&dataset.train, |(_, images)| images)
    }

    /// Its class index.
    ///
    /// # Panics
    /// The data set is another one, without such an image.
    pub fn label(self, dataset: &Dataset) -> i64 {
        self.images(dataset).labels()[self.index]
    }
}
