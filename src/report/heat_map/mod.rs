//! The confusion matrix as a drawing: the darker a cell, the larger its share of the true class. Beside it are the
//! scale of the colours and the most frequent mistakes.

mod color_scale;
mod grid;
mod worst_pairs;

use super::drawing::{Drawing, GREY, INK};
use super::font::{Anchor, Font};
use crate::metrics::ConfusionMatrix;
use crate::text::with_separators;
use color_scale::ColorScale;
use grid::Grid;
use worst_pairs::WorstPairs;

const TITLE: Font = Font::new(19.0, INK).bold();
const LABEL: Font = Font::new(13.0, INK);
const NOTE: Font = Font::new(12.5, GREY);
const MARGIN: f64 = 18.0;
/// Of more classes than this one would read nothing: then only the worst are drawn.
const MAX_CLASSES: usize = 60;
const WORST_CLASSES: usize = 40;

/// Draws the matrix: a row for each true class, a column for each predicted one, in each cell its count and, if
/// there is room, its share of the row. Of more than 60 classes, the 40 with the most mistakes are drawn.
pub fn heat_map(matrix: &ConfusionMatrix, classes: &[String]) -> Drawing {
    let (shown, title) = match classes.len() {
        ..=MAX_CLASSES => ((0..classes.len()).collect(), "Confusion matrix".to_string()),
        count => {
            let count = with_separators(count as i64);
            (
                matrix.worst_classes(WORST_CLASSES),
                format!("Confusion matrix: the {WORST_CLASSES} of {count} classes with the most mistakes"),
            )
        }
    };
    let note = accuracy_note(matrix);
    let grid = Grid::new(&shown.iter().map(|&class| classes[class].clone()).collect::<Vec<_>>());
    let scale = ColorScale::beside(grid.edge(), grid.top);
    let pairs = WorstPairs::below(&scale, matrix, classes, grid.bottom());
    let head_width = MARGIN + TITLE.width(&title) + 24.0 + NOTE.width(&note);
    let width = grid.right().max(scale.right()).max(pairs.right()).max(head_width) + MARGIN;
    let mut drawing = Drawing::new(width, grid.bottom().max(scale.bottom()).max(pairs.bottom()) + MARGIN);
    drawing.text(MARGIN, 30.0, &title, TITLE, Anchor::Start);
    drawing.text(MARGIN + TITLE.width(&title) + 24.0, 30.0, &note, NOTE, Anchor::Start);
    grid.draw_names(&mut drawing);
    for (row, &truth) in shown.iter().enumerate() {
        let total: u64 = matrix.counts[truth].iter().sum();
        for (column, &prediction) in shown.iter().enumerate() {
            let count = matrix.counts[truth][prediction];
            grid.draw_cell(&mut drawing, [row, column], count, share_of(count, total));
        }
    }
    grid.draw_frame(&mut drawing);
    scale.draw(&mut drawing);
    pairs.draw(&mut drawing);
    drawing
}

fn accuracy_note(matrix: &ConfusionMatrix) -> String {
    let total: u64 = matrix.counts.iter().flatten().sum();
    let right: u64 = matrix.counts.iter().enumerate().map(|(class, counts)| counts[class]).sum();
    format!(
        "{} of {} test images right ({:.2} %)",
        with_separators(right as i64),
        with_separators(total as i64),
        100.0 * right as f64 / total.max(1) as f64
    )
}

fn share_of(count: u64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { count as f64 / total as f64 }
}

fn percent(share: f64) -> String {
    match 100.0 * share {
        small if small < 9.95 => format!("{small:.1} %"),
        large => format!("{large:.0} %"),
    }
}
