//! Images that are changed at random, anew at each step, so that a model learns what does not matter.

mod colour;
mod erasing;
mod mixing;
mod movement;
mod rectangle;
mod words;

pub use words::ParseAugmentationError;

use super::{Batch, MixedBatch};
use anyhow::{Result, bail, ensure};
use tch::{Kind, Tensor};

/// How images are changed. What is drawn at random is drawn for each image, from libtorch's generator; of mixup
/// and cutmix, for each batch. 0 changes nothing.
///
/// ```
/// use fitch::data::Augmentation;
///
/// let photos: Augmentation = "photos, erase 0, mixup 0.2".parse()?;
/// assert_eq!(photos, Augmentation { erase: 0.0, mixup: 0.2, ..Augmentation::PHOTOS });
/// # Ok::<(), fitch::data::ParseAugmentationError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Augmentation {
    /// How far images move at most, as a share of height and width.
    pub shift: f64,
    /// How far they turn at most, in degrees.
    pub rotate: f64,
    /// How much larger or smaller they become at most, as a share of the size.
    pub zoom: f64,
    /// The probability of left and right being exchanged.
    pub flip: f64,
    /// The largest share of the area that is cut away; what is left, a rectangle, is resized. Its proportions
    /// differ from those of the image by a factor from 3/4 to 4/3.
    pub crop: f64,
    /// By how much the factors of brightness, of contrast and of saturation differ from 1 at most. The values of
    /// images are those from 0 to 1.
    pub colour: f64,
    /// The probability of a rectangle, of 2 % to 33 % of the area, being painted in the mean colour.
    pub erase: f64,
    /// The A of the distribution Beta(A, A) of an image's own share where it is blended with another one.
    pub mixup: f64,
    /// The same where a rectangle of it is replaced by that of another one.
    pub cutmix: f64,
}

impl Augmentation {
    /// For photographs.
    pub const PHOTOS: Augmentation =
        Augmentation { flip: 0.5, crop: 0.5, colour: 0.4, erase: 0.25, ..Augmentation::NONE };

    /// For digits and letters, which are not to be mirrored.
    pub const DIGITS: Augmentation =
        Augmentation { shift: 0.1, rotate: 10.0, zoom: 0.1, ..Augmentation::NONE };

    const NONE: Augmentation = Augmentation {
        shift: 0.0,
        rotate: 0.0,
        zoom: 0.0,
        flip: 0.0,
        crop: 0.0,
        colour: 0.0,
        erase: 0.0,
        mixup: 0.0,
        cutmix: 0.0,
    };

    /// Checks that samples of that shape, with values in that range, can be changed so: only mixup knows anything
    /// but images.
    ///
    /// # Errors
    /// They are not images; or they have other values than those from 0 to 1, and colours are to be changed.
    pub fn check(&self, shape: &[i64], [min, max]: [f64; 2]) -> Result<()> {
        let needs_images = self.changes_images() || self.cutmix > 0.0;
        ensure!(
            !needs_images || matches!(shape.len(), 2 | 3),
            "only images can be changed so, not samples of {shape:?}"
        );
        ensure!(
            self.colour == 0.0 || (min >= 0.0 && max <= 1.0),
            "colour is for images with values from 0 to 1; these have some from {min} to {max}"
        );
        Ok(())
    }

    fn changes_images(&self) -> bool {
        Augmentation { mixup: 0.0, cutmix: 0.0, ..*self } != Augmentation::NONE
    }

    /// Changed images [b, height, width] or [b, channels, height, width], float32. What comes in from beyond the
    /// border is like the border. Images are not mixed: for that, see [`Augmentation::apply_to_batch`].
    ///
    /// # Errors
    /// Samples that are not images, or too little memory.
    pub fn apply(&self, images: &Tensor) -> Result<Tensor> {
        if !self.changes_images() {
            return Ok(images.shallow_clone());
        }
        let [batch, channels, height, width] = match images.size()[..] {
            [batch, height, width] => [batch, 1, height, width],
            [batch, channels, height, width] => [batch, channels, height, width],
            ref shape => bail!("only images can be changed so, not a batch of {shape:?}"),
        };
        let _no_gradient = tch::no_grad_guard();
        let mut changed = images.f_reshape([batch, channels, height, width])?;
        if let Some(moved) = movement::moved(self, &changed)? {
            changed = moved;
        }
        if self.colour > 0.0 {
            changed = colour::recoloured(&changed, self.colour)?;
        }
        if self.erase > 0.0 {
            changed = erasing::erased(&changed, self.erase)?;
        }
        Ok(changed.f_reshape(images.size().as_slice())?)
    }

    /// A batch of changed images, which may be mixed with one another, and their targets with them.
    ///
    /// # Errors
    /// As [`Augmentation::apply`].
    pub fn apply_to_batch(&self, batch: &Batch) -> Result<MixedBatch> {
        let images = self.apply(&batch.inputs)?;
        ensure!(
            self.cutmix == 0.0 || images.dim() > 2,
            "only images can be changed so, not a batch of {:?}",
            images.size()
        );
        let _no_gradient = tch::no_grad_guard();
        mixing::mixed(self, images, &batch.targets)
    }
}

/// A random number from 0 to 1 for each image.
fn draw(images: &Tensor) -> Result<Tensor> {
    Ok(Tensor::f_rand([images.size()[0]], (Kind::Float, images.device()))?)
}

/// A number for each image, as [b, 1, 1, 1].
fn by_image(numbers: &Tensor) -> Result<Tensor> {
    Ok(numbers.f_view([-1, 1, 1, 1])?)
}

#[cfg(test)]
mod tests;
