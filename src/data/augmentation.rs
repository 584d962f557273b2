//! Images that are moved, turned and scaled a little, anew at each step, so that a model learns what does not
//! matter.

use anyhow::{Result, bail, ensure};
use std::fmt;
use std::str::FromStr;
use tch::{Kind, Tensor};

/// How far images are changed at most. Each image gets random values of its own, uniform in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Augmentation {
    /// As a share of height and width.
    pub shift: f64,
    /// In degrees.
    pub rotate: f64,
    /// As a share of the size.
    pub zoom: f64,
}

/// What a word without a number stands for.
const USUAL: Augmentation = Augmentation { shift: 0.1, rotate: 10.0, zoom: 0.1 };

/// What is wrong with the text of an [`Augmentation`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ParseAugmentationError {
    /// A part is not one of the known words with at most one number.
    UnknownPart,
    /// A number is out of range.
    OutOfRange {
        /// The word before the number.
        word: &'static str,
        /// The largest number allowed; the smallest is 0.
        max: f64,
    },
}

impl fmt::Display for ParseAugmentationError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            ParseAugmentationError::UnknownPart => {
                write!(out, "must be some of shift, rotate and zoom, such as shift 0.1,rotate 10")
            }
            ParseAugmentationError::OutOfRange { word, max } => {
                write!(out, "{word} must be from 0 to {max}")
            }
        }
    }
}

impl std::error::Error for ParseAugmentationError {}

impl FromStr for Augmentation {
    type Err = ParseAugmentationError;

    /// Reads `shift 0.1, rotate 10, zoom 0.1`; each part may be missing, and so may its number.
    fn from_str(text: &str) -> Result<Augmentation, ParseAugmentationError> {
        let mut augmentation = Augmentation::default();
        for part in text.split(',') {
            let words: Vec<&str> = part.split_whitespace().collect();
            let (word, value) = match words[..] {
                [word] => (word, None),
                [word, value] => (word, Some(value)),
                _ => ("", None),
            };
            let (place, word, usual, max) = match word {
                "shift" => (&mut augmentation.shift, "shift", USUAL.shift, 1.0),
                "rotate" => (&mut augmentation.rotate, "rotate", USUAL.rotate, 180.0),
                "zoom" => (&mut augmentation.zoom, "zoom", USUAL.zoom, 0.9),
                _ => return Err(ParseAugmentationError::UnknownPart),
            };
            *place = match value {
                None => usual,
                Some(value) => {
                    let number = value.parse().ok().filter(|number| (0.0..=max).contains(number));
                    number.ok_or(ParseAugmentationError::OutOfRange { word, max })?
                }
            };
        }
        Ok(augmentation)
    }
}

impl fmt::Display for Augmentation {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "shift {}, rotate {}, zoom {}", self.shift, self.rotate, self.zoom)
    }
}

impl Augmentation {
    /// Checks that samples of that shape are images: nothing else can be moved and turned.
    ///
    /// # Errors
    /// They are not images.
    pub fn check_shape(shape: &[i64]) -> Result<()> {
        ensure!(
            matches!(shape.len(), 2 | 3),
            "only images can be moved and turned, not samples of {shape:?}"
        );
        Ok(())
    }

    /// Changed images [b, height, width] or [b, channels, height, width], float32, drawn from libtorch's
    /// generator. What comes in from beyond the border is like the border.
    ///
    /// # Errors
    /// Samples that are not images, or too little memory.
    pub fn apply(&self, images: &Tensor) -> Result<Tensor> {
        let [batch, channels, height, width] = match images.size()[..] {
            [batch, height, width] => [batch, 1, height, width],
            [batch, channels, height, width] => [batch, channels, height, width],
            ref shape => bail!("only images can be moved and turned, not a batch of {shape:?}"),
        };
        let draw = |max: f64| -> Result<Tensor> {
            let unit = Tensor::f_rand([batch], (Kind::Float, images.device()))?;
            Ok((unit * 2.0 - 1.0) * max)
        };
        let angle = draw(self.rotate.to_radians())?;
        let size = 1.0 / (draw(self.zoom)? + 1.0);
        // Coordinates go from -1 to 1.
        let (across, down) = (draw(2.0 * self.shift)?, draw(2.0 * self.shift)?);
        let (cosine, sine) = (angle.cos() * &size, angle.sin() * &size);
        let aspect = height as f64 / width as f64;
        let first = Tensor::f_stack(&[cosine.shallow_clone(), &sine * -aspect, across], 1)?;
        let second = Tensor::f_stack(&[&sine / aspect, cosine, down], 1)?;
        let moves = Tensor::f_stack(&[first, second], 1)?;
        let grid = Tensor::f_affine_grid_generator(&moves, [batch, channels, height, width], false)?;
        const BILINEAR: i64 = 0;
        const BORDER: i64 = 1;
        let shaped = images.f_reshape([batch, channels, height, width])?;
        let moved = shaped.f_grid_sampler(&grid, BILINEAR, BORDER, false)?;
        Ok(moved.f_reshape(images.size().as_slice())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn text_is_read_with_its_numbers_or_the_usual_ones() {
        let read = |text: &str| text.parse::<Augmentation>();
        assert_eq!(read("shift,rotate,zoom"), Ok(USUAL));
        assert_eq!(read("rotate 20"), Ok(Augmentation { rotate: 20.0, ..Augmentation::default() }));
        assert_eq!(read(&USUAL.to_string()), Ok(USUAL));
        for wrong in ["", "flip", "shift 2", "shift -1", "rotate x", "shift 0.1 0.2", "zoom 1", "shift,,zoom"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn images_move_within_the_bounds_and_keep_their_shape() {
        // A bright column in the middle of 21.
        let image = Tensor::zeros([400, 3, 21], (Kind::Float, Device::Cpu));
        let _ = image.select(2, 10).fill_(1.0);
        let moved = Augmentation { shift: 0.2, ..Augmentation::default() }.apply(&image).unwrap();
        assert_eq!(moved.size(), image.size());
        let places: Vec<i64> = Vec::try_from(moved.select(1, 1).argmax(-1, false)).unwrap();
        let (min, max) = (places.iter().min().unwrap(), places.iter().max().unwrap());
        // A fifth of 21 columns are 4.2.
        assert!((5..=7).contains(min) && (13..=15).contains(max), "{min} {max}");
        let colour = Tensor::rand([2, 3, 5, 4], (Kind::Float, Device::Cpu));
        assert_eq!(USUAL.apply(&colour).unwrap().size(), [2, 3, 5, 4]);
        let same = Augmentation::default().apply(&colour).unwrap();
        assert!(same.allclose(&colour, 1e-5, 1e-5, false), "nothing is changed where nothing is asked for");
        assert!(USUAL.apply(&Tensor::rand([2, 3], (Kind::Float, Device::Cpu))).is_err());
    }

    #[test]
    fn a_quarter_turn_turns_images_that_are_not_square_too() {
        let turned = Augmentation { rotate: 180.0, ..Augmentation::default() };
        let even = Tensor::ones([8, 4, 9], (Kind::Float, Device::Cpu));
        assert!(
            turned.apply(&even).unwrap().allclose(&even, 1e-5, 1e-5, false),
            "the border goes on beyond it"
        );
    }
}
