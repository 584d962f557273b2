//! Image files as people have them: PNG, JPEG, WebP, GIF, TIFF, BMP; any size, grey or colour.

use super::content::{Content, HEAD, is_tiff};
use super::foreign_kind::ForeignKind;
use super::jpeg_file::JpegFile;
use super::memory_limit::{DecodingLimits, MAX_SIZE};
use super::resizing::Resizing;
use super::webp_file::WebPFile;
use anyhow::{Context, Error, Result, ensure};
use image::metadata::Orientation;
use image::{
    ColorType, DynamicImage, GrayImage, ImageBuffer, ImageDecoder, ImageError, ImageFormat, ImageReader,
    Limits, Luma,
};
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

/// The extensions of image files in a folder.
pub const EXTENSIONS: [&str; 10] = ["png", "jpg", "jpeg", "webp", "gif", "tif", "tiff", "bmp", "jfif", "jpe"];

/// Full white in 16 bits.
pub(super) const WHITE: u16 = u16::MAX;

/// Whether a file has the name of an image.
pub(super) fn is_named(path: &Path) -> bool {
    EXTENSIONS.contains(&extension(path).as_str())
}

/// Whether an image has been converted: a PNG file of its name lies beside it. Only files that hints say how to convert
/// count, and WebP, GIF and TIFF files, which earlier versions did not read.
pub(super) fn has_png_copy(path: &Path) -> bool {
    let may_be_converted = || match extension(path).as_str() {
        "webp" | "gif" | "tif" | "tiff" => true,
        "png" => false,
        // An image of another kind than its name says.
        _ => matches!(Content::of_file(path), Some(Content::Foreign(_))),
    };
    path.with_extension("png").is_file() && may_be_converted()
}

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// Decodes an image, turned upright as its camera noted: grey if it was, with 8 or 16 bits a value; else red,
/// green and blue with 8. What is transparent is white. Of several pictures, as in an animation, it is the first.
/// `take` gets it while its memory counts as used, for resizing, too.
///
/// # Errors
/// A file that cannot be read, is of another format, is damaged, or states a monstrous size.
pub(super) fn decode_file<T>(
    path: &Path,
    resizing: Option<Resizing>,
    limits: &DecodingLimits,
    take: impl FnOnce(DynamicImage) -> T,
) -> Result<T> {
    let file = File::open(path).context("cannot be opened")?;
    let length = file.metadata().context("cannot be read")?.len();
    ensure!(length <= MAX_SIZE, "is larger than any image that fitch reads");
    let _held = limits.encoded.hold(length);
    let mut bytes = Vec::new();
    file.take(MAX_SIZE).read_to_end(&mut bytes).context("cannot be read")?;
    decode(&bytes, path, resizing, limits, take)
}

/// The same of the bytes of an image.
///
/// # Errors
/// As [`decode_file`].
pub(super) fn decode_bytes<T>(
    bytes: &[u8],
    resizing: Option<Resizing>,
    limits: &DecodingLimits,
    take: impl FnOnce(DynamicImage) -> T,
) -> Result<T> {
    decode(bytes, Path::new("image"), resizing, limits, take)
}

/// Decodes the bytes of a file called so.
fn decode<T>(
    bytes: &[u8],
    path: &Path,
    resizing: Option<Resizing>,
    limits: &DecodingLimits,
    take: impl FnOnce(DynamicImage) -> T,
) -> Result<T> {
    let head = &bytes[..bytes.len().min(HEAD)];
    if let Some(Content::Foreign(kind)) = Content::of_head(head) {
        return Err(kind.fault(path).into());
    }
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().context("cannot be read")?;
    // The guess does not know offsets of 64 bits.
    let format = reader.format().or_else(|| is_tiff(head).then_some(ImageFormat::Tiff));
    let format = format.context("is not an image that fitch can read (PNG, JPEG, WebP, GIF, TIFF, BMP)")?;
    let mut passes = Passes::One;
    let mut bytes = bytes;
    match format {
        ImageFormat::Jpeg => {
            let jpeg = JpegFile::of(bytes);
            // What follows its end would only confuse its decoder.
            bytes =
                jpeg.end.and_then(|end| bytes.get(..end)).context("is a damaged image: it was cut short")?;
            passes = if jpeg.is_progressive { Passes::Progressive } else { Passes::One };
        }
        ImageFormat::WebP if WebPFile::of(bytes)?.is_animated => passes = Passes::Animated,
        _ => {}
    }
    let of_kind = |fault: ImageError| match (&fault, format) {
        (ImageError::Unsupported(_), ImageFormat::Tiff) => Error::new(ForeignKind::Tiff.fault(path)),
        _ => Error::new(fault).context("is a damaged image"),
    };
    let reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut decoder = reader.into_decoder().map_err(of_kind)?;
    let (width, height) = decoder.dimensions();
    ensure!(
        decoder.total_bytes() <= MAX_SIZE,
        "states a size of {width} x {height} pixels, more than fitch reads"
    );
    if matches!(format, ImageFormat::WebP | ImageFormat::Gif | ImageFormat::Tiff) {
        // Their decoders make any number of pixels of next to nothing, which takes its time.
        let most = MIN_PIXELS.max(MAX_PIXELS_OF_BYTE * bytes.len() as u64);
        ensure!(
            u64::from(width) * u64::from(height) <= most,
            "is a damaged image: it states {width} x {height} pixels, but holds {} bytes",
            bytes.len()
        );
    }
    // Values of other ranges than those of the other images.
    let is_float = matches!(decoder.color_type(), ColorType::Rgb32F | ColorType::Rgba32F);
    ensure!(!is_float, ForeignKind::Tiff.fault(path));
    if matches!(format, ImageFormat::Gif | ImageFormat::Tiff) {
        let mut most = Limits::no_limits();
        // A frame, or strips as they are packed, beside the image.
        most.max_alloc = Some(2 * decoder.total_bytes() + bytes.len() as u64);
        decoder.set_limits(most).map_err(of_kind)?;
    }
    let orientation = decoder.orientation().context("is a damaged image")?;
    let colour = decoder.color_type();
    let need = Need { bytes: decoder.total_bytes(), width, height, colour, format, passes, orientation };
    let _held = limits.decoded.hold(need.peak(resizing));
    let mut image = DynamicImage::from_decoder(decoder).map_err(of_kind)?;
    image.apply_orientation(orientation);
    Ok(take(without_alpha(image)))
}

/// How many pixels an image may state in any case, and for each of its bytes: those of an empty page that a fax
/// machine packed are fewer.
const MIN_PIXELS: u64 = 1 << 24;
const MAX_PIXELS_OF_BYTE: u64 = 10_000;

/// How an image comes about.
#[derive(Clone, Copy, PartialEq)]
enum Passes {
    One,
    /// In several passes over the whole image.
    Progressive,
    /// From a frame that lies on a canvas.
    Animated,
}

/// What decides how much memory an image needs.
struct Need {
    /// Decoded.
    bytes: u64,
    width: u32,
    height: u32,
    colour: ColorType,
    format: ImageFormat,
    passes: Passes,
    orientation: Orientation,
}

impl Need {
    /// At once, until the image is resized.
    fn peak(&self, resizing: Option<Resizing>) -> u64 {
        let pixels = u64::from(self.width) * u64::from(self.height);
        let converted = match self.colour {
            ColorType::La8 => pixels,
            ColorType::La16 => 2 * pixels,
            ColorType::Rgba8 | ColorType::Rgb16 => 3 * pixels,
            ColorType::Rgba16 => 7 * pixels,
            _ => 0,
        };
        // What its decoder holds beside the image.
        let decoding = match (self.format, self.passes) {
            // Coefficients of 16 bits for three colours.
            (_, Passes::Progressive) => 6 * pixels,
            // A frame, its brightness and colours, and the canvas, both of four channels.
            (_, Passes::Animated) => 10 * pixels,
            // The same without a canvas; what is transparent.
            (ImageFormat::WebP, _) => {
                if self.colour.has_alpha() {
                    8 * pixels
                } else {
                    4 * pixels
                }
            }
            // The frame, if it is not the whole image.
            (ImageFormat::Gif, _) => 4 * pixels,
            // All values as they are stored, which may be in four colours for print.
            (ImageFormat::Tiff, _) => self.bytes / 3 * 4,
            _ => 0,
        };
        let turned = if self.orientation == Orientation::NoTransforms { 0 } else { self.bytes };
        let columns = self.width.max(if turned > 0 { self.height } else { 0 });
        let resized = resizing.map_or(0, |resizing| resizing.memory(columns, self.bytes));
        self.bytes + decoding.max(turned + converted).max(resized)
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
mod tests;
