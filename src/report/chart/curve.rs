//! One curve of a panel: how it looks, and how it is drawn.

use super::frame::Frame;
use super::{LEFT, RIGHT, WIDTH};
use crate::report::drawing::{Drawing, PALETTE, Style};
use crate::report::history_curves::HistoryCurves;

/// Markers closer to each other than this are thinned out.
const MARKER_DISTANCE: f64 = 9.0;
const MARKERS: [Marker; 4] = [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond];

#[derive(Clone, Copy)]
enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
}

/// A metric of a run over its epochs.
pub(super) struct Curve<'a> {
    pub label: String,
    pub run: &'a HistoryCurves,
    pub values: &'a [Option<f64>],
    pub color: &'static str,
    pub is_validation: bool,
    marker: Marker,
}

impl<'a> Curve<'a> {
    /// Curves of the same `look` have the same colour and marker.
    pub fn new(
        label: String,
        run: &'a HistoryCurves,
        values: &'a [Option<f64>],
        is_validation: bool,
        look: usize,
    ) -> Curve<'a> {
        let (color, marker) = (PALETTE[look % PALETTE.len()], MARKERS[look % MARKERS.len()]);
        Curve { label, run, values, color, is_validation, marker }
    }

    pub fn stroke(&self) -> Style {
        Style::stroke(self.color, 2.0).with_dash(self.is_validation.then_some([7.0, 4.0]))
    }

    pub fn draw_marker(&self, drawing: &mut Drawing, (x, y): (f64, f64)) {
        let fill = if self.is_validation { "#ffffff" } else { self.color };
        let style = Style::fill(fill).with_stroke(self.color, 1.4);
        let place = |points: &[(f64, f64)]| points.iter().map(|&(dx, dy)| (x + dx, y + dy)).collect();
        match self.marker {
            Marker::Circle => drawing.circle((x, y), 3.0, style),
            Marker::Square => drawing.rectangle(x - 2.8, y - 2.8, 5.6, 5.6, style),
            Marker::Triangle => drawing.polygon(place(&[(0.0, -3.8), (3.6, 2.6), (-3.6, 2.6)]), style),
            Marker::Diamond => {
                drawing.polygon(place(&[(0.0, -4.2), (3.6, 0.0), (0.0, 4.2), (-3.6, 0.0)]), style);
            }
        }
    }

    /// Draws the line, broken where values are missing, and its markers.
    pub fn draw(&self, drawing: &mut Drawing, frame: &Frame) {
        let points: Vec<Option<(f64, f64)>> = self
            .run
            .epochs
            .iter()
            .zip(self.values)
            .map(|(&epoch, value)| value.map(|value| (frame.x_of(epoch), frame.y_of(value))))
            .collect();
        for piece in points.split(Option::is_none) {
            let piece: Vec<(f64, f64)> = piece.iter().flatten().copied().collect();
            if piece.len() > 1 {
                drawing.polyline(piece, self.stroke().with_round_joins());
            }
        }
        let spacing = (WIDTH - LEFT - RIGHT) / (points.len().max(2) - 1) as f64;
        let every = (MARKER_DISTANCE / spacing).ceil().max(1.0) as usize;
        for (index, point) in points.iter().enumerate() {
            // A point between two gaps is on no line.
            let is_alone = [index.wrapping_sub(1), index + 1]
                .iter()
                .all(|&neighbour| points.get(neighbour).copied().flatten().is_none());
            if let Some(point) = point.filter(|_| index % every == 0 || is_alone) {
                self.draw_marker(drawing, point);
            }
        }
    }
}
