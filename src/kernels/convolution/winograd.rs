//! Convolutions of 3 x 3 filters with fewer products.
//!
//! Four outputs, a square of 2 x 2, take 36 products of each channel and filter. Winograd's F(2 x 2, 3 x 3)
//! takes 16: it transforms the square of 4 x 4 inputs, the filters, or the gradients by additions, multiplies
//! place by place, and transforms the sums back (Lavin and Gray, "Fast Algorithms for Convolutional Neural
//! Networks", 2015). All three passes of a convolution have such a form.
//!
//! For 16 to 32 channels and filters, outputs and gradients together take 1.4 times fewer instructions than
//! with all products. Sums lose about one bit of their precision. Of infinite inputs, outputs may be NaN.

use super::correlation::{Block, Filters, Origin, Target, blocks};
use super::tile::{Factor, LANES, Start, Walk};
use crate::kernels::tensor_slice::Real;
use multiversion::multiversion;
use std::ops::{Add, Mul, Range, Sub};

/// The side of the filters.
pub const SIZE: usize = 3;

/// Of a transformed square.
const PLACES: usize = 16;

/// A value that is added to the sums at this place is added to each of the four outputs.
const EVERYWHERE: usize = 5;

/// Whether a convolution with outputs of that size is faster this way.
pub fn is_faster<F: Factor>([rows, columns]: [usize; 2], channels: usize, filters: usize) -> bool {
    // Of 8 channels, or 16 and 16 filters, transformations cost what they save.
    let are_blocks = |count: usize| count >= LANES && count.is_multiple_of(LANES / 2);
    let are_many = channels * filters >= 2 * LANES * LANES;
    // Squares that reach beyond the outputs are computed as a whole.
    let saves = 5 * SIZE * SIZE * rows * columns >= 8 * PLACES * Squares { rows, columns }.count();
    F::WIDTH == 1 && are_blocks(channels) && are_blocks(filters) && are_many && saves
}

/// Memory that is used again and again: blocks of channels, each with its places, and these with the squares.
#[derive(Default)]
pub struct Scratch<F> {
    inputs: Vec<F>,
    gradients: Vec<F>,
    sums: Vec<f32>,
}

/// How many squares are computed at once at most: about what the caches hold.
const AT_ONCE: usize = 48;

/// The room for a place of a block: larger than needed, so that places share the sets of the caches evenly.
const PLACE: usize = (AT_ONCE + 1) * LANES;

/// The room for a block.
const BLOCK: usize = PLACES * PLACE;

/// The room for a number of blocks. It is not set to 0 each time.
fn room<T: Real>(values: &mut Vec<T>, blocks: usize) -> &mut [T] {
    if values.len() < blocks * BLOCK {
        values.resize(blocks * BLOCK, T::default());
    }
    values
}

/// The size of the blocks of channels that are walked through.
fn block_size(channels: usize) -> usize {
    if channels.is_multiple_of(LANES) { LANES } else { LANES / 2 }
}

/// Filters for [`correlate`], from the weight at each row, step (of three pixels) and column of the result.
pub fn filters<F: Factor>(
    channels: usize,
    columns: usize,
    weight: impl Fn(usize, usize, usize) -> f32,
) -> Filters<F> {
    let mut places = Vec::with_capacity(channels * columns);
    for channel in 0..channels {
        for column in 0..columns {
            let mut square = [[Lanes([0.0]); SIZE]; SIZE];
            for (row, values) in square.iter_mut().enumerate() {
                for (pixel, value) in values.iter_mut().enumerate() {
                    *value = Lanes([weight(row, pixel * channels + channel, column)]);
                }
            }
            places.push(both_ways(square, of_filters));
        }
    }
    let weight = |place: usize, channel: usize, column: usize| {
        places[channel * columns + column].as_flattened()[place].0[0]
    };
    Filters { is_transformed: true, ..Filters::new(PLACES, channels, columns, weight) }
}

/// As [`super::correlation::correlate`], with the filters that [`filters`] gives.
pub fn correlate<F: Factor, V: Real>(
    [rows, columns]: [usize; 2],
    values: &[F],
    origin: Origin,
    (filters, biases): (&Filters<F>, &[f32]),
    target: &mut Target<V>,
    scratch: &mut Scratch<F>,
) {
    let (channels, results) = (filters.steps, filters.columns);
    let block = block_size(channels);
    let squares = Squares { rows, columns };
    let walk = Walk {
        items: 0,
        rows: channels / block,
        steps: block,
        a_row: BLOCK,
        a_step: 1,
        a_item: block,
        b_row: 0,
        b_step: 0,
        sums_item: 0,
    };
    for some in squares.parts(channels + results) {
        let inputs = squares.spread_inputs(
            &some,
            &values[origin.start..],
            origin.below,
            channels,
            &mut scratch.inputs,
        );
        let all_sums = room(&mut scratch.sums, results.div_ceil(LANES));
        let walk = Walk { items: some.len(), ..walk };
        for place in 0..PLACES {
            let inputs = &inputs[place * PLACE..];
            for Block { first, lanes, .. } in blocks::<F>(results) {
                let walk = Walk { b_row: block * lanes, b_step: lanes, sums_item: lanes, ..walk };
                let panel = &filters.values[(PLACES * first + place * lanes) * channels..];
                let biases = match place {
                    EVERYWHERE if !biases.is_empty() => &biases[first..first + lanes],
                    _ => &[],
                };
                let sums = &mut all_sums[first / LANES * BLOCK + place * PLACE..];
                match lanes {
                    LANES => multiply::<LANES, F>(&walk, inputs, panel, biases, sums),
                    _ => multiply::<{ LANES / 2 }, F>(&walk, inputs, panel, biases, sums),
                }
            }
        }
        for block in blocks::<F>(results) {
            let sums = &all_sums[block.first / LANES * BLOCK..];
            match block.lanes {
                LANES => gather_outputs::<LANES, V>(squares, &some, sums, block.first, target),
                _ => gather_outputs::<{ LANES / 2 }, V>(squares, &some, sums, block.first, target),
            }
        }
    }
}

/// Computes sums that begin with biases, or 0.
fn multiply<const L: usize, F: Factor>(walk: &Walk, a: &[F], b: &[F], biases: &[f32], sums: &mut [f32]) {
    let mut initial = [0.0; L];
    initial[..biases.len()].copy_from_slice(biases);
    F::accumulate(walk, a, b, Start::With { initial: &initial, at_least: f32::NEG_INFINITY }, sums);
}

/// Adds to the transformed gradients of the weights, for each block of filters and each place, the products
/// of inputs and gradients of some rows and columns.
pub fn add_weights<F: Factor>(
    [rows, columns]: [usize; 2],
    (inputs, input_row, channels): (&[F], usize, usize),
    (gradients, row, filters): (&[F], usize, usize),
    sums: &mut [f32],
    scratch: &mut Scratch<F>,
) {
    let squares = Squares { rows, columns };
    let block = block_size(channels);
    for some in squares.parts(channels + filters) {
        let inputs = squares.spread_inputs(&some, inputs, input_row, channels, &mut scratch.inputs);
        let of_gradients = room(&mut scratch.gradients, filters.div_ceil(LANES));
        for block in blocks::<F>(filters) {
            let (first, distances) = (block.first, [row, filters]);
            let to = &mut of_gradients[first / LANES * BLOCK..];
            match block.lanes {
                LANES => spread_gradients::<LANES, F>(squares, &some, gradients, distances, first, to),
                _ => spread_gradients::<{ LANES / 2 }, F>(squares, &some, gradients, distances, first, to),
            }
        }
        for place in 0..PLACES {
            for Block { first, lanes, .. } in blocks::<F>(filters) {
                let gradients = &of_gradients[first / LANES * BLOCK + place * PLACE..];
                let sums = &mut sums[(PLACES * first + place * lanes) * channels..][..lanes * channels];
                let walk = Walk {
                    items: block,
                    rows: 1,
                    steps: some.len(),
                    a_row: 0,
                    a_step: block,
                    a_item: 1,
                    b_row: 0,
                    b_step: lanes,
                    sums_item: lanes,
                };
                for (index, sums) in sums.chunks_exact_mut(block * lanes).enumerate() {
                    let inputs = &inputs[index * BLOCK + place * PLACE..];
                    match lanes {
                        LANES => F::accumulate::<LANES>(&walk, inputs, gradients, Start::There, sums),
                        _ => F::accumulate::<{ LANES / 2 }>(&walk, inputs, gradients, Start::There, sums),
                    }
                }
            }
        }
    }
}

/// How many sums [`add_weights`] adds to.
pub fn sums_of_weights(channels: usize, filters: usize) -> usize {
    PLACES * channels * filters
}

/// Calls `write` with each row, column, channel and filter of the weights, and the gradient there.
pub fn weights<F: Factor>(
    sums: &[f32],
    channels: usize,
    filters: usize,
    mut write: impl FnMut([usize; 4], f32),
) {
    for Block { first, lanes, .. } in blocks::<F>(filters) {
        let sums = &sums[PLACES * first * channels..];
        for (channel, lane) in (0..channels).flat_map(|channel| (0..lanes).map(move |lane| (channel, lane))) {
            let mut square = [[Lanes([0.0]); 4]; 4];
            for (place, value) in square.as_flattened_mut().iter_mut().enumerate() {
                *value = Lanes([sums[(place * channels + channel) * lanes + lane]]);
            }
            for (row, values) in both_ways(square, of_weights).iter().enumerate() {
                for (column, value) in values.iter().enumerate() {
                    write([row, column, channel, first + lane], value.0[0]);
                }
            }
        }
    }
}

/// Pixels in squares of 2 x 2. Those at the end may reach beyond the pixels.
#[derive(Clone, Copy)]
struct Squares {
    rows: usize,
    columns: usize,
}

impl Squares {
    fn count(self) -> usize {
        self.rows.div_ceil(2) * self.columns.div_ceil(2)
    }

    /// Parts of the squares. Of many channels, fewer squares are computed at once.
    fn parts(self, channels: usize) -> impl Iterator<Item = Range<usize>> {
        let at_once = (4096 / channels / 12).clamp(2, AT_ONCE / 12) * 12;
        (0..self.count()).step_by(at_once).map(move |first| first..(first + at_once).min(self.count()))
    }

    /// The row and column of the first pixel of a square.
    fn first_pixel(self, square: usize) -> [usize; 2] {
        let across = self.columns.div_ceil(2);
        [square / across * 2, square % across * 2]
    }

    /// The same for the square that follows.
    #[inline(always)]
    fn next(self, [row, column]: [usize; 2]) -> [usize; 2] {
        if column + 2 < self.columns { [row, column + 2] } else { [row + 2, 0] }
    }

    /// Writes the transformed squares of 4 x 4 inputs.
    fn spread_inputs<'a, F: Factor>(
        self,
        some: &Range<usize>,
        inputs: &[F],
        below: usize,
        channels: usize,
        to: &'a mut Vec<F>,
    ) -> &'a [F] {
        let block = block_size(channels);
        let to = room(to, channels / block);
        for (first, to) in (0..channels).step_by(block).zip(to.chunks_exact_mut(BLOCK)) {
            let distances = [below, channels];
            match block {
                LANES => spread_inputs::<LANES, F>(self, some, inputs, distances, first, to),
                _ => spread_inputs::<{ LANES / 2 }, F>(self, some, inputs, distances, first, to),
            }
        }
        to
    }
}

/// Writes a block of the transformed squares of 4 x 4 inputs.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
fn spread_inputs<const L: usize, F: Factor>(
    squares: Squares,
    some: &Range<usize>,
    inputs: &[F],
    [below, right]: [usize; 2],
    channel: usize,
    to: &mut [F],
) {
    let mut next = squares.first_pixel(some.start);
    for square in 0..some.len() {
        let [row, column] = next;
        next = squares.next(next);
        // Outputs within the image do not depend on inputs beyond it: any will do.
        let rows = [row, row + 1, row + 2, (row + 3).min(squares.rows + 1)];
        let columns = [column, column + 1, column + 2, (column + 3).min(squares.columns + 1)];
        let mut pixels = [[Lanes::<L>::ZERO; 4]; 4];
        for (pixels, row) in pixels.iter_mut().zip(rows) {
            let inputs = &inputs[row * below..][..(squares.columns + 2) * right];
            for (pixel, column) in pixels.iter_mut().zip(columns) {
                *pixel = Lanes::read(&inputs[column * right + channel..]);
            }
        }
        write_places(both_ways(pixels, of_inputs), square, to);
    }
}

/// Writes a block of the transformed squares of 2 x 2 gradients of outputs.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
fn spread_gradients<const L: usize, F: Factor>(
    squares: Squares,
    some: &Range<usize>,
    gradients: &[F],
    [below, right]: [usize; 2],
    channel: usize,
    to: &mut [F],
) {
    let mut next = squares.first_pixel(some.start);
    for square in 0..some.len() {
        let [row, column] = next;
        next = squares.next(next);
        let mut pixels = [[Lanes::<L>::ZERO; 2]; 2];
        for (y, pixels) in pixels.iter_mut().enumerate() {
            for (x, pixel) in pixels.iter_mut().enumerate() {
                if row + y < squares.rows && column + x < squares.columns {
                    let start = (row + y) * below + (column + x) * right + channel;
                    *pixel = Lanes::read(&gradients[start..]);
                }
            }
        }
        write_places(both_ways(pixels, of_gradients), square, to);
    }
}

/// Writes a block of the outputs that transformed sums give.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
fn gather_outputs<const L: usize, V: Real>(
    squares: Squares,
    some: &Range<usize>,
    sums: &[f32],
    channel: usize,
    target: &mut Target<V>,
) {
    let mut next = squares.first_pixel(some.start);
    let sums: &[[f32; PLACE]; PLACES] = sums.as_chunks().0.first_chunk().expect("a block is there");
    let at_least = target.at_least();
    for square in 0..some.len() {
        let [row, column] = next;
        next = squares.next(next);
        let mut places = [[Lanes::<L>::ZERO; 4]; 4];
        for (place, sums) in places.as_flattened_mut().iter_mut().zip(sums) {
            *place = Lanes::read(&sums[square * L..]);
        }
        for (y, pixels) in both_ways(places, of_sums).into_iter().enumerate() {
            for (x, pixel) in pixels.into_iter().enumerate() {
                if row + y < squares.rows && column + x < squares.columns {
                    // NaN stays.
                    let pixel = pixel.map(|value| if value < at_least { at_least } else { value });
                    let start = target.start + (row + y) * target.below + (column + x) * target.right;
                    pixel.write(&mut target.values[start + channel..]);
                }
            }
        }
    }
}

/// Writes a block of a transformed square.
#[inline(always)]
fn write_places<const L: usize, F: Factor>(places: [[Lanes<L>; 4]; 4], square: usize, to: &mut [F]) {
    let to: &mut [[F; PLACE]; PLACES] = to.as_chunks_mut().0.first_chunk_mut().expect("a block has its room");
    for (lanes, to) in places.as_flattened().iter().zip(to) {
        lanes.write(&mut to[square * L..]);
    }
}

/// Neighbouring channels of a pixel.
#[derive(Clone, Copy)]
struct Lanes<const L: usize>([f32; L]);

impl<const L: usize> Lanes<L> {
    const ZERO: Lanes<L> = Lanes([0.0; L]);

    #[inline(always)]
    fn read<F: Real>(values: &[F]) -> Lanes<L> {
        let values: &[F; L] = values.first_chunk().expect("pixels have whole blocks of channels");
        let mut lanes = Lanes::ZERO;
        lanes.0.iter_mut().zip(values).for_each(|(lane, value)| *lane = value.single());
        lanes
    }

    #[inline(always)]
    fn write<F: Real>(self, to: &mut [F]) {
        let to: &mut [F; L] = to.first_chunk_mut().expect("pixels have whole blocks of channels");
        to.iter_mut().zip(self.0).for_each(|(to, lane)| *to = F::nearest(lane));
    }

    #[inline(always)]
    fn map(mut self, change: impl Fn(f32) -> f32) -> Lanes<L> {
        self.0.iter_mut().for_each(|value| *value = change(*value));
        self
    }

    #[inline(always)]
    fn with(mut self, other: Lanes<L>, combine: impl Fn(f32, f32) -> f32) -> Lanes<L> {
        for (value, other) in self.0.iter_mut().zip(other.0) {
            *value = combine(*value, other);
        }
        self
    }
}

impl<const L: usize> Add for Lanes<L> {
    type Output = Lanes<L>;

    #[inline(always)]
    fn add(self, other: Lanes<L>) -> Lanes<L> {
        self.with(other, f32::add)
    }
}

impl<const L: usize> Sub for Lanes<L> {
    type Output = Lanes<L>;

    #[inline(always)]
    fn sub(self, other: Lanes<L>) -> Lanes<L> {
        self.with(other, f32::sub)
    }
}

impl<const L: usize> Mul<f32> for Lanes<L> {
    type Output = Lanes<L>;

    #[inline(always)]
    fn mul(self, factor: f32) -> Lanes<L> {
        self.map(|value| value * factor)
    }
}

/// Transforms each row of a square, and then each column of what results.
#[inline(always)]
fn both_ways<const L: usize, const N: usize, const M: usize>(
    square: [[Lanes<L>; N]; N],
    transform: impl Fn([Lanes<L>; N]) -> [Lanes<L>; M],
) -> [[Lanes<L>; M]; M] {
    let mut half = [[Lanes::ZERO; N]; M];
    for row in 0..N {
        let transformed = transform(square[row]);
        for column in 0..M {
            half[column][row] = transformed[column];
        }
    }
    let mut transformed = [[Lanes::ZERO; M]; M];
    for column in 0..M {
        let values = transform(half[column]);
        for row in 0..M {
            transformed[row][column] = values[row];
        }
    }
    transformed
}

#[inline(always)]
fn of_inputs<const L: usize>([a, b, c, d]: [Lanes<L>; 4]) -> [Lanes<L>; 4] {
    [a - c, b + c, c - b, b - d]
}

#[inline(always)]
fn of_filters<const L: usize>([a, b, c]: [Lanes<L>; 3]) -> [Lanes<L>; 4] {
    [a, (a + b + c) * 0.5, (a - b + c) * 0.5, c]
}

#[inline(always)]
fn of_sums<const L: usize>([a, b, c, d]: [Lanes<L>; 4]) -> [Lanes<L>; 2] {
    [a + b + c, b - c - d]
}

#[inline(always)]
fn of_gradients<const L: usize>([a, b]: [Lanes<L>; 2]) -> [Lanes<L>; 4] {
    [a, a + b, a - b, Lanes::ZERO - b]
}

#[inline(always)]
fn of_weights<const L: usize>([a, b, c, d]: [Lanes<L>; 4]) -> [Lanes<L>; 3] {
    [a + (b + c) * 0.5, (b - c) * 0.5, (b + c) * 0.5 + d]
}
