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

/// A line of more points than this is thinned out: that of a hundred thousand epochs looks the same.
const MAX_POINTS: usize = 4_000;
/// A column has at most four points, and it is this wide.
const COLUMN: f64 = 0.5;

/// The same line with fewer points, if it has many: of each narrow column its first, lowest, highest and last.
pub(super) fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    if points.len() <= MAX_POINTS {
        return points;
    }
    let column_of = |point: &(f64, f64)| (point.0 / COLUMN).floor();
    let mut thinned = Vec::new();
    for column in points.chunk_by(|one, next| column_of(one) == column_of(next)) {
        let mut kept = vec![0, column.len() - 1];
        let by_height = |one: &usize, other: &usize| column[*one].1.total_cmp(&column[*other].1);
        kept.extend((0..column.len()).min_by(by_height));
        kept.extend((0..column.len()).max_by(by_height));
        kept.sort_unstable();
        kept.dedup();
        thinned.extend(kept.into_iter().map(|index| column[index]));
    }
    thinned
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
                drawing.polyline(thinned(piece), self.stroke().with_round_joins());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_very_many_points_keeps_its_outline() {
        let points: Vec<(f64, f64)> = (0..100_000)
            .map(|index| {
                (f64::from(index) * 0.0075, if index == 70_007 { 9.0 } else { f64::from(index % 7) })
            })
            .collect();
        assert_eq!(thinned(points[..4_000].to_vec()).len(), 4_000);
        let thinned = thinned(points.clone());
        assert!(thinned.len() < 7_000, "{}", thinned.len());
        assert!(thinned.contains(&points[70_007]) && thinned.is_sorted_by(|one, next| one.0 <= next.0));
        assert_eq!((thinned.first(), thinned.last()), (points.first(), points.last()));
    }
}
