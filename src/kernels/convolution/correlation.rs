//! Rows of an image times the weights of filters: the outputs of a convolution from its inputs, or the
//! gradients of the inputs from those of the outputs.

use super::tile::{Factor, LANES, Start, Walk};
use crate::kernels::tensor_slice::Real;
use half::bf16;

/// A number as images hold it, beside the type `F` in which it is multiplied.
pub trait Stored<F: Factor>: Real {
    /// The same values, if they can be multiplied as they are.
    fn as_factors(values: &[Self]) -> Option<&[F]>;

    fn to_factor(self) -> F {
        F::nearest(self.single())
    }
}

impl Stored<f32> for f32 {
    fn as_factors(values: &[f32]) -> Option<&[f32]> {
        Some(values)
    }
}

impl Stored<bf16> for bf16 {
    fn as_factors(values: &[bf16]) -> Option<&[bf16]> {
        Some(values)
    }
}

impl Stored<f32> for bf16 {
    fn as_factors(_: &[bf16]) -> Option<&[f32]> {
        None
    }
}

/// Neighbouring columns of a result that are computed side by side.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    pub first: usize,
    pub columns: usize,
    /// With those that are computed for nothing.
    pub lanes: usize,
}

/// All columns of a result.
pub fn blocks<F: Factor>(columns: usize) -> impl Iterator<Item = Block> {
    (0..columns).step_by(LANES).map(move |first| {
        let columns = (columns - first).min(LANES);
        // Only float32 can be computed in half of the lanes.
        let lanes = if F::WIDTH == 1 && columns <= LANES / 2 { LANES / 2 } else { LANES };
        Block { first, columns, lanes }
    })
}

/// The weights of filters, block by block of the columns of the result, as they are multiplied.
pub struct Filters<F> {
    pub rows: usize,
    /// Factors in a row, an even number in pairs.
    pub steps: usize,
    pub columns: usize,
    pub values: Vec<F>,
    /// Each place of a transformed square is a row.
    pub is_transformed: bool,
}

impl<F: Factor> Filters<F> {
    /// From the weight at each row, step and column.
    pub fn new(
        rows: usize,
        steps: usize,
        columns: usize,
        weight: impl Fn(usize, usize, usize) -> f32,
    ) -> Filters<F> {
        let groups = steps.div_ceil(F::WIDTH);
        let lanes: usize = blocks::<F>(columns).map(|block| block.lanes).sum();
        let mut values = Vec::with_capacity(rows * groups * F::WIDTH * lanes);
        for Block { first, columns, lanes } in blocks::<F>(columns) {
            for (row, group) in (0..rows).flat_map(|row| (0..groups).map(move |group| (row, group))) {
                for lane in 0..lanes {
                    for step in group * F::WIDTH..(group + 1) * F::WIDTH {
                        let is_one = lane < columns && step < steps;
                        values.push(F::nearest(if is_one { weight(row, step, first + lane) } else { 0.0 }));
                    }
                }
            }
        }
        Filters { rows, steps: groups, columns, values, is_transformed: false }
    }
}

/// Where the values lie that a result is computed from, counted in factors: those for its first pixel, and
/// how far away those for the next pixel below, the next one to the right, and the next row of filters are.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    pub start: usize,
    pub below: usize,
    pub right: usize,
    pub filter_row: usize,
}

/// Where a result is stored: its first pixel, and how far away the next one below and to the right are.
pub struct Target<'a, V> {
    pub values: &'a mut [V],
    pub start: usize,
    pub below: usize,
    pub right: usize,
    /// Whether values below 0 become 0.
    pub relu: bool,
}

impl<V> Target<'_, V> {
    /// What smaller values become.
    pub fn at_least(&self) -> f32 {
        if self.relu { 0.0 } else { f32::NEG_INFINITY }
    }
}

/// Computes a result of some rows and columns of pixels, which begins with `biases` or, without any, with 0.
pub fn correlate<F: Factor, V: Real>(
    [rows, columns]: [usize; 2],
    values: &[F],
    origin: Origin,
    filters: &Filters<F>,
    biases: &[f32],
    target: &mut Target<V>,
) {
    let mut buffer = Vec::new();
    let mut panel = &filters.values[..];
    for block in blocks::<F>(filters.columns) {
        let (this, rest) = panel.split_at(filters.rows * filters.steps * F::WIDTH * block.lanes);
        panel = rest;
        let of_block = OfBlock { block, columns, origin, filters, panel: this, biases };
        for row in 0..rows {
            match block.lanes {
                LANES => of_block.compute_row::<LANES, V>(row, values, target, &mut buffer),
                _ => of_block.compute_row::<{ LANES / 2 }, V>(row, values, target, &mut buffer),
            }
        }
    }
}

/// A block of a result.
struct OfBlock<'a, F> {
    block: Block,
    columns: usize,
    origin: Origin,
    filters: &'a Filters<F>,
    panel: &'a [F],
    biases: &'a [f32],
}

impl<F: Factor> OfBlock<'_, F> {
    fn compute_row<const L: usize, V: Real>(
        &self,
        row: usize,
        values: &[F],
        target: &mut Target<V>,
        buffer: &mut Vec<f32>,
    ) {
        let (Block { first, columns, .. }, filters, origin) = (self.block, self.filters, &self.origin);
        let mut initial = [0.0; L];
        if !self.biases.is_empty() {
            initial[..columns].copy_from_slice(&self.biases[first..first + columns]);
        }
        let start = Start::With { initial: &initial, at_least: target.at_least() };
        let walk = Walk {
            items: self.columns,
            rows: filters.rows,
            steps: filters.steps,
            a_row: origin.filter_row,
            a_step: F::WIDTH,
            a_item: origin.right,
            b_row: filters.steps * F::WIDTH * L,
            b_step: F::WIDTH * L,
            sums_item: target.right,
        };
        let values = values.get(origin.start + row * origin.below..).unwrap_or_default();
        let targets = &mut target.values[target.start + row * target.below + first..];
        if columns == L
            && let Some(sums) = V::as_singles(targets)
        {
            return F::accumulate(&walk, values, self.panel, start, sums);
        }
        buffer.resize(self.columns * L, 0.0);
        F::accumulate(&Walk { sums_item: L, ..walk }, values, self.panel, start, buffer);
        for (pixel, sums) in buffer.chunks_exact(L).enumerate() {
            let targets = targets[pixel * target.right..][..columns].iter_mut();
            targets.zip(sums).for_each(|(target, sum)| *target = V::nearest(*sum));
        }
    }
}
