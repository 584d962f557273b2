//! A drawing: a list of lines, shapes and texts on white, written as SVG (`svg.rs`) or PNG (`png.rs`).

use super::font::{Anchor, Font};
use std::borrow::Cow;

/// Colours that people with any colour vision tell apart (Okabe and Ito, 2008), darkest first where it
/// matters in black and white.
pub const PALETTE: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"];
/// Of text that is read first.
pub const INK: &str = "#1a1a1a";
/// Of text that explains.
pub const GREY: &str = "#666666";
/// Of lines that guide the eye.
pub const FAINT: &str = "#e3e3e3";

/// A drawing, in pixels from the top left corner.
#[derive(Clone, Debug)]
pub struct Drawing {
    pub(super) width: f64,
    pub(super) height: f64,
    /// The later ones cover the earlier ones.
    pub(super) elements: Vec<Element>,
}

/// What a drawing is made of.
#[derive(Clone, Debug)]
pub(super) enum Element {
    Rectangle { x: f64, y: f64, width: f64, height: f64, style: Style },
    Line { from: (f64, f64), to: (f64, f64), style: Style },
    Circle { center: (f64, f64), radius: f64, style: Style },
    Polyline { points: Vec<(f64, f64)>, style: Style },
    Polygon { points: Vec<(f64, f64)>, style: Style },
    Text { x: f64, y: f64, text: String, font: Font, anchor: Anchor, degrees: f64 },
}

/// How lines and shapes look. Colours are written `#rrggbb`.
#[derive(Clone, Debug, Default)]
pub(super) struct Style {
    pub fill: Option<Cow<'static, str>>,
    pub stroke: Option<(Cow<'static, str>, f64)>,
    pub has_round_joins: bool,
    /// The lengths of a dash and of a gap.
    pub dash: Option<[f64; 2]>,
    /// Of a rectangle's corners.
    pub radius: f64,
}

impl Style {
    pub fn fill(color: impl Into<Cow<'static, str>>) -> Style {
        Style { fill: Some(color.into()), ..Style::default() }
    }

    pub fn stroke(color: impl Into<Cow<'static, str>>, width: f64) -> Style {
        Style { stroke: Some((color.into(), width)), ..Style::default() }
    }

    pub fn with_stroke(self, color: impl Into<Cow<'static, str>>, width: f64) -> Style {
        Style { stroke: Some((color.into(), width)), ..self }
    }

    pub fn with_round_joins(self) -> Style {
        Style { has_round_joins: true, ..self }
    }

    pub fn with_dash(self, dash: Option<[f64; 2]>) -> Style {
        Style { dash, ..self }
    }

    pub fn with_radius(self, radius: f64) -> Style {
        Style { radius, ..self }
    }
}

impl Drawing {
    /// A white drawing of that size.
    pub(super) fn new(width: f64, height: f64) -> Drawing {
        let (width, height) = (width.ceil(), height.ceil());
        let mut drawing = Drawing { width, height, elements: Vec::new() };
        drawing.rectangle(0.0, 0.0, width, height, Style::fill("#ffffff"));
        drawing
    }

    pub(super) fn rectangle(&mut self, x: f64, y: f64, width: f64, height: f64, style: Style) {
        self.elements.push(Element::Rectangle { x, y, width, height, style });
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), style: Style) {
        self.elements.push(Element::Line { from, to, style });
    }

    pub(super) fn circle(&mut self, center: (f64, f64), radius: f64, style: Style) {
        self.elements.push(Element::Circle { center, radius, style });
    }

    /// A line through points; nothing without any.
    pub(super) fn polyline(&mut self, points: Vec<(f64, f64)>, style: Style) {
        if !points.is_empty() {
            self.elements.push(Element::Polyline { points, style });
        }
    }

    /// A closed shape through points.
    pub(super) fn polygon(&mut self, points: Vec<(f64, f64)>, style: Style) {
        self.elements.push(Element::Polygon { points, style });
    }

    /// A text with its base line at `y`.
    pub(super) fn text(&mut self, x: f64, y: f64, text: &str, font: Font, anchor: Anchor) {
        self.turned_text(x, y, text, font, anchor, 0.0);
    }

    /// A text turned about its point, in degrees clockwise.
    pub(super) fn turned_text(
        &mut self,
        x: f64,
        y: f64,
        text: &str,
        font: Font,
        anchor: Anchor,
        degrees: f64,
    ) {
        if text.is_empty() {
            return;
        }
        // An SVG file cannot have control characters, in whatever form.
        let text = text.replace(
            |letter: char| letter.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&letter),
            "\u{fffd}",
        );
        self.elements.push(Element::Text { x, y, text, font, anchor, degrees });
    }
}
