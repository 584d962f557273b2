//! What an image looks like, in 64 bits: images that look alike have hashes that differ in few of them.
//!
//! The hash is that of the lowest frequencies of a small grey version (pHash). It does not change with the size, the
//! brightness, the contrast or the compression of an image, and little with noise.

use anyhow::Result;
use std::f64::consts::PI;
use tch::{Kind, Tensor};

/// The longest side of a small version.
const SIDE: i64 = 32;
/// The frequencies along a side.
const FREQUENCIES: i64 = 8;
/// An image whose pixels deviate less from their mean, as a share of the maximum, shows nothing.
const FLAT: f64 = 0.01;

/// Small versions of images [n, height, width] or [n, 3, height, width], as rows of a matrix: each channel of mean 0,
/// all of length 1, so that the product of two is their correlation. Those that show nothing become zeros.
pub(super) fn small_versions(pixels: &Tensor, maximum: f64) -> Result<Tensor> {
    let pixels = pixels.f_to_kind(Kind::Float)?.f_div_scalar(maximum)?;
    let pixels = if pixels.dim() == 3 { pixels.f_unsqueeze(1)? } else { pixels };
    let [height, width] = small_size(&pixels.size());
    let small = pixels.f_adaptive_avg_pool2d([height, width])?.f_flatten(2, -1)?;
    // Channel by channel: two blue skies are not alike because they are blue.
    let centred = small.f_sub(&small.f_mean_dim([2].as_slice(), true, Kind::Float)?)?.f_flatten(1, -1)?;
    let length = centred.f_square()?.f_sum_dim_intlist([1].as_slice(), true, Kind::Float)?.f_sqrt()?;
    let shortest = FLAT * (centred.size()[1] as f64).sqrt();
    let is_flat = length.f_lt(shortest)?;
    Ok(centred.f_div(&length.f_clamp_min(shortest)?)?.f_masked_fill(&is_flat, 0.0)?)
}

/// The hashes of images of that size, given their small versions; none for those that show nothing.
pub(super) fn hashes(small: &Tensor, size: &[i64]) -> Result<Vec<Option<u64>>> {
    let [height, width] = small_size(size);
    let grey = small.f_view([small.size()[0], -1, height, width])?;
    let grey = grey.f_mean_dim([1].as_slice(), false, Kind::Float)?;
    let (rows, columns) = (cosines(height)?, cosines(width)?);
    let spectrum = rows.f_matmul(&grey)?.f_matmul(&columns.f_transpose(0, 1)?)?.f_flatten(1, -1)?;
    // The first one is the mean.
    let spectrum = spectrum.f_narrow(1, 1, spectrum.size()[1] - 1)?;
    let (count, bits) = (spectrum.size()[0] as usize, spectrum.size()[1] as usize);
    let values: Vec<f32> = Vec::try_from(spectrum.f_contiguous()?.f_view([-1])?)?;
    let has_pixels: Vec<bool> = Vec::try_from(small.f_abs()?.f_amax([1], false)?.f_gt(0.0)?)?;
    Ok((0..count).map(|row| has_pixels[row].then(|| hash(&values[row * bits..(row + 1) * bits]))).collect())
}

/// A bit for each value: whether it is above their median.
fn hash(values: &[f32]) -> u64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
    values.iter().enumerate().filter(|(_, value)| **value > median).fold(0, |hash, (bit, _)| hash | 1 << bit)
}

/// The lowest frequencies of the discrete cosine transform of that many values, a row for each.
fn cosines(length: i64) -> Result<Tensor> {
    let wave =
        |frequency: i64, at: i64| (PI * frequency as f64 * (at as f64 + 0.5) / length as f64).cos() as f32;
    let frequencies = FREQUENCIES.min(length);
    let values: Vec<f32> =
        (0..frequencies).flat_map(|frequency| (0..length).map(move |at| wave(frequency, at))).collect();
    Ok(Tensor::f_from_slice(&values)?.f_view([frequencies, length])?)
}

/// Height and width of the small version of an image of that size.
fn small_size(size: &[i64]) -> [i64; 2] {
    let side = |from_end: usize| size.len().checked_sub(from_end).map_or(1, |axis| size[axis].min(SIDE));
    [side(2), side(1)]
}
