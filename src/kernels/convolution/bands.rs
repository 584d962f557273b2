//! A convolution of some rows of one image, followed by relu and maximum pooling, and its gradients: on
//! slices, by one thread.

use super::Needed;
use super::correlation::{self, Block, Filters, Origin, Stored, Target, blocks};
use super::tile::{Factor, LANES, Start, Walk, parts};
use super::winograd;
use crate::kernels::tensor_slice::Real;
use multiversion::multiversion;
use std::ops::Range;

/// A convolution of square filters, perhaps followed by relu, and by the maximum of squares side by side.
/// Images lie in memory row by row, pixel by pixel, with the channels of a pixel side by side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Convolution {
    /// Of the inputs.
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    pub filters: usize,
    pub size: usize,
    pub stride: usize,
    /// Zeros on each side of the inputs.
    pub padding: usize,
    pub relu: bool,
    /// The side of the squares, at most [`MAX_SIDE`](crate::kernels::pooling::MAX_SIDE); 1 without pooling.
    pub pool: usize,
}

/// In place of a position: relu set the maximum to 0, and no gradient goes back.
const NOWHERE: u8 = u8::MAX;

/// Memory that is used for band after band.
#[derive(Default)]
pub struct Scratch<F> {
    inputs: Vec<F>,
    input_pairs: Vec<F>,
    gradients: Vec<F>,
    gradient_pairs: Vec<F>,
    convolved: Vec<f32>,
    transformed: winograd::Scratch<F>,
}

/// What a forward pass kept of a band, and the gradients of its outputs.
pub struct Outputs<'a, V> {
    /// Without pooling.
    pub values: &'a [V],
    /// With pooling: where each value comes from in its square.
    pub positions: &'a [u8],
    pub gradients: &'a [V],
}

/// Sums of the gradients of weights and biases over some bands.
pub struct ParameterGradients {
    /// For each block of filters, each of their rows, and each pixel and channel in it.
    weights: Vec<f32>,
    pub biases: Vec<f32>,
}

impl Convolution {
    /// Rows and columns of the outputs.
    pub fn pooled(&self) -> [usize; 2] {
        [self.height, self.width].map(|size| {
            let room = (size + 2 * self.padding).checked_sub(self.size);
            room.map_or(0, |room| (room / self.stride + 1) / self.pool)
        })
    }

    /// Rows and columns before pooling, without those that no square holds.
    fn convolved(&self) -> [usize; 2] {
        self.pooled().map(|size| size * self.pool)
    }

    /// The rows of the outputs that are computed together: as many as the caches hold.
    pub fn bands(&self) -> Vec<Range<usize>> {
        const VALUES: usize = 16 << 10;
        let [height, width] = self.pooled();
        let rows = VALUES / (width * self.pool * self.pool * self.filters.max(self.channels)).max(1);
        // An even number, for squares of 2 x 2.
        let (pairs, pairs_at_once) = (height.div_ceil(2), (rows / 2).max(1));
        let bands = pairs.div_ceil(pairs_at_once);
        let start = |band: usize| (band * pairs / bands * 2).min(height);
        (0..bands).map(|band| start(band)..start(band + 1)).collect()
    }

    /// The rows of the inputs whose gradients are computed with a band of the outputs.
    pub fn input_rows(&self, band: &Range<usize>) -> Range<usize> {
        let [height, _] = self.pooled();
        band.start * self.height / height..band.end * self.height / height
    }

    /// The weights [filters, channels, size, size] as inputs are multiplied with them.
    pub fn filters<F: Factor>(&self, weights: &[f32]) -> Filters<F> {
        let channels = self.channels;
        let weight = |row: usize, step: usize, filter: usize| {
            weights[self.weight(filter, step % channels, row, step / channels)]
        };
        match self.is_transformed::<F>() {
            true => winograd::filters(channels, self.filters, weight),
            false => Filters::new(self.size, self.size * channels, self.filters, weight),
        }
    }

    /// Whether it is computed with fewer products.
    fn is_transformed<F: Factor>(&self) -> bool {
        (self.size, self.stride) == (winograd::SIZE, 1)
            && winograd::is_faster::<F>(self.convolved(), self.channels, self.filters)
    }

    fn weight(&self, filter: usize, channel: usize, row: usize, column: usize) -> usize {
        ((filter * self.channels + channel) * self.size + row) * self.size + column
    }

    /// Computes a band of the outputs of an image and, with pooling, the positions of the values.
    pub fn forward<F: Factor, V: Stored<F>>(
        &self,
        band: &Range<usize>,
        inputs: &[V],
        filters: &Filters<F>,
        biases: &[f32],
        (outputs, positions): (&mut [V], &mut [u8]),
        scratch: &mut Scratch<F>,
    ) {
        let rows = band.start * self.pool..band.end * self.pool;
        let [_, columns] = self.convolved();
        let (inputs, width) = self.inputs(&rows, inputs, &mut scratch.inputs);
        let row = width * self.channels;
        let origin = Origin {
            start: 0,
            below: self.stride * row,
            right: self.stride * self.channels,
            filter_row: row,
        };
        let size = [rows.len(), columns];
        let (below, right) = (columns * self.filters, self.filters);
        if self.pool == 1 {
            let target = &mut Target { values: outputs, start: 0, below, right, relu: self.relu };
            return correlate(size, inputs, origin, (filters, biases), target, &mut scratch.transformed);
        }
        scratch.convolved.resize(rows.len() * below, 0.0);
        let values = &mut scratch.convolved[..];
        let target = &mut Target { values, start: 0, below, right, relu: self.relu };
        correlate(size, inputs, origin, (filters, biases), target, &mut scratch.transformed);
        maxima(self, &scratch.convolved, outputs, positions);
    }

    /// The inputs that rows of the convolution need, with their padding, and the columns of these.
    fn inputs<'a, F: Factor, V: Stored<F>>(
        &self,
        rows: &Range<usize>,
        inputs: &'a [V],
        padded: &'a mut Vec<F>,
    ) -> (&'a [F], usize) {
        let row = self.width * self.channels;
        let first = rows.start * self.stride;
        // Of an odd number of factors, the last one is multiplied with its neighbour, which must be there.
        if self.padding == 0
            && (self.size * self.channels).is_multiple_of(F::WIDTH)
            && let Some(inputs) = V::as_factors(inputs)
        {
            return (&inputs[first * row..], self.width);
        }
        let width = self.width + 2 * self.padding;
        let margin = self.padding * self.channels;
        let needed = (rows.len().max(1) - 1) * self.stride + self.size;
        padded.resize(needed * width * self.channels + F::WIDTH, F::default());
        for (index, padded) in padded.chunks_exact_mut(width * self.channels).enumerate() {
            let source = (first + index).checked_sub(self.padding).filter(|row| *row < self.height);
            let Some(source) = source else {
                padded.fill(F::default());
                continue;
            };
            padded[..margin].fill(F::default());
            padded[margin + row..].fill(F::default());
            let values = &inputs[source * row..][..row];
            copy(values, &mut padded[margin..][..row]);
        }
        (padded, width)
    }
}

/// Writes the maximum of each square of pixels and its position in it: the first of several, or NaN.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
fn maxima<V: Real>(convolution: &Convolution, convolved: &[f32], outputs: &mut [V], positions: &mut [u8]) {
    let Convolution { pool, relu, filters, .. } = *convolution;
    let columns = convolution.pooled()[1];
    let row = columns * pool * filters;
    let outputs = outputs.chunks_exact_mut(filters).zip(positions.chunks_exact_mut(filters));
    for (index, (outputs, positions)) in outputs.enumerate() {
        let square = index / columns * pool * row + index % columns * pool * filters;
        let outputs = outputs.chunks_mut(LANES).zip(positions.chunks_mut(LANES));
        for (block, (outputs, positions)) in outputs.enumerate() {
            let (mut best, mut found) = ([f32::NEG_INFINITY; LANES], [0u32; LANES]);
            for position in 0..pool * pool {
                let pixel = square + position / pool * row + position % pool * filters + block * LANES;
                let values = lanes(&convolved[pixel..], outputs.len());
                for lane in 0..LANES {
                    let is_better = (values[lane] > best[lane]) | values[lane].is_nan();
                    best[lane] = if is_better { values[lane] } else { best[lane] };
                    found[lane] = if is_better { position as u32 } else { found[lane] };
                }
            }
            let found: [u8; LANES] = std::array::from_fn(|lane| {
                let is_dead = relu & (best[lane] == 0.0);
                if is_dead { NOWHERE } else { found[lane] as u8 }
            });
            put(best.map(V::nearest), outputs);
            put(found, positions);
        }
    }
}

/// Writes the first values, as many as there is room for.
#[inline(always)]
fn put<T: Copy>(values: [T; LANES], to: &mut [T]) {
    match <&mut [T; LANES]>::try_from(&mut *to) {
        Ok(to) => *to = values,
        Err(_) => to.copy_from_slice(&values[..to.len()]),
    }
}

/// The first values, up to 16, and 0 in place of others.
#[inline(always)]
fn lanes<T: Copy + Default>(values: &[T], count: usize) -> [T; LANES] {
    match values.first_chunk() {
        Some(values) if count == LANES => *values,
        _ => {
            let mut lanes = [T::default(); LANES];
            lanes[..count].copy_from_slice(&values[..count]);
            lanes
        }
    }
}

/// Computes a result in the way that its filters are for.
fn correlate<F: Factor, V: Real>(
    size: [usize; 2],
    values: &[F],
    origin: Origin,
    (filters, biases): (&Filters<F>, &[f32]),
    target: &mut Target<V>,
    scratch: &mut winograd::Scratch<F>,
) {
    match filters.is_transformed {
        true => winograd::correlate(size, values, origin, (filters, biases), target, scratch),
        false => correlation::correlate(size, values, origin, filters, biases, target),
    }
}

/// What the backward passes of all bands share.
pub struct Backward<F> {
    convolution: Convolution,
    /// For each remainder of rows and columns by the stride, if the gradients of the inputs are needed.
    filters: Vec<Filters<F>>,
    needs_parameters: bool,
}

impl Convolution {
    /// How many rows (or columns) of the filters meet the inputs whose place, with the padding, leaves that
    /// remainder when it is divided by the stride.
    fn taps(&self, remainder: usize) -> usize {
        self.size.saturating_sub(remainder).div_ceil(self.stride)
    }

    /// The gradients of a row of the convolution, before relu and pooling.
    fn gradients<F, V: Stored<F>>(&self, row: usize, outputs: &Outputs<V>, gradients: &mut [F])
    where
        F: Factor,
    {
        let length = self.pooled()[1] * self.filters;
        let of_row = row / self.pool * length..(row / self.pool + 1) * length;
        let given = &outputs.gradients[of_row.clone()];
        if self.pool > 1 {
            let here = (row % self.pool * self.pool) as u8;
            let positions = &outputs.positions[of_row];
            scatter(given, positions, here, [self.pool, self.filters], gradients);
        } else if self.relu {
            keep_positive(given, &outputs.values[of_row], gradients);
        } else {
            copy(given, gradients);
        }
    }

    /// Adds the gradients of some rows to those of the biases.
    fn add_biases<F: Factor>(&self, rows: usize, gradients: &[F], row: usize, sums: &mut [f32]) {
        for (block, sums) in sums.chunks_mut(LANES).enumerate() {
            let gradients = &gradients[block * LANES..];
            let kept = sum_pixels(gradients, [rows, self.convolved()[1]], [row, self.filters], sums.len());
            sums.iter_mut().zip(kept).for_each(|(sum, kept)| *sum += kept);
        }
    }

    /// Adds to the gradients of the weights the products of inputs and gradients of some rows, which lie
    /// `input_row` and `row` apart; of bfloat16, both come in [`pairs`].
    fn add_weights<F: Factor>(
        &self,
        rows: usize,
        (inputs, input_row): (&[F], usize),
        (gradients, row): (&[F], usize),
        sums: &mut [f32],
    ) {
        // What is read again for each part of the filters stays in the nearest cache.
        const VALUES: usize = 4 << 10;
        let at_once = (VALUES / (row + self.stride * input_row)).max(1);
        let steps = self.convolved()[1].div_ceil(F::WIDTH);
        let walk = Walk {
            items: self.size * self.channels,
            rows: 0,
            steps,
            a_row: self.stride * input_row,
            a_step: F::WIDTH * self.stride * self.channels * F::WIDTH,
            a_item: F::WIDTH,
            b_row: row,
            b_step: self.filters * F::WIDTH,
            sums_item: 0,
        };
        for rows in parts(rows, at_once) {
            let walk = Walk { rows: rows.len(), ..walk };
            let (inputs, gradients) = (&inputs[rows.start * walk.a_row..], &gradients[rows.start * row..]);
            let mut sums = &mut *sums;
            for block in blocks::<F>(self.filters) {
                let of_row = self.size * self.channels * block.lanes;
                let (these, rest) = sums.split_at_mut(self.size * of_row);
                sums = rest;
                let gradients = &gradients[block.first * F::WIDTH..];
                for (index, sums) in these.chunks_exact_mut(of_row).enumerate() {
                    let inputs = &inputs[index * input_row..];
                    let walk = Walk { sums_item: block.lanes, ..walk };
                    match block.lanes {
                        LANES => F::accumulate::<LANES>(&walk, inputs, gradients, Start::There, sums),
                        _ => F::accumulate::<{ LANES / 2 }>(&walk, inputs, gradients, Start::There, sums),
                    }
                }
            }
        }
    }
}

/// Writes values as factors.
fn copy<F: Factor, V: Stored<F>>(values: &[V], to: &mut [F]) {
    match V::as_factors(values) {
        Some(values) => to.copy_from_slice(values),
        None => to.iter_mut().zip(values).for_each(|(to, value)| *to = value.to_factor()),
    }
}

/// Writes the gradients where the outputs are above 0, otherwise 0.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
fn keep_positive<F: Factor, V: Stored<F>>(gradients: &[V], outputs: &[V], to: &mut [F]) {
    for ((to, gradient), output) in to.iter_mut().zip(gradients).zip(outputs) {
        let gradient = gradient.to_factor();
        *to = if output.single() > 0.0 { gradient } else { F::default() };
    }
}

/// Writes each of the gradients of pooled values to the pixel of its square that it comes from, and 0 to others,
/// for the row of squares that begins with the position `here`.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
fn scatter<F: Factor, V: Stored<F>>(
    gradients: &[V],
    positions: &[u8],
    here: u8,
    [side, channels]: [usize; 2],
    to: &mut [F],
) {
    let given = gradients.chunks_exact(channels).zip(positions.chunks_exact(channels));
    for (square, (gradients, positions)) in to.chunks_exact_mut(side * channels).zip(given) {
        for (column, to) in square.chunks_exact_mut(channels).enumerate() {
            let here = here + column as u8;
            let pick = |to: &mut F, gradient: &V, position: u8| {
                let gradient = gradient.to_factor();
                *to = if position == here { gradient } else { F::default() };
            };
            let (blocks, rest) = to.as_chunks_mut::<LANES>();
            let (gradient_blocks, gradients) = gradients.as_chunks::<LANES>();
            let (position_blocks, positions) = positions.as_chunks::<LANES>();
            for ((to, gradients), positions) in blocks.iter_mut().zip(gradient_blocks).zip(position_blocks) {
                (0..LANES).for_each(|lane| pick(&mut to[lane], &gradients[lane], positions[lane]));
            }
            for ((to, gradient), position) in rest.iter_mut().zip(gradients).zip(positions) {
                pick(to, gradient, *position);
            }
        }
    }
}

/// The sums of up to 16 channels over rows of pixels.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512dq+avx512vl+fma", "x86_64+avx2+fma"))]
fn sum_pixels<F: Factor>(
    values: &[F],
    [rows, columns]: [usize; 2],
    [below, right]: [usize; 2],
    channels: usize,
) -> [f32; LANES] {
    let mut sums = [0.0; LANES];
    for row in 0..rows {
        for column in 0..columns {
            let pixel = lanes(&values[row * below + column * right..], channels);
            for (sum, value) in sums.iter_mut().zip(pixel) {
                *sum += value.single();
            }
        }
    }
    sums
}

impl ParameterGradients {
    /// All are 0.
    pub fn zeros<F: Factor>(convolution: &Convolution) -> ParameterGradients {
        let lanes: usize = blocks::<F>(convolution.filters).map(|block| block.lanes).sum();
        let weights = match convolution.is_transformed::<F>() {
            true => winograd::sums_of_weights(convolution.channels, convolution.filters),
            false => convolution.size * convolution.size * convolution.channels * lanes,
        };
        ParameterGradients { weights: vec![0.0; weights], biases: vec![0.0; convolution.filters] }
    }

    /// Adds others.
    pub fn add(&mut self, other: &ParameterGradients) {
        let add = |(sum, other): (&mut f32, &f32)| *sum += other;
        self.weights.iter_mut().zip(&other.weights).for_each(add);
        self.biases.iter_mut().zip(&other.biases).for_each(add);
    }

    /// Writes those of the weights as [filters, channels, size, size].
    pub fn weights<F: Factor>(&self, convolution: &Convolution, weights: &mut [f32]) {
        let (size, channels) = (convolution.size, convolution.channels);
        if convolution.is_transformed::<F>() {
            let write = |[row, column, channel, filter]: [usize; 4], sum| {
                weights[convolution.weight(filter, channel, row, column)] = sum;
            };
            return winograd::weights::<F>(&self.weights, channels, convolution.filters, write);
        }
        let mut sums = self.weights.iter();
        for Block { first, columns, lanes } in blocks::<F>(convolution.filters) {
            for row in 0..size {
                for step in 0..size * channels {
                    for (lane, sum) in sums.by_ref().take(lanes).enumerate() {
                        if lane < columns {
                            let index =
                                convolution.weight(first + lane, step % channels, row, step / channels);
                            weights[index] = *sum;
                        }
                    }
                }
            }
        }
    }
}

impl<F: Factor> Backward<F> {
    /// With the weights [filters, channels, size, size].
    pub fn new(convolution: Convolution, weights: &[f32], needed: Needed) -> Backward<F> {
        let mut filters = Vec::new();
        let c = convolution;
        if needed.inputs {
            for (y, x) in (0..c.stride).flat_map(|y| (0..c.stride).map(move |x| (y, x))) {
                let (rows, columns) = (c.taps(y), c.taps(x));
                let weight = |row: usize, step: usize, channel: usize| {
                    // Turned round: the last pixel of the filters meets the first gradient.
                    let (column, filter) = (columns - 1 - step / c.filters, step % c.filters);
                    let (row, column) = (y + (rows - 1 - row) * c.stride, x + column * c.stride);
                    weights[c.weight(filter, channel, row, column)]
                };
                filters.push(match c.is_transformed::<F>() {
                    true => winograd::filters(c.filters, c.channels, weight),
                    false => Filters::new(rows, columns * c.filters, c.channels, weight),
                });
            }
        }
        Backward { convolution, filters, needs_parameters: needed.parameters }
    }

    /// Adds to the gradients of the parameters those of a band, and computes the gradients of the inputs in
    /// their rows: those that are needed.
    pub fn band<V: Stored<F>>(
        &self,
        band: &Range<usize>,
        inputs: &[V],
        outputs: &Outputs<V>,
        sums: &mut ParameterGradients,
        of_inputs: &mut [V],
        scratch: &mut Scratch<F>,
    ) {
        let c = &self.convolution;
        let rows = band.start * c.pool..band.end * c.pool;
        let input_rows = c.input_rows(band);
        let [height, width] = c.convolved();
        // The gradients of the inputs reach out on all sides.
        let before = c.taps(0) - 1;
        let (mut first, mut end) = (rows.start as isize, rows.end as isize);
        let mut after = 0;
        if !self.filters.is_empty() && !input_rows.is_empty() {
            first = first.min(((input_rows.start + c.padding) / c.stride) as isize - before as isize);
            end = end.max(((input_rows.end - 1 + c.padding) / c.stride) as isize + 1);
            after = ((c.width - 1 + c.padding) / c.stride + 1).saturating_sub(width);
        }
        let columns = before + width + after;
        let row = columns * c.filters;
        let gradients = &mut scratch.gradients;
        // The last block of filters may be read beyond its end.
        gradients.resize((end - first) as usize * row + LANES * F::WIDTH, F::default());
        for (index, gradients) in gradients.chunks_exact_mut(row).take((end - first) as usize).enumerate() {
            let source = first + index as isize;
            if source < 0 || source >= height as isize {
                gradients.fill(F::default());
                continue;
            }
            gradients[..before * c.filters].fill(F::default());
            gradients[(before + width) * c.filters..].fill(F::default());
            c.gradients(source as usize, outputs, &mut gradients[before * c.filters..][..width * c.filters]);
        }
        let gradients = &scratch.gradients[..];
        if self.needs_parameters {
            let own = (rows.start as isize - first) as usize * row + before * c.filters;
            c.add_biases(rows.len(), &gradients[own..], row, &mut sums.biases);
            let (inputs, input_width) = c.inputs(&rows, inputs, &mut scratch.inputs);
            let input_row = input_width * c.channels;
            let (inputs, own_gradients) = ((inputs, input_row), (&gradients[own..], row));
            if c.is_transformed::<F>() {
                let inputs = (inputs.0, input_row, c.channels);
                let gradients = (own_gradients.0, row, c.filters);
                let scratch = &mut scratch.transformed;
                winograd::add_weights([rows.len(), width], inputs, gradients, &mut sums.weights, scratch);
            } else if F::WIDTH == 1 {
                c.add_weights(rows.len(), inputs, own_gradients, &mut sums.weights);
            } else {
                let input_rows = (rows.len() - 1) * c.stride + c.size;
                let inputs = pairs(
                    inputs,
                    [input_rows, input_width, c.channels],
                    [1, c.stride],
                    &mut scratch.input_pairs,
                );
                let own_gradients =
                    pairs(own_gradients, [rows.len(), width, c.filters], [2, 1], &mut scratch.gradient_pairs);
                c.add_weights(rows.len(), inputs, own_gradients, &mut sums.weights);
            }
        }
        for (index, filters) in self.filters.iter().enumerate() {
            let (y, x) = (index / c.stride, index % c.stride);
            // The first pixels with these remainders.
            let start = |first: usize, remainder: usize| {
                first + (remainder + c.stride - (first + c.padding) % c.stride) % c.stride
            };
            let (top, left) = (start(input_rows.start, y), start(0, x));
            if top >= input_rows.end || left >= c.width {
                continue;
            }
            let size = [(input_rows.end - top).div_ceil(c.stride), (c.width - left).div_ceil(c.stride)];
            let above = ((top + c.padding) / c.stride) as isize - (c.taps(y) as isize - 1) - first;
            let aside = before + (left + c.padding) / c.stride + 1 - c.taps(x);
            let start = above as usize * row + aside * c.filters;
            let origin = Origin { start, below: row, right: c.filters, filter_row: row };
            let below = c.stride * c.width * c.channels;
            let start = ((top - input_rows.start) * c.width + left) * c.channels;
            let right = c.stride * c.channels;
            let target = &mut Target { values: &mut *of_inputs, start, below, right, relu: false };
            correlate(size, gradients, origin, (filters, &[]), target, &mut scratch.transformed);
        }
    }
}

/// Each value of each `every`-th pixel beside that of the pixel `apart` to its right, or 0: so the products of
/// two pixels are added at once. Returns the pairs and how far apart their rows are.
fn pairs<'a, F: Factor>(
    (values, row): (&[F], usize),
    [rows, width, channels]: [usize; 3],
    [every, apart]: [usize; 2],
    pairs: &'a mut Vec<F>,
) -> (&'a [F], usize) {
    let paired_row = width.div_ceil(every) * channels * 2;
    // The last block of channels may be read beyond its end.
    pairs.resize(rows * paired_row + 2 * LANES, F::default());
    for (row, pairs) in values.chunks(row).take(rows).zip(pairs.chunks_exact_mut(paired_row)) {
        for (index, pairs) in pairs.chunks_exact_mut(2 * channels).enumerate() {
            let pixel = index * every;
            let first = &row[pixel * channels..][..channels];
            let other =
                if pixel + apart < width { &row[(pixel + apart) * channels..][..channels] } else { &[] };
            for (channel, pair) in pairs.chunks_exact_mut(2).enumerate() {
                pair[0] = first[channel];
                pair[1] = other.get(channel).copied().unwrap_or_default();
            }
        }
    }
    (pairs, paired_row)
}
