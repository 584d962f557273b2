//! Rectangles of random size and place, one for each image of a batch.

use super::draw;
use anyhow::Result;
use tch::Tensor;

/// Of each image `[b]`, as shares of its width and its height.
pub(super) struct Rectangles {
    pub width: Tensor,
    pub height: Tensor,
    pub left: Tensor,
    pub top: Tensor,
}

impl Rectangles {
    /// Of an area that is uniform between two shares; proportions uniform on a logarithmic scale, up to `ratio` times
    /// and down to `1 / ratio` times those of the image; and a uniform place. torchvision's RandomResizedCrop and
    /// RandomErasing draw anew what is longer than the image; here such proportions are not drawn.
    ///
    /// # Errors
    /// Too little memory.
    pub fn draw(images: &Tensor, [min, max]: [f64; 2], ratio: f64) -> Result<Rectangles> {
        let area = (max - draw(images)? * (max - min)).f_log()?;
        // A side is as long as the image if the ratio is the area, or 1 by it.
        let most = area.f_neg()?.f_clamp_max(ratio.ln())?;
        let ratio = (draw(images)? * 2.0 - 1.0) * most;
        let (width, height) = ((&area + &ratio) * 0.5, (&area - &ratio) * 0.5);
        let (width, height) = (width.f_exp()?, height.f_exp()?);
        let left = draw(images)? * (1.0 - &width);
        let top = draw(images)? * (1.0 - &height);
        Ok(Rectangles { width, height, left, top })
    }
}
