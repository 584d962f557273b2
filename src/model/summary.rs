//! The table of a model's layers, as in Keras.

use super::{Outline, OutlineRow};
use crate::text::{size_text, with_separators};
use std::fmt::Write;

/// Which version of Keras the table looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SummaryStyle {
    /// Keras 3: a box, of at most the given number of terminal columns.
    Keras3 {
        /// The width of the terminal.
        columns: usize,
    },
    /// Keras 1.x: 100 columns, with the layer that each one is connected to. It is here so that a model can be
    /// compared, line by line, with the summaries in scripts and papers of that time.
    Keras1,
}

/// Draws the table of a [`Model`](super::Model) or a [`Network`](super::Network), ending in a line break.
pub fn summary(network: impl Into<Outline>, style: SummaryStyle) -> String {
    let outline = network.into();
    match style {
        SummaryStyle::Keras3 { columns } => keras3(&outline, columns),
        SummaryStyle::Keras1 => keras1(&outline),
    }
}

/// `(None, 512)`: the batch dimension is open.
fn shape_text(shape: &[i64]) -> String {
    let sizes: String = shape.iter().map(|size| format!(", {size}")).collect();
    format!("(None{sizes})")
}

/// The shape of a layer's output, if it is known.
fn output_text(row: &OutlineRow) -> String {
    row.shapes.as_ref().map_or("?".to_string(), |[_, output]| shape_text(output))
}

const HEAD: [&str; 3] = ["Layer (type)", "Output Shape", "Param #"];

/// Keras 3.15: the box is min(88, terminal - 4) wide, its columns end at 45 %, 80 % and 100 % of that.
/// A column grows where its content would be cut.
fn keras3(outline: &Outline, columns: usize) -> String {
    let mut rows: Vec<[String; 3]> = Vec::new();
    for row in &outline.rows {
        let label = format!("{} ({})", row.name, row.type_name);
        rows.push([label, output_text(row), with_separators(row.parameters)]);
    }

    let whole = columns.saturating_sub(4).clamp(40, 88);
    let first = whole * 45 / 100;
    let last = whole - whole * 80 / 100;
    let mut widths = [first - 1, whole - first - last - 2, last - 1];
    for (column, width) in widths.iter_mut().enumerate() {
        let content = rows.iter().map(|row| row[column].len()).chain([HEAD[column].len()]);
        *width = content.fold(*width, |width, length| width.max(length + 2));
    }

    // The shapes of networks that other programs made are not known.
    let has_shapes = outline.rows.iter().any(|row| row.shapes.is_some());
    let shown: &[usize] = if has_shapes { &[0, 1, 2] } else { &[0, 2] };
    if !has_shapes {
        widths[0] += widths[1] + 1;
    }

    let line = |left: &str, fill: &str, middle: &str, right: &str| {
        let parts: Vec<String> = shown.iter().map(|&column| fill.repeat(widths[column])).collect();
        format!("{left}{}{right}\n", parts.join(middle))
    };
    let cells = |bar: &str, row: [&str; 3]| {
        let mut text = bar.to_string();
        for &column in shown {
            let (cell, width) = (row[column], widths[column] - 2);
            text += &match column {
                2 => format!(" {cell:>width$} {bar}"),
                _ => format!(" {cell:<width$} {bar}"),
            };
        }
        text + "\n"
    };
    let mut text = line("┏", "━", "┳", "┓") + &cells("┃", HEAD) + &line("┡", "━", "╇", "┩");
    for (number, [name, shape, count]) in rows.iter().enumerate() {
        if number > 0 {
            text += &line("├", "─", "┼", "┤");
        }
        text += &cells("│", [name, shape, count]);
    }
    text += &line("└", "─", "┴", "┘");
    let (total, trainable) = (outline.parameters, outline.trainable);
    for (label, count) in [("Total", total), ("Trainable", trainable), ("Non-trainable", total - trainable)] {
        let _ = writeln!(text, " {label} params: {} ({})", with_separators(count), size_text(count));
    }
    text
}

/// Keras 1.1: 100 columns, which end at 33, 55, 67 and 100; activations are all of one type there.
fn keras1(outline: &Outline) -> String {
    const WIDTHS: [usize; 4] = [33, 22, 12, 33];
    let row = |cells: [&str; 4]| {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(WIDTHS) {
            let kept: String = cell.chars().take(width - 1).collect();
            let _ = write!(line, "{kept:<width$}");
        }
        line + "\n"
    };
    let rule = |fill: &str| fill.repeat(100) + "\n";

    let mut activations = 0;
    let mut text = rule("_") + &row([HEAD[0], HEAD[1], HEAD[2], "Connected to"]) + &rule("=");
    let mut previous: Option<String> = None;
    for layer in &outline.rows {
        let (name, type_name) = if layer.is_activation {
            activations += 1;
            (format!("activation_{activations}"), "Activation")
        } else {
            (layer.name.clone(), layer.type_name.as_str())
        };
        if previous.is_some() {
            text += &rule("_");
        }
        // Keras names the input after the first layer: dense_input_1 for dense_1.
        let source = previous.unwrap_or_else(|| name.replacen('_', "_input_", 1));
        let label = format!("{name} ({type_name})");
        let count = layer.parameters.to_string();
        text += &row([&label, &output_text(layer), &count, &format!("{source}[0][0]")]);
        previous = Some(name);
    }
    text + &rule("=") + &format!("Total params: {}\n", outline.parameters) + &rule("_")
}

#[cfg(test)]
mod tests;
