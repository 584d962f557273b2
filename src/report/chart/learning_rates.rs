//! The learning rate in a strip of its own below a plot.

use super::curve::thinned;
use super::{LEFT, NOTE, RIGHT, WIDTH};
use crate::report::axis::Axis;
use crate::report::drawing::{Drawing, FAINT, INK, PALETTE, Style};
use crate::report::font::Anchor;
use crate::report::history_curves::HistoryCurves;

const HEIGHT: f64 = 44.0;
/// The distance to the plot above it.
const GAP: f64 = 22.0;
/// What a strip adds to the height of its panel.
pub(super) const HEIGHT_WITH_GAP: f64 = HEIGHT + GAP;

/// Whether any run's learning rate changes: a constant one is not worth a strip.
pub(super) fn change(runs: &[HistoryCurves]) -> bool {
    runs.iter().any(|run| {
        let mut rates = run.learning_rates.iter().flatten();
        let first = rates.next();
        rates.any(|rate| Some(rate) != first)
    })
}

/// Draws the learning rate of each run as steps, below a plot that ends at `bottom`.
pub(super) fn draw(runs: &[HistoryCurves], drawing: &mut Drawing, epochs: &Axis, bottom: f64) {
    let top = bottom + GAP;
    let rates = || runs.iter().flat_map(|run| run.learning_rates.iter().flatten().copied());
    let max = rates().fold(f64::MIN_POSITIVE, f64::max);
    let min = rates().filter(|&rate| rate > 0.0).fold(max, f64::min);
    let is_wide = max / min > 20.0;
    let scaled = |rate: f64| if is_wide { rate.max(min).ln() } else { rate };
    let (bottom_value, top_value) = (if is_wide { scaled(min) } else { 0.0 }, scaled(max));
    let y_of = |rate: f64| {
        let share = (scaled(rate) - bottom_value) / (top_value - bottom_value).max(f64::MIN_POSITIVE);
        top + HEIGHT - 4.0 - share * (HEIGHT - 8.0)
    };
    let right = WIDTH - RIGHT;
    drawing.line((LEFT, top), (right, top), Style::stroke(FAINT, 1.0));
    drawing.text(right, top - 5.0, "learning rate", NOTE, Anchor::End);
    // Two rates that are close have no room for both labels.
    let labelled = if y_of(min) - y_of(max) < 13.0 { &[max][..] } else { &[max, min] };
    for &rate in labelled {
        drawing.text(LEFT - 8.0, y_of(rate) + 4.0, &short(rate), NOTE, Anchor::End);
    }
    for (index, run) in runs.iter().enumerate() {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for (&epoch, rate) in run.epochs.iter().zip(&run.learning_rates) {
            let Some(rate) = *rate else { continue };
            let x = LEFT + epochs.position(epoch) * (right - LEFT);
            // A rate holds for its whole epoch, which ends at its point.
            points.extend(points.last().map(|&(before, _)| (before, y_of(rate))));
            points.push((x, y_of(rate)));
        }
        let color = if runs.len() == 1 { INK } else { PALETTE[index % PALETTE.len()] };
        drawing.polyline(thinned(points), Style::stroke(color, 1.5));
    }
}

/// `0.001`, `2.5e-7`: a learning rate, as short as it can be.
fn short(rate: f64) -> String {
    let plain = format!("{:.6}", rate);
    match rate {
        0.0 => "0".to_string(),
        rate if rate >= 1e-4 => plain.trim_end_matches('0').trim_end_matches('.').to_string(),
        _ => format!("{rate:.1e}"),
    }
}
