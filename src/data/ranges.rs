//! The ranges of the columns of rows: pixels share one, features of a table have each their own.

use super::Images;
use anyhow::Result;
use tch::{Kind, Tensor};

/// Rows that are looked at in one go.
const BATCH: usize = 4096;

/// Whether columns with these minima and maxima share a range: most of them have the same minimum, and most
/// reach half of the largest magnitude.
pub(super) fn are_shared(ranges: &[(f64, f64)]) -> bool {
    let mut minima: Vec<f64> = ranges.iter().map(|(min, _)| *min).collect();
    minima.sort_unstable_by(f64::total_cmp);
    let usual = minima.chunk_by(|a, b| a == b).map(<[f64]>::len).max().unwrap_or_default();
    let magnitude = |(min, max): &(f64, f64)| min.abs().max(max.abs());
    let largest = ranges.iter().map(magnitude).fold(0.0, f64::max);
    let wide = ranges.iter().filter(|range| 2.0 * magnitude(range) >= largest).count();
    2 * usual > ranges.len() && 2 * wide > ranges.len()
}

/// Whether images are rows of values whose columns do not share a range.
pub(super) fn are_mixed(images: &Images) -> Result<bool> {
    let [width] = images.shape()[..] else { return Ok(false) };
    let mut ranges = vec![(f64::INFINITY, f64::NEG_INFINITY); width as usize];
    for start in (0..images.len()).step_by(BATCH) {
        let rows = images.slice(start, BATCH)?;
        let of_columns =
            |values: Tensor| -> Result<Vec<f64>> { Ok(Vec::try_from(values.f_to_kind(Kind::Double)?)?) };
        let (minima, maxima) = (of_columns(rows.f_amin([0], false)?)?, of_columns(rows.f_amax([0], false)?)?);
        for ((min, max), (low, high)) in ranges.iter_mut().zip(minima.into_iter().zip(maxima)) {
            (*min, *max) = (min.min(low), max.max(high));
        }
    }
    Ok(!are_shared(&ranges))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_share_a_range_and_features_do_not() {
        let pixels: Vec<(f64, f64)> =
            (0..64).map(|index| (0.0, if index < 8 { 0.0 } else { 16.0 })).collect();
        assert!(are_shared(&pixels) && are_shared(&[(0.0, 1.0); 3]));
        let iris = [(4.3, 7.9), (2.0, 4.4), (1.0, 6.9), (0.1, 2.5)];
        let spam = [(0.0, 4.5), (0.0, 5.0), (0.0, 15_841.0), (0.0, 9_989.0), (0.0, 2.0)];
        assert!(!are_shared(&iris) && !are_shared(&spam));
        let rows = Tensor::from_slice(&[1.0f32, 300.0, 2.0, 900.0]);
        let images = |shape: &[i64]| Images::new(rows.view(shape), vec![0; shape[0] as usize]).unwrap();
        assert!(are_mixed(&images(&[2, 2])).unwrap());
        assert!(!are_mixed(&images(&[1, 2, 2])).unwrap());
    }
}
