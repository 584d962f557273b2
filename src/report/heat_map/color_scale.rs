//! What the colours mean.

use super::{NOTE, percent};
use crate::report::drawing::{Drawing, FAINT, Style};
use crate::report::font::Anchor;

const HEIGHT: f64 = 150.0;
const BAR: f64 = 40.0;
const STEPS: usize = 75;
/// The labelled shares.
const SHARES: [f64; 5] = [1.0, 0.5, 0.25, 0.1, 0.01];

/// The colour of a cell and how dark it is, from 0 to 1.
pub(super) fn color(share: f64, is_right: bool) -> (String, f64) {
    // The root of the share, so that a single mistake among thousands can still be seen.
    let shade = share.sqrt();
    let full = if is_right { [0, 90, 150] } else { [190, 60, 0] };
    let [red, green, blue] = full.map(|part: u8| (255.0 + (f64::from(part) - 255.0) * shade).round() as u8);
    (format!("#{red:02x}{green:02x}{blue:02x}"), shade)
}

/// Two bars from white to the full colours, of right ones and of mistakes.
pub(super) struct ColorScale {
    pub left: f64,
    top: f64,
}

impl ColorScale {
    /// Beside cells that end at `edge` and begin at `top`.
    pub fn beside(edge: f64, top: f64) -> ColorScale {
        ColorScale { left: edge + 36.0, top: top + 40.0 }
    }

    pub fn right(&self) -> f64 {
        self.left + 2.0 * BAR + 60.0
    }

    pub fn bottom(&self) -> f64 {
        self.top + HEIGHT
    }

    pub fn draw(&self, drawing: &mut Drawing) {
        let &ColorScale { left, top, .. } = self;
        drawing.text(left, top - 28.0, "share of the true class", NOTE, Anchor::Start);
        for (bar, is_right) in [true, false].into_iter().enumerate() {
            let x = left + BAR * bar as f64;
            let name = if is_right { "right" } else { "wrong" };
            drawing.text(x + BAR / 2.0, top - 7.0, name, NOTE, Anchor::Middle);
            let step = HEIGHT / STEPS as f64;
            for index in 0..STEPS {
                let shade = 1.0 - (index as f64 + 0.5) / STEPS as f64;
                let (fill, _) = color(shade * shade, is_right);
                drawing.rectangle(x, top + step * index as f64, BAR, step + 0.2, Style::fill(fill));
            }
            drawing.rectangle(x, top, BAR, HEIGHT, Style::stroke(FAINT, 1.0));
        }
        for share in SHARES {
            let y = top + HEIGHT * (1.0 - share.sqrt());
            let right = left + 2.0 * BAR;
            drawing.line((right, y), (right + 4.0, y), Style::stroke("#8a8a8a", 1.0));
            drawing.text(right + 8.0, y + 4.0, &percent(share), NOTE, Anchor::Start);
        }
    }
}
