//! The area of a plot: its scales, grid and axes.

use super::{AXIS, LABEL, LEFT, NOTE, PLOT_HEIGHT, RIGHT, WIDTH};
use crate::report::axis::{Axis, range};
use crate::report::drawing::{Drawing, FAINT, Style};
use crate::report::font::Anchor;
use crate::report::history_curves::HistoryCurves;

/// Epochs closer to each other than this have no markers: those of more than 60.
const MARKER_DISTANCE: f64 = 12.0;

/// Whether the epochs of all runs, on one axis, are far enough from each other.
pub(super) fn has_room_for_markers(runs: &[HistoryCurves]) -> bool {
    let epochs = range(runs.iter().flat_map(|run| run.epochs.iter().copied()));
    epochs.is_none_or(|(first, last)| (WIDTH - LEFT - RIGHT) / (last - first).max(1.0) >= MARKER_DISTANCE)
}

/// Where values and epochs are within a plot.
pub(super) struct Frame {
    pub top: f64,
    pub x: Axis,
    y: Axis,
}

impl Frame {
    /// A frame that holds all values in all epochs.
    pub fn new(
        epochs: impl Iterator<Item = f64>,
        values: impl Iterator<Item = f64>,
        top: f64,
        is_logarithmic: bool,
    ) -> Frame {
        let (first, last) = range(epochs).unwrap_or((1.0, 1.0));
        let x = Axis::of_epochs(first, last, 10);
        let (mut min, mut max) = range(values).unwrap_or((0.0, 1.0));
        if is_logarithmic {
            return Frame { top, x, y: Axis::logarithmic(min, max, 6) };
        }
        // Some room, so that no point is on the frame; but a share does not go beyond 0 and 1.
        let room = 0.03 * (max - min);
        let is_share = min >= 0.0 && max <= 1.0;
        max = if is_share { (max + room).min(1.0) } else { max + room };
        // Zero is shown if it is not far.
        min = if min >= 0.0 && min < 0.35 * max { 0.0 } else { min - room };
        Frame { top, x, y: Axis::covering(min, max, 6) }
    }

    pub fn x_of(&self, epoch: f64) -> f64 {
        LEFT + self.x.position(epoch) * (WIDTH - LEFT - RIGHT)
    }

    pub fn y_of(&self, value: f64) -> f64 {
        self.top + (1.0 - self.y.position(value)) * PLOT_HEIGHT
    }

    pub fn draw_grid(&self, drawing: &mut Drawing) {
        for &tick in &self.y.ticks {
            let y = self.y_of(tick);
            drawing.line((LEFT, y), (WIDTH - RIGHT, y), Style::stroke(FAINT, 1.0));
            drawing.text(LEFT - 8.0, y + 4.0, &self.y.label(tick), NOTE, Anchor::End);
        }
        let bottom = self.top + PLOT_HEIGHT;
        drawing.line((LEFT, self.top), (LEFT, bottom), Style::stroke(AXIS, 1.0));
        drawing.line((LEFT, bottom), (WIDTH - RIGHT, bottom), Style::stroke(AXIS, 1.0));
    }

    /// Labels the epochs below a line at `bottom`.
    pub fn draw_epochs(&self, drawing: &mut Drawing, bottom: f64) {
        for &tick in &self.x.ticks {
            let x = LEFT + self.x.position(tick) * (WIDTH - LEFT - RIGHT);
            drawing.line((x, bottom), (x, bottom + 4.0), Style::stroke(AXIS, 1.0));
            drawing.text(x, bottom + 18.0, &self.x.label(tick), NOTE, Anchor::Middle);
        }
        drawing.text((LEFT + WIDTH - RIGHT) / 2.0, bottom + 38.0, "epoch", LABEL, Anchor::Middle);
    }
}
