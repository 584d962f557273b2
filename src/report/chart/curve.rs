//! One curve of a panel: how it looks, and how it is drawn.

use super::frame::Frame;
use crate::report::drawing::{Drawing, PALETTE, Style};
use crate::report::history_curves::HistoryCurves;

const MARKERS: [Marker; 4] = [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond];
/// Of lines whose colour others have already.
const DASHES: [Option<[f64; 2]>; 3] = [None, Some([7.0, 4.0]), Some([2.0, 3.0])];

#[derive(Clone, Copy)]
enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
}

/// A column of pixels has at most four points of a line, and it is this wide.
const COLUMN: f64 = 0.5;

/// The same line with fewer points, where they are closer than pixels: of each narrow column its first, lowest,
/// highest and last.
pub(super) fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let column_of = |point: &(f64, f64)| (point.0 / COLUMN).floor();
    let mut thinned = Vec::new();
    for column in points.chunk_by(|one, next| column_of(one) == column_of(next)) {
        if column.len() <= 4 {
            thinned.extend_from_slice(column);
            continue;
        }
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

/// How a curve looks.
#[derive(Clone, Copy)]
pub(super) struct Look {
    pub color: &'static str,
    marker: Marker,
    dash: Option<[f64; 2]>,
    width: f64,
    is_filled: bool,
}

impl Look {
    /// Of a single run's training or validation.
    pub fn of_single(is_validation: bool) -> Look {
        let index = usize::from(is_validation);
        Look {
            color: PALETTE[index],
            marker: MARKERS[index],
            dash: None,
            width: if is_validation { 2.0 } else { 1.3 },
            is_filled: !is_validation,
        }
    }

    /// Of a run among others, by its number.
    pub fn of_run(index: usize) -> Look {
        Look {
            color: PALETTE[index % PALETTE.len()],
            marker: MARKERS[index % MARKERS.len()],
            dash: DASHES[index / PALETTE.len() % DASHES.len()],
            width: 2.0,
            is_filled: false,
        }
    }

    /// Thinner: the training beside the validation.
    pub fn in_background(self) -> Look {
        Look { width: 0.9, ..self }
    }

    /// With markers there is room for another difference than the width.
    pub fn with_markers(self) -> Look {
        let dash = if self.is_filled { None } else { Some([7.0, 4.0]) };
        Look { width: 2.0, dash, ..self }
    }

    pub fn stroke(&self) -> Style {
        Style::stroke(self.color, self.width).with_dash(self.dash)
    }

    pub fn draw_marker(&self, drawing: &mut Drawing, (x, y): (f64, f64)) {
        let fill = if self.is_filled { self.color } else { "#ffffff" };
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
}

/// A metric of a run over its epochs.
pub(super) struct Curve<'a> {
    pub run: &'a HistoryCurves,
    pub values: &'a [Option<f64>],
    pub is_validation: bool,
    pub look: Look,
    pub has_markers: bool,
}

impl Curve<'_> {
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
                drawing.polyline(thinned(piece), self.look.stroke().with_round_joins());
            }
        }
        for (index, point) in points.iter().enumerate() {
            // A point between two gaps is on no line.
            let is_alone = [index.wrapping_sub(1), index + 1]
                .iter()
                .all(|&neighbour| points.get(neighbour).copied().flatten().is_none());
            if let Some(point) = point.filter(|_| self.has_markers || is_alone) {
                self.look.draw_marker(drawing, point);
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
        let far: Vec<(f64, f64)> = points[..4_000].iter().map(|&(x, y)| (x * 20.0, y)).collect();
        assert_eq!(thinned(far.clone()), far);
        let thinned = thinned(points.clone());
        assert!(thinned.len() < 7_000, "{}", thinned.len());
        assert!(thinned.contains(&points[70_007]) && thinned.is_sorted_by(|one, next| one.0 <= next.0));
        assert_eq!((thinned.first(), thinned.last()), (points.first(), points.last()));
    }
}
