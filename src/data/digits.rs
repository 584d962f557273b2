//! The built-in data set: 1,797 handwritten digits of 8 x 8 pixels, values 0 to 16.
//!
//! E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
//! Repository, 1998, <https://doi.org/10.24432/C50P49>, licence CC BY 4.0. The 1,797 digits are the
//! test part of that set, in its order, which is by writer.

use super::Images;
use super::raw_dataset::RawDataset;
use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use tch::Tensor;

const FILE: &[u8] = include_bytes!("digits.csv.gz");
const SIDE: i64 = 8;
const PIXELS: usize = (SIDE * SIDE) as usize;
/// Samples 0, 5, 10, ... of each class are the test set.
const EVERY: usize = 5;

/// The shape of an image.
pub const SHAPE: [i64; 2] = [SIDE, SIDE];

/// Loads the digits: 1,433 to train on, and every fifth sample of each class, 364 in all, as test
/// set. Writers of the training images are also in the test set; with other writers only in the test
/// set, accuracy is lower.
///
/// # Errors
/// None in practice: the file is compiled in.
pub(super) fn load() -> Result<RawDataset> {
    let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(GzDecoder::new(FILE));
    let mut seen = [0usize; 10];
    let (mut train, mut test) = (Rows::default(), Rows::default());
    for row in rows.deserialize() {
        let row: Vec<u8> = row.context("the built-in digits are damaged")?;
        ensure!(row.len() == PIXELS + 1 && row[PIXELS] < 10, "the built-in digits are damaged");
        let class = row[PIXELS];
        let split = if seen[class as usize].is_multiple_of(EVERY) { &mut test } else { &mut train };
        split.pixels.extend(&row[..PIXELS]);
        split.labels.push(class.into());
        seen[class as usize] += 1;
    }
    Ok(RawDataset {
        train: train.into_images()?,
        validation: None,
        test: Some(test.into_images()?),
        classes: (0..10).map(|class| class.to_string()).collect(),
        notes: Vec::new(),
        left_out: Vec::new(),
        table: None,
    })
}

#[derive(Default)]
struct Rows {
    pixels: Vec<u8>,
    labels: Vec<i64>,
}

impl Rows {
    fn into_images(self) -> Result<Images> {
        let pixels = Tensor::f_from_slice(&self.pixels)?.f_view([-1, SIDE, SIDE])?;
        Images::new(pixels, self.labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_digits_are_there_and_every_fifth_of_each_class_is_for_the_test() {
        let digits = load().unwrap();
        let test = digits.test.unwrap();
        assert_eq!((digits.train.len(), test.len()), (1_433, 364));
        let count = |images: &Images, class| images.labels().iter().filter(|&&l| l == class).count();
        // Counted in the source file with sort and uniq.
        for (class, total) in [178, 182, 177, 183, 181, 182, 181, 179, 174, 180].into_iter().enumerate() {
            assert_eq!(count(&test, class as i64), usize::div_ceil(total, 5), "class {class}");
            assert_eq!(
                count(&digits.train, class as i64),
                total - usize::div_ceil(total, 5),
                "class {class}"
            );
        }
    }

    #[test]
    fn values_run_from_0_to_16() {
        let digits = load().unwrap();
        assert_eq!(digits.train.pixels().unwrap().size(), [1_433, 8, 8]);
        assert_eq!(i64::try_from(digits.train.pixels().unwrap().max()).unwrap(), 16);
        assert_eq!(i64::try_from(digits.train.pixels().unwrap().min()).unwrap(), 0);
        // The first row of the source file is sample 0 of class 0: a test image.
        let first: Vec<u8> = Vec::try_from(digits.test.unwrap().gather(&[0]).unwrap().view([-1])).unwrap();
        assert_eq!(&first[..8], [0, 0, 5, 13, 9, 1, 0, 0]);
    }
}
