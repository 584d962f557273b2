//! The boxes of a diagram: what they say.

use super::DiagramOptions;
use super::{KIND, NOTE, PADDING, STRIPE, TITLE};
use crate::model::{Outline, OutlineRow};
use crate::report::drawing::PALETTE;
use crate::text::with_separators;

/// A layer, and the activation that follows it if it has parameters.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub name: String,
    pub kind: String,
    pub notes: Vec<String>,
    pub color: &'static str,
    pub parameters: i64,
    /// Equal for layers that do the same with values of the same shape.
    identity: (String, Vec<Vec<i64>>),
}

impl Node {
    pub fn is_like(&self, other: &Node) -> bool {
        self.identity == other.identity
    }

    /// Name and kind side by side.
    pub fn title_width(&self) -> f64 {
        let gap = if self.kind.is_empty() { 0.0 } else { 10.0 };
        TITLE.width(&self.name) + gap + KIND.width(&self.kind)
    }

    pub fn width(&self) -> f64 {
        let notes = self.notes.iter().map(|note| NOTE.width(note));
        notes.fold(self.title_width(), f64::max) + STRIPE + 2.0 * PADDING
    }

    pub fn height(&self) -> f64 {
        34.0 + 18.0 * self.notes.len() as f64
    }
}

fn shape_text(shape: &[i64]) -> String {
    shape.iter().map(i64::to_string).collect::<Vec<_>>().join(" × ")
}

/// The input and every layer.
pub(super) fn nodes(outline: &Outline, options: DiagramOptions) -> Vec<Node> {
    let input = Node {
        name: "input".to_string(),
        kind: String::new(),
        notes: options.shapes.then(|| shape_text(&outline.input)).into_iter().collect(),
        color: "#8a8a8a",
        parameters: 0,
        identity: ("input".to_string(), Vec::new()),
    };
    std::iter::once(input).chain(outline.rows.iter().map(|row| node(row, options))).collect()
}

fn node(row: &OutlineRow, options: DiagramOptions) -> Node {
    let OutlineRow { name, parameters, parameter_shapes, .. } = row;
    let type_name = format!("{} {}", row.type_name, row.settings).trim_end().to_string();
    let mut notes = Vec::new();
    if let Some([input, output]) = row.shapes.as_ref().filter(|_| options.shapes) {
        notes.push(match input == output {
            true => shape_text(output),
            false => format!("{} in, {} out", shape_text(input), shape_text(output)),
        });
    }
    if options.parameters && *parameters > 0 {
        notes.push(format!("{} parameters", with_separators(*parameters)));
    }
    let color = match (*parameters > 0, row.is_activation) {
        (true, _) => PALETTE[0],
        (false, true) => PALETTE[2],
        (false, false) => PALETTE[5],
    };
    let shapes = match &row.shapes {
        Some(shapes) => shapes.to_vec(),
        None => parameter_shapes.clone(),
    };
    let identity = (type_name.clone(), shapes);
    let (name, kind) = if options.names { (name.clone(), type_name) } else { (type_name, String::new()) };
    Node { name, kind, notes, color, parameters: *parameters, identity }
}

/// The same with each activation in the box of the layer before it, if that has parameters.
pub(super) fn with_activations(nodes: Vec<Node>, outline: &Outline) -> Vec<Node> {
    let is_activation: Vec<bool> =
        std::iter::once(false).chain(outline.rows.iter().map(|row| row.is_activation)).collect();
    let mut folded: Vec<Node> = Vec::new();
    let mut may_follow = false;
    for (node, is_activation) in nodes.into_iter().zip(is_activation) {
        match folded.last_mut().filter(|_| is_activation && may_follow) {
            Some(before) => {
                let activation = format!(" + {}", node.identity.0);
                before.identity.0 += &activation;
                let text = if before.kind.is_empty() { &mut before.name } else { &mut before.kind };
                text.push_str(&activation);
                may_follow = false;
            }
            None => {
                may_follow = node.parameters > 0;
                folded.push(node);
            }
        }
    }
    folded
}
