//! The diagram of a model: a box for each layer, in order. Activations are in the box of their layer, blocks that
//! repeat are drawn once, and what would not fit a page goes on beside it.

mod groups;
mod layout;
mod node;

use super::drawing::{Drawing, GREY, INK, Style};
use super::font::{Anchor, Font};
use crate::model::Outline;
use crate::text::with_separators;
use groups::groups;
use layout::{Area, Layout};
use node::{Node, nodes, with_activations};
use std::fmt::Write;

/// Which way the layers follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orientation {
    /// From top to bottom.
    #[default]
    Down,
    /// From left to right.
    Right,
}

impl Orientation {
    /// Both ways.
    pub const ALL: [Orientation; 2] = [Orientation::Down, Orientation::Right];

    /// As users write it: `down`.
    pub fn keyword(self) -> &'static str {
        match self {
            Orientation::Down => "down",
            Orientation::Right => "right",
        }
    }
}

/// What a diagram tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiagramOptions {
    /// The names of the layers, `dense_1`; otherwise only their types.
    pub names: bool,
    /// The shapes of their inputs and outputs.
    pub shapes: bool,
    /// The numbers of their parameters.
    pub parameters: bool,
    /// The way they follow each other.
    pub direction: Orientation,
}

impl Default for DiagramOptions {
    fn default() -> Self {
        DiagramOptions { names: true, shapes: true, parameters: true, direction: Orientation::Down }
    }
}

const TITLE: Font = Font::new(15.0, INK).bold();
const KIND: Font = Font::new(15.0, INK);
const NOTE: Font = Font::new(12.5, GREY);
const PADDING: f64 = 14.0;
const STRIPE: f64 = 6.0;
const GAP: f64 = 28.0;
const MARGIN: f64 = 16.0;
/// The colour of arrows and frames.
const LINE: &str = "#8a8a8a";

/// Draws the diagram of a [`Model`](crate::model::Model) or a [`Network`](crate::model::Network).
pub fn diagram(network: impl Into<Outline>, options: DiagramOptions) -> Drawing {
    let outline = network.into();
    let boxes = with_activations(nodes(&outline, options), &outline);
    let layout = Layout::new(&groups(boxes), options.direction);
    let total =
        options.parameters.then(|| format!("{} parameters in all", with_separators(outline.parameters)));
    let foot = if total.is_some() { 30.0 } else { 0.0 };
    let (width, height) = layout.size;
    let width = width.max(total.as_ref().map_or(0.0, |text| NOTE.width(text) + 2.0 * MARGIN));
    let mut drawing = Drawing::new(width, height + foot);
    for (text, area) in &layout.frames {
        draw_frame(&mut drawing, text, *area);
    }
    for (node, area) in &layout.boxes {
        draw_node(&mut drawing, node, *area);
    }
    for points in &layout.arrows {
        draw_arrow(&mut drawing, points);
    }
    if let Some(total) = total {
        drawing.text(width / 2.0, height + 12.0, &total, NOTE, Anchor::Middle);
    }
    drawing
}

fn draw_node(drawing: &mut Drawing, node: &Node, [x, y, width, height]: Area) {
    let style = Style::fill("#fafafa").with_stroke("#bdbdbd", 1.0).with_radius(4.0);
    drawing.rectangle(x, y, width, height, style);
    drawing.rectangle(x, y, STRIPE, height, Style::fill(node.color).with_radius(2.0));
    let left = x + STRIPE + PADDING;
    drawing.text(left, y + 23.0, &node.name, TITLE, Anchor::Start);
    drawing.text(left + node.title_width(), y + 23.0, &node.kind, KIND, Anchor::End);
    for (line, note) in node.notes.iter().enumerate() {
        drawing.text(left, y + 42.0 + 18.0 * line as f64, note, NOTE, Anchor::Start);
    }
}

/// The frame of a block that repeats.
fn draw_frame(drawing: &mut Drawing, text: &str, [x, y, width, height]: Area) {
    let style = Style::stroke(LINE, 1.2).with_dash(Some([5.0, 3.0])).with_radius(6.0);
    drawing.rectangle(x, y, width, height, style);
    drawing.text(x + 10.0, y + 19.0, text, NOTE.bold(), Anchor::Start);
}

/// An arrow through points, from the edge of a box to that of another.
fn draw_arrow(drawing: &mut Drawing, points: &[(f64, f64)]) {
    let [start @ .., (x, y), end] = points else { return };
    let length = (end.0 - x).hypot(end.1 - y);
    let (unit_x, unit_y) = ((end.0 - x) / length, (end.1 - y) / length);
    let tip = (end.0 - 2.0 * unit_x, end.1 - 2.0 * unit_y);
    let neck = (tip.0 - 7.0 * unit_x, tip.1 - 7.0 * unit_y);
    match start {
        [] => drawing.line((x + 2.0 * unit_x, y + 2.0 * unit_y), neck, Style::stroke(LINE, 1.5)),
        _ => {
            let through = start.iter().copied().chain([(*x, *y), neck]);
            drawing.polyline(through.collect(), Style::stroke(LINE, 1.5).with_round_joins());
        }
    }
    let side = |sign: f64| (neck.0 - sign * 4.0 * unit_y, neck.1 + sign * 4.0 * unit_x);
    drawing.polygon(vec![tip, side(1.0), side(-1.0)], Style::fill(LINE));
}

/// The diagram in the language of Graphviz, with a box for every layer.
pub fn dot(network: impl Into<Outline>, options: DiagramOptions) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let direction = if options.direction == Orientation::Down { "TB" } else { "LR" };
    let mut text =
        format!("digraph model {{\n  rankdir={direction};\n  node [shape=box, fontname=\"Helvetica\"];\n");
    for (index, node) in nodes(&network.into(), options).iter().enumerate() {
        let title = format!("{} {}", node.name, node.kind);
        let lines = std::iter::once(title.trim_end()).chain(node.notes.iter().map(String::as_str));
        let label = lines.map(quoted).collect::<Vec<_>>().join("\\n");
        let _ = writeln!(text, "  n{index} [label=\"{label}\"];");
        if index > 0 {
            let _ = writeln!(text, "  n{} -> n{index};", index - 1);
        }
    }
    text + "}\n"
}
