//! The cells and the names of the classes.

use super::color_scale::color;
use super::{LABEL, MARGIN, NOTE, percent};
use crate::report::drawing::{Drawing, FAINT, INK, Style};
use crate::report::font::{Anchor, Font};
use crate::report::labels::labels;

/// The width of names and the length of cells by the number of classes; smaller cells have no room for shares.
const FEW_CLASSES: usize = 24;
const CELL_WITH_SHARE: f64 = 44.0;

/// Where cells and names are.
pub(super) struct Grid {
    left: f64,
    pub top: f64,
    /// The length of the whole matrix.
    side: f64,
    /// The length of a cell.
    cell: f64,
    names: Vec<String>,
    max_name_width: f64,
}

impl Grid {
    pub fn new(classes: &[String]) -> Grid {
        let (cell, name_width) = match classes.len() {
            ..=12 => (54.0, 150.0),
            13..=FEW_CLASSES => (CELL_WITH_SHARE, 150.0),
            count => ((1000.0 / count as f64).clamp(20.0, 40.0), 200.0),
        };
        let names = labels(LABEL, classes, name_width);
        let max_name_width = names.iter().map(|name| LABEL.width(name)).fold(0.0, f64::max);
        let left = MARGIN + 24.0 + max_name_width + 10.0;
        let mut grid =
            Grid { left, top: 0.0, side: cell * classes.len() as f64, cell, names, max_name_width };
        grid.top = 66.0 + if grid.names_are_turned() { max_name_width * 0.72 + 18.0 } else { 22.0 };
        grid
    }

    /// Whether the names above the columns lean by 45 degrees, for want of room.
    fn names_are_turned(&self) -> bool {
        self.max_name_width > self.cell - 6.0
    }

    /// Where the names end, which may lean beyond the cells.
    pub fn right(&self) -> f64 {
        self.edge() + if self.names_are_turned() { self.max_name_width * 0.72 } else { 0.0 }
    }

    /// Where the cells end.
    pub fn edge(&self) -> f64 {
        self.left + self.side
    }

    pub fn bottom(&self) -> f64 {
        self.top + self.side
    }

    pub fn draw_names(&self, drawing: &mut Drawing) {
        let &Grid { left, top, side, cell, .. } = self;
        drawing.text(left + side / 2.0, 58.0, "predicted class", NOTE, Anchor::Middle);
        drawing.turned_text(MARGIN + 10.0, top + side / 2.0, "true class", NOTE, Anchor::Middle, -90.0);
        for (index, name) in self.names.iter().enumerate() {
            let middle = cell * (index as f64 + 0.5);
            drawing.text(left - 8.0, top + middle + 4.5, name, LABEL, Anchor::End);
            let (above, center) = (top - 8.0, left + middle);
            match self.names_are_turned() {
                true => drawing.turned_text(center + 4.0, above, name, LABEL, Anchor::Start, -45.0),
                false => drawing.text(center, above, name, LABEL, Anchor::Middle),
            }
        }
    }

    pub fn draw_cell(&self, drawing: &mut Drawing, [row, column]: [usize; 2], count: u64, share: f64) {
        let cell = self.cell;
        let (x, y) = (self.left + cell * column as f64, self.top + cell * row as f64);
        let (full, shade) = color(share, row == column);
        drawing.rectangle(x, y, cell, cell, Style::fill(full).with_stroke(FAINT, 1.0));
        if count == 0 {
            return;
        }
        let ink = if shade > 0.6 { "#ffffff" } else { INK };
        let (x, y) = (x + cell / 2.0, y + cell / 2.0);
        let text = count.to_string();
        let number = |size: f64| Font::new(size, ink);
        if cell >= CELL_WITH_SHARE {
            let font = number(if cell > 50.0 { 14.0 } else { 12.0 });
            drawing.text(x, y, &text, font, Anchor::Middle);
            drawing.text(x, y + 14.0, &percent(share), number(10.0), Anchor::Middle);
        } else if let Some(font) =
            [12.0, 10.0, 8.5].map(number).into_iter().find(|font| font.width(&text) <= cell - 3.0)
        {
            drawing.text(x, y + 0.36 * font.size, &text, font, Anchor::Middle);
        }
    }

    pub fn draw_frame(&self, drawing: &mut Drawing) {
        drawing.rectangle(self.left, self.top, self.side, self.side, Style::stroke("#8a8a8a", 1.0));
    }
}
