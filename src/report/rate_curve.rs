//! The curve of a test of learning rates: the loss of its steps over their rates, and the rate that was chosen.

use super::axis::{Axis, range};
use super::drawing::{Drawing, FAINT, GREY, INK, PALETTE, Style};
use super::font::{Anchor, Font};

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 430.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 76.0;
const BOTTOM: f64 = 370.0;
const TITLE: Font = Font::new(19.0, INK).bold();
const LABEL: Font = Font::new(13.0, INK);
const NOTE: Font = Font::new(12.5, GREY);
const AXIS: &str = "#8a8a8a";

/// A step of a test.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RatePoint {
    /// The learning rate of the step, above 0.
    pub learning_rate: f64,
    /// The loss of its batch.
    pub loss: f64,
    /// That and those before it, smoothed.
    pub smoothed_loss: f64,
}

/// Draws the losses of the steps as points, their smoothed course as a line, and the chosen rate as a line across both.
/// What is not finite or rises far above the first losses is left out.
pub fn rate_curve(points: &[RatePoint], chosen: f64) -> Drawing {
    let finite = |point: &&RatePoint| point.loss.is_finite() && point.smoothed_loss.is_finite();
    let points: Vec<&RatePoint> = points.iter().filter(finite).collect();
    let mut drawing = Drawing::new(WIDTH, HEIGHT);
    drawing.text(LEFT, 28.0, "Learning-rate test", TITLE, Anchor::Start);
    drawing.text(LEFT, 48.0, "points: loss of each step; line: smoothed", NOTE, Anchor::Start);
    let rates = points.iter().map(|point| point.learning_rate).chain([chosen]);
    let (lowest, highest) = range(rates).unwrap_or((chosen, chosen));
    // How high the loss goes in the end tells nothing: room is for the fall.
    let first = points.iter().take(20).map(|point| point.loss);
    let (lowest_first, highest_first) = range(first).unwrap_or((0.0, 1.0));
    let min = points.iter().map(|point| point.smoothed_loss).fold(lowest_first, f64::min);
    let max = highest_first + 0.3 * (highest_first - min);
    let x = Axis::logarithmic(lowest, highest, 6);
    let y = Axis::covering(if min < 0.35 * max { 0.0 } else { min }, max, 6);
    let is_shown = |loss: f64| (y.range.0..=y.range.1).contains(&loss);
    let x_of = |rate: f64| LEFT + x.position(rate) * (WIDTH - LEFT - RIGHT);
    let y_of = |loss: f64| BOTTOM - y.position(loss) * (BOTTOM - TOP);
    for &tick in &y.ticks {
        drawing.line((LEFT, y_of(tick)), (WIDTH - RIGHT, y_of(tick)), Style::stroke(FAINT, 1.0));
        drawing.text(LEFT - 8.0, y_of(tick) + 4.0, &y.label(tick), NOTE, Anchor::End);
    }
    for &tick in &x.ticks {
        drawing.line((x_of(tick), BOTTOM), (x_of(tick), BOTTOM + 4.0), Style::stroke(AXIS, 1.0));
        drawing.text(x_of(tick), BOTTOM + 18.0, &x.label(tick), NOTE, Anchor::Middle);
    }
    drawing.text((LEFT + WIDTH - RIGHT) / 2.0, BOTTOM + 40.0, "learning rate", LABEL, Anchor::Middle);
    drawing.turned_text(20.0, (TOP + BOTTOM) / 2.0, "loss", LABEL, Anchor::Middle, -90.0);
    drawing.line((LEFT, TOP), (LEFT, BOTTOM), Style::stroke(AXIS, 1.0));
    drawing.line((LEFT, BOTTOM), (WIDTH - RIGHT, BOTTOM), Style::stroke(AXIS, 1.0));
    for point in points.iter().filter(|point| is_shown(point.loss)) {
        drawing.circle((x_of(point.learning_rate), y_of(point.loss)), 2.2, Style::fill("#b5cfe0"));
    }
    let line = points.iter().take_while(|point| is_shown(point.smoothed_loss));
    let line = line.map(|point| (x_of(point.learning_rate), y_of(point.smoothed_loss)));
    drawing.polyline(line.collect(), Style::stroke(PALETTE[0], 2.0).with_round_joins());
    let (at, text) = (x_of(chosen), format!("chosen: {chosen}"));
    drawing.line((at, TOP), (at, BOTTOM), Style::stroke(PALETTE[1], 1.6).with_dash(Some([7.0, 4.0])));
    let half = LABEL.width(&text) / 2.0;
    drawing.text(at.clamp(LEFT + half, WIDTH - RIGHT - half), TOP - 8.0, &text, LABEL, Anchor::Middle);
    drawing
}
