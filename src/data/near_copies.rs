//! Images that look alike: the same picture in another size, compression or brightness, or the next one of a film.
//!
//! Pairs of images whose perceptual hashes differ in few bits are candidates; what decides is the correlation of their
//! small versions. Candidates are found without comparing every image with every other: at least one of the eight bytes
//! of their hashes is the same, so those that share a byte are sorted and each is compared with the ones that follow.

use super::Dataset;
use super::image_digests::ImageDigests;
use super::image_place::ImagePlace;
use super::numbered_images::NumberedImages;
use super::perceptual_hash::{hashes, small_versions};
use crate::kernels::threads::for_each_index;
use anyhow::{Result, ensure};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use tch::Kind;

/// Hashes of images that look alike differ in at most this many bits.
const MAX_DISTANCE: u32 = 10;
/// The least correlation of images that look alike.
const MIN_SIMILARITY: f64 = 0.98;
/// The bytes of a hash.
const BANDS: usize = 8;
/// Comparisons of hashes in all: beyond them each image is compared with fewer of those that follow.
const MAX_COMPARISONS: usize = 500_000_000;
const MIN_WINDOW: usize = 64;
/// Candidates that are kept of an image for each byte of its hash.
const MAX_OF_IMAGE: usize = 64;
/// Candidates whose pixels are compared: in all, and by what they take in memory.
const MAX_CANDIDATES: usize = 300_000;
const MAX_CANDIDATE_BYTES: usize = 16 << 30;
/// Bytes of pixels, as float32, that are looked at in one go.
const BATCH_BYTES: usize = 32 << 20;

/// Images that look alike.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct NearCopies {
    /// Those that look most alike first.
    pub pairs: Vec<NearPair>,
    /// Whether all pairs of similar hashes were looked at. In large sets of similar images the search is limited to the
    /// most similar ones.
    pub is_complete: bool,
}

/// Two images that look alike and are not identical.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NearPair {
    /// The one that comes first in the data set.
    pub first: ImagePlace,
    /// The other one.
    pub second: ImagePlace,
    /// The correlation of their small versions, up to 1.
    pub similarity: f64,
}

/// The number of differing bits, and the numbers of two images, the smaller one first.
type Candidate = (u32, u32, u32);

impl Dataset {
    /// Finds images that look alike, in all splits. Of identical images the first one counts; images of one colour are
    /// passed over. `digests` are those of this data set. Takes 30 to 50 bytes an image.
    ///
    /// # Errors
    /// Rows of values, which do not look like anything; too little memory.
    pub fn near_copies(&self, digests: &ImageDigests) -> Result<NearCopies> {
        let shape = self.shape();
        ensure!(matches!(shape.len(), 2 | 3), "rows of values do not look alike, only images do");
        let images = NumberedImages::new(self, digests)?;
        let repeated: HashSet<u32> = images.copies(|_| true).into_iter().map(|(_, copy)| copy).collect();
        let distinct: Vec<u32> =
            (0..images.len() as u32).filter(|number| !repeated.contains(number)).collect();
        let width = shape.iter().product::<i64>() as usize;
        let batch = (BATCH_BYTES / (width * size_of::<f32>())).max(1);

        let mut hashed = Vec::with_capacity(distinct.len());
        for numbers in distinct.chunks(batch) {
            let hashes = hashes(&small_versions(&images.pixels(numbers)?, self.maximum)?, &shape)?;
            hashed
                .extend(hashes.into_iter().zip(numbers).filter_map(|(hash, &number)| Some((hash?, number))));
        }
        let (mut candidates, mut is_complete) = candidates(&hashed);
        let bytes_of_pair = 2 * width * self.train.kind().elt_size_in_bytes();
        let most = MAX_CANDIDATES.min(MAX_CANDIDATE_BYTES / bytes_of_pair.max(1));
        is_complete &= candidates.len() <= most;
        candidates.truncate(most);

        let mut pairs = Vec::new();
        for candidates in candidates.chunks(batch.div_ceil(2)) {
            let small = |numbers: Vec<u32>| small_versions(&images.pixels(&numbers)?, self.maximum);
            let first = small(candidates.iter().map(|&(_, first, _)| first).collect())?;
            let second = small(candidates.iter().map(|&(_, _, second)| second).collect())?;
            let products = first.f_mul(&second)?.f_sum_dim_intlist([1].as_slice(), false, Kind::Double)?;
            let similarities: Vec<f64> = Vec::try_from(products)?;
            for (&(_, first, second), similarity) in candidates.iter().zip(similarities) {
                if similarity >= MIN_SIMILARITY {
                    pairs.push((similarity, first, second));
                }
            }
        }
        pairs.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        let pair = |(similarity, first, second): (f64, u32, u32)| NearPair {
            first: images.image_place(first),
            second: images.image_place(second),
            similarity,
        };
        Ok(NearCopies { pairs: pairs.into_iter().map(pair).collect(), is_complete })
    }
}

/// The pairs of images whose hashes differ in few bits, those that differ least first; and whether these are all that
/// share a byte.
fn candidates(hashed: &[(u64, u32)]) -> (Vec<Candidate>, bool) {
    let window = (MAX_COMPARISONS / (BANDS * hashed.len()).max(1)).max(MIN_WINDOW);
    let mut all: Vec<Candidate> = Vec::new();
    let mut is_complete = true;
    for band in 0..BANDS {
        let turned = |&(hash, number): &(u64, u32)| (hash.rotate_left(8 * band as u32), number);
        let mut sorted: Vec<(u64, u32)> = hashed.iter().map(turned).collect();
        sorted.sort_unstable();
        const PART: usize = 1024;
        let found = Mutex::new((Vec::new(), true));
        for_each_index(sorted.len().div_ceil(PART), |part| {
            let (mut own, mut is_whole) = (Vec::new(), true);
            for index in part * PART..sorted.len().min((part + 1) * PART) {
                is_whole &= similar_ones(&sorted[index..], window, &mut own);
            }
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.0.append(&mut own);
            found.1 &= is_whole;
        });
        let (mut of_band, is_whole) = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        is_complete &= is_whole;
        all.append(&mut of_band);
        // Most pairs share several bytes.
        all.sort_unstable();
        all.dedup();
    }
    (all, is_complete)
}

/// Adds the pairs of the first hash with those after it that begin with the same byte and differ in few bits; looks at as
/// many as the window holds, and tells whether these are all.
fn similar_ones(sorted: &[(u64, u32)], window: usize, found: &mut Vec<Candidate>) -> bool {
    let Some((&(hash, number), later)) = sorted.split_first() else { return true };
    let before = found.len();
    for (seen, &(other_hash, other)) in later.iter().enumerate() {
        let differing = hash ^ other_hash;
        if differing >> (64 - 8) != 0 {
            return true;
        }
        if seen == window || found.len() - before == MAX_OF_IMAGE {
            return false;
        }
        if differing.count_ones() <= MAX_DISTANCE {
            found.push((differing.count_ones(), number.min(other), number.max(other)));
        }
    }
    true
}
