//! What a data set is like: its range of values, its balance, its identical images.

use super::copies::Copies;
use super::dataset::Dataset;
use super::image_digests::ImageDigests;
use super::scaling::Range;
use anyhow::Result;

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
    /// The images that are identical to others.
    pub copies: Copies,
}

impl Dataset {
    /// Looks at every image.
    ///
    /// # Errors
    /// Too little memory.
    pub fn inspect(&self) -> Result<Inspection> {
        self.inspect_with(&self.fingerprint_and_digests()?.1)
    }

    /// The same, given the digests of the images.
    ///
    /// # Errors
    /// Too little memory.
    pub fn inspect_with(&self, digests: &ImageDigests) -> Result<Inspection> {
        let counts = self.splits().map(|(split, images)| (split, images.class_counts(self.classes.len())));
        Ok(Inspection {
            value_type: format!("{:?}", self.train.kind()),
            range: self.value_range()?.into(),
            counts: counts.collect(),
            copies: self.copies(digests, None)?,
        })
    }

    /// The minimum and the maximum of the training images.
    ///
    /// # Errors
    /// A value that is no finite number.
    pub fn value_range(&self) -> Result<[f64; 2]> {
        let range = Range::of(&self.train)?;
        Ok([range.min, range.max])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Images, TestOrigin};
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
            copies: found.copies.clone(),
        };
        assert_eq!(found, expected);
        assert_eq!((found.copies.within_train.total(), found.copies.test_in_train.total()), (1, 1));
    }
}
