//! Normalisation of each sample.

use super::{Gradients, OTHER_VALUES, WIDE, add_deviations};
use crate::kernels::tensor_slice::{Real, as_slice, filled};
use crate::kernels::threads::for_each_chunk;
use anyhow::{Context, Result, ensure};
use half::bf16;
use multiversion::multiversion;
use tch::{Kind, Tensor};

/// Samples whose gradients of the parameters are added up in one go.
const SAMPLES: usize = 8;

/// Parameters' gradients that a thread adds up in one go.
const PIECE: usize = 1 << 12;

/// Of each sample.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleStatistics {
    pub mean: Vec<f32>,
    /// 1 / sqrt(variance + epsilon)
    pub reciprocal_deviation: Vec<f32>,
}

/// Inputs [b, ...], each sample less its mean and over its deviation, scaled and shifted by a weight and a
/// bias for each of its values.
///
/// # Errors
/// As for [`super::batch::forward`], but one value is enough.
pub fn forward(
    inputs: &Tensor,
    weight: &[f32],
    bias: &[f32],
    epsilon: f64,
) -> Result<(Tensor, SampleStatistics)> {
    match inputs.kind() {
        Kind::BFloat16 => layer_of::<bf16>(inputs, weight, bias, epsilon),
        _ => layer_of::<f32>(inputs, weight, bias, epsilon),
    }
}

/// The gradients by that of the outputs of [`forward`], with what it was given and found.
///
/// # Errors
/// As for [`forward`]; gradients of another shape or type than the inputs.
pub fn backward(
    inputs: &Tensor,
    gradients: &Tensor,
    weight: &[f32],
    statistics: &SampleStatistics,
    needs_inputs: bool,
) -> Result<Gradients> {
    match inputs.kind() {
        Kind::BFloat16 => layer_gradients::<bf16>(inputs, gradients, weight, statistics, needs_inputs),
        _ => layer_gradients::<f32>(inputs, gradients, weight, statistics, needs_inputs),
    }
}

/// The number of samples. Each must have as many values as the weight.
fn samples(shape: &[i64], weight: &[f32]) -> Result<usize> {
    let values = shape.iter().skip(1).product::<i64>() as usize;
    ensure!(shape.len() > 1 && values > 0, "samples of the shape {shape:?} have no values");
    ensure!(weight.len() == values, "{} parameters for {values} values of a sample", weight.len());
    Ok(shape[0] as usize)
}

fn layer_of<T: Real>(
    inputs: &Tensor,
    weight: &[f32],
    bias: &[f32],
    epsilon: f64,
) -> Result<(Tensor, SampleStatistics)> {
    let (count, size) = (samples(&inputs.size(), weight)?, weight.len());
    ensure!(bias.len() == size, "{} parameters for {size} values of a sample", bias.len());
    let values = as_slice::<T>(inputs).context(OTHER_VALUES)?;
    let mut found = vec![(0.0, 0.0); count];
    let outputs = filled(&inputs.size(), |outputs| {
        let mut samples: Vec<_> = outputs.chunks_mut(size).zip(&mut found).collect();
        for_each_chunk(&mut samples, 1, |index, samples| {
            for (outputs, (mean, reciprocal)) in samples {
                let inputs = &values[index * size..][..size];
                (*mean, *reciprocal) = sample_statistics(inputs, epsilon);
                normalise_sample(inputs, (*mean, *reciprocal), weight, bias, outputs);
            }
        });
    })?;
    let (mean, reciprocal_deviation) = found.into_iter().unzip();
    Ok((outputs, SampleStatistics { mean, reciprocal_deviation }))
}

fn layer_gradients<T: Real>(
    inputs: &Tensor,
    gradients: &Tensor,
    weight: &[f32],
    statistics: &SampleStatistics,
    needs_inputs: bool,
) -> Result<Gradients> {
    let (shape, size) = (inputs.size(), weight.len());
    let count = samples(&shape, weight)?;
    ensure!(gradients.size() == shape, "gradients of the shape {:?}, not {shape:?}", gradients.size());
    let SampleStatistics { mean, reciprocal_deviation } = statistics;
    ensure!(
        mean.len() == count && reciprocal_deviation.len() == count,
        "statistics of {} samples, not {count}",
        mean.len()
    );
    let inputs = as_slice::<T>(inputs).context(OTHER_VALUES)?;
    let gradients = as_slice::<T>(gradients).context(OTHER_VALUES)?;
    let work = |piece: usize, sums: &mut [f32], mut of_inputs: Option<&mut [T]>| {
        let (of_weight, of_bias) = sums.split_at_mut(size);
        for index in piece * SAMPLES..((piece + 1) * SAMPLES).min(count) {
            let values = [inputs, gradients].map(|all| &all[index * size..][..size]);
            let statistics = (mean[index], reciprocal_deviation[index]);
            add_sample(values, statistics, of_weight, of_bias);
            if let Some(of_inputs) = &mut of_inputs {
                let of_inputs = &mut of_inputs[index % SAMPLES * size..][..size];
                sample_gradient(values, statistics, weight, of_inputs);
            }
        }
    };
    let mut sums = vec![0.0; count.div_ceil(SAMPLES) * 2 * size];
    let of_inputs = match needs_inputs {
        true => Some(filled(&shape, |of_inputs| {
            let of_inputs = of_inputs.chunks_mut(SAMPLES * size);
            let mut pieces: Vec<_> = sums.chunks_mut(2 * size).zip(of_inputs).collect();
            for_each_chunk(&mut pieces, 1, |piece, pieces| {
                pieces.iter_mut().for_each(|(sums, of_inputs)| work(piece, sums, Some(of_inputs)));
            });
        })?),
        false => {
            for_each_chunk(&mut sums, 2 * size, |piece, sums| work(piece, sums, None));
            None
        }
    };
    let mut of_weight = vec![0.0; 2 * size];
    for_each_chunk(&mut of_weight, PIECE, |index, totals| {
        for sums in sums.chunks(2 * size) {
            totals.iter_mut().zip(&sums[index * PIECE..]).for_each(|(total, sum)| *total += sum);
        }
    });
    let of_bias = of_weight.split_off(size);
    Ok((of_inputs, of_weight, of_bias))
}

/// The mean and the reciprocal deviation. As in a batch, deviations are those from the mean of the first
/// values, so that large values with small deviations come out right.
fn sample_statistics<T: Real>(inputs: &[T], epsilon: f64) -> (f32, f32) {
    let means = |inputs: &[T], mean: f32| {
        let (mut sums, mut squares) = ([0.0; WIDE], [0.0; WIDE]);
        add_deviations(inputs, &[mean; WIDE], &mut sums, &mut squares);
        [sums, squares].map(|sums| total(&sums) / inputs.len() as f64)
    };
    let [near, _] = means(&inputs[..WIDE.min(inputs.len())], 0.0);
    let near = near as f32;
    let [rest, square] = means(inputs, near);
    // Rounding may have made the variance negative; NaN stays.
    let variance = square - rest * rest;
    let variance = if variance < 0.0 { 0.0 } else { variance };
    ((f64::from(near) + rest) as f32, (variance + epsilon).sqrt().recip() as f32)
}

fn total(sums: &[f32; WIDE]) -> f64 {
    let mut totals = [0.0; 8];
    for sums in sums.chunks(8) {
        totals.iter_mut().zip(sums).for_each(|(total, sum)| *total += f64::from(*sum));
    }
    totals.iter().sum()
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
fn normalise_sample<T: Real>(
    inputs: &[T],
    (mean, reciprocal): (f32, f32),
    weight: &[f32],
    bias: &[f32],
    outputs: &mut [T],
) {
    for ((input, output), (weight, bias)) in inputs.iter().zip(outputs).zip(weight.iter().zip(bias)) {
        *output = T::nearest((input.single() - mean) * reciprocal * weight + bias);
    }
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
fn add_sample<T: Real>(
    [inputs, gradients]: [&[T]; 2],
    (mean, reciprocal): (f32, f32),
    of_weight: &mut [f32],
    of_bias: &mut [f32],
) {
    let sums = of_weight.iter_mut().zip(of_bias);
    for ((input, gradient), (of_weight, of_bias)) in inputs.iter().zip(gradients).zip(sums) {
        let gradient: f32 = gradient.single();
        *of_weight += gradient * ((input.single() - mean) * reciprocal);
        *of_bias += gradient;
    }
}

/// Of a sample of n inputs, normalised as z, with gradients g of z: (g - sum(g) / n - z * sum(g z) / n) over
/// the deviation.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
fn sample_gradient<T: Real>(
    [inputs, gradients]: [&[T]; 2],
    (mean, reciprocal): (f32, f32),
    weight: &[f32],
    of_inputs: &mut [T],
) {
    let (mut sums, mut products) = ([0.0; WIDE], [0.0; WIDE]);
    for ((inputs, gradients), weight) in
        inputs.chunks(WIDE).zip(gradients.chunks(WIDE)).zip(weight.chunks(WIDE))
    {
        let sums = sums.iter_mut().zip(&mut products);
        for (((input, gradient), weight), (sum, product)) in
            inputs.iter().zip(gradients).zip(weight).zip(sums)
        {
            let gradient = gradient.single() * weight;
            *sum += gradient;
            *product += gradient * ((input.single() - mean) * reciprocal);
        }
    }
    let [offset, slope] = [sums, products].map(|sums| (total(&sums) / inputs.len() as f64) as f32);
    for (((input, gradient), weight), of_input) in inputs.iter().zip(gradients).zip(weight).zip(of_inputs) {
        let normalised = (input.single() - mean) * reciprocal;
        *of_input = T::nearest((gradient.single() * weight - offset - normalised * slope) * reciprocal);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::*;
    use super::*;
    use crate::kernels::threads::with_threads;

    const EPSILON: f64 = 1e-3;

    #[test]
    fn it_matches_libtorch() {
        for shape in [&[7, 5, 3, 16][..], &[1, 9, 7, 3], &[20, 1], &[7, 17], &[2, 33], &[3, 70, 90], &[0, 4]]
        {
            for kind in BOTH_KINDS {
                assert_matches(shape, kind);
            }
        }
    }

    fn assert_matches(shape: &[i64], kind: Kind) {
        let what = format!("{shape:?} {kind:?}");
        let size = shape[1..].iter().product::<i64>() as usize;
        let (weight, bias) = (parameters(size, 0.618), parameters(size, 0.414));
        let (inputs, gradients) = (values(shape, kind, 0.618), values(shape, kind, 0.732));
        let (outputs, statistics) = forward(&inputs, &weight, &bias, EPSILON).unwrap();
        let backward = |needs| backward(&inputs, &gradients, &weight, &statistics, needs).unwrap();
        let (of_inputs, of_weight, of_bias) = backward(true);
        let of_inputs = of_inputs.unwrap();
        let (none, same_of_weight, same_of_bias) = backward(false);
        assert!(none.is_none() && same_of_weight == of_weight && same_of_bias == of_bias);
        assert_eq!((outputs.kind(), of_inputs.kind(), outputs.size()), (kind, kind, shape.to_vec()));
        if shape[0] == 0 {
            assert_eq!((of_inputs.size(), of_weight), (shape.to_vec(), vec![0.0; size]));
            return;
        }
        // In float64, of what may be rounded to bfloat16.
        let leaf = |tensor: Tensor| tensor.to_kind(Kind::Double).detach().set_requires_grad(true);
        let x = leaf(inputs.shallow_clone());
        let [w, b] = [&weight, &bias].map(|values| leaf(Tensor::from_slice(values).view(&shape[1..])));
        let expected = x.layer_norm(&shape[1..], Some(&w), Some(&b), EPSILON, true);
        assert_close(&outputs, &expected, &what);
        let theirs = by_autograd(&expected, &gradients, &[&x, &w, &b]);
        assert_close(&of_inputs, &theirs[0], &what);
        assert_slice_close(&of_weight, &theirs[1], &what);
        assert_slice_close(&of_bias, &theirs[2], &what);
    }

    #[test]
    fn small_deviations_of_large_values_are_right() {
        let inputs = values(&[2, 4000], Kind::Float, 0.618) * 0.1 + 1000.0;
        let (_, statistics) = forward(&inputs, &[1.0; 4000], &[0.0; 4000], 1e-9).unwrap();
        let exact = inputs.to_kind(Kind::Double);
        let deviation = (exact.var_dim(1, false, false) + 1e-9).sqrt();
        assert_slice_close(&statistics.mean, &exact.mean_dim(1, false, Kind::Double), "mean");
        assert_slice_close(&statistics.reciprocal_deviation, &deviation.reciprocal(), "deviation");
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let (inputs, gradients) =
            (values(&[37, 20, 17], Kind::Float, 0.618), values(&[37, 20, 17], Kind::Float, 0.732));
        let (weight, bias) = (parameters(340, 0.618), parameters(340, 0.414));
        let results = || {
            let (outputs, statistics) = forward(&inputs, &weight, &bias, EPSILON).unwrap();
            let gradients = backward(&inputs, &gradients, &weight, &statistics, true).unwrap();
            (outputs, statistics, gradients)
        };
        let expected = with_threads(1, results);
        for threads in [2, 3] {
            assert!(with_threads(threads, results) == expected, "{threads}");
        }
    }

    #[test]
    fn nan_stays_in_its_sample() {
        let inputs = values(&[2, 300], Kind::Float, 0.618);
        let _ = inputs.get(0).get(299).fill_(f64::NAN);
        let (outputs, statistics) = forward(&inputs, &[1.0; 300], &[0.0; 300], EPSILON).unwrap();
        let (of_inputs, of_weight, _) =
            backward(&inputs, &inputs.ones_like(), &[1.0; 300], &statistics, true).unwrap();
        for tensor in [outputs, of_inputs.unwrap()] {
            let [first, second] = [0, 1].map(|sample| tensor.get(sample).isnan());
            assert!(bool::try_from(first.all()).unwrap() && !bool::try_from(second.any()).unwrap());
        }
        assert!(of_weight.iter().all(|value| value.is_nan()));
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let inputs = values(&[4, 3], Kind::Float, 0.618);
        let (_, statistics) = forward(&inputs, &[1.0; 3], &[0.0; 3], EPSILON).unwrap();
        for (inputs, weight) in [
            (inputs.shallow_clone(), &[1.0; 2][..]),
            (inputs.to_kind(Kind::Double), &[1.0; 3]),
            (inputs.tr().contiguous().tr(), &[1.0; 3]),
            (inputs.view([12]), &[1.0; 3]),
            (inputs.narrow(1, 0, 0), &[]),
        ] {
            assert!(forward(&inputs, weight, &[0.0; 3], EPSILON).is_err());
            assert!(backward(&inputs, &inputs, weight, &statistics, true).is_err());
        }
        assert!(forward(&inputs, &[1.0; 3], &[0.0; 2], EPSILON).is_err());
        assert!(backward(&inputs, &inputs.get(0), &[1.0; 3], &statistics, true).is_err());
        let few = inputs.narrow(0, 0, 3);
        assert!(backward(&few, &few, &[1.0; 3], &statistics, true).is_err());
    }
}
