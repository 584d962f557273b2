//! Image files made into what a classifier of small images takes.

use super::image_file::{WHITE, decode_file};
use super::memory_limit::DecodingLimits;
use super::resizing::Resizing;
use anyhow::{Result, bail};
use image::{DynamicImage, ImageBuffer, Luma};
use std::path::Path;

/// Whether dark and bright are exchanged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Inversion {
    /// If the image's border is bright and that of the training images dark, or the other way round.
    Auto {
        /// The mean of the training images' border, from 0 to 1.
        training_border: f64,
    },
    /// In every image.
    Always,
    /// In none.
    Never,
}

impl Inversion {
    /// Whether an image with such a border is inverted.
    fn applies(self, border: f64) -> bool {
        /// A border this close to black or white counts as dark or bright.
        const DECIDED: f64 = 0.25;
        match self {
            Inversion::Always => true,
            Inversion::Never => false,
            Inversion::Auto { training_border: dark } if dark <= DECIDED => border > 0.5,
            Inversion::Auto { training_border: bright } if bright >= 1.0 - DECIDED => border < 0.5,
            Inversion::Auto { .. } => false,
        }
    }
}

/// An image ready to be classified.
#[derive(Clone, Debug, PartialEq)]
pub struct PreparedImage {
    /// Values from 0 to 1: grey, row by row; or those of red, of green and of blue.
    pub values: Vec<f32>,
    /// Whether dark and bright were exchanged.
    pub is_inverted: bool,
}

/// How an image is prepared for a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Preparation {
    /// The size that it gets.
    pub resizing: Resizing,
    /// Whether it is made red, green and blue instead of grey (Rec. 709).
    pub in_colour: bool,
    pub inversion: Inversion,
    /// The value of the training images that became 1.0: that of an image of 16 bits does, too. Bytes are
    /// divided by 255.
    pub maximum: f64,
}

/// Reads an image: turned upright as its camera noted, transparent parts white, and prepared.
///
/// # Errors
/// A file that cannot be read, is of another format, is damaged, or states a monstrous size; values of 16
/// bits beyond those of the training images.
pub(super) fn read_image(path: &Path, preparation: &Preparation) -> Result<PreparedImage> {
    let image = decode_file(path, Some(preparation.resizing), &DecodingLimits::default(), |image| image)?;
    preparation.prepare(image)
}

impl Preparation {
    fn prepare(&self, image: DynamicImage) -> Result<PreparedImage> {
        match image {
            DynamicImage::ImageLuma16(grey) => self.prepare_wide(grey),
            image => Ok(self.prepare_narrow(image)),
        }
    }

    fn prepare_narrow(&self, mut image: DynamicImage) -> PreparedImage {
        let border = border_mean(&image, |strip| {
            let strip = strip.to_luma8();
            strip.as_raw().iter().map(|&value| f64::from(value)).sum()
        });
        let is_inverted = self.inversion.applies(border / 255.0);
        if is_inverted {
            image.invert();
        }
        if !self.in_colour {
            image = image.into_luma8().into();
        }
        let image = self.resizing.apply(image);
        let to_unit = |&value: &u8| f32::from(value) / 255.0;
        let values = match self.in_colour {
            false => image.into_luma8().as_raw().iter().map(to_unit).collect(),
            true => {
                let pixels = image.into_rgb8().into_raw();
                (0..3).flat_map(|channel| pixels.iter().skip(channel).step_by(3).map(to_unit)).collect()
            }
        };
        PreparedImage { values, is_inverted }
    }

    /// Of grey values of 16 bits, which often use fewer.
    fn prepare_wide(&self, mut image: ImageBuffer<Luma<u16>, Vec<u16>>) -> Result<PreparedImage> {
        let max = f64::from(image.as_raw().iter().copied().max().unwrap_or_default());
        // A model that was trained on bytes is given what uses all 16 bits, or no more than a byte.
        let maximum = match self.maximum {
            maximum if max <= maximum => maximum,
            maximum if maximum <= f64::from(u8::MAX) => f64::from(WHITE),
            maximum => bail!("has the pixel value {max}; those of the training images end at {maximum}"),
        };
        let strips = DynamicImage::ImageLuma16(image);
        let border = border_mean(&strips, |strip| {
            let strip = strip.to_luma16();
            strip.as_raw().iter().map(|&value| f64::from(value)).sum()
        });
        image = strips.into_luma16();
        let is_inverted = self.inversion.applies(border / maximum);
        if is_inverted {
            image.iter_mut().for_each(|value| *value = (maximum as u16).saturating_sub(*value));
        }
        let grey = self.resizing.apply(image.into()).into_luma16();
        let values: Vec<f32> = grey.as_raw().iter().map(|&value| f32::from(value) / maximum as f32).collect();
        Ok(PreparedImage { values: if self.in_colour { values.repeat(3) } else { values }, is_inverted })
    }
}

/// The mean of the outermost pixels; `sum` adds up the values of a strip of them. The image is not copied.
fn border_mean(image: &DynamicImage, sum: impl Fn(DynamicImage) -> f64) -> f64 {
    let (width, height) = (image.width(), image.height());
    let (right, bottom, inner) =
        (width.saturating_sub(1), height.saturating_sub(1), height.saturating_sub(2));
    let strips = [
        Some([0, 0, width, 1]),
        (height > 1).then_some([0, bottom, width, 1]),
        (height > 2).then_some([0, 1, 1, inner]),
        (height > 2 && width > 1).then_some([right, 1, 1, inner]),
    ];
    let (mut total, mut count) = (0.0, 0);
    for [x, y, width, height] in strips.into_iter().flatten() {
        total += sum(image.crop_imm(x, y, width, height));
        count += width * height;
    }
    total / f64::from(count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ImageFit;
    use image::{GrayAlphaImage, GrayImage, LumaA, Rgb, RgbImage};
    use tempfile::TempDir;

    const AUTO_FOR_DARK: Inversion = Inversion::Auto { training_border: 0.0 };

    /// For a model that was trained on bytes.
    fn preparation(inversion: Inversion) -> Preparation {
        let resizing = Resizing { size: [4, 4], fit: ImageFit::Stretch };
        Preparation { resizing, in_colour: false, inversion, maximum: 255.0 }
    }

    fn read(image: impl Into<DynamicImage>, name: &str, inversion: Inversion) -> PreparedImage {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(name);
        image.into().save(&path).unwrap();
        read_image(&path, &preparation(inversion)).unwrap()
    }

    /// Bright in the middle, dark at the border, or the other way round.
    fn square(split: u32, ink: u8, paper: u8) -> GrayImage {
        let is_ink = move |at: u32| at >= split / 4 && at < split * 3 / 4;
        GrayImage::from_fn(split, split, |x, y| Luma([if is_ink(x) && is_ink(y) { ink } else { paper }]))
    }

    #[test]
    fn a_image_of_the_right_size_keeps_its_values() {
        let image = read(square(4, 200, 10), "a.png", AUTO_FOR_DARK);
        assert_eq!((image.values[0], image.values[5]), (10.0 / 255.0, 200.0 / 255.0));
        assert!(!image.is_inverted);
    }

    #[test]
    fn every_format_and_size_comes_to_the_same() {
        for name in ["a.png", "a.bmp", "a.jpg"] {
            for split in [4, 8, 64, 256] {
                let values = read(square(split, 255, 0), name, Inversion::Never).values;
                assert_eq!(values.len(), 16);
                assert!(values[5] > 0.75 && values[0] < 0.15, "{name} {split}: {values:?}");
            }
        }
    }

    #[test]
    fn colour_becomes_grey_by_its_brightness() {
        let green = RgbImage::from_pixel(4, 4, Rgb([0, 255, 0]));
        let blue = RgbImage::from_pixel(4, 4, Rgb([0, 0, 255]));
        let [green, blue] = [green, blue].map(|image| read(image, "a.png", Inversion::Never).values[0]);
        assert!((green - 0.7152).abs() < 0.01 && (blue - 0.0722).abs() < 0.01, "{green} {blue}");
    }

    #[test]
    fn what_is_transparent_is_white() {
        let ink = GrayAlphaImage::from_fn(4, 4, |x, _| LumaA([0, if x == 1 { 255 } else { 0 }]));
        let image = read(ink, "a.png", AUTO_FOR_DARK);
        assert!(image.is_inverted, "dark ink on what becomes white");
        assert_eq!(image.values[..4], [0.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn inversion_follows_the_border_of_image_and_training_images() {
        let dark_on_bright = || square(8, 0, 255);
        assert!(read(dark_on_bright(), "a.png", AUTO_FOR_DARK).is_inverted);
        assert!(!read(dark_on_bright(), "a.png", Inversion::Auto { training_border: 0.9 }).is_inverted);
        assert!(!read(dark_on_bright(), "a.png", Inversion::Auto { training_border: 0.5 }).is_inverted);
        assert!(!read(dark_on_bright(), "a.png", Inversion::Never).is_inverted);
        let bright_on_dark = || square(8, 255, 0);
        assert!(!read(bright_on_dark(), "a.png", AUTO_FOR_DARK).is_inverted);
        assert!(read(bright_on_dark(), "a.png", Inversion::Auto { training_border: 0.9 }).is_inverted);
        assert!(read(bright_on_dark(), "a.png", Inversion::Always).is_inverted);
    }

    #[test]
    fn values_of_16_bits_are_scaled_as_those_of_the_training_images() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.png");
        let read = |value: u16, maximum: f64, inversion| {
            let image: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_pixel(3, 3, Luma([value]));
            image.save(&path).unwrap();
            read_image(&path, &Preparation { maximum, ..preparation(inversion) })
        };
        let first = |value, maximum| read(value, maximum, Inversion::Never).unwrap().values[0];
        assert_eq!(first(3001, 4095.0), 3001.0 / 4095.0);
        assert_eq!(first(200, 255.0), 200.0 / 255.0, "as many that write bytes with 16 bits");
        assert_eq!((first(65_535, 255.0), first(32_768, 1.0)), (1.0, 32_768.0 / 65_535.0));
        let fault = read(4096, 4095.0, Inversion::Never).unwrap_err().to_string();
        assert_eq!(fault, "has the pixel value 4096; those of the training images end at 4095");
        let inverted = read(4000, 4095.0, AUTO_FOR_DARK).unwrap();
        assert_eq!((inverted.is_inverted, inverted.values[0]), (true, 95.0 / 4095.0));
        // Transparent parts are white.
        let pixel = |x, _| image::LumaA([1000u16, if x == 1 { u16::MAX } else { 0 }]);
        ImageBuffer::from_fn(4, 4, pixel).save(&path).unwrap();
        let values =
            read_image(&path, &Preparation { maximum: 65_535.0, ..preparation(Inversion::Never) }).unwrap();
        assert_eq!(values.values[..3], [1.0, 1000.0 / 65_535.0, 1.0]);
    }

    #[test]
    fn other_and_damaged_files_are_errors() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.png");
        let fault = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            format!("{:#}", read_image(&path, &preparation(Inversion::Never)).unwrap_err())
        };
        assert!(fault(b"hello").contains("is not an image that fitch can read"));
        assert!(fault(b"").contains("is not an image that fitch can read"));
        square(64, 255, 0).save(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        assert!(fault(&whole[..whole.len() / 2]).contains("damaged"));
        let jpeg = folder.path().join("a.jpg");
        square(64, 255, 0).save(&jpeg).unwrap();
        let of_jpeg = std::fs::read(&jpeg).unwrap();
        assert!(fault(&of_jpeg[..of_jpeg.len() - 2]).contains("damaged image: it was cut short"));
        assert!(fault(&of_jpeg[..of_jpeg.len() * 9 / 10]).contains("damaged"));
        std::fs::write(&path, [&of_jpeg[..], b"more"].concat()).unwrap();
        assert!(read_image(&path, &preparation(Inversion::Never)).is_ok(), "what follows does not matter");
        for more in [&b"\xff\xda"[..], b"\xff\xd8\xff\xe0", b"\xff"] {
            std::fs::write(&path, [&of_jpeg[..], more].concat()).unwrap();
            assert!(
                read_image(&path, &preparation(Inversion::Never)).is_ok(),
                "even if it looks like a marker"
            );
        }
        assert_eq!(fault(b"\0\0\0\x20ftypavif"), "is an AVIF image, which fitch cannot read");
        assert!(fault(b"GIF89a\x01").contains("damaged"));
        let mut huge = whole;
        huge[16..24].copy_from_slice(&[0, 15, 0, 0, 0, 15, 0, 0]); // the sizes in a PNG's header
        assert!(!fault(&huge).is_empty());
    }
}
