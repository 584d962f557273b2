//! A digest of each image, by which identical ones are found. Equal digests are no proof: whoever finds two compares
//! the images.

use super::Images;
use crate::files::write_whole;
use anyhow::Result;
use std::collections::HashSet;
use std::fs;
use std::path::Path;
use twox_hash::XxHash3_64;

/// A digest of each image of a data set, split by split.
#[derive(Clone, Debug, Default)]
pub struct ImageDigests {
    pub(super) train: Vec<u64>,
    pub(super) validation: Vec<u64>,
    pub(super) test: Vec<u64>,
}

impl ImageDigests {
    /// How many test images are identical to training or validation images of another data set, by their digests.
    pub fn tested_among(&self, other: &ImageDigests) -> usize {
        let known: HashSet<u64> = other.train.iter().chain(&other.validation).copied().collect();
        self.test.iter().filter(|digest| known.contains(digest)).count()
    }

    /// Those of the training and the test images: copies among validation images are not looked for.
    pub fn without_validation(self) -> ImageDigests {
        ImageDigests { validation: Vec::new(), ..self }
    }
}

/// The digest (XXH3) of an image, given its values as they lie in memory.
pub(super) fn digest_of_image(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(bytes)
}

/// Keeps the digests of images that are stored one after another.
pub(super) fn write(path: &Path, digests: &[u64]) -> Result<()> {
    let bytes: Vec<u8> = digests.iter().flat_map(|digest| digest.to_le_bytes()).collect();
    write_whole(path, &bytes)
}

/// The digests of images, if they are kept in a file. Sets that earlier versions decoded have none.
pub(super) fn kept(images: &Images) -> Option<Vec<u64>> {
    let (path, rows) = images.digest_file()?;
    let bytes = fs::read(path).ok()?;
    let (stored, rest) = bytes.as_chunks::<8>();
    if stored.len() != images.stored_count() || !rest.is_empty() {
        return None;
    }
    let digest = |row: usize| u64::from_le_bytes(stored[row]);
    Some(match rows {
        Some(rows) => rows.iter().map(|&row| digest(row as usize)).collect(),
        None => (0..stored.len()).map(digest).collect(),
    })
}
