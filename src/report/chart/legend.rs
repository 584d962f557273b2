//! The legend of a panel.

use super::curve::Look;
use super::{LABEL, LEFT, NOTE, RIGHT, ROW, WIDTH};
use crate::report::drawing::{Drawing, Style};
use crate::report::font::Anchor;

/// The length of the piece of line before a label, with the gap after it.
const SAMPLE: f64 = 40.0;
const GAP: f64 = 10.0;

/// A line of a legend.
pub(super) struct Entry {
    pub label: String,
    /// Behind the label, in the background; may be empty.
    pub note: String,
    pub sample: Sample,
}

/// What a curve looks like.
pub(super) enum Sample {
    Curve(Look),
    MarkedCurve(Look),
    Line(Style),
}

/// Entries in columns of one width, as many as fit side by side.
pub(super) struct Legend {
    entries: Vec<Entry>,
    columns: usize,
    label_width: f64,
    note_width: f64,
}

impl Legend {
    pub fn new(entries: Vec<Entry>) -> Legend {
        let widest = |width: &dyn Fn(&Entry) -> f64| entries.iter().map(width).fold(0.0, f64::max);
        let label_width = widest(&|entry| LABEL.width(&entry.label));
        let note_width = widest(&|entry| NOTE.width(&entry.note));
        let mut legend = Legend { entries, columns: 1, label_width, note_width };
        legend.columns = (((WIDTH - LEFT - RIGHT) / legend.entry_width()) as usize).max(1);
        legend
    }

    fn entry_width(&self) -> f64 {
        let gap = if self.note_width > 0.0 { GAP } else { 0.0 };
        SAMPLE + self.label_width + gap + self.note_width + 22.0
    }

    pub fn height(&self) -> f64 {
        ROW * self.entries.len().div_ceil(self.columns).max(1) as f64
    }

    pub fn draw(&self, drawing: &mut Drawing, top: f64) {
        for (index, entry) in self.entries.iter().enumerate() {
            let x = LEFT + (index % self.columns) as f64 * self.entry_width();
            let y = top + ROW * (index / self.columns) as f64 + 9.0;
            let mut line = |style| drawing.line((x, y), (x + 34.0, y), style);
            match &entry.sample {
                Sample::Curve(look) => line(look.stroke()),
                Sample::MarkedCurve(look) => {
                    line(look.stroke());
                    look.draw_marker(drawing, (x + 17.0, y));
                }
                Sample::Line(style) => line(style.clone()),
            }
            let x = x + SAMPLE;
            drawing.text(x, y + 4.5, &entry.label, LABEL, Anchor::Start);
            drawing.text(x + self.label_width + GAP, y + 4.5, &entry.note, NOTE, Anchor::Start);
        }
    }
}
