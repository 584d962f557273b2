//! Curves over epochs: a panel for each metric, with training and validation, for one run or several.

mod curve;
mod frame;
mod learning_rates;
mod legend;
mod panel;

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

/// Draws a panel for each metric, named without `val_`. Training is a solid line with filled markers,
/// validation a dashed one with open markers: one can tell them apart without colour.
pub fn chart(runs: &[HistoryCurves], metrics: &[String]) -> Drawing {
    let panels: Vec<Panel> = metrics.iter().map(|metric| Panel::new(runs, metric)).collect();
    let height: f64 = panels.iter().map(Panel::height).sum();
    let mut drawing = Drawing::new(WIDTH, height + 8.0);
    let mut top = 0.0;
    for panel in &panels {
        panel.draw(&mut drawing, top);
        top += panel.height();
    }
    drawing
}
