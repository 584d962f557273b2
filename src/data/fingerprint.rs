//! A digest of a data set.

use super::image_digests::{ImageDigests, digest_of_image, kept};
use super::{Dataset, Images};
use crate::kernels::tensor_slice::as_slice;
use crate::kernels::threads::for_each_item;
use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

/// Bytes that are digested in one go, by one thread.
const PART_BYTES: usize = 1 << 20;

impl Dataset {
    /// A digest (SHA-256) of all labels, groups and values, the sizes and the scale: equal for equal data.
    ///
    /// # Errors
    /// Too little memory.
    pub fn fingerprint(&self) -> Result<String> {
        self.fingerprint_with(|images| Ok((digests_of_parts(images, &mut [])?, Vec::new())))
            .map(|(all, _)| all)
    }

    /// The fingerprint and a digest of each image. Both come from one pass over the values, so that the second
    /// takes little time; of decoded sets it is kept.
    ///
    /// # Errors
    /// Too little memory.
    pub fn fingerprint_and_digests(&self) -> Result<(String, ImageDigests)> {
        self.fingerprint_with(|images| {
            if let Some(digests) = kept(images) {
                return Ok((digests_of_parts(images, &mut [])?, digests));
            }
            let mut digests = vec![0; images.len()];
            Ok((digests_of_parts(images, &mut digests)?, digests))
        })
    }

    /// `pass` gives the digests of a split's values, part by part, and those of its images.
    fn fingerprint_with(
        &self,
        pass: impl Fn(&Images) -> Result<(Vec<[u8; 32]>, Vec<u64>)>,
    ) -> Result<(String, ImageDigests)> {
        let mut digest = Sha256::new();
        let mut of_images = ImageDigests::default();
        let splits = [
            (Some(&self.train), &mut of_images.train),
            (Some(&self.test), &mut of_images.test),
            (self.validation.as_ref(), &mut of_images.validation),
        ];
        for (images, of_split) in splits {
            let Some(images) = images else { continue };
            let size = [vec![images.len() as i64], images.shape()].concat();
            digest.update(format!("{size:?} of {:?} to {}", images.kind(), self.maximum));
            images.labels().iter().for_each(|label| digest.update(label.to_le_bytes()));
            // Data without groups keep the digest that they had before there were any.
            images.groups().iter().flatten().for_each(|group| digest.update(group.to_le_bytes()));
            let (parts, digests) = pass(images)?;
            parts.iter().for_each(|part| digest.update(part));
            *of_split = digests;
        }
        Ok((format!("{:x}", digest.finalize()), of_images))
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
        digests_of_parts(self, &mut [])?.iter().for_each(|part| digest.update(part));
        Ok(format!("{:x}", digest.finalize()))
    }
}

/// The digests of the values, part by part, on all threads: their number does not matter. `of_images` becomes the
/// digests of the images, if it has room for them.
fn digests_of_parts(images: &Images, of_images: &mut [u64]) -> Result<Vec<[u8; 32]>> {
    let (stored, rows) = images.stored_bytes()?;
    let stored = as_slice::<u8>(&stored).context("images are not in the memory of the CPU")?;
    let width = images.bytes_of_one();
    let (count, rows_a_part) = (images.len(), (PART_BYTES / width.max(1)).max(1));
    let mut digests = vec![[0; 32]; count.div_ceil(rows_a_part)];
    let mut of_images = of_images.chunks_mut(rows_a_part);
    let parts = digests.iter_mut().enumerate().map(|(part, of_part)| {
        let first = part * rows_a_part;
        (first..count.min(first + rows_a_part), of_part, of_images.next().unwrap_or_default())
    });
    for_each_item(parts.collect(), |(range, of_part, of_images)| {
        let mut digest = Sha256::new();
        let mut of_images = of_images.iter_mut();
        for index in range {
            let row = rows.map_or(index, |rows| rows[index] as usize);
            let image = &stored[row * width..(row + 1) * width];
            digest.update(image);
            if let Some(of_image) = of_images.next() {
                *of_image = digest_of_image(image);
            }
        }
        *of_part = digest.finalize().into();
    });
    Ok(digests)
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
