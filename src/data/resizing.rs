//! How an image of any size becomes one of a given size.

use super::ImageFit;
use image::imageops::{FilterType, replace};
use image::{DynamicImage, ImageBuffer, Pixel};

/// The size that images get, and what of them comes into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Resizing {
    /// Height and width.
    pub size: [u32; 2],
    pub fit: ImageFit,
}

impl Resizing {
    /// A grey or a coloured image, without transparent parts, in that size.
    pub fn apply(self, image: DynamicImage) -> DynamicImage {
        let of_image = [image.height(), image.width()];
        match self.fit {
            ImageFit::Stretch => scaled(image, self.size),
            ImageFit::Pad => padded(scaled(image, inner(of_image, self.size)), self.size),
            ImageFit::Crop => {
                let part = middle(of_image, self.size);
                scaled(if part == of_image { image } else { cropped(image, part) }, self.size)
            }
        }
    }

    /// The bytes that it takes beside an image of that width and number of bytes.
    pub fn memory(self, width: u32, bytes: u64) -> u64 {
        // First the rows are averaged, into four floats a pixel.
        let rows = 16 * u64::from(width) * u64::from(self.size[0]);
        // The middle, for which the whole is given up.
        if self.fit == ImageFit::Crop { rows.max(bytes) } else { rows }
    }
}

/// An image of that height and width.
fn scaled(image: DynamicImage, [height, width]: [u32; 2]) -> DynamicImage {
    if (image.width(), image.height()) == (width, height) {
        return image;
    }
    // The triangle filter averages over all pixels that fall into one when it makes an image smaller.
    image.resize_exact(width, height, FilterType::Triangle)
}

/// `long * share / of`, rounded, at least 1 and at most `max`.
fn part_of(long: u32, share: u32, of: u32, max: u32) -> u32 {
    let (long, share, of) = (u64::from(long), u64::from(share), u64::from(of));
    let part = (2 * long * share + of) / (2 * of).max(1);
    u32::try_from(part).unwrap_or(max).clamp(1, max)
}

/// Height and width of an image scaled into a size as a whole.
fn inner([height, width]: [u32; 2], [to_height, to_width]: [u32; 2]) -> [u32; 2] {
    if is_wider([height, width], [to_height, to_width]) {
        [part_of(height, to_width, width, to_height), to_width]
    } else {
        [to_height, part_of(width, to_height, height, to_width)]
    }
}

/// Height and width of the largest part of an image that has the proportions of a size.
fn middle([height, width]: [u32; 2], [to_height, to_width]: [u32; 2]) -> [u32; 2] {
    if is_wider([height, width], [to_height, to_width]) {
        [height, part_of(height, to_width, to_height, width)]
    } else {
        [part_of(width, to_height, to_width, height), width]
    }
}

fn is_wider([height, width]: [u32; 2], [to_height, to_width]: [u32; 2]) -> bool {
    u64::from(width) * u64::from(to_height) > u64::from(height) * u64::from(to_width)
}

/// The part of that height and width in the middle of an image.
fn cropped(image: DynamicImage, [height, width]: [u32; 2]) -> DynamicImage {
    image.crop_imm((image.width() - width) / 2, (image.height() - height) / 2, width, height)
}

/// An image in the middle of a size that it fits into.
fn padded(image: DynamicImage, size: [u32; 2]) -> DynamicImage {
    if [image.height(), image.width()] == size {
        return image;
    }
    match image {
        DynamicImage::ImageLuma8(grey) => on_border_colour(&grey, size).into(),
        DynamicImage::ImageLuma16(grey) => on_border_colour(&grey, size).into(),
        colour => on_border_colour(&colour.into_rgb8(), size).into(),
    }
}

fn on_border_colour<P>(
    image: &ImageBuffer<P, Vec<P::Subpixel>>,
    [height, width]: [u32; 2],
) -> ImageBuffer<P, Vec<P::Subpixel>>
where
    P: Pixel,
    P::Subpixel: Into<u64> + TryFrom<u64>,
{
    let mut whole = ImageBuffer::from_pixel(width, height, border_colour(image));
    let (x, y) = ((width - image.width()) / 2, (height - image.height()) / 2);
    replace(&mut whole, image, x.into(), y.into());
    whole
}

/// The mean of the outermost pixels.
fn border_colour<P>(image: &ImageBuffer<P, Vec<P::Subpixel>>) -> P
where
    P: Pixel,
    P::Subpixel: Into<u64> + TryFrom<u64>,
{
    let (right, bottom) = (image.width().saturating_sub(1), image.height().saturating_sub(1));
    let is_border = |x: u32, y: u32| x == 0 || y == 0 || x == right || y == bottom;
    let border = || image.enumerate_pixels().filter(|(x, y, _)| is_border(*x, *y)).map(|(.., pixel)| pixel);
    let count = (border().count() as u64).max(1);
    let mut colour = *image.get_pixel(0, 0);
    for (channel, value) in colour.channels_mut().iter_mut().enumerate() {
        let sum: u64 = border().map(|pixel| pixel.channels()[channel].into()).sum();
        *value = P::Subpixel::try_from((2 * sum + count) / (2 * count)).unwrap_or(*value);
    }
    colour
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma, Rgb, RgbImage};

    const SQUARE: [u32; 2] = [64, 64];

    fn resized(image: impl Into<DynamicImage>, size: [u32; 2], fit: ImageFit) -> DynamicImage {
        let image = Resizing { size, fit }.apply(image.into());
        assert_eq!([image.height(), image.width()], size);
        image
    }

    #[test]
    fn parts_and_sizes_keep_proportions_down_to_a_pixel() {
        for (image, whole, part) in [
            ([100, 200], [32, 64], [100, 100]),
            ([200, 100], [64, 32], [100, 100]),
            ([63, 64], [63, 64], [63, 63]),
            ([5000, 1], [64, 1], [1, 1]),
            ([1, 5000], [1, 64], [1, 1]),
            ([3, 10_000], [1, 64], [3, 3]),
            ([1, 1], [64, 64], [1, 1]),
            ([u32::MAX, 1], [64, 1], [1, 1]),
        ] {
            assert_eq!((inner(image, SQUARE), middle(image, SQUARE)), (whole, part), "{image:?}");
        }
        assert_eq!(inner([480, 640], [32, 64]), [32, 43]);
        assert_eq!(middle([480, 640], [32, 64]), [320, 640]);
    }

    #[test]
    fn pad_keeps_all_of_an_image_and_crop_its_middle() {
        // Black, then red in the middle, then white.
        let colours = [Rgb([0, 0, 0]), Rgb([255, 0, 0]), Rgb([255, 255, 255])];
        let image = RgbImage::from_fn(12, 4, |x, _| colours[(x / 4) as usize]);
        let cropped = resized(image.clone(), [4, 4], ImageFit::Crop).into_rgb8();
        assert!(cropped.pixels().all(|pixel| *pixel == colours[1]), "{cropped:?}");
        let padded = resized(image.clone(), [12, 12], ImageFit::Pad).into_rgb8();
        assert_eq!(image::imageops::crop_imm(&padded, 0, 4, 12, 4).to_image(), image, "nothing is scaled");
        // Of 28 outermost pixels, 18 are red or white, and 10 are white.
        assert_eq!(*padded.get_pixel(5, 0), Rgb([164, 91, 91]));
        assert_eq!(padded.get_pixel(5, 0), padded.get_pixel(11, 11));
    }

    #[test]
    fn grey_values_of_16_bits_stay_so() {
        let image: ImageBuffer<Luma<u16>, Vec<u16>> = ImageBuffer::from_pixel(2, 8, Luma([4001]));
        for fit in ImageFit::ALL {
            let DynamicImage::ImageLuma16(grey) = resized(image.clone(), [4, 4], fit) else {
                panic!("{fit:?}")
            };
            assert!(grey.pixels().all(|pixel| pixel.0 == [4001]), "{fit:?}");
        }
    }

    #[test]
    fn images_of_extreme_shape_become_a_line_or_a_piece_of_it() {
        let value = |x: u32| if x == 2499 { 9 } else { 200 * u8::from(x > 2499) };
        let line = GrayImage::from_fn(5000, 1, |x, _| Luma([value(x)]));
        let padded = resized(line.clone(), SQUARE, ImageFit::Pad).into_luma8();
        let pixels = [[0, 31], [63, 31], [0, 30], [63, 32]].map(|[x, y]| padded.get_pixel(x, y).0[0]);
        assert_eq!(pixels, [0, 200, 100, 100]);
        let cropped = resized(line, SQUARE, ImageFit::Crop).into_luma8();
        assert!(cropped.pixels().all(|pixel| pixel.0 == [9]), "the pixel in the middle");
    }
}
