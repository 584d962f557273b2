//! Random masks for dropout on a CPU, drawn and applied by all threads. libtorch draws its masks one value
//! after the other, which takes a quarter of the time of the matrix products around it; these take a tenth of
//! that.

use super::tensor_slice::{Value, as_mut_slice};
use super::threads::for_each_chunk;
use anyhow::{Context, Result, ensure};
use half::bf16;
use rand::{Fill, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

/// Values that a thread works on in one go.
const CHUNK: usize = 4096;

/// For each value 0 with probability `rate` (to 32 bits), otherwise 1, from ChaCha8. The mask does not depend
/// on the number of threads.
pub fn draw_kept(count: usize, rate: f64, seed: u64) -> Vec<u8> {
    let dropped_below = (rate * 2f64.powi(32)).round() as u32;
    let generator = ChaCha8Rng::seed_from_u64(seed);
    let mut kept = vec![0; count];
    for_each_chunk(&mut kept, CHUNK, move |index, chunk| {
        let mut generator = generator.clone();
        generator.set_word_pos((index * CHUNK) as u128);
        let mut bits = [0u32; CHUNK];
        // Filling from a generator that cannot fail does not fail.
        let _ = bits[..chunk.len()].try_fill(&mut generator);
        for (kept, bits) in chunk.iter_mut().zip(&bits) {
            *kept = u8::from(*bits >= dropped_below);
        }
    });
    kept
}

/// Sets each value whose `kept` is 0 to 0 and multiplies the others by 1 / (1 - rate), in place.
///
/// # Errors
/// Values that are not float32 or bfloat16, contiguous and on the CPU; a mask of another length.
pub fn drop_values(values: &mut Tensor, rate: f64, kept: &[u8]) -> Result<()> {
    let scale = (1.0 / (1.0 - rate)) as f32;
    // Bit masks instead of branches, which would be mispredicted as often as values are dropped.
    match values.kind() {
        Kind::BFloat16 => apply(values, kept, move |value: bf16, kept| {
            let scaled = bf16::from_f32(value.to_f32() * scale);
            bf16::from_bits(scaled.to_bits() & u16::from(kept).wrapping_neg())
        }),
        _ => apply(values, kept, move |value: f32, kept| {
            f32::from_bits((value * scale).to_bits() & u32::from(kept).wrapping_neg())
        }),
    }
}

fn apply<T: Value>(
    values: &mut Tensor,
    kept: &[u8],
    to_each: impl Fn(T, u8) -> T + Copy + Sync,
) -> Result<()> {
    // SAFETY: the slice is gone when this function returns, and only `to_each` is called meanwhile, which
    // knows no tensor.
    let values = unsafe { as_mut_slice::<T>(values) };
    let values = values.context("only contiguous float32 and bfloat16 values on the CPU can be dropped")?;
    ensure!(values.len() == kept.len(), "a mask of {} values for {}", kept.len(), values.len());
    for_each_chunk(values, CHUNK, move |index, chunk| {
        for (value, kept) in chunk.iter_mut().zip(&kept[index * CHUNK..]) {
            *value = to_each(*value, *kept);
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    const COUNT: usize = 1 << 20;

    fn mask(count: usize, rate: f64, seed: u64) -> Vec<f32> {
        let mut mask = Tensor::ones([count as i64], (Kind::Float, Device::Cpu));
        drop_values(&mut mask, rate, &draw_kept(count, rate, seed)).unwrap();
        Vec::try_from(&mask).unwrap()
    }

    /// Ones where a value is dropped.
    fn dropped(rate: f64, seed: u64) -> Vec<f64> {
        mask(COUNT, rate, seed).into_iter().map(|kept| f64::from(u8::from(kept == 0.0))).collect()
    }

    fn mean(values: impl Iterator<Item = f64>) -> f64 {
        values.sum::<f64>() / COUNT as f64
    }

    /// The correlation of two masks of the same rate, in standard deviations of its own chance.
    fn correlation(a: &[f64], b: &[f64], rate: f64) -> f64 {
        let covariance = mean(a.iter().zip(b).map(|(a, b)| (a - rate) * (b - rate)));
        covariance / (rate * (1.0 - rate)) * (a.len() as f64).sqrt()
    }

    #[test]
    fn the_rate_and_the_mean_are_kept() {
        for rate in [0.0, 0.001, 0.1, 0.2, 1.0 / 3.0, 0.5, 0.9] {
            let deviation = (rate * (1.0 - rate) / COUNT as f64).sqrt();
            let share = mean(dropped(rate, 11).into_iter());
            assert!((share - rate).abs() <= 5.0 * deviation, "{rate}: {share}");
            let scale = 1.0 / (1.0 - rate);
            let scaled = mean(mask(COUNT, rate, 11).into_iter().map(f64::from));
            assert!((scaled - 1.0).abs() <= 5.0 * deviation * scale + 1e-6, "{rate}: {scaled}");
        }
    }

    #[test]
    fn values_are_independent_of_their_neighbours_and_of_other_seeds() {
        let rate = 0.2;
        let first = dropped(rate, 1);
        for lag in [1, 2, 3, 16, 64, 512, 65_536] {
            let deviations = correlation(&first[lag..], &first[..COUNT - lag], rate);
            assert!(deviations.abs() < 5.0, "lag {lag}: {deviations}");
        }
        for seed in [0, 2, 3, u64::MAX] {
            let deviations = correlation(&first, &dropped(rate, seed), rate);
            assert!(deviations.abs() < 5.0, "seed {seed}: {deviations}");
        }
        assert_eq!(mask(1_000, rate, 1), mask(1_000, rate, 1));
    }

    #[test]
    fn the_numbers_of_dropped_values_in_groups_are_spread_as_chance_has_it() {
        // Of groups of 256 values: the variance of a binomial distribution, within 5 of its deviations.
        const GROUP: usize = 256;
        let rate = 0.3;
        let counts: Vec<f64> = dropped(rate, 5).chunks(GROUP).map(|group| group.iter().sum()).collect();
        let groups = counts.len() as f64;
        let expected = GROUP as f64 * rate;
        let variance = counts.iter().map(|count| (count - expected).powi(2)).sum::<f64>() / groups;
        let ratio = variance / (expected * (1.0 - rate));
        assert!((ratio - 1.0).abs() < 5.0 * (2.0 / groups).sqrt(), "{ratio}");
    }

    #[test]
    fn other_values_and_masks_of_another_length_are_refused() {
        let mut doubles = Tensor::ones([4], (Kind::Double, Device::Cpu));
        assert!(drop_values(&mut doubles, 0.5, &[1; 4]).is_err());
        let mut columns = Tensor::ones([4, 2], (Kind::Float, Device::Cpu)).tr();
        assert!(drop_values(&mut columns, 0.5, &[1; 8]).is_err());
        let mut values = Tensor::ones([4], (Kind::Float, Device::Cpu));
        assert!(drop_values(&mut values, 0.5, &[1; 3]).is_err());
        assert!(drop_values(&mut values.narrow(0, 0, 0), 0.5, &[]).is_ok());
    }
}
