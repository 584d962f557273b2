//! A drawing as pixels and as a PNG file, drawn as a viewer of its SVG would.

use super::drawing::{Drawing, Element, Style};
use super::font::{Anchor, Font};
use anyhow::{Context, Result};
use png::{BitDepth, ColorType, Compression, Encoder, Filter};
use tiny_skia::{
    Color, FillRule, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, StrokeDash, Transform,
};
use ttf_parser::OutlineBuilder;

impl Drawing {
    /// The drawing as a PNG file, two pixels a unit.
    ///
    /// # Errors
    /// Too little memory.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        png(&self.to_pixels(2.0)?)
    }

    /// The drawing as opaque pixels, `scale` of them a unit.
    ///
    /// # Errors
    /// Too little memory.
    pub(super) fn to_pixels(&self, scale: f32) -> Result<Pixmap> {
        let [width, height] = [self.width, self.height].map(|side| (side as f32 * scale) as u32);
        let mut pixels = Pixmap::new(width, height).context("the drawing is too large")?;
        pixels.fill(Color::WHITE);
        let scale = Transform::from_scale(scale, scale);
        for element in &self.elements {
            match element {
                Element::Text { x, y, text, font, anchor, degrees } => {
                    let place =
                        scale.pre_concat(Transform::from_rotate_at(*degrees as f32, *x as f32, *y as f32));
                    if let Some(path) = text_path(text, *font, *anchor, (*x, *y)) {
                        paint(&mut pixels, &path, &Style::fill(font.color), place);
                    }
                }
                Element::Rectangle { style, .. }
                | Element::Circle { style, .. }
                | Element::Line { style, .. }
                | Element::Polyline { style, .. }
                | Element::Polygon { style, .. } => {
                    if let Some(path) = path(element) {
                        paint(&mut pixels, &path, style, scale);
                    }
                }
            }
        }
        Ok(pixels)
    }
}

/// A PNG file of opaque pixels.
///
/// # Errors
/// Too little memory.
pub(super) fn png(pixels: &Pixmap) -> Result<Vec<u8>> {
    let colors: Vec<u8> = pixels.data().chunks_exact(4).flat_map(|pixel| &pixel[..3]).copied().collect();
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, pixels.width(), pixels.height());
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    encoder.set_filter(Filter::Up);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&colors)?;
    writer.finish()?;
    Ok(bytes)
}

fn paint(pixels: &mut Pixmap, path: &Path, style: &Style, transform: Transform) {
    if let Some(color) = &style.fill {
        pixels.fill_path(path, &paint_of(color), FillRule::Winding, transform, None);
    }
    if let Some((color, width)) = &style.stroke {
        let stroke = Stroke {
            width: *width as f32,
            line_join: if style.has_round_joins { LineJoin::Round } else { LineJoin::Miter },
            dash: style.dash.and_then(|dash| StrokeDash::new(dash.map(|length| length as f32).to_vec(), 0.0)),
            ..Stroke::default()
        };
        pixels.stroke_path(path, &paint_of(color), &stroke, transform, None);
    }
}

/// The paint of a colour that is written `#rrggbb`.
fn paint_of(color: &str) -> Paint<'static> {
    let part = |start| color.get(start..start + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    let [red, green, blue] = [1, 3, 5].map(|start| part(start).unwrap_or_default());
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color_rgba8(red, green, blue, 255);
    paint
}

/// The outline of anything but a text; none where it has no extent.
fn path(element: &Element) -> Option<Path> {
    let through = |points: &[(f64, f64)], closed: bool| {
        let mut path = PathBuilder::new();
        for (index, &(x, y)) in points.iter().enumerate() {
            match index {
                0 => path.move_to(x as f32, y as f32),
                _ => path.line_to(x as f32, y as f32),
            }
        }
        if closed {
            path.close();
        }
        path.finish()
    };
    match element {
        Element::Rectangle { x, y, width, height, style } => {
            let [x, y, width, height] = [*x, *y, *width, *height].map(|value| value as f32);
            Some(rounded(Rect::from_xywh(x, y, width, height)?, style.radius as f32))
        }
        Element::Circle { center, radius, .. } => {
            PathBuilder::from_circle(center.0 as f32, center.1 as f32, *radius as f32)
        }
        Element::Line { from, to, .. } => through(&[*from, *to], false),
        Element::Polyline { points, .. } => through(points, false),
        Element::Polygon { points, .. } => through(points, true),
        Element::Text { .. } => None,
    }
}

/// A rectangle whose corners are quarters of a circle.
fn rounded(area: Rect, radius: f32) -> Path {
    let radius = radius.min(area.width() / 2.0).min(area.height() / 2.0);
    let (left, top, right, bottom) = (area.left(), area.top(), area.right(), area.bottom());
    // The distance of a cubic curve's handles from the corner.
    let near = radius * (1.0 - 0.552_284_8);
    let mut path = PathBuilder::new();
    path.move_to(left + radius, top);
    path.line_to(right - radius, top);
    path.cubic_to(right - near, top, right, top + near, right, top + radius);
    path.line_to(right, bottom - radius);
    path.cubic_to(right, bottom - near, right - near, bottom, right - radius, bottom);
    path.line_to(left + radius, bottom);
    path.cubic_to(left + near, bottom, left, bottom - near, left, bottom - radius);
    path.line_to(left, top + radius);
    path.cubic_to(left, top + near, left + near, top, left + radius, top);
    path.close();
    path.finish().unwrap_or_else(|| PathBuilder::from_rect(area))
}

/// The outlines of a text's letters.
fn text_path(text: &str, font: Font, anchor: Anchor, (x, y): (f64, f64)) -> Option<Path> {
    let face = font.face()?;
    let (glyphs, width) = font.layout(text);
    let start = match anchor {
        Anchor::Start => x,
        Anchor::Middle => x - width / 2.0,
        Anchor::End => x - width,
    };
    let scale = font.size as f32 / f32::from(face.units_per_em());
    let mut outline = Outline { path: PathBuilder::new(), x: 0.0, y: y as f32, scale };
    for (glyph, offset) in glyphs {
        outline.x = (start + offset) as f32;
        face.outline_glyph(glyph, &mut outline);
    }
    outline.path.finish()
}

/// Puts the outlines of glyphs, in units of the font and upwards, at a place of the drawing.
struct Outline {
    path: PathBuilder,
    x: f32,
    y: f32,
    scale: f32,
}

impl Outline {
    fn place(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.scale, self.y - y * self.scale)
    }
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.place(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.place(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.place(x1, y1), self.place(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.place(x1, y1), self.place(x2, y2), self.place(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}

#[cfg(test)]
mod tests {
    use super::super::drawing::INK;
    use super::*;

    #[test]
    fn letters_become_dark_pixels() {
        let mut drawing = Drawing::new(60.0, 20.0);
        let dark = |drawing: &Drawing| {
            let pixels = drawing.to_pixels(1.0).unwrap();
            pixels.data().chunks_exact(4).filter(|pixel| pixel[0] < 128).count()
        };
        assert_eq!(dark(&drawing), 0);
        drawing.text(2.0, 15.0, "fitch", Font::new(14.0, INK), Anchor::Start);
        assert!(dark(&drawing) > 50);
        assert!(drawing.to_png().unwrap().starts_with(b"\x89PNG"));
    }

    #[test]
    fn shapes_are_filled_and_outlined_in_their_place() {
        let mut drawing = Drawing::new(40.0, 40.0);
        let style = || Style::fill("#ff0000").with_stroke("#0000ff", 2.0);
        drawing.rectangle(5.0, 5.0, 10.0, 10.0, style());
        drawing.circle((30.0, 10.0), 5.0, style());
        drawing.polygon(vec![(5.0, 25.0), (15.0, 25.0), (15.0, 35.0), (5.0, 35.0)], style());
        drawing.line((20.0, 30.0), (40.0, 30.0), Style::stroke("#0000ff", 2.0).with_dash(Some([4.0, 8.0])));
        let pixels = drawing.to_pixels(1.0).unwrap();
        let color = |x, y| pixels.pixel(x, y).map(|pixel| [pixel.red(), pixel.green(), pixel.blue()]);
        let [red, blue, white] = [[255, 0, 0], [0, 0, 255], [255, 255, 255]].map(Some);
        assert_eq!([color(10, 10), color(4, 10), color(2, 10)], [red, blue, white]);
        assert_eq!([color(30, 10), color(25, 10), color(22, 10)], [red, blue, white]);
        assert_eq!([color(10, 30), color(15, 30), color(18, 30)], [red, blue, white]);
        assert_eq!([color(22, 30), color(27, 30), color(33, 29)], [blue, white, blue]);
    }
}
