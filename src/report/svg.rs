//! Pictures as SVG text, and as pixels. Fonts are compiled in, so that a picture looks the same on every
//! machine. It must not know what a picture shows.

use anyhow::{Context, Result};
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use resvg::tiny_skia::{Color, Pixmap, Transform};
use resvg::usvg::{self, Tree, fontdb};
use std::fmt::Write;
use std::sync::{Arc, OnceLock};
use ttf_parser::Face;

const REGULAR: &[u8] = include_bytes!("fonts/Roboto-Regular.ttf");
const BOLD: &[u8] = include_bytes!("fonts/Roboto-Bold.ttf");
/// Roboto is compiled in for PNG; a viewer of SVG without it takes one that is about as wide.
const FAMILY: &str = "Roboto, Helvetica Neue, Arial, sans-serif";

/// Colours that people with any colour vision tell apart (Okabe and Ito, 2008), darkest first where it
/// matters in black and white.
pub const PALETTE: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"];
/// Of text that is read first.
pub const INK: &str = "#1a1a1a";
/// Of text that explains.
pub const GREY: &str = "#666666";
/// Of lines that guide the eye.
pub const FAINT: &str = "#e3e3e3";

/// Where a text stands relative to its x coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// It begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

impl Anchor {
    fn name(self) -> &'static str {
        match self {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        }
    }
}

/// How a text looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Font {
    /// The height of its letters' box, in pixels.
    pub size: f64,
    /// Whether it is bold.
    pub is_bold: bool,
    /// Its colour.
    pub color: &'static str,
}

impl Font {
    /// A font of the ordinary weight.
    pub const fn new(size: f64, color: &'static str) -> Font {
        Font { size, is_bold: false, color }
    }

    /// The same in bold.
    pub const fn bold(self) -> Font {
        Font { is_bold: true, ..self }
    }

    /// The width of a text in pixels, from the advances of the font that is compiled in.
    pub(super) fn width(self, text: &str) -> f64 {
        static FACES: OnceLock<[Option<Face<'static>>; 2]> = OnceLock::new();
        let faces = FACES.get_or_init(|| [REGULAR, BOLD].map(|font| Face::parse(font, 0).ok()));
        let Some(face) = &faces[usize::from(self.is_bold)] else { return 0.0 };
        let advance = |letter| {
            let glyph = face.glyph_index(letter).unwrap_or_default();
            f64::from(face.glyph_hor_advance(glyph).unwrap_or_default())
        };
        text.chars().map(advance).sum::<f64>() * self.size / f64::from(face.units_per_em())
    }

    /// The text, cut with an ellipsis where it is wider than `width` pixels.
    pub fn fit(self, text: &str, width: f64) -> String {
        if self.width(text) <= width {
            return text.to_string();
        }
        let mut kept: String = text.to_string();
        while kept.pop().is_some() && self.width(&kept) + self.width("…") > width {}
        kept + "…"
    }
}

/// A picture that is being drawn.
#[derive(Clone, Debug)]
pub struct Drawing {
    width: f64,
    height: f64,
    body: String,
}

impl Drawing {
    /// A white picture of that size in pixels.
    pub(super) fn new(width: f64, height: f64) -> Drawing {
        let mut picture = Drawing { width: width.ceil(), height: height.ceil(), body: String::new() };
        picture.rectangle(0.0, 0.0, picture.width, picture.height, "fill=\"#ffffff\"");
        picture
    }

    /// A rectangle; `style` holds SVG attributes.
    pub(super) fn rectangle(&mut self, x: f64, y: f64, width: f64, height: f64, style: &str) {
        let [x, y, width, height] = [x, y, width, height].map(number);
        let _ =
            writeln!(self.body, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" {style}/>");
    }

    /// A straight line.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), style: &str) {
        let [x1, y1, x2, y2] = [from.0, from.1, to.0, to.1].map(number);
        let _ = writeln!(self.body, "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" {style}/>");
    }

    /// A circle.
    pub(super) fn circle(&mut self, center: (f64, f64), radius: f64, style: &str) {
        let [x, y, radius] = [center.0, center.1, radius].map(number);
        let _ = writeln!(self.body, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{radius}\" {style}/>");
    }

    /// A line through points; nothing where there are none.
    pub(super) fn polyline(&mut self, points: &[(f64, f64)], style: &str) {
        if !points.is_empty() {
            let points: Vec<String> =
                points.iter().map(|&(x, y)| format!("{},{}", number(x), number(y))).collect();
            let _ = writeln!(self.body, "<polyline points=\"{}\" fill=\"none\" {style}/>", points.join(" "));
        }
    }

    /// A closed shape through points.
    pub(super) fn polygon(&mut self, points: &[(f64, f64)], style: &str) {
        let points: Vec<String> =
            points.iter().map(|&(x, y)| format!("{},{}", number(x), number(y))).collect();
        let _ = writeln!(self.body, "<polygon points=\"{}\" {style}/>", points.join(" "));
    }

    /// A text with its base line at `y`.
    pub(super) fn text(&mut self, x: f64, y: f64, text: &str, font: Font, anchor: Anchor) {
        self.turned_text(x, y, text, font, anchor, 0.0);
    }

    /// A text turned about its point by degrees, clockwise.
    pub(super) fn turned_text(
        &mut self,
        x: f64,
        y: f64,
        text: &str,
        font: Font,
        anchor: Anchor,
        degrees: f64,
    ) {
        let [x, y] = [x, y].map(number);
        let weight = if font.is_bold { " font-weight=\"bold\"" } else { "" };
        let turn = match degrees {
            0.0 => String::new(),
            degrees => format!(" transform=\"rotate({} {x} {y})\"", number(degrees)),
        };
        let _ = writeln!(
            self.body,
            "<text x=\"{x}\" y=\"{y}\" font-size=\"{}\" fill=\"{}\" text-anchor=\"{}\"{weight}{turn}>{}</text>",
            number(font.size),
            font.color,
            anchor.name(),
            escaped(text)
        );
    }

    /// The whole as an SVG file.
    pub fn to_svg(&self) -> String {
        let [width, height] = [self.width, self.height].map(number);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" font-family=\"{FAMILY}\">\n{}</svg>\n",
            self.body
        )
    }

    /// The whole as pixels, `scale` of them a unit.
    ///
    /// # Errors
    /// Too little memory.
    pub(super) fn to_pixels(&self, scale: f32) -> Result<Pixmap> {
        let tree = Tree::from_str(&self.to_svg(), options()).context("cannot draw the picture")?;
        let (width, height) = (self.width as f32 * scale, self.height as f32 * scale);
        let mut pixels = Pixmap::new(width as u32, height as u32).context("the picture is too large")?;
        pixels.fill(Color::WHITE);
        resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixels.as_mut());
        Ok(pixels)
    }

    /// The whole as a PNG file, two pixels a unit.
    ///
    /// # Errors
    /// Too little memory.
    pub fn to_png(&self) -> Result<Vec<u8>> {
        png(&self.to_pixels(2.0)?)
    }
}

/// A PNG file of opaque pixels.
///
/// # Errors
/// Too little memory.
pub fn png(pixels: &Pixmap) -> Result<Vec<u8>> {
    let colors: Vec<u8> = pixels.data().chunks_exact(4).flat_map(|pixel| &pixel[..3]).copied().collect();
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Up);
    encoder.write_image(&colors, pixels.width(), pixels.height(), ExtendedColorType::Rgb8)?;
    Ok(bytes)
}

fn options() -> &'static usvg::Options<'static> {
    static OPTIONS: OnceLock<usvg::Options<'static>> = OnceLock::new();
    OPTIONS.get_or_init(|| {
        let mut fonts = fontdb::Database::new();
        fonts.load_font_data(REGULAR.to_vec());
        fonts.load_font_data(BOLD.to_vec());
        usvg::Options { fontdb: Arc::new(fonts), ..usvg::Options::default() }
    })
}

/// A coordinate with two decimals at most.
fn number(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_measured_and_cut() {
        let font = Font::new(10.0, INK);
        // Digits are all of one width in Roboto.
        assert_eq!(font.width("00"), font.width("19"));
        assert!((font.width("0") - 5.6).abs() < 0.2, "{}", font.width("0"));
        assert!(font.bold().width("word") > font.width("word"));
        assert_eq!(font.fit("short", 100.0), "short");
        let cut = font.fit("a very long name of a class", 50.0);
        assert!(cut.ends_with('…') && font.width(&cut) <= 50.0, "{cut}");
    }

    #[test]
    fn what_users_write_cannot_break_the_file() {
        let mut picture = Drawing::new(100.0, 20.0);
        picture.text(0.0, 10.0, "<a & \"b\">", Font::new(10.0, INK), Anchor::Start);
        assert!(picture.to_svg().contains("&lt;a &amp; &quot;b&quot;&gt;"));
        picture.to_pixels(1.0).unwrap();
    }

    #[test]
    fn letters_become_dark_pixels() {
        let mut picture = Drawing::new(60.0, 20.0);
        let dark = |picture: &Drawing| {
            let pixels = picture.to_pixels(1.0).unwrap();
            pixels.data().chunks_exact(4).filter(|pixel| pixel[0] < 128).count()
        };
        assert_eq!(dark(&picture), 0);
        picture.text(2.0, 15.0, "fitch", Font::new(14.0, INK), Anchor::Start);
        assert!(dark(&picture) > 50);
        assert!(picture.to_png().unwrap().starts_with(b"\x89PNG"));
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!([0.0, 1.0, -1.5, 100.0, 0.126].map(number), ["0", "1", "-1.5", "100", "0.13"]);
    }
}
