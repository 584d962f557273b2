//! Images that are moved, turned, scaled, cut and mirrored, all in one step.

use super::rectangle::Rectangles;
use super::{Augmentation, by_image, draw};
use anyhow::Result;
use tch::Tensor;

/// What RandomResizedCrop of torchvision has: from 3/4 to 4/3.
const MAX_RATIO: f64 = 4.0 / 3.0;

/// The images [b, channels, height, width] after that; none if nothing is to move.
///
/// # Errors
/// Too little memory.
pub(super) fn moved(changes: &Augmentation, images: &Tensor) -> Result<Option<Tensor>> {
    let [_, _, height, width] = images.size()[..] else { return Ok(None) };
    let turns = changes.shift > 0.0 || changes.rotate > 0.0 || changes.zoom > 0.0;
    let turned =
        if turns { Some(Moves::turns(changes, images, height as f64 / width as f64)?) } else { None };
    let cut = if changes.crop > 0.0 { Some(cut(changes.crop, images)?) } else { None };
    let mirrored = if changes.flip > 0.0 { Some(draw(images)?.f_lt(changes.flip)?) } else { None };
    let moves = match (turned, cut) {
        (Some(turned), Some(cut)) => turned.after(&cut),
        (Some(moves), None) | (None, Some(moves)) => moves,
        // Whole columns change places.
        (None, None) => {
            return mirrored
                .map(|mirrored| Ok(images.f_flip([3])?.f_where_self(&by_image(&mirrored)?, images)?))
                .transpose();
        }
    };
    let moves = match mirrored {
        Some(mirrored) => moves.mirrored(&mirrored)?,
        None => moves,
    };
    Ok(Some(moves.apply(images)?))
}

/// For each image, where in it the values of the new one come from: x and y, each as a function of the new x, the
/// new y and 1. Coordinates go from -1 to 1.
struct Moves {
    x: [Tensor; 3],
    y: [Tensor; 3],
}

impl Moves {
    fn turns(changes: &Augmentation, images: &Tensor, aspect: f64) -> Result<Moves> {
        let draw = |max: f64| -> Result<Tensor> { Ok((draw(images)? * 2.0 - 1.0) * max) };
        let angle = draw(changes.rotate.to_radians())?;
        let size = 1.0 / (draw(changes.zoom)? + 1.0);
        let (across, down) = (draw(2.0 * changes.shift)?, draw(2.0 * changes.shift)?);
        let (cosine, sine) = (angle.cos() * &size, angle.sin() * &size);
        let x = [cosine.shallow_clone(), &sine * -aspect, across];
        Ok(Moves { x, y: [&sine / aspect, cosine, down] })
    }

    /// These of what those gave.
    fn after(&self, Moves { x: first_x, y: first_y }: &Moves) -> Moves {
        let of = |[by_x, by_y, offset]: &[Tensor; 3]| {
            let part = |index: usize| by_x * &first_x[index] + by_y * &first_y[index];
            [part(0), part(1), part(2) + offset]
        };
        Moves { x: of(&self.x), y: of(&self.y) }
    }

    /// The same with left and right exchanged in some of the new images.
    fn mirrored(self, which: &Tensor) -> Result<Moves> {
        let sign = which.f_to_kind(self.x[0].kind())? * -2.0 + 1.0;
        let of = |[by_x, by_y, offset]: [Tensor; 3]| [by_x * &sign, by_y, offset];
        Ok(Moves { x: of(self.x), y: of(self.y) })
    }

    fn apply(self, images: &Tensor) -> Result<Tensor> {
        const BILINEAR: i64 = 0;
        const BORDER: i64 = 1;
        let [x, y] = [Tensor::f_stack(&self.x, 1)?, Tensor::f_stack(&self.y, 1)?];
        let moves = Tensor::f_stack(&[x, y], 1)?;
        let grid = Tensor::f_affine_grid_generator(&moves, images.size(), false)?;
        Ok(images.f_grid_sampler(&grid, BILINEAR, BORDER, false)?)
    }
}

/// A rectangle of each image becomes the new one.
fn cut(share: f64, images: &Tensor) -> Result<Moves> {
    let Rectangles { width, height, left, top } = Rectangles::draw(images, [1.0 - share, 1.0], MAX_RATIO)?;
    let none = width.f_zeros_like()?;
    let middle = |start: Tensor, side: &Tensor| start * 2.0 + side - 1.0;
    let (across, down) = (middle(left, &width), middle(top, &height));
    Ok(Moves { x: [width, none.shallow_clone(), across], y: [none, height, down] })
}
