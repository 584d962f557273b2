//! Normalisation of each channel over a batch.

use super::{Gradients, OTHER_VALUES, WIDE, add_deviations};
use crate::kernels::tensor_slice::{Real, as_slice, filled};
use crate::kernels::threads::for_each_chunk;
use anyhow::{Context, Result, ensure};
use half::bf16;
use multiversion::multiversion;
use std::ops::Range;
use tch::{Kind, Tensor};

/// Values of a batch that a thread works on in one go. They stay in its cache.
const PIECE: usize = 1 << 14;
/// What is done with channels beside dividing them by their deviation.
#[derive(Clone, Copy)]
pub struct Channels<'a> {
    pub weight: &'a [f32],
    pub bias: &'a [f32],
    /// Added to the variance.
    pub epsilon: f64,
    /// Whether negative outputs become 0.
    pub relu: bool,
}

/// Of each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchStatistics {
    pub mean: Vec<f32>,
    /// The mean square of the deviations from the mean: the biased variance.
    pub variance: Vec<f32>,
}

/// Inputs [.., channels], each channel less its mean and over its deviation, scaled and shifted.
///
/// # Errors
/// Inputs that are not float32 or bfloat16, contiguous and on the CPU, or have fewer than two values in a
/// channel; parameters of another size; too little memory.
pub fn forward(inputs: &Tensor, channels: Channels) -> Result<(Tensor, BatchStatistics)> {
    let statistics = match inputs.kind() {
        Kind::BFloat16 => batch_statistics::<bf16>(inputs)?,
        _ => batch_statistics::<f32>(inputs)?,
    };
    Ok((infer(inputs, &statistics.mean, &statistics.variance, channels)?, statistics))
}

/// The same with a given mean and variance, and any number of values.
///
/// # Errors
/// As for [`forward`].
pub fn infer(inputs: &Tensor, mean: &[f32], variance: &[f32], channels: Channels) -> Result<Tensor> {
    match inputs.kind() {
        Kind::BFloat16 => batch_of::<bf16>(inputs, mean, variance, channels),
        _ => batch_of::<f32>(inputs, mean, variance, channels),
    }
}

/// The gradients by that of the outputs of [`forward`], with what it was given and found. Which outputs
/// were negative before ReLU is computed again: reading them would take longer.
///
/// # Errors
/// As for [`forward`]; gradients of another shape or type than the inputs.
pub fn backward(
    inputs: &Tensor,
    gradients: &Tensor,
    statistics: &BatchStatistics,
    channels: Channels,
    needs_inputs: bool,
) -> Result<Gradients> {
    match inputs.kind() {
        Kind::BFloat16 => batch_gradients::<bf16>(inputs, gradients, statistics, channels, needs_inputs),
        _ => batch_gradients::<f32>(inputs, gradients, statistics, channels, needs_inputs),
    }
}

/// A batch as rows of channels.
#[derive(Clone, Copy)]
struct Rows {
    rows: usize,
    channels: usize,
}

impl Rows {
    fn of(shape: &[i64]) -> Result<Rows> {
        match shape {
            [rows @ .., channels] if !rows.is_empty() && *channels > 0 => {
                Ok(Rows { rows: rows.iter().product::<i64>() as usize, channels: *channels as usize })
            }
            _ => anyhow::bail!("values of the shape {shape:?} have no channels"),
        }
    }

    fn check(self, of_channels: &[&[f32]]) -> Result<()> {
        for values in of_channels {
            ensure!(values.len() == self.channels, "{} values for {} channels", values.len(), self.channels);
        }
        Ok(())
    }

    /// Values for channels, repeated for rows side by side.
    fn wide(self, of_channels: impl Iterator<Item = f32>) -> Vec<f32> {
        of_channels.collect::<Vec<_>>().repeat(WIDE.div_ceil(self.channels))
    }

    /// The sums for channels of those of rows side by side.
    fn narrow(self, wide: &[f32]) -> Vec<f64> {
        let mut sums = vec![0.0; self.channels];
        for row in wide.chunks(self.channels) {
            sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        sums
    }

    /// The values of a piece, which are whole rows.
    fn piece(self) -> usize {
        (PIECE / self.channels).max(16) * self.channels
    }

    /// Two numbers that `work` finds for each channel in the values of each piece.
    fn of_pieces<F: Fn(Range<usize>) -> [Vec<f64>; 2] + Sync>(self, work: F) -> Vec<(f64, f64)> {
        let (size, count) = (self.piece(), self.rows * self.channels);
        let mut found = vec![(0.0, 0.0); count.div_ceil(size) * self.channels];
        for_each_chunk(&mut found, self.channels, |piece, found| {
            let [first, second] = work(piece * size..((piece + 1) * size).min(count));
            found.iter_mut().zip(first.into_iter().zip(second)).for_each(|(found, pair)| *found = pair);
        });
        found
    }
}

/// Of each piece the mean and the sum of squares about it, put together as by Chan, Golub and LeVeque (1979).
/// In a piece, deviations are those from the mean of its first rows: near enough that nothing is lost when
/// the square of their sum is taken off the sum of their squares.
fn batch_statistics<T: Real>(inputs: &Tensor) -> Result<BatchStatistics> {
    let rows = Rows::of(&inputs.size())?;
    ensure!(rows.rows > 1, "a deviation needs 2 values in a channel; there are {}", rows.rows);
    let inputs = as_slice::<T>(inputs).context(OTHER_VALUES)?;
    let moments = rows.of_pieces(|range| {
        let count = (range.len() / rows.channels) as f64;
        let inputs = &inputs[range];
        let mut sums = rows.wide(std::iter::repeat_n(0.0, rows.channels));
        let mut squares = sums.clone();
        let first = &inputs[..sums.len().min(inputs.len())];
        add_deviations(first, &squares.clone(), &mut sums, &mut squares);
        let first_rows = (first.len() / rows.channels) as f64;
        let near: Vec<f32> = rows.narrow(&sums).iter().map(|sum| (sum / first_rows) as f32).collect();
        sums.fill(0.0);
        squares.fill(0.0);
        add_deviations(inputs, &rows.wide(near.iter().copied()), &mut sums, &mut squares);
        let [mut means, mut squares] = [sums, squares].map(|wide| rows.narrow(&wide));
        for ((mean, square), near) in means.iter_mut().zip(&mut squares).zip(near) {
            *square -= *mean * *mean / count;
            *mean = f64::from(near) + *mean / count;
        }
        [means, squares]
    });
    let size = rows.piece() / rows.channels;
    let statistics = (0..rows.channels).map(|channel| {
        let of_channel = moments.iter().skip(channel).step_by(rows.channels).enumerate();
        let pieces = of_channel.map(|(piece, moments)| (size.min(rows.rows - piece * size) as f64, moments));
        let mean = pieces.clone().map(|(count, (mean, _))| count * mean).sum::<f64>() / rows.rows as f64;
        let squares: f64 = pieces.map(|(n, (part, squares))| squares + n * (part - mean).powi(2)).sum();
        // Rounding may have made it negative; NaN stays.
        let variance = if squares < 0.0 { 0.0 } else { squares / rows.rows as f64 };
        (mean as f32, variance as f32)
    });
    let (mean, variance) = statistics.unzip();
    Ok(BatchStatistics { mean, variance })
}

impl Channels<'_> {
    /// Outputs are (x - mean) * scale + bias. Mean, scale and bias of rows side by side.
    fn terms(self, rows: Rows, mean: &[f32], variance: &[f32]) -> Result<[Vec<f32>; 3]> {
        rows.check(&[self.weight, self.bias, mean, variance])?;
        let scale = self.weight.iter().zip(self.reciprocal_deviations(variance));
        let scale = scale.map(|(weight, reciprocal)| (f64::from(*weight) * reciprocal) as f32);
        Ok([rows.wide(mean.iter().copied()), rows.wide(scale), rows.wide(self.bias.iter().copied())])
    }

    fn reciprocal_deviations(self, variance: &[f32]) -> impl Iterator<Item = f64> {
        variance.iter().map(move |variance| (f64::from(*variance) + self.epsilon).sqrt().recip())
    }
}

fn batch_of<T: Real>(inputs: &Tensor, mean: &[f32], variance: &[f32], channels: Channels) -> Result<Tensor> {
    let rows = Rows::of(&inputs.size())?;
    let terms = channels.terms(rows, mean, variance)?;
    let values = as_slice::<T>(inputs).context(OTHER_VALUES)?;
    filled(&inputs.size(), |outputs| {
        for_each_chunk(outputs, rows.piece(), |piece, outputs| {
            let inputs = &values[piece * rows.piece()..][..outputs.len()];
            normalise(inputs, terms.each_ref().map(Vec::as_slice), channels.relu, outputs);
        });
    })
}

fn batch_gradients<T: Real>(
    inputs: &Tensor,
    gradients: &Tensor,
    statistics: &BatchStatistics,
    channels: Channels,
    needs_inputs: bool,
) -> Result<Gradients> {
    let (shape, rows) = (inputs.size(), Rows::of(&inputs.size())?);
    ensure!(gradients.size() == shape, "gradients of the shape {:?}, not {shape:?}", gradients.size());
    let terms = channels.terms(rows, &statistics.mean, &statistics.variance)?;
    let terms = terms.each_ref().map(Vec::as_slice);
    let inputs = as_slice::<T>(inputs).context(OTHER_VALUES)?;
    let gradients = as_slice::<T>(gradients).context(OTHER_VALUES)?;
    let sums = rows.of_pieces(|range| {
        let mut sums = rows.wide(std::iter::repeat_n(0.0, rows.channels));
        let mut products = sums.clone();
        let values = [&inputs[range.clone()], &gradients[range]];
        add_gradients(values, terms, channels.relu, &mut sums, &mut products);
        [sums, products].map(|wide| rows.narrow(&wide))
    });
    let mut totals = vec![(0.0, 0.0); rows.channels];
    for sums in sums.chunks(rows.channels) {
        totals.iter_mut().zip(sums).for_each(|(total, sum)| *total = (total.0 + sum.0, total.1 + sum.1));
    }
    // Of the normalised inputs, not only of the deviations.
    let reciprocals: Vec<f64> = channels.reciprocal_deviations(&statistics.variance).collect();
    totals.iter_mut().zip(&reciprocals).for_each(|(total, reciprocal)| total.1 *= reciprocal);

    // Of a channel of n inputs x, normalised as z, with gradients g of the outputs:
    // scale * (g - sum(g) / n - z * sum(g z) / n).
    let factors =
        channels.weight.iter().zip(&reciprocals).zip(&totals).map(|((weight, reciprocal), total)| {
            let scale = f64::from(*weight) * reciprocal / rows.rows as f64;
            ((scale * total.0) as f32, (scale * reciprocal * total.1) as f32)
        });
    let (offsets, slopes): (Vec<f32>, Vec<f32>) = factors.unzip();
    let [offsets, slopes] = [offsets, slopes].map(|factors| rows.wide(factors.into_iter()));
    let fill = |of_inputs: &mut [T]| {
        for_each_chunk(of_inputs, rows.piece(), |piece, of_inputs| {
            let values = [inputs, gradients].map(|all| &all[piece * rows.piece()..][..of_inputs.len()]);
            batch_gradient(values, terms, channels.relu, [&offsets, &slopes], of_inputs);
        });
    };
    let of_inputs = if needs_inputs { Some(filled(&shape, fill)?) } else { None };
    let (of_bias, of_weight) = totals.into_iter().map(|(sum, product)| (sum as f32, product as f32)).unzip();
    Ok((of_inputs, of_weight, of_bias))
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
fn normalise<T: Real>(inputs: &[T], [mean, scale, bias]: [&[f32]; 3], relu: bool, outputs: &mut [T]) {
    for (inputs, outputs) in inputs.chunks(mean.len()).zip(outputs.chunks_mut(mean.len())) {
        let terms = mean.iter().zip(scale).zip(bias);
        for ((input, output), ((mean, scale), bias)) in inputs.iter().zip(outputs).zip(terms) {
            let value = (input.single() - mean) * scale + bias;
            *output = T::nearest(if relu && value < 0.0 { 0.0 } else { value });
        }
    }
}

/// Adds up the gradients, and their products with the deviations of the inputs.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
fn add_gradients<T: Real>(
    [inputs, gradients]: [&[T]; 2],
    [mean, scale, bias]: [&[f32]; 3],
    relu: bool,
    sums: &mut [f32],
    products: &mut [f32],
) {
    for (inputs, gradients) in inputs.chunks(mean.len()).zip(gradients.chunks(mean.len())) {
        let values = inputs.iter().zip(gradients).zip(mean.iter().zip(scale).zip(bias));
        let sums = sums.iter_mut().zip(&mut *products);
        for (((input, gradient), ((mean, scale), bias)), (sum, product)) in values.zip(sums) {
            let (deviation, gradient) = (input.single() - mean, gradient.single());
            let is_zero = relu && deviation * scale + bias <= 0.0;
            let gradient = if is_zero { 0.0 } else { gradient };
            *sum += gradient;
            *product += gradient * deviation;
        }
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
fn batch_gradient<T: Real>(
    [inputs, gradients]: [&[T]; 2],
    [mean, scale, bias]: [&[f32]; 3],
    relu: bool,
    [offsets, slopes]: [&[f32]; 2],
    of_inputs: &mut [T],
) {
    let wide = mean.len();
    let rows = inputs.chunks(wide).zip(gradients.chunks(wide)).zip(of_inputs.chunks_mut(wide));
    for ((inputs, gradients), of_inputs) in rows {
        let values = inputs.iter().zip(gradients).zip(of_inputs);
        let terms = mean.iter().zip(scale).zip(bias).zip(offsets.iter().zip(slopes));
        for (((input, gradient), of_input), (((mean, scale), bias), (offset, slope))) in values.zip(terms) {
            let (deviation, gradient) = (input.single() - mean, gradient.single());
            let is_zero = relu && deviation * scale + bias <= 0.0;
            let gradient = if is_zero { 0.0 } else { gradient };
            *of_input = T::nearest(gradient * scale - offset - deviation * slope);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;
    use crate::kernels::threads::with_threads;
    use tch::Device;

    const EPSILON: f64 = 1e-3;

    #[test]
    fn it_matches_libtorch() {
        for shape in [
            &[7, 5, 3, 16][..],
            &[7, 1],
            &[2, 3],
            &[1, 9, 7, 3],
            &[7, 13, 17],
            &[1, 30, 31, 33],
            &[9, 40, 50, 1],
            &[40, 1001],
        ] {
            for (kind, relu) in BOTH_KINDS.into_iter().flat_map(|kind| [(kind, false), (kind, true)]) {
                assert_matches(shape, kind, relu);
            }
        }
    }

    fn assert_matches(shape: &[i64], kind: Kind, relu: bool) {
        let what = format!("{shape:?} {kind:?} {relu}");
        let count = shape[shape.len() - 1] as usize;
        let (weight, bias) = (parameters(count, 0.618), parameters(count, 0.414));
        let channels = Channels { weight: &weight, bias: &bias, epsilon: EPSILON, relu };
        let inputs = values(shape, kind, 0.618);
        let gradients = values(shape, kind, 0.732);
        let (outputs, statistics) = forward(&inputs, channels).unwrap();
        assert_eq!(outputs.kind(), kind);

        // In float64, of what may be rounded to bfloat16.
        let leaf = |tensor: Tensor| tensor.to_kind(Kind::Double).detach().set_requires_grad(true);
        let (x, w, b) = (
            leaf(inputs.shallow_clone()),
            leaf(Tensor::from_slice(&weight)),
            leaf(Tensor::from_slice(&bias)),
        );
        let rows = x.view([-1, count as i64]);
        let expected = rows.batch_norm(Some(&w), Some(&b), None, None, true, 0.1, EPSILON, true);
        let expected = if relu { expected.relu() } else { expected }.view(shape);
        assert_close(&outputs, &expected, &what);
        assert_slice_close(&statistics.mean, &rows.mean_dim(0, false, Kind::Double), &what);
        assert_slice_close(&statistics.variance, &rows.var_dim(0, false, false), &what);

        let theirs = by_autograd(&expected, &gradients, &[&x, &w, &b]);
        let backward = |needs| backward(&inputs, &gradients, &statistics, channels, needs).unwrap();
        let (of_inputs, of_weight, of_bias) = backward(true);
        let of_inputs = of_inputs.unwrap();
        assert_eq!(of_inputs.kind(), kind);
        assert_close(&of_inputs, &theirs[0], &what);
        // Sums are as exact as their terms are large, so that means are compared.
        let count = x.numel() as f32 / of_weight.len() as f32;
        for (ours, theirs) in [&of_weight, &of_bias].into_iter().zip(&theirs[1..]) {
            let means: Vec<f32> = ours.iter().map(|sum| sum / count).collect();
            assert_slice_close(&means, &(theirs / f64::from(count)), &what);
        }
        let (none, same_of_weight, same_of_bias) = backward(false);
        assert!(none.is_none() && same_of_weight == of_weight && same_of_bias == of_bias);
    }

    #[test]
    fn small_deviations_of_large_values_are_right_wherever_others_are() {
        // The first row is far from the others, as a border of black pixels would be.
        for first in [1000.0, 0.0] {
            let inputs = values(&[4000, 3], Kind::Float, 0.618) * 0.1 + 1000.0;
            let _ = inputs.get(0).fill_(first);
            let channels = Channels { weight: &[1.0; 3], bias: &[0.0; 3], epsilon: 1e-9, relu: false };
            let (outputs, statistics) = forward(&inputs, channels).unwrap();
            let exact = inputs.to_kind(Kind::Double);
            assert_slice_close(&statistics.mean, &exact.mean_dim(0, false, Kind::Double), "mean");
            assert_slice_close(&statistics.variance, &exact.var_dim(0, false, false), "variance");
            let expected = exact.batch_norm(
                None::<Tensor>,
                None::<Tensor>,
                None::<Tensor>,
                None::<Tensor>,
                true,
                0.1,
                1e-9,
                true,
            );
            // float32 holds the mean to 3e-5, which is 4e-4 deviations.
            assert!(outputs.to_kind(Kind::Double).allclose(&expected, 0.0, 5e-4, false), "{first}");
        }
        let constant = Tensor::full([1000, 1], 0.1, (Kind::Float, Device::Cpu));
        let channels = Channels { weight: &[1.0], bias: &[0.5], epsilon: EPSILON, relu: false };
        let (outputs, statistics) = forward(&constant, channels).unwrap();
        assert!((0.0..1e-12).contains(&statistics.variance[0]), "{statistics:?}");
        assert_close(&outputs, &outputs.full_like(0.5), "constant");
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let (inputs, gradients) =
            (values(&[7, 60, 50, 17], Kind::Float, 0.618), values(&[7, 60, 50, 17], Kind::Float, 0.732));
        let (weight, bias) = (parameters(17, 0.618), parameters(17, 0.414));
        let channels = Channels { weight: &weight, bias: &bias, epsilon: EPSILON, relu: true };
        let results = || {
            let (outputs, statistics) = forward(&inputs, channels).unwrap();
            let gradients = backward(&inputs, &gradients, &statistics, channels, true).unwrap();
            (outputs, statistics, gradients)
        };
        let expected = with_threads(1, results);
        for threads in [2, 3] {
            assert!(with_threads(threads, results) == expected, "{threads}");
        }
    }

    #[test]
    fn nan_stays_in_its_channel_and_is_not_hidden_by_relu() {
        let inputs = values(&[300, 2], Kind::Float, 0.618);
        let _ = inputs.get(299).get(0).fill_(f64::NAN);
        let channels = Channels { weight: &[1.0; 2], bias: &[0.0; 2], epsilon: EPSILON, relu: true };
        let (outputs, statistics) = forward(&inputs, channels).unwrap();
        let gradients = inputs.ones_like();
        let (of_inputs, of_weight, _) = backward(&inputs, &gradients, &statistics, channels, true).unwrap();
        for tensor in [outputs, of_inputs.unwrap()] {
            let [first, second] = [0, 1].map(|channel| tensor.select(1, channel).isnan());
            assert!(bool::try_from(first.all()).unwrap() && !bool::try_from(second.any()).unwrap());
        }
        assert!(statistics.mean[0].is_nan() && statistics.variance[0].is_nan() && of_weight[0].is_nan());
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let inputs = values(&[4, 3], Kind::Float, 0.618);
        let channels = Channels { weight: &[1.0; 3], bias: &[0.0; 3], epsilon: EPSILON, relu: false };
        let few = Channels { weight: &[1.0; 2], ..channels };
        let (_, statistics) = forward(&inputs, channels).unwrap();
        for (inputs, channels) in [
            (inputs.shallow_clone(), few),
            (inputs.to_kind(Kind::Double), channels),
            (inputs.tr().contiguous().tr(), channels),
            (inputs.view([12]), channels),
            (inputs.view([4, 3, 1]).narrow(2, 0, 0), channels),
        ] {
            assert!(forward(&inputs, channels).is_err());
            assert!(infer(&inputs, &[0.0; 3], &[1.0; 3], channels).is_err());
            assert!(backward(&inputs, &inputs, &statistics, channels, true).is_err());
        }
        let fault = forward(&inputs.narrow(0, 0, 1), channels).unwrap_err().to_string();
        assert_eq!(fault, "a deviation needs 2 values in a channel; there are 1");
        assert!(backward(&inputs, &inputs.narrow(0, 0, 3), &statistics, channels, true).is_err());
        let empty = inputs.narrow(0, 0, 0);
        assert_eq!(infer(&empty, &[0.0; 3], &[1.0; 3], channels).unwrap().size(), [0, 3]);
        let one = inputs.narrow(0, 0, 1);
        assert_close(&infer(&one, &[0.0; 3], &[0.999; 3], channels).unwrap(), &one, "given");
    }
}
