//! Images of which a rectangle is erased.

use super::rectangle::Rectangles;
use super::{by_image, draw};
use anyhow::Result;
use tch::{Kind, Tensor};

/// Shares of the area, and the range of proportions, as torchvision's RandomErasing has them.
const AREA: [f64; 2] = [0.02, 0.33];
const MAX_RATIO: f64 = 3.3;

/// Images [b, channels, height, width], each with that probability with a rectangle in its own mean colour (Zhong
/// et al., 2017).
///
/// # Errors
/// Too little memory.
pub(super) fn erased(images: &Tensor, probability: f64) -> Result<Tensor> {
    let [_, _, height, width] =
        images.size4().map(|(batch, channels, height, width)| [batch, channels, height, width])?;
    let is_erased = draw(images)?.f_lt(probability)?;
    let rectangles = Rectangles::draw(images, AREA, MAX_RATIO)?;
    // Pixels whose middle lies within.
    let within = |start: &Tensor, side: &Tensor, pixels: i64| -> Result<Tensor> {
        let middles = Tensor::f_arange(pixels, (Kind::Float, images.device()))?;
        let middles = (middles + 0.5) / pixels as f64;
        let (start, side) = (start.f_unsqueeze(1)?, side.f_unsqueeze(1)?);
        Ok(middles.f_ge_tensor(&start)?.f_logical_and(&middles.f_lt_tensor(&(&start + side))?)?)
    };
    let rows = within(&rectangles.top, &rectangles.height, height)?.f_view([-1, 1, height, 1])?;
    let columns = within(&rectangles.left, &rectangles.width, width)?.f_view([-1, 1, 1, width])?;
    let within = rows.f_logical_and(&by_image(&is_erased)?)?.f_logical_and(&columns)?;
    let mean = images.f_mean_dim([2, 3].as_slice(), true, Kind::Float)?;
    Ok(mean.f_where_self(&within, images)?)
}
