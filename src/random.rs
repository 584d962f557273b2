//! Random numbers whose sequence follows from the seed alone, on every machine and with any number of
//! threads.

use rand::distributions::Standard;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a sequence of random numbers is for. Each purpose has a stream of its own, so that drawing
/// more numbers for one never shifts another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Splitting the training images into a training and a validation set.
    Split,
    /// The order of the samples in an epoch, counted from 1.
    Order(usize),
    /// What libtorch draws in the steps of an epoch (dropout), counted from 1.
    Libtorch(usize),
    /// Drawing a set anew from itself, to see how much a result varies.
    Resample(usize),
}

/// A seed for each step of an epoch: what libtorch draws in a step follows from seed, epoch and step alone,
/// so that training can resume at any step as if it had never paused.
pub fn step_seeds(seed: u64, epoch: usize) -> impl Iterator<Item = i64> {
    generator(seed, Purpose::Libtorch(epoch)).sample_iter(Standard)
}

/// The seed of a shard of a step's batch: that of the step for the first one.
pub fn shard_seed(step_seed: i64, shard: usize) -> i64 {
    // The golden ratio's share of 2^64, as in SplitMix64, keeps them apart.
    step_seed.wrapping_add((shard as i64).wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64))
}

/// The generator of a seed and a purpose.
pub fn generator(seed: u64, purpose: Purpose) -> ChaCha8Rng {
    let mut generator = ChaCha8Rng::seed_from_u64(seed);
    generator.set_stream(match purpose {
        Purpose::Split => 0,
        Purpose::Order(epoch) => 2 * epoch as u64 + 1,
        Purpose::Libtorch(epoch) => 2 * epoch as u64 + 2,
        Purpose::Resample(index) => u64::MAX - index as u64,
    });
    generator
}

/// Shuffles a slice in place, every order being equally likely.
pub fn shuffle<T>(items: &mut [T], seed: u64, purpose: Purpose) {
    items.shuffle(&mut generator(seed, purpose));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shuffled(seed: u64, purpose: Purpose) -> Vec<u32> {
        let mut items: Vec<u32> = (0..100).collect();
        shuffle(&mut items, seed, purpose);
        items
    }

    #[test]
    fn the_same_seed_and_purpose_give_the_same_order() {
        assert_eq!(shuffled(7, Purpose::Order(3)), shuffled(7, Purpose::Order(3)));
    }

    #[test]
    fn every_seed_and_purpose_has_its_own_order() {
        let orders = [
            shuffled(7, Purpose::Order(3)),
            shuffled(7, Purpose::Order(4)),
            shuffled(8, Purpose::Order(3)),
            shuffled(7, Purpose::Libtorch(3)),
            shuffled(7, Purpose::Split),
            shuffled(7, Purpose::Resample(3)),
        ];
        for (i, a) in orders.iter().enumerate() {
            for b in &orders[i + 1..] {
                assert_ne!(a, b);
            }
            let mut sorted = a.clone();
            sorted.sort();
            assert_eq!(sorted, (0..100).collect::<Vec<_>>(), "a shuffle loses nothing");
        }
    }
}
