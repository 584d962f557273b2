//! Image files as people have them: PNG, JPEG, BMP; any size, grey or colour.

use super::content::{Content, HEAD};
use super::jpeg_file::JpegFile;
use super::memory_limit::{DecodingLimits, MAX_SIZE};
use anyhow::{Context, Result, ensure};
use image::imageops::FilterType;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, GrayImage, ImageBuffer, ImageDecoder, ImageFormat, ImageReader, Luma};
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

/// The extensions of image files in a folder.
pub const EXTENSIONS: [&str; 6] = ["png", "jpg", "jpeg", "bmp", "jfif", "jpe"];

/// Full white in 16 bits.
pub(super) const WHITE: u16 = u16::MAX;

/// Whether a file has the name of an image.
pub(super) fn is_named(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

/// An image of that height and width.
pub(super) fn scaled(image: DynamicImage, [height, width]: [u32; 2]) -> DynamicImage {
    if (image.width(), image.height()) == (width, height) {
        return image;
    }
    // The triangle filter averages over all pixels that fall into one when it makes an image smaller.
    image.resize_exact(width, height, FilterType::Triangle)
}

/// Decodes an image, turned upright as its camera noted: grey if it was, with 8 or 16 bits a value; else red,
/// green and blue with 8. What is transparent is white. `take` gets it while its memory counts as used, for
/// scaling to `size`, too.
///
/// # Errors
/// A file that cannot be read, is not PNG, JPEG or BMP, is damaged, or states a monstrous size.
pub(super) fn decode_file<T>(
    path: &Path,
    size: Option<[u32; 2]>,
    limits: &DecodingLimits,
    take: impl FnOnce(DynamicImage) -> T,
) -> Result<T> {
    let file = File::open(path).context("cannot be opened")?;
    let length = file.metadata().context("cannot be read")?.len();
    ensure!(length <= MAX_SIZE, "is larger than any image that fitch reads");
    let _held = limits.encoded.hold(length);
    let mut bytes = Vec::new();
    file.take(MAX_SIZE).read_to_end(&mut bytes).context("cannot be read")?;
    decode(&bytes, path, size, limits, take)
}

/// The same of the bytes of an image.
///
/// # Errors
/// As [`decode_file`].
pub(super) fn decode_bytes<T>(
    bytes: &[u8],
    size: Option<[u32; 2]>,
    limits: &DecodingLimits,
    take: impl FnOnce(DynamicImage) -> T,
) -> Result<T> {
    decode(bytes, Path::new("image"), size, limits, take)
}

/// Decodes the bytes of a file called so.
fn decode<T>(
    bytes: &[u8],
    path: &Path,
    size: Option<[u32; 2]>,
    limits: &DecodingLimits,
    take: impl FnOnce(DynamicImage) -> T,
) -> Result<T> {
    if let Some(Content::Foreign(kind)) = Content::of_head(&bytes[..bytes.len().min(HEAD)]) {
        return Err(kind.fault(path).into());
    }
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().context("cannot be read")?;
    let format = reader.format().context("is not an image that fitch can read (PNG, JPEG, BMP)")?;
    let mut is_progressive = false;
    let mut bytes = bytes;
    if format == ImageFormat::Jpeg {
        let jpeg = JpegFile::of(bytes);
        // What follows its end would only confuse its decoder.
        bytes = jpeg.end.and_then(|end| bytes.get(..end)).context("is a damaged image: it was cut short")?;
        is_progressive = jpeg.is_progressive;
    }
    let reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut decoder = reader.into_decoder().context("is not an image that fitch can read")?;
    let (width, height) = decoder.dimensions();
    ensure!(
        decoder.total_bytes() <= MAX_SIZE,
        "states a size of {width} x {height} pixels, more than fitch reads"
    );
    let orientation = decoder.orientation().context("is a damaged image")?;
    let need =
        Need { bytes: decoder.total_bytes(), width, height, colour: decoder.color_type(), orientation };
    let _held = limits.decoded.hold(need.peak(size, is_progressive));
    let mut image = DynamicImage::from_decoder(decoder).context("is a damaged image")?;
    image.apply_orientation(orientation);
    Ok(take(without_alpha(image)))
}

/// What decides how much memory an image needs.
struct Need {
    /// Decoded.
    bytes: u64,
    width: u32,
    height: u32,
    colour: ColorType,
    orientation: Orientation,
}

impl Need {
    /// At once, until the image is scaled to `size`.
    fn peak(&self, size: Option<[u32; 2]>, is_progressive: bool) -> u64 {
        let pixels = u64::from(self.width) * u64::from(self.height);
        let converted = match self.colour {
            ColorType::La8 => pixels,
            ColorType::La16 => 2 * pixels,
            ColorType::Rgba8 | ColorType::Rgb16 => 3 * pixels,
            ColorType::Rgba16 => 7 * pixels,
            _ => 0,
        };
        // Coefficients of 16 bits for three colours.
        let passes = if is_progressive { 6 * pixels } else { 0 };
        let turned = if self.orientation == Orientation::NoTransforms { 0 } else { self.bytes };
        // First the rows are averaged, into four floats a pixel.
        let columns = self.width.max(if turned > 0 { self.height } else { 0 });
        let scaled = size.map_or(0, |[height, _]| 16 * u64::from(columns) * u64::from(height));
        self.bytes + passes.max(turned + converted).max(scaled)
    }
}

/// A value of 16 bits as one of 8, rounded.
pub(super) fn high_byte(value: u16) -> u8 {
    ((u32::from(value) + 128) / 257) as u8
}

/// The image on white: grey with 8 or 16 bits a value, or in colour with 8.
fn without_alpha(image: DynamicImage) -> DynamicImage {
    let on_white = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    match image {
        DynamicImage::ImageLuma16(grey) => grey.into(),
        DynamicImage::ImageLumaA16(image) => {
            let (white, half) = (u64::from(WHITE), u64::from(WHITE) / 2);
            let pixel = |x, y| {
                let [grey, alpha] = image.get_pixel(x, y).0.map(u64::from);
                Luma([((grey * alpha + white * (white - alpha) + half) / white) as u16])
            };
            ImageBuffer::from_fn(image.width(), image.height(), pixel).into()
        }
        image => match (image.color().has_color(), image.color().has_alpha()) {
            (false, false) => image.into_luma8().into(),
            (true, false) => image.into_rgb8().into(),
            (false, true) => {
                let image = image.into_luma_alpha8();
                let pixel = |x, y| {
                    let [grey, alpha] = image.get_pixel(x, y).0;
                    Luma([on_white(grey, alpha)])
                };
                GrayImage::from_fn(image.width(), image.height(), pixel).into()
            }
            (true, true) => {
                let image = image.into_rgba8();
                let pixel = |x, y| {
                    let [red, green, blue, alpha] = image.get_pixel(x, y).0;
                    image::Rgb([red, green, blue].map(|value| on_white(value, alpha)))
                };
                image::RgbImage::from_fn(image.width(), image.height(), pixel).into()
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_counts_what_decoding_and_scaling_take() {
        let photo = Need {
            bytes: 36,
            width: 4,
            height: 3,
            colour: ColorType::Rgb8,
            orientation: Orientation::NoTransforms,
        };
        assert_eq!(photo.peak(None, false), 36);
        assert_eq!(photo.peak(None, true), 36 + 72);
        assert_eq!(photo.peak(Some([2, 2]), false), 36 + 4 * 2 * 16);
        let turned = Need { orientation: Orientation::Rotate90, ..photo };
        assert_eq!(turned.peak(None, false), 72);
    }
}
