//! Sheets of images: a grid with a few lines of text below each image, or a row of images for each class.

use super::drawing::{Drawing, GREY, INK, Style};
use super::font::{Anchor, Font};
use super::labels::labels;
use super::png::png;
use crate::data::RgbImage;
use anyhow::Result;
use std::collections::BTreeMap;
use tiny_skia::{Pixmap, PremultipliedColorU8};

/// An image with its lines of text.
#[derive(Clone, Debug, PartialEq)]
pub struct SheetImage {
    /// The image.
    pub image: RgbImage,
    /// At most four; the first one stands out, the last one stands back.
    pub lines: Vec<SheetLine>,
}

/// A line of text below an image.
#[derive(Clone, Debug, PartialEq)]
pub struct SheetLine {
    /// Before the text; never shortened.
    pub lead: &'static str,
    /// What is shortened if the line is too long.
    pub text: String,
}

impl From<String> for SheetLine {
    /// A text without a lead.
    fn from(text: String) -> SheetLine {
        SheetLine { lead: "", text }
    }
}

/// Images of a class.
#[derive(Clone, Debug, PartialEq)]
pub struct SheetRow {
    /// The name of the class.
    pub heading: String,
    /// Its images.
    pub images: Vec<SheetImage>,
}

const CELL_WIDTH: f64 = 190.0;
const IMAGE: f64 = 112.0;
const LINE: f64 = 16.0;
const HEAD: f64 = 52.0;
const MARGIN: f64 = 18.0;
const SCALE: f32 = 2.0;
/// Of a sheet of pairs.
const PAIR_CELL: f64 = 128.0;
const GAP: f64 = 28.0;
/// Of a sheet of classes.
const SMALL_CELL: f64 = 118.0;
const SMALL_IMAGE: f64 = 96.0;
const MAX_HEADING: f64 = 180.0;

const TITLE: Font = Font::new(19.0, INK).bold();
const LABEL: Font = Font::new(13.0, INK);
const NOTE: Font = Font::new(11.5, GREY);

/// Draws the images as a PNG file, `columns` a row.
///
/// # Errors
/// Too little memory.
pub fn image_sheet(title: &str, note: &str, images: &[SheetImage], columns: usize) -> Result<Vec<u8>> {
    let rows: Vec<Vec<&SheetImage>> = images.chunks(columns.max(1)).map(|row| row.iter().collect()).collect();
    Sheet { title, note, headings: &[], rows, cell: CELL_WIDTH, image: IMAGE, together: 1 }.draw()
}

/// Draws the images as a PNG file, the name of each class at the left and its images beside it.
///
/// # Errors
/// Too little memory.
pub fn class_sheet(title: &str, note: &str, classes: &[SheetRow]) -> Result<Vec<u8>> {
    let headings: Vec<String> = classes.iter().map(|class| class.heading.clone()).collect();
    let rows = classes.iter().map(|class| class.images.iter().collect()).collect();
    Sheet { title, note, headings: &headings, rows, cell: SMALL_CELL, image: SMALL_IMAGE, together: 1 }.draw()
}

/// Draws pairs of images as a PNG file, the two of each side by side, `columns` pairs a row.
///
/// # Errors
/// Too little memory.
pub fn pair_sheet(title: &str, note: &str, pairs: &[[SheetImage; 2]], columns: usize) -> Result<Vec<u8>> {
    let rows = pairs.chunks(columns.max(1)).map(|row| row.iter().flatten().collect()).collect();
    Sheet { title, note, headings: &[], rows, cell: PAIR_CELL, image: IMAGE, together: 2 }.draw()
}

struct Sheet<'a> {
    title: &'a str,
    note: &'a str,
    /// Of the rows; may be none.
    headings: &'a [String],
    rows: Vec<Vec<&'a SheetImage>>,
    /// The width of a cell, and the side of its image.
    cell: f64,
    image: f64,
    /// How many neighbours belong together; a gap comes after them.
    together: usize,
}

impl Sheet<'_> {
    fn draw(&self) -> Result<Vec<u8>> {
        let &Sheet { title, note, cell, image: side, together, .. } = self;
        let images = || self.rows.iter().flatten();
        let lines = images().map(|image| image.lines.len()).max().unwrap_or(0);
        let cell_height = side + 26.0 + LINE * lines as f64;
        let headings = self.heading_labels();
        let heading_width = headings.iter().map(|name| LABEL.bold().width(name)).fold(0.0, f64::max);
        let left = MARGIN + if headings.is_empty() { 0.0 } else { heading_width + 10.0 };
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let head_width = TITLE.width(title) + 30.0 + NOTE.width(note) + 2.0 * MARGIN;
        let before = |column: usize| {
            let gaps = if together > 1 { column / together } else { 0 };
            column as f64 * cell + gaps as f64 * GAP
        };
        let width = (left + before(columns.saturating_sub(1)) + cell + MARGIN).max(head_width);
        let mut drawing = Drawing::new(width, HEAD + self.rows.len() as f64 * cell_height + MARGIN);
        drawing.text(MARGIN, 32.0, title, TITLE, Anchor::Start);
        drawing.text(width - MARGIN, 32.0, note, NOTE, Anchor::End);
        for (row, heading) in headings.iter().enumerate() {
            let middle = HEAD + row as f64 * cell_height + side / 2.0;
            drawing.text(left - 10.0, middle + 4.5, heading, LABEL.bold(), Anchor::End);
        }
        let shortened: Vec<BTreeMap<&str, String>> = (0..lines).map(|line| self.shortened(line)).collect();
        let mut places = Vec::new();
        for (row, images) in self.rows.iter().enumerate() {
            for (column, image) in images.iter().enumerate() {
                let x = left + before(column) + (cell - side) / 2.0;
                let y = HEAD + row as f64 * cell_height;
                drawing.rectangle(x - 1.0, y - 1.0, side + 2.0, side + 2.0, Style::fill("#bdbdbd"));
                for (line, SheetLine { lead, text }) in image.lines.iter().enumerate() {
                    let below = y + side + 18.0 + LINE * line as f64;
                    let font = self.font(line, image.lines.len());
                    let text = format!("{lead}{}", shortened[line][text.as_str()]);
                    drawing.text(x + side / 2.0, below, &text, font, Anchor::Middle);
                }
                places.push((*image, [x, y, side, side]));
            }
        }
        let mut pixels = drawing.to_pixels(SCALE)?;
        for (image, place) in places {
            let place = place.map(|length| (length * f64::from(SCALE)).round() as usize);
            draw_image(&mut pixels, place, &image.image);
        }
        png(&pixels)
    }

    /// The headings, shortened; rows may share one.
    fn heading_labels(&self) -> Vec<String> {
        let mut distinct: Vec<String> = Vec::new();
        for heading in self.headings {
            if !distinct.contains(heading) {
                distinct.push(heading.clone());
            }
        }
        let labels = labels(LABEL.bold(), &distinct, MAX_HEADING);
        let of = |heading: &String| distinct.iter().position(|known| known == heading);
        self.headings.iter().filter_map(|heading| Some(labels[of(heading)?].clone())).collect()
    }

    /// The first line of a grid stands out; the last one, of a file or a row, stands back.
    fn font(&self, line: usize, of: usize) -> Font {
        match line {
            _ if line + 1 == of && (of > 1 || !self.headings.is_empty()) => NOTE,
            0 => LABEL.bold(),
            _ => LABEL,
        }
    }

    /// The texts of a line of all images, shortened so that different ones stay different.
    fn shortened(&self, line: usize) -> BTreeMap<&str, String> {
        let lines = || self.rows.iter().flatten().filter_map(|image| image.lines.get(line));
        let mut texts: Vec<String> = lines().map(|line| line.text.clone()).collect();
        texts.sort_unstable();
        texts.dedup();
        // The widest font that the line may have.
        let font = LABEL.bold();
        let lead = lines().map(|line| font.width(line.lead)).fold(0.0, f64::max);
        let labels = labels(font, &texts, self.cell - 8.0 - lead);
        let label = |text: &str| texts.binary_search_by(|known| known.as_str().cmp(text)).ok();
        lines().filter_map(|line| Some((line.text.as_str(), labels[label(&line.text)?].clone()))).collect()
    }
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
