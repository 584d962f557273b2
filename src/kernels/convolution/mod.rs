//! Convolutions of images on a CPU, with relu and maximum pooling, and their gradients.
//!
//! libtorch's (oneDNN's) leave much to be had: relu and pooling pass over memory once more, images are copied
//! from one order of memory to another, gradients are half as fast as outputs for few channels, and their last
//! bits depend on the number of threads. Here one computation (`tile`) does all three products of a
//! convolution, directly on images whose pixels have their channels side by side, so that nothing is copied.
//! It is written for any number of channels, filters of any size and any stride; the compiler makes AVX-512
//! or AVX2 of it, and only products of bfloat16 need instructions by name.
//!
//! | on a CPU | way |
//! |---|---|
//! | without AVX2 and FMA (or the like of ARM) | libtorch's operators and autograd, for the whole network |
//! | float32, 3 x 3, stride 1, 16 channels and filters or more, not both 16 | fewer products (`winograd`) |
//! | float32, all else | all products |
//! | bfloat16 | all products: in pairs with AVX-512 BF16, otherwise as float32 |
//!
//! What that gives, as a share of libtorch's time (2.11, channels last, relu included, batch 32, one thread, an
//! AVX2 machine with busy neighbours, two runs in turn):
//!
//! | inputs, filters | outputs | gradients |
//! |---|---|---|
//! | 28 x 28 x 1, 16 of 3 x 3 | 0.24, 0.43 | 0.13, 0.18 |
//! | 26 x 26 x 16, 16 of 3 x 3, pooled | 0.91, 0.79 | 0.72, 0.62 |
//! | 12 x 12 x 16, 32 of 3 x 3 | 1.00, 0.65 | 0.63, 0.48 |
//! | 12 x 12 x 32, 32 of 3 x 3, pooled | 0.83, 0.66 | 0.62, 0.47 |
//! | 14 x 14 x 128, 128 of 3 x 3 | 0.72, 0.57 | 0.64, 0.48 |
//! | 8 x 8 x 256, 256 of 3 x 3 | 0.74, 0.55 | 0.67, 0.48 |
//! | 112 x 112 x 32, 32 of 3 x 3 | 0.62, 0.45 | 0.47, 0.32 |
//! | 28 x 28 x 32, 64 of 3 x 3, stride 2 | 1.05, 0.96 | 0.87, 0.89 |
//! | 14 x 14 x 64, 128 of 1 x 1 | 1.19, 0.84 | 0.78, 0.52 |
//! | 28 x 28 x 8, 8 of 5 x 5 | 1.63, 0.76 | 1.63, 0.71 |
//! | 224 x 224 x 3, 64 of 7 x 7, stride 2 | 0.58, 0.40 | 0.50, 0.30 |
//! | 14 x 14 x 20, 10 of 3 x 3 | 0.82, 0.49 | 1.06, 0.46 |
//!
//! It has not been run with AVX-512.

mod bands;
mod correlation;
mod tile;
mod winograd;

pub use bands::Convolution;

use super::has_own_code;
use super::processor::{has_bfloat16_products, has_fused_multiply_add};
use super::tensor_slice::{Value, as_slice, filled};
use super::threads::for_each_item;
use anyhow::{Context, Result, bail, ensure};
use bands::{Backward, Outputs, ParameterGradients, Scratch};
use correlation::Stored;
use half::bf16;
use std::sync::{Mutex, PoisonError};
use tch::{Device, Kind, Tensor};
use tile::Factor;

#[cfg(test)]
mod tests;

/// Whether images on a device are convolved here, and not by libtorch.
pub fn is_possible(device: Device) -> bool {
    has_own_code(device) && has_fused_multiply_add()
}

/// The outputs of a forward pass, and what the backward pass needs beside them.
#[derive(Debug)]
pub struct Convolved {
    /// [b, height, width, filters], of the type of the inputs.
    pub outputs: Tensor,
    /// With pooling: where in its square each output comes from.
    positions: Vec<u8>,
}

/// The gradients of a loss.
#[derive(Debug)]
pub struct Gradients {
    /// [b, height, width, channels], of the type of the inputs, if they were needed.
    pub inputs: Option<Tensor>,
    /// [filters, channels, size, size] and [filters], float32, if they were needed.
    pub parameters: Option<[Tensor; 2]>,
}

/// Which gradients are needed.
#[derive(Clone, Copy, Debug)]
pub struct Needed {
    pub inputs: bool,
    pub parameters: bool,
}

/// Convolves inputs [b, height, width, channels], float32 or bfloat16 and contiguous, with the weights
/// [filters, channels, size, size] and the biases [filters], both float32 and contiguous.
///
/// # Errors
/// Other tensors, or too little memory.
pub fn forward(
    convolution: &Convolution,
    inputs: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
) -> Result<Convolved> {
    match (inputs.kind(), has_bfloat16_products()) {
        (Kind::Float, _) => forward_as::<f32, f32>(convolution, inputs, weight, bias),
        (Kind::BFloat16, true) => forward_as::<bf16, bf16>(convolution, inputs, weight, bias),
        (Kind::BFloat16, false) => forward_as::<f32, bf16>(convolution, inputs, weight, bias),
        (kind, _) => bail!("images of {kind:?} are not convolved here"),
    }
}

/// The gradients of the loss from those with respect to the outputs, which have their shape and type.
///
/// # Errors
/// Other tensors, or too little memory.
pub fn backward(
    convolution: &Convolution,
    inputs: &Tensor,
    convolved: &Convolved,
    gradients: &Tensor,
    weight: &Tensor,
    needed: Needed,
) -> Result<Gradients> {
    let backward_as = match (inputs.kind(), has_bfloat16_products()) {
        (Kind::Float, _) => backward_as::<f32, f32>,
        (Kind::BFloat16, true) => backward_as::<bf16, bf16>,
        (Kind::BFloat16, false) => backward_as::<f32, bf16>,
        (kind, _) => bail!("images of {kind:?} are not convolved here"),
    };
    backward_as(convolution, inputs, convolved, gradients, weight, needed)
}

impl Convolution {
    fn input_shape(&self, images: i64) -> [i64; 4] {
        [images, self.height as i64, self.width as i64, self.channels as i64]
    }

    fn output_shape(&self, images: i64) -> [i64; 4] {
        let [height, width] = self.pooled();
        [images, height as i64, width as i64, self.filters as i64]
    }

    fn weights<'a>(&self, weight: &'a Tensor) -> Result<&'a [f32]> {
        let [filters, channels, size] = [self.filters, self.channels, self.size].map(|size| size as i64);
        values(weight, &[filters, channels, size, size], "weights")
    }
}

/// The values of a tensor of that shape.
fn values<'a, V: Value>(tensor: &'a Tensor, shape: &[i64], what: &str) -> Result<&'a [V]> {
    ensure!(tensor.size() == shape, "{what} have the shape {:?}, not {shape:?}", tensor.size());
    as_slice(tensor).with_context(|| format!("{what} are not contiguous values of {:?}", V::KIND))
}

/// Scratch memory that is handed from band to band.
struct Scratches<F>(Mutex<Vec<Scratch<F>>>);

impl<F: Factor> Scratches<F> {
    fn new() -> Scratches<F> {
        Scratches(Mutex::default())
    }

    fn lend(&self, work: impl FnOnce(&mut Scratch<F>)) {
        let mut scratch = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
        work(&mut scratch);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
    }
}

fn forward_as<F: Factor, V: Stored<F>>(
    convolution: &Convolution,
    inputs: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
) -> Result<Convolved> {
    let images = inputs.size().first().copied().unwrap_or(0);
    let inputs: &[V] = values(inputs, &convolution.input_shape(images), "images")?;
    let biases: &[f32] = values(bias, &[convolution.filters as i64], "biases")?;
    let filters = convolution.filters::<F>(convolution.weights(weight)?);
    let bands = convolution.bands();
    let of_row = convolution.pooled()[1] * convolution.filters;
    let of_image = convolution.height * convolution.width * convolution.channels;
    let scratches = Scratches::<F>::new();
    let mut positions = Vec::new();
    let outputs = filled::<V>(&convolution.output_shape(images), |mut outputs| {
        positions.resize(if convolution.pool > 1 { outputs.len() } else { 0 }, 0);
        let mut positions = &mut positions[..];
        let mut work = Vec::with_capacity(bands.len() * images as usize);
        for image in inputs.chunks_exact(of_image) {
            for band in &bands {
                let (of_band, rest) = std::mem::take(&mut outputs).split_at_mut(band.len() * of_row);
                outputs = rest;
                let count = of_band.len().min(positions.len());
                let (positions_of_band, rest) = std::mem::take(&mut positions).split_at_mut(count);
                positions = rest;
                work.push((image, band, of_band, positions_of_band));
            }
        }
        for_each_item(work, |(image, band, outputs, positions)| {
            scratches.lend(|scratch| {
                convolution.forward(band, image, &filters, biases, (outputs, positions), scratch);
            });
        });
    })?;
    Ok(Convolved { outputs, positions })
}

fn backward_as<F: Factor, V: Stored<F>>(
    convolution: &Convolution,
    inputs: &Tensor,
    convolved: &Convolved,
    gradients: &Tensor,
    weight: &Tensor,
    needed: Needed,
) -> Result<Gradients> {
    let images = inputs.size().first().copied().unwrap_or(0);
    let output_shape = convolution.output_shape(images);
    let inputs: &[V] = values(inputs, &convolution.input_shape(images), "images")?;
    let outputs: &[V] = values(&convolved.outputs, &output_shape, "outputs")?;
    let gradients: &[V] = values(gradients, &output_shape, "gradients")?;
    let positions = &convolved.positions[..];
    let weights = convolution.weights(weight)?;
    let backward = Backward::<F>::new(*convolution, weights, needed);
    let bands = convolution.bands();
    let pieces: Vec<_> =
        (0..images as usize).flat_map(|image| (0..bands.len()).map(move |band| (image, band))).collect();
    // Each chunk has sums of its own, which are added in the order of the chunks. The shapes alone decide how
    // many chunks there are, so that the sums do not depend on the number of threads.
    const MAX_CHUNKS: usize = 32;
    const MAX_SUMS: usize = 8 << 20;
    let chunks = (MAX_SUMS / weights.len().max(1)).clamp(4, MAX_CHUNKS).min(pieces.len());
    let [of_input, of_output] = [
        convolution.height * convolution.width * convolution.channels,
        convolution.pooled().iter().product::<usize>() * convolution.filters,
    ];
    let scratches = Scratches::<F>::new();
    let mut all_sums: Vec<_> = (0..chunks).map(|_| ParameterGradients::zeros::<F>(convolution)).collect();
    let mut compute = |mut of_inputs: &mut [V]| {
        let mut work = Vec::with_capacity(chunks);
        for (chunk, sums) in all_sums.iter_mut().enumerate() {
            let pieces = &pieces[chunk * pieces.len() / chunks..(chunk + 1) * pieces.len() / chunks];
            let rows = |&(_, band): &(usize, usize)| convolution.input_rows(&bands[band]).len();
            let values = pieces.iter().map(rows).sum::<usize>() * convolution.width * convolution.channels;
            let count = values.min(of_inputs.len());
            let (of_chunk, rest) = std::mem::take(&mut of_inputs).split_at_mut(count);
            of_inputs = rest;
            work.push((pieces, sums, of_chunk));
        }
        for_each_item(work, |(pieces, sums, mut of_inputs)| {
            scratches.lend(|scratch| {
                for &(image, band) in pieces {
                    let band = &bands[band];
                    let rows = convolution.input_rows(band).len();
                    let count = (rows * convolution.width * convolution.channels).min(of_inputs.len());
                    let (of_band, rest) = std::mem::take(&mut of_inputs).split_at_mut(count);
                    of_inputs = rest;
                    let of_image = image * of_output..(image + 1) * of_output;
                    let outputs = Outputs {
                        values: &outputs[of_image.clone()],
                        positions: positions.get(of_image.clone()).unwrap_or_default(),
                        gradients: &gradients[of_image],
                    };
                    let inputs = &inputs[image * of_input..(image + 1) * of_input];
                    backward.band(band, inputs, &outputs, sums, of_band, scratch);
                }
            });
        });
    };
    let of_inputs = match needed.inputs {
        true => Some(filled::<V>(&convolution.input_shape(images), &mut compute)?),
        false => {
            compute(&mut []);
            None
        }
    };
    if !needed.parameters {
        return Ok(Gradients { inputs: of_inputs, parameters: None });
    }
    let mut sums = all_sums.into_iter();
    let mut total = sums.next().unwrap_or_else(|| ParameterGradients::zeros::<F>(convolution));
    sums.for_each(|sums| total.add(&sums));
    let of_weight = filled::<f32>(&weight.size(), |weights| total.weights::<F>(convolution, weights))?;
    let of_bias = Tensor::from_slice(&total.biases);
    Ok(Gradients { inputs: of_inputs, parameters: Some([of_weight, of_bias]) })
}
