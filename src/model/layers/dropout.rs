//! Dropout (Srivastava et al., 2014), inverted: while training, each value is set to 0 with probability
//! P and the others are scaled by 1 / (1 - P); otherwise values pass unchanged.

use super::{Gradients, Kind, Layer, LayerGradients, OnnxOperator};
use crate::kernels::tensor_slice::as_mut_slice;
use crate::kernels::threads::for_each_chunk;
use anyhow::{Context, Result};
use half::bf16;
use rand::{Fill, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Device, Kind as Type, Tensor, nn};

pub(super) const KIND: Kind = Kind { word: "dropout", usage: "P", example: "dropout 0.5", parse };

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
            true => dropout(values, rate),
            false => values.shallow_clone(),
        }))
    }

    fn manual(&self, _: Vec<Tensor>) -> Option<Box<dyn LayerGradients>> {
        Some(Box::new(ManualDropout { rate: self.rate, used: None }))
    }

    fn torchscript(&self, _: &[i64]) -> String {
        // With its decimal point the number is a float to TorchScript.
        format!("torch.dropout(x, {:?}, self.training)", self.rate)
    }

    fn onnx(&self, _: &[i64]) -> Option<OnnxOperator> {
        None
    }
}

#[derive(Debug)]
struct ManualDropout {
    rate: f64,
    /// Of the last forward pass: what drops the same values again.
    used: Option<Dropped>,
}

#[derive(Debug)]
enum Dropped {
    /// 1 for each value that was kept, 0 for the others.
    Kept(Vec<u8>),
    /// On other devices than a CPU: libtorch's mask.
    Mask(Tensor),
}

impl LayerGradients for ManualDropout {
    fn forward(&mut self, inputs: Tensor) -> Result<Tensor> {
        if inputs.device() != Device::Cpu {
            let (outputs, mask) = inputs.f_native_dropout(self.rate, true)?;
            self.used = Some(Dropped::Mask(mask));
            return Ok(outputs);
        }
        let kept = draw_kept(inputs.numel(), self.rate, mask_seed());
        // A copy, because other layers may have kept these values.
        let mut outputs = inputs.copy();
        drop_values(&mut outputs, self.rate, &kept);
        self.used = Some(Dropped::Kept(kept));
        Ok(outputs)
    }

    fn backward(&mut self, mut outputs: Tensor, _: bool) -> Result<Gradients> {
        match self.used.take().context("there was no forward pass")? {
            Dropped::Mask(mask) => {
                outputs = Tensor::f_native_dropout_backward(&outputs, &mask, 1.0 / (1.0 - self.rate))?;
            }
            Dropped::Kept(kept) => drop_values(&mut outputs, self.rate, &kept),
        }
        Ok(Gradients::of_inputs(outputs))
    }
}

/// Dropout that libtorch can differentiate. On a CPU libtorch draws its masks one value after the other,
/// which takes a quarter of the time of the matrix products around it; ours take a tenth of that.
fn dropout(values: &Tensor, rate: f64) -> Tensor {
    if values.device() != Device::Cpu || values.kind() != Type::Float {
        return values.dropout(rate, true);
    }
    let mut mask = Tensor::ones(values.size(), (Type::Float, Device::Cpu));
    drop_values(&mut mask, rate, &draw_kept(values.numel(), rate, mask_seed()));
    values * mask
}

/// A number from libtorch's generator, so that a mask follows from the seed that a step sets, and every
/// layer and step has its own.
fn mask_seed() -> u64 {
    Tensor::randint(i64::MAX, [1], (Type::Int64, Device::Cpu)).int64_value(&[0]) as u64
}

/// Values that a thread works on in one go.
const CHUNK: usize = 4096;

/// For each value 0 with probability `rate` (to 32 bits), otherwise 1, from ChaCha8.
fn draw_kept(count: usize, rate: f64, seed: u64) -> Vec<u8> {
    let dropped_below = (rate * 2f64.powi(32)).round() as u32;
    let generator = ChaCha8Rng::seed_from_u64(seed);
    let mut kept = vec![0; count];
    for_each_chunk(&mut kept, CHUNK, move |number, chunk| {
        let mut generator = generator.clone();
        generator.set_word_pos((number * CHUNK) as u128);
        let mut bits = [0u32; CHUNK];
        // Filling from a generator that cannot fail does not fail.
        let _ = bits[..chunk.len()].try_fill(&mut generator);
        for (kept, bits) in chunk.iter_mut().zip(&bits) {
            *kept = u8::from(*bits >= dropped_below);
        }
    });
    kept
}

/// Sets each value that is not kept to 0 and multiplies the others with 1 / (1 - rate), in place. The
/// values are float32 or bfloat16, contiguous, on a CPU.
fn drop_values(values: &mut Tensor, rate: f64, kept: &[u8]) {
    let scale = (1.0 / (1.0 - rate)) as f32;
    // Masks instead of branches, which would be mispredicted as often as values are dropped.
    match values.kind() {
        Type::BFloat16 => apply(as_mut_slice::<bf16>(values), kept, move |value, kept| {
            let scaled = bf16::from_f32(value.to_f32() * scale);
            bf16::from_bits(scaled.to_bits() & u16::from(kept).wrapping_neg())
        }),
        _ => apply(as_mut_slice::<f32>(values), kept, move |value, kept| {
            f32::from_bits((value * scale).to_bits() & u32::from(kept).wrapping_neg())
        }),
    }
}

fn apply<T: Copy + Send>(values: &mut [T], kept: &[u8], to_each: impl Fn(T, u8) -> T + Copy + Sync) {
    for_each_chunk(values, CHUNK, move |number, chunk| {
        for (value, kept) in chunk.iter_mut().zip(&kept[number * CHUNK..]) {
            *value = to_each(*value, *kept);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: usize = 1 << 20;

    fn mask(count: usize, rate: f64, seed: u64) -> Vec<f32> {
        let mut mask = Tensor::ones([count as i64], (Type::Float, Device::Cpu));
        drop_values(&mut mask, rate, &draw_kept(count, rate, seed));
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
    fn values_pass_or_are_dropped_forwards_and_backwards_alike() {
        let mut layer = ManualDropout { rate: 0.3, used: None };
        for (kind, exact) in [(Type::Float, 1e-7), (Type::BFloat16, 4e-3)] {
            let values = Tensor::arange(5_000, (Type::Float, Device::Cpu)).to_kind(kind) + 1.0;
            let outputs = layer.forward(values.shallow_clone()).unwrap();
            let gradients = layer.backward(values.ones_like(), true).unwrap().inputs.unwrap();
            let ratio = (&outputs.to_kind(Type::Float) / values.to_kind(Type::Float)).view([-1]);
            let ratios: Vec<f32> = Vec::try_from(ratio).unwrap();
            let gradients: Vec<f32> = Vec::try_from(gradients.to_kind(Type::Float)).unwrap();
            for (ratio, gradient) in ratios.into_iter().zip(gradients) {
                let expected = if gradient == 0.0 { 0.0 } else { 1.0 / 0.7 };
                assert!((ratio - expected).abs() <= exact * 1.5, "{kind:?}: {ratio}");
                assert!((gradient - expected).abs() <= exact * 1.5, "{kind:?}: {gradient}");
            }
        }
        assert!(layer.backward(Tensor::ones([1], (Type::Float, Device::Cpu)), true).is_err());
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
