//! The diagram of a model: a box for each layer, in order.

use super::drawing::{Drawing, GREY, INK, PALETTE, Style};
use super::font::{Anchor, Font};
use crate::model::{Model, PlacedLayer};
use crate::text::with_separators;
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

/// The text of one box.
struct Node {
    name: String,
    kind: String,
    notes: Vec<String>,
    color: &'static str,
}

impl Node {
    /// Name and kind side by side.
    fn title_width(&self) -> f64 {
        let gap = if self.kind.is_empty() { 0.0 } else { 10.0 };
        TITLE.width(&self.name) + gap + KIND.width(&self.kind)
    }
}

fn nodes(model: &Model, options: DiagramOptions) -> Vec<Node> {
    let shape_text = |shape: &[i64]| shape.iter().map(i64::to_string).collect::<Vec<_>>().join(" × ");
    let images = Node {
        name: "input".to_string(),
        kind: String::new(),
        notes: options.shapes.then(|| shape_text(&model.sample_shape)).into_iter().collect(),
        color: "#8a8a8a",
    };
    let node = |placed: &PlacedLayer| {
        let PlacedLayer { name, layer, input, output } = placed;
        let arguments = layer.arguments();
        let type_name = format!("{} {arguments}", layer.type_name()).trim_end().to_string();
        let (name, kind) = if options.names { (name.clone(), type_name) } else { (type_name, String::new()) };
        let mut notes = Vec::new();
        if options.shapes {
            notes.push(match input == output {
                true => shape_text(output),
                false => format!("{} in, {} out", shape_text(input), shape_text(output)),
            });
        }
        let count = placed.parameter_count();
        if options.parameters && count > 0 {
            notes.push(format!("{} parameters", with_separators(count)));
        }
        let color = match (count > 0, layer.is_activation()) {
            (true, _) => PALETTE[0],
            (false, true) => PALETTE[2],
            (false, false) => PALETTE[5],
        };
        Node { name, kind, notes, color }
    };
    std::iter::once(images).chain(model.all_layers().map(node)).collect()
}

/// Draws the diagram.
pub fn diagram(model: &Model, options: DiagramOptions) -> Drawing {
    let nodes = nodes(model, options);
    let width_of = |node: &Node| {
        let notes = node.notes.iter().map(|note| NOTE.width(note));
        notes.fold(node.title_width(), f64::max) + STRIPE + 2.0 * PADDING
    };
    let height_of = |node: &Node| 34.0 + 18.0 * node.notes.len() as f64;
    let total =
        options.parameters.then(|| format!("{} parameters in all", with_separators(model.parameter_count())));
    let foot = if total.is_some() { 30.0 } else { 0.0 };
    let max_of = |size: &dyn Fn(&Node) -> f64| nodes.iter().map(size).fold(0.0, f64::max);
    let along = |size: &dyn Fn(&Node) -> f64| {
        nodes.iter().map(size).sum::<f64>() + GAP * (nodes.len() - 1) as f64 + 2.0 * MARGIN
    };
    let (box_width, box_height) = (max_of(&width_of).max(150.0), max_of(&height_of));
    let foot_width = total.as_ref().map_or(0.0, |text| NOTE.width(text));
    let (width, height) = match options.direction {
        Orientation::Down => (box_width.max(foot_width) + 2.0 * MARGIN, along(&height_of)),
        Orientation::Right => (along(&width_of).max(foot_width), box_height + 2.0 * MARGIN),
    };
    let mut drawing = Drawing::new(width, height + foot);
    let (mut x, mut y) = (MARGIN, MARGIN);
    for (index, node) in nodes.iter().enumerate() {
        let (node_width, node_height) = match options.direction {
            Orientation::Down => (box_width, height_of(node)),
            Orientation::Right => (width_of(node), box_height),
        };
        draw_node(&mut drawing, node, (x, y), (node_width, node_height));
        let is_last = index + 1 == nodes.len();
        match options.direction {
            Orientation::Down => {
                let middle = x + node_width / 2.0;
                y += node_height;
                if !is_last {
                    draw_arrow(&mut drawing, (middle, y), (0.0, GAP));
                }
                y += GAP;
            }
            Orientation::Right => {
                let middle = y + node_height / 2.0;
                x += node_width;
                if !is_last {
                    draw_arrow(&mut drawing, (x, middle), (GAP, 0.0));
                }
                x += GAP;
            }
        }
    }
    if let Some(total) = total {
        drawing.text(width / 2.0, height + 12.0, &total, NOTE, Anchor::Middle);
    }
    drawing
}

fn draw_node(drawing: &mut Drawing, node: &Node, (x, y): (f64, f64), (width, height): (f64, f64)) {
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

/// An arrow between two boxes, from the edge of the first one along a vector.
fn draw_arrow(drawing: &mut Drawing, (x, y): (f64, f64), (dx, dy): (f64, f64)) {
    let length = dx.hypot(dy);
    let (unit_x, unit_y) = (dx / length, dy / length);
    let tip = (x + dx - 2.0 * unit_x, y + dy - 2.0 * unit_y);
    let neck = (tip.0 - 7.0 * unit_x, tip.1 - 7.0 * unit_y);
    drawing.line((x + 2.0 * unit_x, y + 2.0 * unit_y), neck, Style::stroke("#8a8a8a", 1.5));
    let side = |sign: f64| (neck.0 - sign * 4.0 * unit_y, neck.1 + sign * 4.0 * unit_x);
    drawing.polygon(vec![tip, side(1.0), side(-1.0)], Style::fill("#8a8a8a"));
}

/// The diagram in the language of Graphviz.
pub fn dot(model: &Model, options: DiagramOptions) -> String {
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let direction = if options.direction == Orientation::Down { "TB" } else { "LR" };
    let mut text =
        format!("digraph model {{\n  rankdir={direction};\n  node [shape=box, fontname=\"Helvetica\"];\n");
    for (index, node) in nodes(model, options).iter().enumerate() {
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
