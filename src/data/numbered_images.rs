//! The images of all splits under one numbering, and which of them are identical.

use super::image_digests::ImageDigests;
use super::image_place::ImagePlace;
use super::{Dataset, Images, TestOrigin};
use crate::kernels::tensor_slice::as_slice;
use anyhow::{Context, Result, ensure};
use tch::Tensor;

/// The images of a data set: those of the training split are numbered first, then those of the validation split, then
/// the test images. A split without digests is passed over.
pub(super) struct NumberedImages<'a> {
    splits: Vec<NumberedSplit<'a>>,
}

pub(super) struct NumberedSplit<'a> {
    /// As [`Dataset::splits`] has it.
    pub name: &'static str,
    pub images: &'a Images,
    /// The number of its first image.
    first: u32,
    digests: &'a [u64],
    /// What is stored, and which rows of it are used.
    stored: Tensor,
    rows: Option<&'a [i64]>,
    /// The bytes of an image.
    width: usize,
}

impl<'a> NumberedImages<'a> {
    pub fn new(dataset: &'a Dataset, digests: &'a ImageDigests) -> Result<NumberedImages<'a>> {
        let mut splits = Vec::new();
        let mut first = 0;
        for (name, images) in dataset.splits() {
            let digests = match name {
                "train" => &digests.train,
                "validation" => &digests.validation,
                // They are training images.
                _ if dataset.test_origin == TestOrigin::All => continue,
                _ => &digests.test,
            };
            if digests.is_empty() {
                continue;
            }
            ensure!(digests.len() == images.len(), "the digests are those of other {name} images");
            let (stored, rows) = images.stored_bytes()?;
            let width = images.bytes_of_one();
            splits.push(NumberedSplit { name, images, first, digests, stored, rows, width });
            let next = u32::try_from(images.len()).ok().and_then(|count| first.checked_add(count));
            first = next
                .filter(|&next| next < NONE)
                .context("there are more images than copies can be looked for in")?;
        }
        Ok(NumberedImages { splits })
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.splits.iter().map(|split| split.images.len()).sum()
    }

    /// The split of an image, and its index there.
    pub fn place(&self, number: u32) -> (&NumberedSplit<'a>, usize) {
        let later = self.splits.iter().rposition(|split| number >= split.first).unwrap_or_default();
        let split = &self.splits[later];
        (split, (number - split.first) as usize)
    }

    /// As others know it.
    pub fn image_place(&self, number: u32) -> ImagePlace {
        let (split, index) = self.place(number);
        ImagePlace { split: split.name, index }
    }

    /// The pixels of some images, in that order.
    pub fn pixels(&self, numbers: &[u32]) -> Result<Tensor> {
        let (mut of_splits, mut order) = (Vec::new(), Vec::new());
        for split in &self.splits {
            let range = split.first..split.first + split.images.len() as u32;
            let of_split = || numbers.iter().enumerate().filter(|(_, number)| range.contains(*number));
            let indices: Vec<i64> = of_split().map(|(_, number)| i64::from(number - split.first)).collect();
            if !indices.is_empty() {
                of_splits.push(split.images.gather(&indices)?);
                order.extend(of_split().map(|(position, _)| position as i64));
            }
        }
        match of_splits.as_slice() {
            [one] => Ok(one.shallow_clone()),
            several => {
                let back = Tensor::f_from_slice(&order)?.f_argsort(0, false)?;
                Ok(Tensor::f_cat(several, 0)?.f_index_select(0, &back)?)
            }
        }
    }

    pub fn label(&self, number: u32) -> i64 {
        let (split, index) = self.place(number);
        split.images.labels()[index]
    }

    fn digest(&self, number: u32) -> u64 {
        let (split, index) = self.place(number);
        split.digests[index]
    }

    fn bytes(&self, number: u32) -> Option<&[u8]> {
        let (split, index) = self.place(number);
        let row = split.rows.map_or(index, |rows| rows[index] as usize);
        as_slice::<u8>(&split.stored)?.get(row * split.width..(row + 1) * split.width)
    }

    fn are_identical(&self, a: u32, b: u32) -> bool {
        self.bytes(a).is_some_and(|bytes| Some(bytes) == self.bytes(b))
    }

    /// Every image that is identical to an earlier one, after the first such one: sorted pairs. Only images that are
    /// `used` count.
    ///
    /// Takes 4 to 8 bytes an image, and looks at those images only whose digests are equal.
    pub fn copies(&self, used: impl Fn(u32) -> bool) -> Vec<(u32, u32)> {
        let count = self.len();
        let mut table = vec![NONE; (count + count / 2).next_power_of_two()];
        let mask = table.len() - 1;
        let mut copies = Vec::new();
        for number in (0..count as u32).filter(|&number| used(number)) {
            let digest = self.digest(number);
            let mut slot = digest as usize & mask;
            loop {
                match table[slot] {
                    NONE => {
                        table[slot] = number;
                        break;
                    }
                    first if self.digest(first) == digest && self.are_identical(first, number) => {
                        copies.push((first, number));
                        break;
                    }
                    _ => slot = (slot + 1) & mask,
                }
            }
        }
        copies.sort_unstable();
        copies
    }
}

/// The number of no image.
const NONE: u32 = u32::MAX;
