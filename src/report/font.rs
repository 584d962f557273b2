//! The font of drawings: Roboto, which is compiled in, so that a drawing looks the same on every machine.

use std::sync::OnceLock;
use ttf_parser::{Face, GlyphId};

const REGULAR: &[u8] = include_bytes!("fonts/Roboto-Regular.ttf");
const BOLD: &[u8] = include_bytes!("fonts/Roboto-Bold.ttf");

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

    pub(super) fn face(self) -> Option<&'static Face<'static>> {
        static FACES: OnceLock<[Option<Face<'static>>; 2]> = OnceLock::new();
        let faces = FACES.get_or_init(|| [REGULAR, BOLD].map(|font| Face::parse(font, 0).ok()));
        faces[usize::from(self.is_bold)].as_ref()
    }

    /// The glyphs of a text, each with its distance from the start in pixels, and the width of the text.
    pub(super) fn layout(self, text: &str) -> (Vec<(GlyphId, f64)>, f64) {
        let Some(face) = self.face() else { return (Vec::new(), 0.0) };
        let scale = self.size / f64::from(face.units_per_em());
        let mut units = 0.0;
        let place = |letter| {
            let glyph = face.glyph_index(letter).unwrap_or_default();
            let start = units;
            units += f64::from(face.glyph_hor_advance(glyph).unwrap_or_default());
            (glyph, start * scale)
        };
        let glyphs = text.chars().map(place).collect();
        (glyphs, units * scale)
    }

    /// The width of a text in pixels.
    pub(super) fn width(self, text: &str) -> f64 {
        self.layout(text).1
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_measured_and_cut() {
        let font = Font::new(10.0, "#000000");
        // Digits are all of one width in Roboto.
        assert_eq!(font.width("00"), font.width("19"));
        assert!((font.width("0") - 5.6).abs() < 0.2, "{}", font.width("0"));
        assert!(font.bold().width("word") > font.width("word"));
        assert_eq!(font.fit("short", 100.0), "short");
        let cut = font.fit("a very long name of a class", 50.0);
        assert!(cut.ends_with('…') && font.width(&cut) <= 50.0, "{cut}");
    }
}
