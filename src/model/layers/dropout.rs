//! Dropout (Srivastava et al., 2014), inverted: while training, each value is set to 0 with probability
//! P and the others are scaled by 1 / (1 - P); otherwise values pass unchanged.

use super::{Kind, Layer, OnnxOperator};
use anyhow::Result;
use rand::{Fill, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Tensor, nn};

pub(super) const KIND: Kind = Kind { word: "dropout", usage: "P", parse };

#[derive(Clone, Debug)]
struct Dropout {
    rate: f64,
}

fn parse(arguments: &[&str]) -> Result<Box<dyn Layer>, String> {
    let rule = "needs the share of values to drop, from 0 to below 1: dropout 0.2";
    match arguments {
        [rate] => match rate.parse() {
            Ok(rate) if (0.0..1.0).contains(&rate) => Ok(Box::new(Dropout { rate })),
            _ => Err(rule.to_string()),
        },
        _ => Err(rule.to_string()),
    }
}

impl Layer for Dropout {
    fn word(&self) -> &'static str {
        KIND.word
    }

    fn type_name(&self) -> &'static str {
        "Dropout"
    }

    fn arguments(&self) -> String {
        self.rate.to_string()
    }

    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>> {
        Ok(input.to_vec())
    }

    fn append_to(&self, sequence: nn::SequentialT, _: &nn::Path, _: &[i64]) -> Result<nn::SequentialT> {
        let rate = self.rate;
        Ok(sequence.add_fn_t(move |values, train| match train {
            true => drop_values(values, rate),
            false => values.shallow_clone(),
        }))
    }
    fn torchscript(&self) -> String {
        // With its decimal point the number is a float to TorchScript.
        format!("torch.dropout(x, {:?}, self.training)", self.rate)
    }

    fn onnx(&self) -> Option<OnnxOperator> {
        None
    }
}

/// Drops values and scales the others. On a CPU libtorch draws its masks one value after the other, which
/// takes a quarter of the time of the matrix products around it; ours take a third of that.
fn drop_values(values: &Tensor, rate: f64) -> Tensor {
    if values.device() != Device::Cpu || values.kind() != tch::Kind::Float {
        return values.dropout(rate, true);
    }
    // One number from libtorch's generator, so that the mask follows from the seed that a step sets, and
    // every layer and step has its own.
    let seed = Tensor::randint(i64::MAX, [1], (tch::Kind::Int64, Device::Cpu)).int64_value(&[0]);
    values * Tensor::from_slice(&mask(values.numel(), rate, seed as u64)).view(values.size().as_slice())
}

/// For each value 0 with probability `rate` (to 32 bits), otherwise 1 / (1 - rate), from ChaCha8.
fn mask(count: usize, rate: f64, seed: u64) -> Vec<f32> {
    let mut bits = vec![0u32; count];
    // Filling from a generator that cannot fail does not fail.
    let _ = bits.try_fill(&mut ChaCha8Rng::seed_from_u64(seed));
    let dropped_below = (rate * 2f64.powi(32)).round() as u32;
    let scale = (1.0 / (1.0 - rate)) as f32;
    bits.into_iter().map(|bits| if bits < dropped_below { 0.0 } else { scale }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: usize = 1 << 20;

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
}
