//! The confusion matrix as a drawing: the darker a cell, the larger its share of the true class.

use super::drawing::{Drawing, FAINT, GREY, INK, Style};
use super::font::{Anchor, Font};
use crate::metrics::ConfusionMatrix;
use crate::text::with_separators;
use std::cmp::Reverse;

const TITLE: Font = Font::new(19.0, INK).bold();
const LABEL: Font = Font::new(13.0, INK);
const NOTE: Font = Font::new(12.5, GREY);
const MARGIN: f64 = 18.0;
/// Wider names are cut.
const MAX_NAME_WIDTH: f64 = 130.0;
/// Cells of more classes have no room for numbers.
const MAX_CLASSES_WITH_NUMBERS: usize = 24;
/// Of more classes than this one would see nothing: then only the worst are drawn.
const MAX_CLASSES: usize = 100;
const WORST_CLASSES: usize = 60;

/// Draws the matrix: a row for each true class, a column for each predicted one, in each cell its count and
/// its share of the row. Of more than a hundred classes, those with the most mistakes are drawn.
pub fn heat_map(matrix: &ConfusionMatrix, classes: &[String]) -> Drawing {
    let of_class: Vec<u64> = matrix.counts.iter().map(|counts| counts.iter().sum()).collect();
    if classes.len() <= MAX_CLASSES {
        return draw(matrix, &of_class, classes, ["Confusion matrix", &accuracy_note(matrix)]);
    }
    let worst = worst_classes(matrix);
    let part = ConfusionMatrix {
        counts: worst
            .iter()
            .map(|&row| worst.iter().map(|&column| matrix.counts[row][column]).collect())
            .collect(),
    };
    let names: Vec<String> = worst.iter().map(|&class| classes[class].clone()).collect();
    let title = format!(
        "Confusion matrix: the {WORST_CLASSES} of {} classes with the most mistakes",
        with_separators(classes.len() as i64)
    );
    let of_class: Vec<u64> = worst.iter().map(|&class| of_class[class]).collect();
    draw(&part, &of_class, &names, [&title, &accuracy_note(matrix)])
}

/// The classes with the most mistakes, whether they were taken for others or others for them, in their order.
fn worst_classes(matrix: &ConfusionMatrix) -> Vec<usize> {
    let mut mistakes = vec![0u64; matrix.counts.len()];
    for (truth, counts) in matrix.counts.iter().enumerate() {
        for (prediction, &count) in counts.iter().enumerate().filter(|(prediction, _)| *prediction != truth) {
            mistakes[truth] += count;
            mistakes[prediction] += count;
        }
    }
    let mut worst: Vec<usize> = (0..mistakes.len()).collect();
    worst.sort_by_key(|&class| (Reverse(mistakes[class]), class));
    worst.truncate(WORST_CLASSES);
    worst.sort_unstable();
    worst
}

/// Draws a matrix or part of one; `of_class` has the number of images of each class.
fn draw(matrix: &ConfusionMatrix, of_class: &[u64], classes: &[String], [title, note]: [&str; 2]) -> Drawing {
    let grid = Grid::new(classes);
    let head_width = MARGIN + TITLE.width(title) + 24.0 + NOTE.width(note) + MARGIN;
    let mut drawing = Drawing::new(grid.width().max(head_width), grid.top + grid.side + MARGIN);
    drawing.text(MARGIN, 30.0, title, TITLE, Anchor::Start);
    drawing.text(MARGIN + TITLE.width(title) + 24.0, 30.0, note, NOTE, Anchor::Start);
    grid.draw_names(&mut drawing);
    for (truth, (counts, &row)) in matrix.counts.iter().zip(of_class).enumerate() {
        for (prediction, &count) in counts.iter().enumerate() {
            let share = if row == 0 { 0.0 } else { count as f64 / row as f64 };
            grid.draw_cell(&mut drawing, [truth, prediction], count, share);
        }
    }
    drawing.rectangle(grid.left, grid.top, grid.side, grid.side, Style::stroke("#8a8a8a", 1.0));
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

/// Where the cells and the names of the classes are.
struct Grid {
    left: f64,
    top: f64,
    /// The length of the whole matrix.
    side: f64,
    /// The length of a cell.
    cell: f64,
    names: Vec<String>,
    max_name_width: f64,
    /// Whether there is a number in each cell.
    has_numbers: bool,
}

impl Grid {
    fn new(classes: &[String]) -> Grid {
        let cell = match classes.len() {
            ..=12 => 54.0,
            13..=MAX_CLASSES_WITH_NUMBERS => 44.0,
            count => (900.0 / count as f64).max(3.0),
        };
        let names: Vec<String> = classes.iter().map(|class| LABEL.fit(class, MAX_NAME_WIDTH)).collect();
        let max_name_width = names.iter().map(|name| LABEL.width(name)).fold(0.0, f64::max);
        let mut grid = Grid {
            left: MARGIN + 24.0 + max_name_width + 10.0,
            top: 0.0,
            side: cell * classes.len() as f64,
            cell,
            names,
            max_name_width,
            has_numbers: classes.len() <= MAX_CLASSES_WITH_NUMBERS,
        };
        grid.top = 66.0 + if grid.names_are_turned() { max_name_width * 0.72 + 18.0 } else { 22.0 };
        grid
    }

    /// Whether the names above the columns lean by 45 degrees, for want of room.
    fn names_are_turned(&self) -> bool {
        self.max_name_width > self.cell - 6.0
    }

    fn width(&self) -> f64 {
        // A turned name extends beyond the right edge.
        let overhang = if self.names_are_turned() { self.max_name_width * 0.72 } else { 0.0 };
        self.left + self.side + overhang.max(MARGIN) + MARGIN
    }

    fn draw_names(&self, drawing: &mut Drawing) {
        let &Grid { left, top, side, cell, .. } = self;
        drawing.text(left + side / 2.0, 58.0, "predicted class", NOTE, Anchor::Middle);
        drawing.turned_text(MARGIN + 10.0, top + side / 2.0, "true class", NOTE, Anchor::Middle, -90.0);
        // With many classes, only as many names as there is room for.
        let every = (13.0 / cell).ceil().max(1.0) as usize;
        for (index, name) in self.names.iter().enumerate().step_by(every) {
            let middle = cell * (index as f64 + 0.5);
            drawing.text(left - 8.0, top + middle + 4.5, name, LABEL, Anchor::End);
            let (above, center) = (top - 8.0, left + middle);
            match self.names_are_turned() {
                true => drawing.turned_text(center + 4.0, above, name, LABEL, Anchor::Start, -45.0),
                false => drawing.text(center, above, name, LABEL, Anchor::Middle),
            }
        }
    }

    fn draw_cell(&self, drawing: &mut Drawing, [truth, prediction]: [usize; 2], count: u64, share: f64) {
        let cell = self.cell;
        let (x, y) = (self.left + cell * prediction as f64, self.top + cell * truth as f64);
        // The root of the share, so that a single mistake among thousands can still be seen.
        let shade = share.sqrt();
        let full = if truth == prediction { [0, 90, 150] } else { [190, 60, 0] };
        let style = Style::fill(mixed(full, shade));
        let style = if self.has_numbers { style.with_stroke(FAINT, 1.0) } else { style };
        drawing.rectangle(x, y, cell, cell, style);
        if self.has_numbers && count > 0 {
            let ink = if shade > 0.6 { "#ffffff" } else { INK };
            let font = Font::new(if cell > 50.0 { 14.0 } else { 12.0 }, ink);
            let (x, y) = (x + cell / 2.0, y + cell / 2.0);
            drawing.text(x, y, &count.to_string(), font, Anchor::Middle);
            drawing.text(x, y + 14.0, &percent(share), Font::new(10.0, ink), Anchor::Middle);
        }
    }
}

/// A colour between white (0) and `full` (1).
fn mixed(full: [u8; 3], share: f64) -> String {
    let [red, green, blue] = full.map(|part| (255.0 + (f64::from(part) - 255.0) * share).round() as u8);
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn percent(share: f64) -> String {
    match 100.0 * share {
        small if small < 9.95 => format!("{small:.1} %"),
        large => format!("{large:.0} %"),
    }
}
