//! Image files as people have them (PNG, JPEG, BMP; any size, grey or colour), made into what a classifier of
//! small images takes.

use super::memory_limit::{DecodingLimits, MAX_SIZE};
use anyhow::{Context, Result, ensure};
use image::imageops::FilterType;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageFormat, ImageReader};
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

/// The extensions of image files in a folder.
pub const EXTENSIONS: [&str; 4] = ["png", "jpg", "jpeg", "bmp"];

/// Whether a file has the name of an image.
pub(super) fn is_named(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

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

/// Reads an image: turned upright as its camera noted, transparent parts white, grey (Rec. 709) unless
/// `in_colour`, and scaled to `height` and `width`.
///
/// # Errors
/// A file that cannot be read, is not PNG, JPEG or BMP, is damaged, or states a monstrous size.
pub fn read_image(
    path: &Path,
    [height, width]: [i64; 2],
    in_colour: bool,
    inversion: Inversion,
) -> Result<PreparedImage> {
    let mut image = decode_file(path, &DecodingLimits::default(), |image| image)?;
    let is_inverted = inversion.applies(border_mean(&image.to_luma8()));
    if is_inverted {
        image.invert();
    }
    if !in_colour {
        image = image.to_luma8().into();
    }
    let image = scaled(image, [height as u32, width as u32]);
    let to_unit = |&value: &u8| f32::from(value) / 255.0;
    let values = match in_colour {
        false => image.to_luma8().as_raw().iter().map(to_unit).collect(),
        true => {
            let pixels = image.to_rgb8().into_raw();
            (0..3).flat_map(|channel| pixels.iter().skip(channel).step_by(3).map(to_unit)).collect()
        }
    };
    Ok(PreparedImage { values, is_inverted })
}

/// An image of that height and width.
pub(super) fn scaled(image: DynamicImage, [height, width]: [u32; 2]) -> DynamicImage {
    if (image.width(), image.height()) == (width, height) {
        return image;
    }
    // The triangle filter averages over all pixels that fall into one when it makes an image smaller.
    image.resize_exact(width, height, FilterType::Triangle)
}

/// Decodes an image, turned upright as its camera noted, with 8 bits a value: grey if it was, else red, green
/// and blue; what is transparent is white. `take` gets it while its memory counts as used.
///
/// # Errors
/// As [`read_image`].
pub(super) fn decode_file<T>(
    path: &Path,
    limits: &DecodingLimits,
    take: impl FnOnce(DynamicImage) -> T,
) -> Result<T> {
    let file = File::open(path).context("cannot be opened")?;
    let length = file.metadata().context("cannot be read")?.len();
    ensure!(length <= MAX_SIZE, "is larger than any image that fitch reads");
    let _held = limits.encoded.hold(length);
    let mut bytes = Vec::new();
    file.take(MAX_SIZE).read_to_end(&mut bytes).context("cannot be read")?;
    decode_bytes(&bytes, limits, take)
}

/// The same of a file's bytes.
///
/// # Errors
/// As [`read_image`].
pub(super) fn decode_bytes<T>(
    bytes: &[u8],
    limits: &DecodingLimits,
    take: impl FnOnce(DynamicImage) -> T,
) -> Result<T> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().context("cannot be read")?;
    let format = reader.format().context("is not an image that fitch can read (PNG, JPEG, BMP)")?;
    let mut decoder = reader.into_decoder().context("is not an image that fitch can read")?;
    let (stated_width, stated_height) = decoder.dimensions();
    ensure!(
        decoder.total_bytes() <= MAX_SIZE,
        "states a size of {stated_width} x {stated_height} pixels, more than fitch reads"
    );
    ensure!(format != ImageFormat::Jpeg || is_whole_jpeg(bytes), "is a damaged image: it was cut short");
    let _held = limits.decoded.hold(decoder.total_bytes());
    let orientation = decoder.orientation().context("is a damaged image")?;
    let mut image = DynamicImage::from_decoder(decoder).context("is a damaged image")?;
    image.apply_orientation(orientation);
    Ok(take(without_alpha(image)))
}

/// Whether the end of a JPEG is there, which its decoder does not ask for. Within the data of a scan, neither
/// marker can occur; what is embedded before it, such as a thumbnail, has both.
fn is_whole_jpeg(bytes: &[u8]) -> bool {
    const START_OF_SCAN: [u8; 2] = [0xff, 0xda];
    const END: [u8; 2] = [0xff, 0xd9];
    let last = |marker| bytes.windows(2).rposition(|pair| pair == marker);
    last(END) > last(START_OF_SCAN)
}

/// The image on white, with 8 bits a value.
fn without_alpha(image: DynamicImage) -> DynamicImage {
    let on_white = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    match (image.color().has_color(), image.color().has_alpha()) {
        (false, false) => image.to_luma8().into(),
        (true, false) => image.to_rgb8().into(),
        (false, true) => {
            let image = image.to_luma_alpha8();
            let pixel = |x, y| {
                let [grey, alpha] = image.get_pixel(x, y).0;
                image::Luma([on_white(grey, alpha)])
            };
            GrayImage::from_fn(image.width(), image.height(), pixel).into()
        }
        (true, true) => {
            let image = image.to_rgba8();
            let pixel = |x, y| {
                let [red, green, blue, alpha] = image.get_pixel(x, y).0;
                image::Rgb([red, green, blue].map(|value| on_white(value, alpha)))
            };
            image::RgbImage::from_fn(image.width(), image.height(), pixel).into()
        }
    }
}

/// The mean of the outermost pixels, from 0 to 1.
fn border_mean(grey: &GrayImage) -> f64 {
    let (right, bottom) = (grey.width().saturating_sub(1), grey.height().saturating_sub(1));
    let on_border = grey
        .enumerate_pixels()
        .filter(|&(x, y, _)| x == 0 || y == 0 || x == right || y == bottom)
        .map(|(_, _, pixel)| f64::from(pixel.0[0]));
    let (sum, count) = on_border.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    sum / 255.0 / f64::from(count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayAlphaImage, Luma, LumaA, Rgb, RgbImage};
    use tempfile::TempDir;

    const AUTO_FOR_DARK: Inversion = Inversion::Auto { training_border: 0.0 };

    fn read(image: impl Into<DynamicImage>, name: &str, inversion: Inversion) -> PreparedImage {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(name);
        image.into().save(&path).unwrap();
        read_image(&path, [4, 4], false, inversion).unwrap()
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
    fn other_and_damaged_files_are_errors() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("a.png");
        let fault = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            format!("{:#}", read_image(&path, [4, 4], false, Inversion::Never).unwrap_err())
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
        assert!(read_image(&path, [4, 4], false, Inversion::Never).is_ok(), "what follows does not matter");
        let mut huge = whole;
        huge[16..24].copy_from_slice(&[0, 15, 0, 0, 0, 15, 0, 0]); // the sizes in a PNG's header
        assert!(!fault(&huge).is_empty());
    }
}
