//! A sheet of images that a model was most wrong about. It must not know the model.

use super::svg::{Anchor, Font, GREY, INK, Picture, png};
use anyhow::Result;
use resvg::tiny_skia::{Pixmap, PremultipliedColorU8};

/// An image that was given the wrong class.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake {
    /// Grey values, row by row.
    pub pixels: Vec<u8>,
    /// Its number in the test set, from 0.
    pub number: usize,
    /// The name of its class.
    pub truth: String,
    /// The name of the class it was given.
    pub prediction: String,
    /// How probable that class was, to the model.
    pub probability: f64,
}

const COLUMNS: usize = 5;
const CELL_WIDTH: f64 = 150.0;
const IMAGE: f64 = 112.0;
const CELL_HEIGHT: f64 = IMAGE + 74.0;
const HEAD: f64 = 52.0;
const MARGIN: f64 = 18.0;
const SCALE: f32 = 2.0;

const TITLE: Font = Font::new(19.0, INK).bold();
const LABEL: Font = Font::new(13.0, INK);
const NOTE: Font = Font::new(11.5, GREY);

/// Draws the images, of `height` and `width` with values from 0 to `maximum`, as a PNG file: five a row,
/// each with what it is and what it was taken for.
///
/// # Errors
/// Too little memory.
pub fn mistakes_sheet(
    mistakes: &[Mistake],
    [height, width]: [usize; 2],
    maximum: f64,
    total: usize,
) -> Result<Vec<u8>> {
    let rows = mistakes.len().div_ceil(COLUMNS);
    let sheet_width = COLUMNS as f64 * CELL_WIDTH + 2.0 * MARGIN;
    let mut picture = Picture::new(sheet_width, HEAD + rows as f64 * CELL_HEIGHT + MARGIN);
    picture.text(MARGIN, 32.0, "Most confident mistakes", TITLE, Anchor::Start);
    let shown = format!("{} of {total} wrong test images", mistakes.len());
    picture.text(sheet_width - MARGIN, 32.0, &shown, NOTE, Anchor::End);
    let corner = |number: usize| {
        let (column, row) = (number % COLUMNS, number / COLUMNS);
        (MARGIN + column as f64 * CELL_WIDTH + (CELL_WIDTH - IMAGE) / 2.0, HEAD + row as f64 * CELL_HEIGHT)
    };
    for (number, mistake) in mistakes.iter().enumerate() {
        let (x, y) = corner(number);
        picture.rectangle(x - 1.0, y - 1.0, IMAGE + 2.0, IMAGE + 2.0, "fill=\"#bdbdbd\"");
        let taken_for = format!("taken for {}", mistake.prediction);
        let detail = format!("{:.1} % sure, image {}", 100.0 * mistake.probability, mistake.number);
        for (line, (text, font)) in
            [(mistake.truth.as_str(), LABEL.bold()), (&taken_for, LABEL), (&detail, NOTE)].iter().enumerate()
        {
            let below = y + IMAGE + 18.0 + 16.0 * line as f64;
            picture.text(x + IMAGE / 2.0, below, &font.fit(text, CELL_WIDTH - 6.0), *font, Anchor::Middle);
        }
    }
    let mut pixels = picture.to_pixels(SCALE)?;
    for (number, mistake) in mistakes.iter().enumerate() {
        let (x, y) = corner(number);
        let place = [x, y, IMAGE, IMAGE].map(|length| (length * f64::from(SCALE)).round() as usize);
        draw_image(&mut pixels, place, &mistake.pixels, [height, width], maximum);
    }
    png(&pixels)
}

/// Puts an image into a square, each of its pixels as a block, its proportions kept.
fn draw_image(
    pixels: &mut Pixmap,
    [left, top, room_x, room_y]: [usize; 4],
    image: &[u8],
    [height, width]: [usize; 2],
    maximum: f64,
) {
    let scale = (room_x as f64 / width as f64).min(room_y as f64 / height as f64);
    let (shown_x, shown_y) = ((width as f64 * scale) as usize, (height as f64 * scale) as usize);
    let (left, top) = (left + (room_x - shown_x) / 2, top + (room_y - shown_y) / 2);
    let row_length = pixels.width() as usize;
    let all = pixels.pixels_mut();
    for y in 0..shown_y {
        for x in 0..shown_x {
            let (from_x, from_y) = ((x as f64 / scale) as usize, (y as f64 / scale) as usize);
            let value = image[from_y.min(height - 1) * width + from_x.min(width - 1)];
            let grey = (f64::from(value) / maximum * 255.0).round().min(255.0) as u8;
            if let Some(color) = PremultipliedColorU8::from_rgba(grey, grey, grey, 255) {
                all[(top + y) * row_length + left + x] = color;
            }
        }
    }
}
