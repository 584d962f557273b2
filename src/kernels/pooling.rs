//! The maximum or the mean of each square of images on a CPU, and the gradients, for images whose channels
//! lie together in memory: [b, height, width, channels].
//!
//! Squares lie side by side; pixels left over at the right and the bottom are dropped. Inputs are read once
//! and results written once, and a position in a square is a byte, where libtorch keeps an int64. For
//! [128, 26, 26, 16] in squares of 2 x 2, by one thread of an AVX2 machine, that takes 0.3 to 0.45 of the
//! time of libtorch's operators in float32 and 0.4 to 0.6 of it in bfloat16. (Of 3 channels, the gradient of
//! maxima takes longer than libtorch's.)

use super::tensor_slice::{Real, as_slice, filled};
use super::threads::for_each_chunk;
use anyhow::{Context, Result, ensure};
use half::bf16;
use multiversion::multiversion;
use tch::{Kind, Tensor};

/// The side of the largest squares whose positions fit into a byte.
pub const MAX_SIDE: usize = 15;

const OTHER_VALUES: &str = "only contiguous float32 and bfloat16 images on the CPU can be pooled";

/// The maxima, and where in its square each is: line by line, from 0 on. Of equal values the first counts,
/// and NaN, the last of several, is larger than all, as for libtorch.
///
/// # Errors
/// Other tensors than float32 or bfloat16 [b, height, width, channels], contiguous and on the CPU; squares
/// that do not fit or are larger than [`MAX_SIDE`]; too little memory.
pub fn max_forward(inputs: &Tensor, side: usize) -> Result<(Tensor, Vec<u8>)> {
    match inputs.kind() {
        Kind::BFloat16 => max_of::<bf16>(inputs, side),
        _ => max_of::<f32>(inputs, side),
    }
}

/// The gradient of the inputs of [`max_forward`] by that of its outputs.
///
/// # Errors
/// As for [`max_forward`]; gradients or positions that are not those of such images.
pub fn max_backward(
    gradients: &Tensor,
    positions: &[u8],
    side: usize,
    input_shape: &[i64],
) -> Result<Tensor> {
    match gradients.kind() {
        Kind::BFloat16 => max_gradient_of::<bf16>(gradients, positions, side, input_shape),
        _ => max_gradient_of::<f32>(gradients, positions, side, input_shape),
    }
}

/// The means.
///
/// # Errors
/// As for [`max_forward`], but squares may be of any size.
pub fn mean_forward(inputs: &Tensor, side: usize) -> Result<Tensor> {
    match inputs.kind() {
        Kind::BFloat16 => mean_of::<bf16>(inputs, side),
        _ => mean_of::<f32>(inputs, side),
    }
}

/// The gradient of the inputs of [`mean_forward`] by that of its outputs.
///
/// # Errors
/// As for [`mean_forward`]; gradients that are not those of such images.
pub fn mean_backward(gradients: &Tensor, side: usize, input_shape: &[i64]) -> Result<Tensor> {
    match gradients.kind() {
        Kind::BFloat16 => mean_gradient_of::<bf16>(gradients, side, input_shape),
        _ => mean_gradient_of::<f32>(gradients, side, input_shape),
    }
}

/// Images and their squares.
#[derive(Clone, Copy)]
struct Squares {
    batch: usize,
    height: usize,
    width: usize,
    channels: usize,
    side: usize,
}

impl Squares {
    fn of(shape: &[i64], side: usize) -> Result<Squares> {
        let sizes: Vec<usize> = shape.iter().flat_map(|&size| usize::try_from(size)).collect();
        let [batch, height, width, channels] =
            sizes.try_into().ok().context("images have four dimensions")?;
        ensure!(channels > 0, "the images have no channels");
        ensure!(
            (1..=height.min(width)).contains(&side),
            "squares of {side} x {side} pixels do not fit into images of {height} x {width}"
        );
        Ok(Squares { batch, height, width, channels, side })
    }

    fn output_shape(self) -> [i64; 4] {
        [self.batch, self.height / self.side, self.width / self.side, self.channels].map(|size| size as i64)
    }

    /// The values of a line of the inputs and of the outputs.
    fn lines(self) -> [usize; 2] {
        [self.width * self.channels, self.width / self.side * self.channels]
    }

    /// The lines of the inputs from which a line of the outputs is made.
    fn sources<T>(self, inputs: &[T], index: usize) -> &[T] {
        let (image, y) = (index / (self.height / self.side), index % (self.height / self.side));
        let [line, _] = self.lines();
        &inputs[(image * self.height + y * self.side) * line..][..self.side * line]
    }

    /// A tensor like the inputs. `work` fills each of its lines by the line of values of outputs that belongs
    /// to it and its number in the squares.
    fn spread<T: Real>(
        self,
        work: impl Fn(&mut [T], std::ops::Range<usize>, usize) + Sync,
    ) -> Result<Tensor> {
        let [line, output_line] = self.lines();
        let shape = [self.batch, self.height, self.width, self.channels].map(|size| size as i64);
        filled(&shape, |values| {
            for_each_chunk(values, line, |index, values| {
                let (image, y) = (index / self.height, index % self.height);
                let (used, dropped) = values.split_at_mut(output_line * self.side);
                dropped.fill(T::default());
                if y / self.side == self.height / self.side {
                    return used.fill(T::default());
                }
                let start = (image * (self.height / self.side) + y / self.side) * output_line;
                work(used, start..start + output_line, y % self.side);
            });
        })
    }
}

fn max_of<T: Real>(inputs: &Tensor, side: usize) -> Result<(Tensor, Vec<u8>)> {
    ensure!(side <= MAX_SIDE, "maxima are of squares of up to {MAX_SIDE} x {MAX_SIDE} pixels, not {side}");
    let squares = Squares::of(&inputs.size(), side)?;
    let inputs = as_slice::<T>(inputs).context(OTHER_VALUES)?;
    let [_, line] = squares.lines();
    let mut positions = vec![0; squares.output_shape().iter().product::<i64>() as usize];
    let outputs = filled(&squares.output_shape(), |outputs| {
        let mut lines: Vec<_> = outputs.chunks_mut(line).zip(positions.chunks_mut(line)).collect();
        for_each_chunk(&mut lines, 1, |index, lines| {
            for (outputs, positions) in lines {
                maxima_of_line(squares.sources(inputs, index), outputs, positions, squares);
            }
        });
    })?;
    Ok((outputs, positions))
}

fn max_gradient_of<T: Real>(
    gradients: &Tensor,
    positions: &[u8],
    side: usize,
    shape: &[i64],
) -> Result<Tensor> {
    ensure!(side <= MAX_SIDE, "maxima are of squares of up to {MAX_SIDE} x {MAX_SIDE} pixels, not {side}");
    let squares = Squares::of(shape, side)?;
    ensure!(gradients.size() == squares.output_shape(), "the gradients are not those of such images");
    let gradients = as_slice::<T>(gradients).context(OTHER_VALUES)?;
    ensure!(positions.len() == gradients.len(), "{} positions of {}", positions.len(), gradients.len());
    squares.spread(|line, source, y| {
        spread_maxima(&gradients[source.clone()], &positions[source], y, line, squares);
    })
}

fn mean_of<T: Real>(inputs: &Tensor, side: usize) -> Result<Tensor> {
    let squares = Squares::of(&inputs.size(), side)?;
    let inputs = as_slice::<T>(inputs).context(OTHER_VALUES)?;
    let [_, line] = squares.lines();
    filled(&squares.output_shape(), |outputs| {
        for_each_chunk(outputs, line, |index, outputs| {
            means_of_line(squares.sources(inputs, index), outputs, squares);
        });
    })
}

fn mean_gradient_of<T: Real>(gradients: &Tensor, side: usize, shape: &[i64]) -> Result<Tensor> {
    let squares = Squares::of(shape, side)?;
    ensure!(gradients.size() == squares.output_shape(), "the gradients are not those of such images");
    let gradients = as_slice::<T>(gradients).context(OTHER_VALUES)?;
    squares.spread(|line, source, _| spread_means(&gradients[source], line, squares))
}

/// Calls a function for all squares of a line and all channels, of which it takes as many at once as its
/// constant says: numbers known to the compiler, which then needs no loop and keeps sums in registers.
macro_rules! for_all {
    ($squares:expr, $work:ident::<$value:ty>($($argument:expr),*)) => {
        for square in 0..$squares.width / $squares.side {
            let mut channel = 0;
            while channel < $squares.channels {
                let output = square * $squares.channels + channel;
                let input = square * $squares.side * $squares.channels + channel;
                channel += match $squares.channels - channel {
                    16.. => $work::<$value, 16>(input, output, $($argument),*),
                    4.. => $work::<$value, 4>(input, output, $($argument),*),
                    _ => $work::<$value, 1>(input, output, $($argument),*),
                };
            }
        }
    };
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
fn maxima_of_line<T: Real>(inputs: &[T], outputs: &mut [T], positions: &mut [u8], squares: Squares) {
    for_all!(squares, maximum::<T>(inputs, outputs, positions, squares));
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
fn means_of_line<T: Real>(inputs: &[T], outputs: &mut [T], squares: Squares) {
    for_all!(squares, mean::<T>(inputs, outputs, squares));
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
fn spread_maxima<T: Real>(gradients: &[T], positions: &[u8], y: usize, line: &mut [T], squares: Squares) {
    for_all!(squares, spread_maximum::<T>(gradients, positions, y, line, squares));
}

#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
fn spread_means<T: Real>(gradients: &[T], line: &mut [T], squares: Squares) {
    for_all!(squares, spread_mean::<T>(gradients, line, squares));
}

#[inline(always)]
fn lanes<T: Real, const N: usize>(values: &[T], start: usize) -> [f32; N] {
    let values = &values[start..start + N];
    std::array::from_fn(|lane| values[lane].single())
}

#[inline(always)]
fn maximum<T: Real, const N: usize>(
    input: usize,
    output: usize,
    inputs: &[T],
    outputs: &mut [T],
    positions: &mut [u8],
    Squares { width, channels, side, .. }: Squares,
) -> usize {
    let mut largest: [f32; N] = lanes(inputs, input);
    let mut found = [0u32; N];
    for y in 0..side {
        for x in 0..side {
            let values: [f32; N] = lanes(inputs, input + (y * width + x) * channels);
            for lane in 0..N {
                // Both are assigned always: so there are no branches.
                let is_larger = values[lane] > largest[lane] || values[lane].is_nan();
                largest[lane] = if is_larger { values[lane] } else { largest[lane] };
                found[lane] = if is_larger { (y * side + x) as u32 } else { found[lane] };
            }
        }
    }
    outputs[output..output + N].copy_from_slice(&largest.map(T::nearest));
    positions[output..output + N].copy_from_slice(&found.map(|position| position as u8));
    N
}

/// Sums of lines are added up, so that no sum has many terms.
#[inline(always)]
fn mean<T: Real, const N: usize>(
    input: usize,
    output: usize,
    inputs: &[T],
    outputs: &mut [T],
    Squares { width, channels, side, .. }: Squares,
) -> usize {
    let mut sums = [0.0; N];
    for y in 0..side {
        let mut line = [0.0; N];
        for x in 0..side {
            let values: [f32; N] = lanes(inputs, input + (y * width + x) * channels);
            line = std::array::from_fn(|lane| line[lane] + values[lane]);
        }
        sums = std::array::from_fn(|lane| sums[lane] + line[lane]);
    }
    let area = (side * side) as f32;
    outputs[output..output + N].copy_from_slice(&sums.map(|sum| T::nearest(sum / area)));
    N
}

#[inline(always)]
fn spread_maximum<T: Real, const N: usize>(
    input: usize,
    output: usize,
    gradients: &[T],
    positions: &[u8],
    y: usize,
    line: &mut [T],
    Squares { channels, side, .. }: Squares,
) -> usize {
    let values: [f32; N] = lanes(gradients, output);
    let positions = &positions[output..output + N];
    for x in 0..side {
        let here = (y * side + x) as u8;
        // A bit mask instead of a branch, which would often be mispredicted.
        let values: [T; N] = std::array::from_fn(|lane| {
            let mask = u32::from(positions[lane] == here).wrapping_neg();
            T::nearest(f32::from_bits(values[lane].to_bits() & mask))
        });
        line[input + x * channels..][..N].copy_from_slice(&values);
    }
    N
}

#[inline(always)]
fn spread_mean<T: Real, const N: usize>(
    input: usize,
    output: usize,
    gradients: &[T],
    line: &mut [T],
    Squares { channels, side, .. }: Squares,
) -> usize {
    let area = (side * side) as f32;
    let values = lanes::<T, N>(gradients, output).map(|gradient| T::nearest(gradient / area));
    for x in 0..side {
        line[input + x * channels..][..N].copy_from_slice(&values);
    }
    N
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::threads::with_threads;
    use tch::Device;

    /// Each value several times in bfloat16, so that there are equal ones in a square.
    fn images(shape: [i64; 4], kind: Kind) -> Tensor {
        let numbers = Tensor::arange(shape.iter().product::<i64>(), (Kind::Float, Device::Cpu));
        ((numbers * 0.618).frac() * 4.0 - 3.0).to_kind(Kind::BFloat16).to_kind(kind).view(shape)
    }

    fn by_libtorch(
        inputs: &Tensor,
        side: i64,
        pool: impl Fn(&Tensor, [i64; 2]) -> Tensor,
    ) -> (Tensor, Tensor, Tensor) {
        let leaf = inputs.detach().set_requires_grad(true);
        let outputs = pool(&leaf.permute([0, 3, 1, 2]), [side; 2]).permute([0, 2, 3, 1]).contiguous();
        let [batch, height, width, channels] = outputs.size().try_into().unwrap();
        let gradients = images([batch, height, width, channels], inputs.kind());
        let [of_inputs] =
            Tensor::run_backward(&[(&outputs * &gradients).sum(Kind::Float)], &[&leaf], false, false)
                .try_into()
                .unwrap();
        (outputs, gradients, of_inputs)
    }

    fn assert_close(ours: &Tensor, theirs: &Tensor, what: &str) {
        assert_eq!((ours.size(), ours.kind()), (theirs.size(), theirs.kind()), "{what}");
        let tolerance = if ours.kind() == Kind::Float { 1e-5 } else { 0.02 };
        let [ours, theirs] = [ours, theirs].map(|tensor| tensor.to_kind(Kind::Float));
        assert!(ours.allclose(&theirs, tolerance, tolerance * 0.1, true), "{what}");
    }

    const CASES: [([i64; 4], i64); 7] = [
        ([7, 6, 6, 16], 2),
        ([1, 5, 7, 1], 2),
        ([7, 11, 10, 3], 3),
        ([2, 4, 4, 17], 1),
        ([1, 9, 8, 33], 4),
        ([2, 16, 15, 6], 15),
        ([0, 6, 6, 16], 2),
    ];

    #[test]
    fn they_match_libtorch() {
        for (shape, side) in CASES {
            for kind in [Kind::Float, Kind::BFloat16] {
                let (what, inputs) = (format!("{shape:?} by {side}, {kind:?}"), images(shape, kind));
                let (outputs, gradients, of_inputs) = by_libtorch(&inputs, side, |images, side| {
                    images.max_pool2d(side, side, [0, 0], [1, 1], false)
                });
                let (ours, positions) = max_forward(&inputs, side as usize).unwrap();
                assert_eq!(ours, outputs, "{what}");
                let ours = max_backward(&gradients, &positions, side as usize, &shape).unwrap();
                assert_eq!(ours, of_inputs, "{what}");
                assert_means_match(&inputs, side);
            }
        }
        for kind in [Kind::Float, Kind::BFloat16] {
            assert_means_match(&images([3, 28, 29, 5], kind), 28);
        }
    }

    fn assert_means_match(inputs: &Tensor, side: i64) {
        let what = format!("{inputs:?} by {side}");
        let (outputs, gradients, of_inputs) = by_libtorch(inputs, side, |images, side| {
            images.avg_pool2d(side, side, [0, 0], false, true, None::<i64>)
        });
        assert_close(&mean_forward(inputs, side as usize).unwrap(), &outputs, &what);
        let ours = mean_backward(&gradients, side as usize, &inputs.size()).unwrap();
        assert_close(&ours, &of_inputs, &what);
    }

    #[test]
    fn the_number_of_threads_does_not_matter() {
        let inputs = images([7, 11, 10, 17], Kind::Float);
        let (one, positions) = max_forward(&inputs, 3).unwrap();
        let results = || {
            let (maxima, positions) = max_forward(&inputs, 3).unwrap();
            let of_maxima = max_backward(&maxima, &positions, 3, &inputs.size()).unwrap();
            let of_means = mean_backward(&one, 3, &inputs.size()).unwrap();
            (positions, [maxima, of_maxima, mean_forward(&inputs, 3).unwrap(), of_means])
        };
        let expected = with_threads(1, results);
        assert_eq!(expected.0, positions);
        for threads in [2, 3] {
            assert!(with_threads(threads, results) == expected, "{threads}");
        }
    }

    #[test]
    fn nan_is_the_maximum_and_of_equal_values_the_first_counts() {
        let nan = f32::NAN;
        for (values, position) in [
            ([1.0, 2.0, 2.0, 0.0], 1),
            ([nan, 2.0, 3.0, 4.0], 0),
            ([5.0, nan, 9.0, 9.0], 1),
            ([5.0, 1.0, 9.0, nan], 3),
            ([f32::NEG_INFINITY; 4], 0),
        ] {
            let inputs = Tensor::from_slice(&values).view([1, 2, 2, 1]);
            let (maximum, positions) = max_forward(&inputs, 2).unwrap();
            assert_eq!(positions, [position]);
            let maximum = f32::try_from(maximum.view([])).unwrap();
            assert_eq!(maximum.to_bits(), values[position as usize].to_bits());
            let mean = f32::try_from(mean_forward(&inputs, 2).unwrap().view([])).unwrap();
            assert_eq!(mean.is_nan(), values.iter().any(|value| value.is_nan()));
        }
    }

    #[test]
    fn other_tensors_are_errors() {
        let inputs = images([2, 16, 16, 3], Kind::Float);
        for wrong in [inputs.to_kind(Kind::Double), inputs.transpose(1, 2), inputs.view([2, 16, 48])] {
            assert!(max_forward(&wrong, 2).is_err() && mean_forward(&wrong, 2).is_err());
        }
        for side in [0, 17] {
            assert!(max_forward(&inputs, side).is_err() && mean_forward(&inputs, side).is_err());
        }
        let fault = max_forward(&inputs, 16).unwrap_err().to_string();
        assert_eq!(fault, "maxima are of squares of up to 15 x 15 pixels, not 16");
        assert!(mean_forward(&inputs, 16).is_ok());
        let (outputs, positions) = max_forward(&inputs, 2).unwrap();
        for shape in [&[2, 16, 14, 3][..], &[2, 16, 16], &[2, 16, -16, 3], &[2, 16, 16, 0]] {
            assert!(max_backward(&outputs, &positions, 2, shape).is_err(), "{shape:?}");
            assert!(mean_backward(&outputs, 2, shape).is_err(), "{shape:?}");
        }
        assert!(max_backward(&outputs, &positions[1..], 2, &inputs.size()).is_err());
        assert!(mean_backward(&outputs.to_kind(Kind::Double), 2, &inputs.size()).is_err());
    }
}
