//! A digest of a data set.

use super::{Dataset, Images};
use crate::kernels::tensor_slice::as_slice;
use crate::kernels::threads::for_each_index;
use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};
use std::sync::{Mutex, PoisonError};

/// Bytes that are digested in one go, by one thread.
const PART_BYTES: usize = 1 << 20;

impl Dataset {
    /// A digest (SHA-256) of all labels and all values, the sizes and the scale: equal for equal data.
    ///
    /// # Errors
    /// Too little memory.
    pub fn fingerprint(&self) -> Result<String> {
        let mut digest = Sha256::new();
        for images in [&self.train, &self.test].into_iter().chain(&self.validation) {
            let size = [vec![images.len() as i64], images.shape()].concat();
            digest.update(format!("{size:?} of {:?} to {}", images.kind(), self.maximum));
            images.labels().iter().for_each(|label| digest.update(label.to_le_bytes()));
            digests_of_parts(images)?.iter().for_each(|part| digest.update(part));
        }
        Ok(format!("{:x}", digest.finalize()))
    }
}

impl Images {
    /// A digest (SHA-256) of all values and the shape: equal for the same images in the same order, whatever their
    /// labels.
    ///
    /// # Errors
    /// Too little memory.
    pub fn fingerprint(&self) -> Result<String> {
        let mut digest = Sha256::new();
        digest.update(format!("{} of {:?} {:?}", self.len(), self.kind(), self.shape()));
        digests_of_parts(self)?.iter().for_each(|part| digest.update(part));
        Ok(format!("{:x}", digest.finalize()))
    }
}

/// The digests of the values, part by part, on all threads: their number does not matter.
fn digests_of_parts(images: &Images) -> Result<Vec<[u8; 32]>> {
    let (stored, rows) = images.stored_bytes()?;
    let stored = as_slice::<u8>(&stored).context("images are not in the memory of the CPU")?;
    let width = images.shape().iter().product::<i64>() as usize * images.kind().elt_size_in_bytes();
    let (count, rows_a_part) = (images.len(), (PART_BYTES / width.max(1)).max(1));
    let digests = Mutex::new(vec![[0; 32]; count.div_ceil(rows_a_part)]);
    for_each_index(count.div_ceil(rows_a_part), |part| {
        let of_part = part * rows_a_part..count.min((part + 1) * rows_a_part);
        let mut digest = Sha256::new();
        match rows {
            None => digest.update(&stored[of_part.start * width..of_part.end * width]),
            Some(rows) => {
                for &row in &rows[of_part] {
                    digest.update(&stored[row as usize * width..(row as usize + 1) * width]);
                }
            }
        }
        digests.lock().unwrap_or_else(PoisonError::into_inner)[part] = digest.finalize().into();
    });
    Ok(digests.into_inner().unwrap_or_else(PoisonError::into_inner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::TestOrigin;
    use tch::Tensor;

    fn dataset(values: &[u8]) -> Dataset {
        let images = |values: &[u8]| {
            let pixels = Tensor::from_slice(values).view([-1, 1, 2]);
            Images::new(pixels, (0..values.len() as i64 / 2).map(|row| row % 2).collect()).unwrap()
        };
        Dataset {
            name: "a".to_string(),
            train: images(values),
            validation: None,
            test: images(&[1, 2, 3, 4]),
            test_origin: TestOrigin::Own,
            classes: vec!["x".to_string(), "y".to_string()],
            maximum: 255.0,
            notes: Vec::new(),
            left_out: Vec::new(),
            table: None,
        }
    }

    /// Once, it was of a thousand images.
    #[test]
    fn every_value_counts() {
        let mut values = vec![7; 3 << 20];
        let before = dataset(&values).fingerprint().unwrap();
        assert_eq!(dataset(&values).fingerprint().unwrap(), before);
        for place in [1, (1 << 20) + 1, (3 << 20) - 1] {
            values[place] += 1;
            assert_ne!(dataset(&values).fingerprint().unwrap(), before, "{place}");
            values[place] -= 1;
        }
        let digest = |images: &Images| images.fingerprint().unwrap();
        let other = dataset(&[&values[..2], &[8, 8]].concat());
        assert_ne!(digest(&dataset(&values).train), digest(&other.train));
        let relabelled = dataset(&values).train.with_labels(vec![0; values.len() / 2]);
        assert_eq!(digest(&dataset(&values).train), digest(&relabelled));
        let scaled = Dataset { maximum: 7.0, ..dataset(&values) };
        assert_ne!(scaled.fingerprint().unwrap(), before);
    }

    #[test]
    fn rows_that_were_chosen_count_as_if_they_were_alone() {
        let whole = dataset(&[1, 2, 3, 4, 5, 6, 7, 8]);
        let alone = dataset(&[5, 6, 3, 4]);
        let chosen = whole.train.choose(&[2, 1]).with_labels(alone.train.labels().to_vec());
        let chosen = Dataset { train: chosen, ..whole };
        assert_eq!(chosen.fingerprint().unwrap(), alone.fingerprint().unwrap());
    }
}
