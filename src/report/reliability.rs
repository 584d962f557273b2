//! The reliability diagram of a classifier: how often its predictions are right, by their probability, and how many
//! predictions each bin has.

use super::axis::Axis;
use super::drawing::{Drawing, FAINT, GREY, INK, PALETTE, Style};
use super::font::{Anchor, Font};
use crate::metrics::Calibration;
use crate::text::with_separators;

const WIDTH: f64 = 560.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 26.0;
const TOP: f64 = 100.0;
/// As high as it is wide: the diagonal is one.
const BOTTOM: f64 = TOP + WIDTH - LEFT - RIGHT;
const COUNTS_TOP: f64 = BOTTOM + 16.0;
const COUNTS_BOTTOM: f64 = COUNTS_TOP + 48.0;
const HEIGHT: f64 = COUNTS_BOTTOM + 50.0;
const TITLE: Font = Font::new(19.0, INK).bold();
const LABEL: Font = Font::new(13.0, INK);
const NOTE: Font = Font::new(12.5, GREY);
const AXIS: &str = "#8a8a8a";
/// Between two bars.
const GAP: f64 = 2.0;

/// Draws the accuracy of each bin as a bar, the distance to its mean probability in another colour, and the
/// number of predictions in each bin below. The predictions of a calibrated classifier lie on the diagonal.
pub fn reliability_diagram(name: &str, calibration: &Calibration) -> Drawing {
    let mut drawing = Drawing::new(WIDTH, HEIGHT);
    let axis = Axis::covering(0.0, 1.0, 5);
    let x_of = |probability: f64| LEFT + axis.position(probability) * (WIDTH - LEFT - RIGHT);
    let y_of = |share: f64| BOTTOM - axis.position(share) * (BOTTOM - TOP);
    drawing.text(LEFT, 28.0, "Reliability", TITLE, Anchor::Start);
    let room = WIDTH - RIGHT - LEFT - TITLE.width("Reliability") - 20.0;
    drawing.text(WIDTH - RIGHT, 28.0, &NOTE.fit(name, room), NOTE, Anchor::End);
    let summary = format!(
        "expected calibration error {:.4}, {} predictions",
        calibration.expected_error(),
        with_separators(calibration.samples() as i64)
    );
    drawing.text(LEFT, 50.0, &summary, LABEL, Anchor::Start);
    draw_legend(&mut drawing, 72.0);
    for &tick in &axis.ticks {
        drawing.line((LEFT, y_of(tick)), (WIDTH - RIGHT, y_of(tick)), Style::stroke(FAINT, 1.0));
        drawing.text(LEFT - 8.0, y_of(tick) + 4.0, &axis.label(tick), NOTE, Anchor::End);
        let at = x_of(tick);
        drawing.line((at, COUNTS_BOTTOM), (at, COUNTS_BOTTOM + 4.0), Style::stroke(AXIS, 1.0));
        drawing.text(at, COUNTS_BOTTOM + 18.0, &axis.label(tick), NOTE, Anchor::Middle);
    }
    let most = calibration.bins.iter().map(|bin| bin.samples).max().unwrap_or_default().max(1);
    let width = 1.0 / calibration.bins.len().max(1) as f64;
    for (index, bin) in calibration.bins.iter().enumerate().filter(|(_, bin)| bin.samples > 0) {
        let left = x_of(index as f64 * width) + GAP / 2.0;
        let mut bar = |bottom: f64, top: f64, style: Style| {
            drawing.rectangle(left, top, x_of(width) - LEFT - GAP, bottom - top, style);
        };
        bar(BOTTOM, y_of(bin.accuracy), Style::fill(PALETTE[0]));
        let (low, high) = (bin.accuracy.min(bin.confidence), bin.accuracy.max(bin.confidence));
        bar(y_of(low), y_of(high), gap_style(bin.accuracy < bin.confidence));
        // Where the bar ends, whatever lies over it.
        let right = left + x_of(width) - LEFT - GAP;
        drawing.line((left, y_of(bin.accuracy)), (right, y_of(bin.accuracy)), accuracy_line());
        // One prediction alone is seen, too.
        let height = (bin.samples as f64 / most as f64 * (COUNTS_BOTTOM - COUNTS_TOP)).max(1.0);
        drawing.rectangle(left, COUNTS_BOTTOM - height, right - left, height, Style::fill(GREY));
    }
    let diagonal = Style::stroke(INK, 1.4).with_dash(Some([5.0, 4.0]));
    drawing.line((x_of(0.0), y_of(0.0)), (x_of(1.0), y_of(1.0)), diagonal);
    for (top, bottom) in [(TOP, BOTTOM), (COUNTS_TOP, COUNTS_BOTTOM)] {
        drawing.line((LEFT, top), (LEFT, bottom), Style::stroke(AXIS, 1.0));
        drawing.line((LEFT, bottom), (WIDTH - RIGHT, bottom), Style::stroke(AXIS, 1.0));
    }
    drawing.text(LEFT - 8.0, COUNTS_TOP + 10.0, &with_separators(most as i64), NOTE, Anchor::End);
    let middle = (LEFT + WIDTH - RIGHT) / 2.0;
    drawing.text(middle, COUNTS_BOTTOM + 38.0, "probability of the predicted class", LABEL, Anchor::Middle);
    drawing.turned_text(20.0, (TOP + BOTTOM) / 2.0, "accuracy", LABEL, Anchor::Middle, -90.0);
    drawing.turned_text(20.0, (COUNTS_TOP + COUNTS_BOTTOM) / 2.0, "count", LABEL, Anchor::Middle, -90.0);
    drawing
}

/// The distance between accuracy and mean probability: above the accuracy where the classifier is too sure, the upper
/// part of the accuracy where it is not sure enough.
fn gap_style(is_too_sure: bool) -> Style {
    match is_too_sure {
        true => Style::fill("#f3c9a8").with_stroke(PALETTE[1], 1.4),
        false => Style::fill("#b5cfe0").with_stroke(PALETTE[0], 1.4),
    }
}

fn accuracy_line() -> Style {
    Style::stroke(INK, 2.4)
}

fn draw_legend(drawing: &mut Drawing, y: f64) {
    let mut x = LEFT;
    for (label, style) in [
        ("accuracy", Style::fill(PALETTE[0])),
        ("too sure by", gap_style(true)),
        ("not sure enough by", gap_style(false)),
    ] {
        drawing.rectangle(x, y - 9.0, 16.0, 10.0, style);
        if label == "accuracy" {
            drawing.line((x, y - 9.0), (x + 16.0, y - 9.0), accuracy_line());
        }
        drawing.text(x + 22.0, y, label, NOTE, Anchor::Start);
        x += 22.0 + NOTE.width(label) + 20.0;
    }
}
