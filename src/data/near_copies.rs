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
const MIN_SIMILARITY: f64 = 0.93;
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
        let most = MAX_CANDIDATES.min(MAX_CANDIDATE_BYTES / (2 * self.train.bytes_of_one()).max(1));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Images, TestOrigin};
    use crate::random::{Purpose, shuffle};
    use tch::Tensor;

    /// A picture of smooth waves, different for each seed.
    fn picture(seed: u64) -> Vec<f64> {
        let mut phases: Vec<i64> = (0..100).collect();
        shuffle(&mut phases, seed, Purpose::Split);
        let wave = |y: f64, x: f64, part: usize| {
            let [down, across, phase] = [0, 1, 2].map(|place| phases[4 * part + place] as f64 / 100.0);
            (0.7 * (down * y + across * x) + 6.3 * phase).sin()
        };
        let value = |at: usize| {
            let (y, x) = ((at / 20) as f64, (at % 20) as f64);
            0.5 + 0.15 * (0..3).map(|part| wave(y, x, part)).sum::<f64>()
        };
        (0..400).map(value).collect()
    }

    fn images(pictures: &[Vec<f64>]) -> Images {
        let bytes: Vec<u8> = pictures.iter().flatten().map(|value| (255.0 * value).round() as u8).collect();
        Images::new(Tensor::from_slice(&bytes).view([-1, 20, 20]), vec![0; pictures.len()]).unwrap()
    }

    #[test]
    fn changed_copies_are_found_and_nothing_else() {
        let mut train: Vec<Vec<f64>> = (0..300).map(picture).collect();
        // One colour each, and an identical one.
        train.extend([vec![0.3; 400], vec![0.6; 400], train[5].clone()]);
        let darker: Vec<f64> = train[17].iter().map(|value| 0.1 + 0.6 * value).collect();
        let noisy: Vec<f64> =
            train[42].iter().zip(picture(999)).map(|(value, noise)| value + 0.02 * noise).collect();
        let moved: Vec<f64> = (0..400).map(|at| train[99][(at + 10) % 400]).collect();
        let test = [darker, noisy, moved, picture(1_000)];
        let set = Dataset {
            name: "a".to_string(),
            train: images(&train),
            validation: None,
            test: images(&test),
            test_origin: TestOrigin::Own,
            classes: vec!["x".to_string()],
            maximum: 255.0,
            notes: Vec::new(),
            left_out: Vec::new(),
            table: None,
        };
        let digests = set.fingerprint_and_digests().unwrap().1;
        let found = set.near_copies(&digests).unwrap();
        let mut places: Vec<[usize; 2]> =
            found.pairs.iter().map(|pair| [pair.first, pair.second].map(|place| place.index)).collect();
        places.sort_unstable();
        assert_eq!((places, found.is_complete), (vec![[17, 0], [42, 1]], true), "{:?}", found.pairs);
        assert!(found.pairs.iter().all(|pair| (pair.first.split, pair.second.split) == ("train", "test")));
        assert!(found.pairs.iter().all(|pair| pair.similarity > 0.99 && pair.similarity < 1.0001));
    }

    /// Compared with all pairs. What differs in few bits shares a byte.
    #[test]
    fn candidates_are_those_that_differ_in_few_bits() {
        let mut order: Vec<i64> = (0..64).collect();
        let mut hashed = Vec::new();
        for number in 0..400u32 {
            shuffle(&mut order, u64::from(number), Purpose::Split);
            let mut hash = 0x0f3c_55aa_9669_1248_u64.wrapping_mul(u64::from(number / 4) * 2 + 1);
            // Of four, each is some bits away from the others.
            order.iter().take(3 * (number % 4) as usize).for_each(|bit| hash ^= 1 << bit);
            hashed.push((hash, number));
        }
        let (found, is_complete) = candidates(&hashed);
        let shares_a_byte = |a: u64, b: u64| (a ^ b).to_le_bytes().contains(&0);
        let mut expected = Vec::new();
        for (index, &(hash, number)) in hashed.iter().enumerate() {
            for &(other_hash, other) in &hashed[index + 1..] {
                let distance = (hash ^ other_hash).count_ones();
                if distance <= MAX_DISTANCE && shares_a_byte(hash, other_hash) {
                    expected.push((distance, number, other));
                }
            }
        }
        expected.sort_unstable();
        assert!(expected.len() > 100, "{}", expected.len());
        assert_eq!((found, is_complete), (expected, true));
        // Many that are the same: not all pairs are looked at, and that is said.
        let alike: Vec<(u64, u32)> = (0..20_000).map(|number| (7, number)).collect();
        let (found, is_complete) = candidates(&alike);
        assert!(found.len() <= 20_000 * MAX_OF_IMAGE && !is_complete);
    }
}
