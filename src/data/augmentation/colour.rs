//! Images whose brightness, contrast and saturation change.

use super::{by_image, draw};
use anyhow::Result;
use tch::{Kind, Tensor};

/// Of red, green and blue in grey, as in torchvision and Pillow (ITU-R BT.601).
const GREY: [f64; 3] = [0.299, 0.587, 0.114];

/// Images [b, channels, height, width] with factors from `1 - strength` to `1 + strength`, as torchvision's
/// ColorJitter has them, in the order brightness, contrast, saturation: values times the first; their distances
/// from the mean grey of the image times the second; those from the grey of the pixel times the third; then values
/// end at 0 and 1. Images that are not in colour have no saturation.
///
/// # Errors
/// Too little memory.
pub(super) fn recoloured(images: &Tensor, strength: f64) -> Result<Tensor> {
    let factor = || by_image(&((draw(images)? * 2.0 - 1.0) * strength + 1.0));
    let factors = [factor()?, factor()?, factor()?];
    by_factors(images, factors)
}

/// The same with factors [b, 1, 1, 1] of brightness, contrast and saturation.
fn by_factors(images: &Tensor, [brightness, contrast, saturation]: [Tensor; 3]) -> Result<Tensor> {
    let in_colour = images.size()[1] == 3;
    let grey = match in_colour {
        true => {
            let channel = |index: i64| images.f_narrow(1, index, 1);
            channel(0)? * GREY[0] + channel(1)? * GREY[1] + channel(2)? * GREY[2]
        }
        false => images.f_mean_dim(1, true, Kind::Float)?,
    };
    let mean = grey.f_mean_dim([2, 3].as_slice(), true, Kind::Float)?;
    // All three together, of a value and the grey of its pixel.
    let both = &brightness * &contrast;
    let offset = (brightness - &both) * mean;
    let (of_value, offset) = match in_colour {
        true => (&saturation * &both, (1.0 - &saturation) * &both * grey + offset),
        false => (both, offset),
    };
    let mut changed = images.f_mul(&of_value)?.f_add(&offset)?;
    Ok(changed.f_clamp_(0.0, 1.0)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    /// As torchvision's adjust_brightness, adjust_contrast and adjust_saturation, one after the other.
    #[test]
    fn values_change_as_those_of_torchvision() {
        let images = Tensor::rand([5, 3, 4, 6], (Kind::Float, Device::Cpu)) * 0.5 + 0.25;
        for channels in [3, 1] {
            let images = images.narrow(1, 0, channels);
            let factor = || (Tensor::rand([5], (Kind::Float, Device::Cpu)) * 0.6 + 0.7).view([-1, 1, 1, 1]);
            let [brightness, contrast, saturation] = [factor(), factor(), factor()];
            let grey = |images: &Tensor| match channels {
                3 => (images * Tensor::from_slice(&GREY).to_kind(Kind::Float).view([1, 3, 1, 1]))
                    .sum_dim_intlist(1, true, Kind::Float),
                _ => images.shallow_clone(),
            };
            // As its _blend, but for ending at 1 each time.
            let blend = |images: &Tensor, other: Tensor, factor: &Tensor| -> Tensor {
                images * factor + other * (1.0 - factor)
            };
            let mut expected = blend(&images, images.zeros_like(), &brightness);
            let mean = grey(&expected).mean_dim([1, 2, 3].as_slice(), true, Kind::Float);
            expected = blend(&expected, mean, &contrast);
            expected = blend(&expected, grey(&expected), &saturation).clamp(0.0, 1.0);
            let changed = by_factors(&images, [brightness, contrast, saturation]).unwrap();
            assert!(changed.allclose(&expected, 1e-5, 1e-5, false), "{channels} channels");
        }
    }

    #[test]
    fn values_end_at_0_and_1() {
        let changed = recoloured(&Tensor::ones([500, 3, 2, 2], (Kind::Float, Device::Cpu)), 1.0).unwrap();
        let (min, max) = (f64::try_from(changed.min()).unwrap(), f64::try_from(changed.max()).unwrap());
        assert!((0.0..0.2).contains(&min) && max == 1.0, "{min} {max}");
    }
}
