//! What a data set is like: its range of values, its balance, its duplicates.

use super::dataset::{Dataset, TestOrigin, bytes_of};
use super::images::Images;
use super::scaling::Range;
use anyhow::Result;
use sha2::{Digest as _, Sha256};
use std::collections::HashSet;

/// Images that are looked at in one go.
const BATCH: usize = 1024;

/// What was found out.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Inspection {
    /// The type of the values as they are stored: `Uint8`.
    pub value_type: String,
    /// The minimum and the maximum in the training images.
    pub range: (f64, f64),
    /// The names of the splits, `train` first, with the number of images of each class.
    pub counts: Vec<(&'static str, Vec<usize>)>,
    /// How many training images are equal to an earlier one, in every value.
    pub repeated: usize,
    /// For each other split, how many of its images are equal to a training image: what is measured on them
    /// is too good.
    pub also_in_train: Vec<(&'static str, usize)>,
}

impl Dataset {
    /// Looks at every image.
    ///
    /// # Errors
    /// Too little memory.
    pub fn inspect(&self) -> Result<Inspection> {
        let counts = self.splits().map(|(split, images)| (split, images.class_counts(self.classes.len())));
        let counts = counts.collect();
        let train = digests(&self.train)?;
        let distinct: HashSet<&[u8; 32]> = train.iter().collect();
        let mut also_in_train = Vec::new();
        for (split, images) in self.splits().skip(1) {
            let repeated = digests(images)?.iter().filter(|digest| distinct.contains(digest)).count();
            also_in_train.push((split, repeated));
        }
        Ok(Inspection {
            value_type: format!("{:?}", self.train.kind()),
            range: self.value_range()?.into(),
            counts,
            repeated: train.len() - distinct.len(),
            also_in_train,
        })
    }
}

impl Dataset {
    /// The minimum and the maximum of the training images.
    ///
    /// # Errors
    /// A value that is no finite number.
    pub fn value_range(&self) -> Result<[f64; 2]> {
        let range = Range::of(&self.train)?;
        Ok([range.min, range.max])
    }

    /// What users should know about test and validation images that are among the training images, if it
    /// takes next to no time to find out.
    pub(super) fn copies(&self) -> Result<Vec<String>> {
        const MAX_BYTES: usize = 4 << 20;
        let width = self.shape().iter().product::<i64>() as usize * self.train.kind().elt_size_in_bytes();
        let count: usize = self.splits().map(|(_, images)| images.len()).sum();
        if count.saturating_mul(width) > MAX_BYTES || self.test_origin == TestOrigin::All {
            return Ok(Vec::new());
        }
        let train: HashSet<[u8; 32]> = digests(&self.train)?.into_iter().collect();
        let mut notes = Vec::new();
        for (split, images) in self.splits().skip(1) {
            let copies = digests(images)?.iter().filter(|digest| train.contains(*digest)).count();
            if copies > 0 {
                notes.push(format!(
                    "{copies} of {} {split} images are among the training images",
                    images.len()
                ));
            }
        }
        Ok(notes)
    }
}

/// A digest of each image.
fn digests(images: &Images) -> Result<Vec<[u8; 32]>> {
    let mut digests = Vec::with_capacity(images.len());
    for start in (0..images.len()).step_by(BATCH) {
        let pixels = images.slice(start, BATCH)?;
        let bytes = bytes_of(&pixels)?;
        let images = bytes.chunks(bytes.len() / pixels.size()[0] as usize);
        digests.extend(images.map(|image| <[u8; 32]>::from(Sha256::digest(image))));
    }
    Ok(digests)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Tensor;

    #[test]
    fn ranges_balance_and_duplicates_are_found() {
        let images = |values: &[u8], labels: &[i64]| {
            Images::new(Tensor::from_slice(values).view([-1, 1, 2]), labels.to_vec()).unwrap()
        };
        let dataset = Dataset {
            name: "a".to_string(),
            train: images(&[1, 2, 3, 4, 1, 2, 9, 9], &[0, 1, 0, 1]),
            validation: Some(images(&[7, 7], &[0])),
            test: images(&[2, 1, 9, 9], &[1, 1]),
            test_origin: TestOrigin::Own,
            classes: vec!["x".to_string(), "y".to_string()],
            maximum: 255.0,
            notes: Vec::new(),
            left_out: Vec::new(),
            table: None,
        };
        let found = dataset.inspect().unwrap();
        let expected = Inspection {
            value_type: "Uint8".to_string(),
            range: (1.0, 9.0),
            counts: vec![("train", vec![2, 2]), ("validation", vec![1, 0]), ("test", vec![0, 2])],
            repeated: 1,
            also_in_train: vec![("validation", 0), ("test", 1)],
        };
        assert_eq!(found, expected);
    }
}
