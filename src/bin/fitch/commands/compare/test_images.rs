//! Which images a model is tested on, and whether those of another are the same.

use crate::commands::mistakes::full_caption;
use crate::commands::tested_model::TestedModel;
use crate::failure::Hint;
use anyhow::Result;
use fitch::data::{Dataset, TestOrigin};
use fitch::text::counted;

/// The test images of a model.
pub struct TestImages {
    /// The name of their data set.
    name: String,
    /// Where that lies.
    source: String,
    origin: TestOrigin,
    /// Of each class, for whose labels and predictions the model has an index.
    classes: Vec<String>,
    pub labels: Vec<i64>,
    /// Of each image: its file or row.
    places: Vec<String>,
    /// Of their values.
    digest: String,
}

impl TestImages {
    pub fn of(dataset: &Dataset, model: &TestedModel) -> Result<TestImages> {
        let images = &dataset.test;
        Ok(TestImages {
            name: dataset.name.clone(),
            source: model.source_place(),
            origin: dataset.test_origin,
            classes: model.classes().to_vec(),
            labels: images.labels().to_vec(),
            places: (0..images.len()).map(|index| full_caption(images, index)).collect(),
            digest: images.fingerprint()?,
        })
    }

    pub fn class(&self, index: i64) -> &str {
        self.classes.get(index as usize).map_or("?", String::as_str)
    }

    /// Fails if the images are not those of another model. They are the same if their values are, or if they are
    /// the same files or rows of one data set, which models of different shapes see in different sizes.
    pub fn check_same(&self, other: &TestImages, names: [&str; 2], is_asked_for: bool) -> Result<()> {
        let is_same_place = self.source == other.source && self.places == other.places;
        let (own, others) = (self.true_classes(), other.true_classes());
        if (is_same_place || self.digest == other.digest) && own.eq(others) {
            return Ok(());
        }
        let sizes = [self, other]
            .map(|images| format!("{} of {}", counted(images.labels.len(), "image"), images.name));
        let message = format!(
            "{} and {} have different test sets, {} and {}: their results cannot be compared",
            names[0], names[1], sizes[0], sizes[1]
        );
        let hint = match is_asked_for {
            false => "--dataset DATA compares them on the test images of these data",
            true if self.origin != other.origin => {
                "--test-split 0.1 takes the same tenth of each class as the test set for all of them"
            }
            true => "models that read the same data in different ways cannot be compared on them",
        };
        Err(Hint { message, hint: hint.to_string() }.into())
    }

    fn true_classes(&self) -> impl Iterator<Item = &str> {
        self.labels.iter().map(|&label| self.class(label))
    }
}
