//! A sheet of images, each with a few lines of text below it.

use super::drawing::{Drawing, GREY, INK, Style};
use super::font::{Anchor, Font};
use super::png::png;
use crate::data::RgbImage;
use anyhow::Result;
use tiny_skia::{Pixmap, PremultipliedColorU8};

/// An image with its lines of text.
#[derive(Clone, Debug, PartialEq)]
pub struct SheetImage {
    /// The image.
    pub image: RgbImage,
    /// At most three; the first one stands out, the last one stands back.
    pub lines: Vec<String>,
}

const COLUMNS: usize = 5;
const CELL_WIDTH: f64 = 150.0;
const IMAGE: f64 = 112.0;
const LINE: f64 = 16.0;
const HEAD: f64 = 52.0;
const MARGIN: f64 = 18.0;
const SCALE: f32 = 2.0;

const TITLE: Font = Font::new(19.0, INK).bold();
const LABEL: Font = Font::new(13.0, INK);
const NOTE: Font = Font::new(11.5, GREY);

/// Draws the images as a PNG file, five a row.
///
/// # Errors
/// Too little memory.
pub fn image_sheet(title: &str, note: &str, images: &[SheetImage]) -> Result<Vec<u8>> {
    let lines = images.iter().map(|image| image.lines.len()).max().unwrap_or(0);
    let cell_height = IMAGE + 26.0 + LINE * lines as f64;
    let rows = images.len().div_ceil(COLUMNS);
    let sheet_width = COLUMNS as f64 * CELL_WIDTH + 2.0 * MARGIN;
    let mut drawing = Drawing::new(sheet_width, HEAD + rows as f64 * cell_height + MARGIN);
    drawing.text(MARGIN, 32.0, title, TITLE, Anchor::Start);
    drawing.text(sheet_width - MARGIN, 32.0, note, NOTE, Anchor::End);
    let corner = |index: usize| {
        let (column, row) = (index % COLUMNS, index / COLUMNS);
        (MARGIN + column as f64 * CELL_WIDTH + (CELL_WIDTH - IMAGE) / 2.0, HEAD + row as f64 * cell_height)
    };
    for (index, image) in images.iter().enumerate() {
        let (x, y) = corner(index);
        drawing.rectangle(x - 1.0, y - 1.0, IMAGE + 2.0, IMAGE + 2.0, Style::fill("#bdbdbd"));
        for (line, text) in image.lines.iter().enumerate() {
            let below = y + IMAGE + 18.0 + LINE * line as f64;
            let font = [LABEL.bold(), LABEL, NOTE][line.min(2)];
            drawing.text(x + IMAGE / 2.0, below, &font.fit(text, CELL_WIDTH - 6.0), font, Anchor::Middle);
        }
    }
    let mut pixels = drawing.to_pixels(SCALE)?;
    for (index, image) in images.iter().enumerate() {
        let (x, y) = corner(index);
        let place = [x, y, IMAGE, IMAGE].map(|length| (length * f64::from(SCALE)).round() as usize);
        draw_image(&mut pixels, place, &image.image);
    }
    png(&pixels)
}

/// Puts an image into a square, each of its pixels as a block, its proportions kept.
fn draw_image(pixels: &mut Pixmap, [left, top, room_x, room_y]: [usize; 4], image: &RgbImage) {
    let [height, width] = image.size;
    let scale = (room_x as f64 / width as f64).min(room_y as f64 / height as f64);
    let shown = |side: usize| ((side as f64 * scale) as usize).max(1);
    let (shown_x, shown_y) = (shown(width), shown(height));
    let (left, top) = (left + (room_x - shown_x) / 2, top + (room_y - shown_y) / 2);
    let row_length = pixels.width() as usize;
    let all = pixels.pixels_mut();
    for y in 0..shown_y {
        for x in 0..shown_x {
            let (from_x, from_y) = ((x as f64 / scale) as usize, (y as f64 / scale) as usize);
            let [red, green, blue] = image.pixels[from_y.min(height - 1) * width + from_x.min(width - 1)];
            if let Some(color) = PremultipliedColorU8::from_rgba(red, green, blue, 255) {
                all[(top + y) * row_length + left + x] = color;
            }
        }
    }
}
