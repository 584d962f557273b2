//! Tensors changed value by value with a gradient, all of a step at once, by all threads: the memory side of
//! an optimizer's formula.

use super::tensor_slice::{Value, addresses, as_mut_slice, as_slice, check_disjoint};
use super::threads::for_each_chunk;
use anyhow::{Context, Result, ensure};
use half::bf16;
use tch::Tensor;

/// Values that a thread works on in one go.
const CHUNK: usize = 4096;

/// What a step does to values at the same places of `N` tensors and a gradient.
pub trait Elementwise<const N: usize>: Copy + Send + Sync {
    /// All slices are of one length.
    fn apply<G: Value + Into<f32>>(self, tensors: [&mut [f32]; N], gradient: &[G]);
}

/// Tensors to be changed: float32, contiguous, on the CPU.
pub struct Update<'a, const N: usize, S> {
    pub tensors: [&'a mut Tensor; N],
    /// Float32 or bfloat16, contiguous, with as many values as each of the tensors.
    pub gradient: &'a Tensor,
    pub step: S,
}

/// Makes all updates.
///
/// # Errors
/// A tensor of another kind or size, or tensors that overlap in memory; then nothing is changed.
pub fn update<const N: usize, S: Elementwise<N>>(mut updates: Vec<Update<N, S>>) -> Result<()> {
    let written = updates.iter().flat_map(|update| update.tensors.iter().map(|tensor| addresses(tensor)));
    let read: Vec<_> = updates.iter().map(|update| addresses(update.gradient)).collect();
    check_disjoint(written.collect(), &read)?;

    let mut chunks = Vec::new();
    for Update { tensors, gradient, step } in &mut updates {
        let gradient = Gradient::of(gradient);
        let gradient = gradient.context("a gradient is neither float32 nor bfloat16, or not contiguous")?;
        let mut slices = Vec::with_capacity(N);
        for tensor in tensors.iter_mut() {
            // SAFETY: no two of the tensors overlap, nor does a gradient overlap any of them; until this
            // function returns, only `step` is called, which is given nothing but its slices.
            let slice = unsafe { as_mut_slice::<f32>(tensor) };
            let slice = slice.context("a parameter or its state is not contiguous float32 on the CPU")?;
            ensure!(
                slice.len() == gradient.len(),
                "there are {} gradients of {}",
                gradient.len(),
                slice.len()
            );
            slices.push(slice.chunks_mut(CHUNK));
        }
        for start in (0..gradient.len()).step_by(CHUNK) {
            let tensors = std::array::from_fn(|index| slices[index].next().unwrap_or_default());
            chunks.push(Chunk { gradient: gradient.part(start), tensors, step: *step });
        }
    }
    for_each_chunk(&mut chunks, 1, |_, chunks| {
        for Chunk { tensors, gradient, step } in chunks {
            let tensors = tensors.each_mut().map(|tensor| &mut **tensor);
            match gradient {
                Gradient::Single(gradient) => step.apply(tensors, gradient),
                Gradient::Half(gradient) => step.apply(tensors, gradient),
            }
        }
    });
    Ok(())
}

struct Chunk<'a, const N: usize, S> {
    tensors: [&'a mut [f32]; N],
    gradient: Gradient<'a>,
    step: S,
}

#[derive(Clone, Copy)]
enum Gradient<'a> {
    Single(&'a [f32]),
    Half(&'a [bf16]),
}

impl<'a> Gradient<'a> {
    fn of(tensor: &'a Tensor) -> Option<Gradient<'a>> {
        as_slice(tensor).map(Gradient::Single).or_else(|| as_slice(tensor).map(Gradient::Half))
    }

    fn len(self) -> usize {
        match self {
            Gradient::Single(values) => values.len(),
            Gradient::Half(values) => values.len(),
        }
    }

    /// The chunk from there on.
    fn part(self, start: usize) -> Gradient<'a> {
        let end = (start + CHUNK).min(self.len());
        match self {
            Gradient::Single(values) => Gradient::Single(&values[start..end]),
            Gradient::Half(values) => Gradient::Half(&values[start..end]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    /// Adds the gradient to the first tensor and counts in the second.
    #[derive(Clone, Copy)]
    struct Add;

    impl Elementwise<2> for Add {
        fn apply<G: Value + Into<f32>>(self, [sum, count]: [&mut [f32]; 2], gradient: &[G]) {
            for ((sum, count), gradient) in sum.iter_mut().zip(count).zip(gradient) {
                *sum += (*gradient).into();
                *count += 1.0;
            }
        }
    }

    fn zeros(size: i64) -> Tensor {
        Tensor::zeros([size], (Kind::Float, Device::Cpu))
    }

    fn add(sum: &mut Tensor, count: &mut Tensor, gradient: &Tensor) -> Result<()> {
        update(vec![Update { tensors: [sum, count], gradient, step: Add }])
    }

    #[test]
    fn every_value_is_changed_once() {
        for size in [0, 1, 4096, 4097, 10_000] {
            for kind in [Kind::Float, Kind::BFloat16] {
                let (mut sum, mut count) = (zeros(size), zeros(size));
                let gradient = Tensor::arange(size, (Kind::Float, Device::Cpu)).remainder(256).to_kind(kind);
                add(&mut sum, &mut count, &gradient).unwrap();
                assert_eq!(sum, gradient.to_kind(Kind::Float), "{size} {kind:?}");
                assert_eq!(count, count.ones_like());
            }
        }
    }

    #[test]
    fn tensors_that_share_memory_are_refused() {
        let (mut sum, mut count) = (zeros(10), zeros(10));
        let (same, view) = (&sum.shallow_clone(), &sum.view([10]));
        let [as_gradient, as_count] =
            ["a gradient overlaps a tensor that it moves", "tensors overlap in memory"];
        for shared in [same, view] {
            assert_eq!(add(&mut sum, &mut count, shared).unwrap_err().to_string(), as_gradient);
        }
        let mut shared = sum.shallow_clone();
        assert_eq!(add(&mut sum, &mut shared, &zeros(10)).unwrap_err().to_string(), as_count);
        let whole = zeros(15);
        let (mut first, mut second) = (whole.narrow(0, 0, 10), whole.narrow(0, 5, 10));
        assert_eq!(add(&mut first, &mut second, &zeros(10)).unwrap_err().to_string(), as_count);
        assert_eq!(whole, whole.zeros_like(), "nothing was changed");
    }

    #[test]
    fn tensors_that_do_not_fit_are_refused() {
        for (sum, count, gradient) in [
            (zeros(10), zeros(10), zeros(9)),
            (zeros(10), zeros(11), zeros(10)),
            (zeros(10).to_kind(Kind::Double), zeros(10), zeros(10)),
            (zeros(10), zeros(10), zeros(10).to_kind(Kind::Double)),
            (zeros(1).expand([10], false), zeros(10), zeros(10)),
        ] {
            let (mut sum, mut count) = (sum, count);
            assert!(add(&mut sum, &mut count, &gradient).is_err());
        }
    }
}
