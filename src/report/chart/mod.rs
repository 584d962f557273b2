//! Curves over epochs: a panel for each metric, with training and validation of one run or the validation of
//! several.

mod curve;
mod frame;
mod learning_rates;
mod legend;
mod panel;

use super::axis::Scale;
use super::drawing::{Drawing, GREY, INK};
use super::font::Font;
use super::history_curves::HistoryCurves;
use panel::Panel;

const WIDTH: f64 = 820.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 26.0;
const PLOT_HEIGHT: f64 = 300.0;
/// The height of a line of text above a plot.
const ROW: f64 = 18.0;

const TITLE: Font = Font::new(19.0, INK).bold();
const LABEL: Font = Font::new(13.0, INK);
const NOTE: Font = Font::new(12.5, GREY);
const AXIS: &str = "#8a8a8a";

/// How curves are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChartOptions {
    /// Of the values.
    pub scale: Scale,
    /// Whether a comparison of several runs has their training curves, too.
    pub compares_training: bool,
}

/// Draws a panel for each metric, named without `val_`.
///
/// Of a single run, training is a solid line with filled markers, validation a dashed one with open markers; where
/// markers would be too close, both are solid and training is thinner: one can tell them apart without colour.
/// Several runs are compared by validation, or by training where a run has no other.
pub fn chart(runs: &[HistoryCurves], metrics: &[String], options: ChartOptions) -> Drawing {
    let panels: Vec<Panel> = metrics.iter().map(|metric| Panel::new(runs, metric, options)).collect();
    let height: f64 = panels.iter().map(Panel::height).sum();
    let mut drawing = Drawing::new(WIDTH, height + 8.0);
    let mut top = 0.0;
    for panel in &panels {
        panel.draw(&mut drawing, top);
        top += panel.height();
    }
    drawing
}

/// A value as a chart tells it: with four decimals or, if it is small or large, four digits.
fn value_text(value: f64) -> String {
    match value.abs() {
        size if size == 0.0 || (0.01..1000.0).contains(&size) => format!("{value:.4}"),
        size if (1e-4..1e6).contains(&size) => {
            let decimals = (3 - size.log10().floor() as i32).max(0) as usize;
            format!("{value:.decimals$}")
        }
        _ => format!("{value:.3e}"),
    }
}
