//! A step of Adam over all parameters on a CPU, by all threads at once. libtorch's operator does the same,
//! but takes as long again to be called, and takes gradients in bfloat16 only after a copy. It must not
//! know where the parameters belong.

use super::Decay;
use crate::kernels::tensor_slice::{Value, as_mut_slice, as_slice};
use crate::kernels::threads::for_each_chunk;
use anyhow::{Context, Result};
use half::bf16;
use multiversion::multiversion;
use tch::Tensor;
use tch::nn::Adam;

/// A parameter to be moved with its moments, all of one shape, float32, contiguous, on a CPU.
pub struct Moved<'a> {
    pub value: &'a mut Tensor,
    pub first_moment: &'a mut Tensor,
    pub second_moment: &'a mut Tensor,
    /// In float32 or bfloat16, contiguous too.
    pub gradient: &'a Tensor,
    /// The number of the step, from 1.
    pub count: f64,
}

/// Moves the parameters.
///
/// # Errors
/// A gradient that is otherwise.
///
/// # Panics
/// A parameter that is otherwise.
pub fn adam_step(parameters: Vec<Moved>, settings: &Adam, decay: Decay, learning_rate: f64) -> Result<()> {
    let mut chunks = Vec::new();
    for moved in parameters {
        let scales = Scales::new(settings, decay, learning_rate, moved.count);
        let state = [moved.value, moved.first_moment, moved.second_moment];
        let [value, first, second] = state.map(|of| as_mut_slice::<f32>(of).chunks_mut(CHUNK));
        let gradient = Gradient::of(moved.gradient);
        let gradient = gradient.context("a gradient is neither float32 nor bfloat16, or not contiguous")?;
        for (number, ((value, first), second)) in value.zip(first).zip(second).enumerate() {
            let gradient = gradient.part(number * CHUNK, value.len());
            chunks.push(Chunk { value, first, second, gradient, scales });
        }
    }
    for_each_chunk(&mut chunks, 1, |_, chunk| {
        for Chunk { value, first, second, gradient, scales } in chunk {
            match gradient {
                Gradient::Single(gradient) => step(value, first, second, gradient, *scales),
                Gradient::Half(gradient) => step(value, first, second, gradient, *scales),
            }
        }
    });
    Ok(())
}

/// Values that a thread moves in one go.
const CHUNK: usize = 4096;

struct Chunk<'a> {
    value: &'a mut [f32],
    first: &'a mut [f32],
    second: &'a mut [f32],
    gradient: Gradient<'a>,
    scales: Scales,
}

enum Gradient<'a> {
    Single(&'a [f32]),
    Half(&'a [bf16]),
}

impl<'a> Gradient<'a> {
    fn of(tensor: &'a Tensor) -> Option<Gradient<'a>> {
        as_slice(tensor).map(Gradient::Single).or_else(|| as_slice(tensor).map(Gradient::Half))
    }

    fn part(&self, start: usize, count: usize) -> Gradient<'a> {
        match self {
            Gradient::Single(values) => Gradient::Single(&values[start..start + count]),
            Gradient::Half(values) => Gradient::Half(&values[start..start + count]),
        }
    }
}

/// The factors of a step.
#[derive(Clone, Copy)]
struct Scales {
    /// 1 - beta1.
    first: f32,
    beta2: f32,
    /// 1 - beta2.
    second: f32,
    weight_decay: f32,
    /// What a decoupled decay leaves of a value.
    kept: f32,
    epsilon: f32,
    /// The learning rate over the bias correction of the first moment.
    step: f32,
    /// Corrects the bias of the root of the second moment.
    second_correction: f32,
}

impl Scales {
    fn new(settings: &Adam, decay: Decay, learning_rate: f64, count: f64) -> Scales {
        let (coupled, decoupled) = match decay {
            Decay::Gradient => (settings.wd, 0.0),
            Decay::Decoupled => (0.0, settings.wd),
        };
        Scales {
            first: (1.0 - settings.beta1) as f32,
            beta2: settings.beta2 as f32,
            second: (1.0 - settings.beta2) as f32,
            weight_decay: coupled as f32,
            kept: (1.0 - learning_rate * decoupled) as f32,
            epsilon: settings.eps as f32,
            step: (learning_rate / (1.0 - settings.beta1.powf(count))) as f32,
            second_correction: (1.0 - settings.beta2.powf(count)).sqrt().recip() as f32,
        }
    }
}

/// Kingma and Ba, 2015, in the form of PyTorch's `adam`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl", "x86_64+avx2+fma"))]
fn step<G: Value + Into<f32>>(
    value: &mut [f32],
    first: &mut [f32],
    second: &mut [f32],
    gradient: &[G],
    scales: Scales,
) {
    for (((value, first), second), gradient) in value.iter_mut().zip(first).zip(second).zip(gradient) {
        let gradient: f32 = (*gradient).into() + scales.weight_decay * *value;
        *first += (gradient - *first) * scales.first;
        *second = *second * scales.beta2 + gradient * gradient * scales.second;
        *value = *value * scales.kept
            - scales.step * *first / (second.sqrt() * scales.second_correction + scales.epsilon);
    }
}
