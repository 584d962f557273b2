//! The legend of a panel.

use super::curve::Curve;
use super::{LABEL, LEFT, ROW, WIDTH};
use crate::report::drawing::Drawing;
use crate::report::font::Anchor;

/// The curves of a panel in rows, as many in each as fit.
pub(super) struct Legend {
    /// Indices of curves.
    rows: Vec<Vec<usize>>,
}

impl Legend {
    pub fn new(curves: &[Curve]) -> Legend {
        let mut rows: Vec<Vec<usize>> = vec![Vec::new()];
        let mut x = LEFT;
        for (index, curve) in curves.iter().enumerate() {
            let width = entry_width(curve);
            if x + width > WIDTH && rows.last().is_some_and(|row| !row.is_empty()) {
                rows.push(Vec::new());
                x = LEFT;
            }
            x += width;
            rows.last_mut().into_iter().for_each(|row| row.push(index));
        }
        Legend { rows }
    }

    pub fn height(&self) -> f64 {
        ROW * self.rows.len() as f64
    }

    pub fn draw(&self, curves: &[Curve], drawing: &mut Drawing, top: f64) {
        for (row, indices) in self.rows.iter().enumerate() {
            let mut x = LEFT;
            let y = top + ROW * row as f64 + 9.0;
            for curve in indices.iter().map(|&index| &curves[index]) {
                drawing.line((x, y), (x + 34.0, y), curve.stroke());
                curve.draw_marker(drawing, (x + 17.0, y));
                drawing.text(x + 40.0, y + 4.5, &curve.label, LABEL, Anchor::Start);
                x += entry_width(curve);
            }
        }
    }
}

fn entry_width(curve: &Curve) -> f64 {
    40.0 + LABEL.width(&curve.label) + 26.0
}
