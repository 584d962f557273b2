//! Images that are mixed with others of their batch, and their targets with them.

use super::Augmentation;
use crate::data::MixedBatch;
use anyhow::Result;
use tch::{Device, Kind, Tensor};

/// Images and targets [b, ...], mixed with those of the row before: blended (mixup; Zhang et al., 2017), or with a
/// rectangle of them (cutmix; Yun et al., 2019); one of the two at random, if both are asked for. Their share is
/// one for the batch; it is drawn on the host, which never waits for the device.
///
/// # Errors
/// Too little memory.
pub(super) fn mixed(changes: &Augmentation, images: Tensor, targets: &Tensor) -> Result<MixedBatch> {
    let uniform =
        || -> Result<f64> { Ok(Tensor::f_rand([1], (Kind::Double, Device::Cpu))?.f_double_value(&[0])?) };
    let cuts = match (changes.mixup > 0.0, changes.cutmix > 0.0) {
        (false, false) => return Ok(MixedBatch::plain(images, targets.shallow_clone())),
        (true, true) => uniform()? < 0.5,
        (_, cuts) => cuts,
    };
    let own = beta(if cuts { changes.cutmix } else { changes.mixup })?;
    let others = images.f_roll([1], [0])?;
    let (inputs, others_share) = match images.size()[..] {
        [.., height, width] if cuts => {
            let (place_y, place_x) = (uniform()?, uniform()?);
            let (rows, columns) = (middle_part(height, own, place_y), middle_part(width, own, place_x));
            let inputs = images.copy();
            let part = |images: &Tensor| -> Result<Tensor> {
                let rows = images.f_narrow(-2, rows.start, rows.end - rows.start)?;
                Ok(rows.f_narrow(-1, columns.start, columns.end - columns.start)?)
            };
            part(&inputs)?.f_copy_(&part(&others)?)?;
            let area = (rows.end - rows.start) * (columns.end - columns.start);
            (inputs, area as f64 / (height * width) as f64)
        }
        _ => (others.f_lerp(&images, own)?, 1.0 - own),
    };
    Ok(MixedBatch {
        inputs,
        targets: targets.shallow_clone(),
        others: Some((targets.f_roll([1], [0])?, others_share)),
    })
}

/// The part of a side that a rectangle with a share of `1 - own` of the area takes, around a place from 0 to 1; what
/// lies beyond the image is lost, as in the paper.
fn middle_part(side: i64, own: f64, place: f64) -> std::ops::Range<i64> {
    let length = (side as f64 * (1.0 - own).sqrt()) as i64;
    let middle = (place * side as f64) as i64;
    (middle - length / 2).max(0)..(middle - length / 2 + length).min(side)
}

/// A random number from the distribution Beta(a, a): of two gamma variables, the share of the first. They are drawn as
/// logarithms, Gamma(a) = Gamma(a + 1) U^(1/a) (Marsaglia and Tsang, 2000), because those of a small a are too small for
/// numbers.
fn beta(a: f64) -> Result<f64> {
    let gammas = Tensor::f_from_slice(&[a + 1.0; 2])?.f_internal_standard_gamma()?;
    let powers = gammas.f_rand_like()?.f_log()?.f_divide_scalar(a)?;
    let logarithms = Vec::<f64>::try_from(gammas.f_log()?.f_add(&powers)?)?;
    let share = 1.0 / (1.0 + (logarithms[1] - logarithms[0]).exp());
    // Both are too small even so.
    Ok(if share.is_finite() { share } else { 1.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The variance of Beta(a, a) is 1 / (4 (2a + 1)).
    #[test]
    fn shares_have_the_moments_of_their_distribution() {
        tch::manual_seed(7);
        for a in [1e-9, 1e-3, 0.2, 1.0, 50.0] {
            let shares: Vec<f64> = (0..4000).map(|_| beta(a).unwrap()).collect();
            let mean = shares.iter().sum::<f64>() / 4000.0;
            let variance = shares.iter().map(|share| (share - mean).powi(2)).sum::<f64>() / 4000.0;
            let expected = 0.25 / (2.0 * a + 1.0);
            assert!((mean - 0.5).abs() < 0.04, "{a}: {mean}");
            assert!((variance / expected - 1.0).abs() < 0.1, "{a}: {variance}");
            assert!(a > 1e-6 || shares.iter().all(|share| *share < 1e-9 || *share > 1.0 - 1e-9), "{a}");
        }
    }
}
