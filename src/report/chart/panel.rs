//! A panel: title, legend, marks, plot and epochs of one metric.

use super::curve::Curve;
use super::frame::Frame;
use super::learning_rates;
use super::legend::Legend;
use super::{AXIS, LEFT, NOTE, PLOT_HEIGHT, RIGHT, ROW, TITLE, WIDTH};
use crate::report::drawing::{Drawing, Style};
use crate::report::font::Anchor;
use crate::report::history_curves::HistoryCurves;

/// A metric of all runs, for training and validation.
pub(super) struct Panel<'a> {
    title: String,
    curves: Vec<Curve<'a>>,
    runs: &'a [HistoryCurves],
    metric: &'a str,
    legend: Legend,
    shows_learning_rates: bool,
}

impl<'a> Panel<'a> {
    pub fn new(runs: &'a [HistoryCurves], metric: &'a str) -> Panel<'a> {
        let validation = format!("val_{metric}");
        let mut curves = Vec::new();
        for (index, run) in runs.iter().enumerate() {
            for (is_validation, name, what) in
                [(false, metric, "training"), (true, validation.as_str(), "validation")]
            {
                let Some(values) = run.values(name) else { continue };
                // A single run has a colour for each of its two curves.
                let look = if runs.len() == 1 { usize::from(is_validation) } else { index };
                let label = match runs.len() {
                    1 => what.to_string(),
                    _ => format!("{}, {what}", NOTE.fit(&run.name, WIDTH / 3.0)),
                };
                curves.push(Curve::new(label, run, values, is_validation, look));
            }
        }
        let mut letters = metric.chars();
        let title =
            letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
        let (legend, shows_learning_rates) = (Legend::new(&curves), learning_rates::change(runs));
        Panel { title, curves, runs, metric, legend, shows_learning_rates }
    }

    fn head_height(&self) -> f64 {
        // Title, legend, marks.
        let marks = match self.runs {
            [run] => usize::from(run.best.is_some()) + usize::from(run.stopped_early.is_some()),
            _ => 0,
        };
        44.0 + self.legend.height() + ROW * marks as f64 + if marks > 0 { 8.0 } else { 6.0 }
    }

    pub fn height(&self) -> f64 {
        self.head_height()
            + PLOT_HEIGHT
            + if self.shows_learning_rates { learning_rates::HEIGHT_WITH_GAP } else { 0.0 }
            + 50.0
    }

    pub fn draw(&self, drawing: &mut Drawing, top: f64) {
        drawing.text(LEFT, top + 28.0, &self.title, TITLE, Anchor::Start);
        if let [run] = self.runs {
            let room = WIDTH - RIGHT - LEFT - TITLE.width(&self.title) - 30.0;
            drawing.text(WIDTH - RIGHT, top + 28.0, &NOTE.fit(&run.name, room), NOTE, Anchor::End);
        }
        self.legend.draw(&self.curves, drawing, top + 36.0);

        let epochs = self.curves.iter().flat_map(|curve| &curve.run.epochs).copied();
        let values = self.curves.iter().flat_map(|curve| curve.values.iter().flatten()).copied();
        let frame = Frame::new(epochs, values, top + self.head_height());
        frame.draw_grid(drawing);
        if let [run] = self.runs {
            self.draw_marks(drawing, &frame, run);
        }
        for curve in &self.curves {
            curve.draw(drawing, &frame);
        }
        self.draw_best_points(drawing, &frame);
        let mut bottom = frame.top + PLOT_HEIGHT;
        if self.shows_learning_rates {
            learning_rates::draw(self.runs, drawing, &frame.x, bottom);
            bottom += learning_rates::HEIGHT_WITH_GAP;
        }
        frame.draw_epochs(drawing, bottom);
    }

    /// The best epoch and the early stop: a line across the plot, and a note above it.
    fn draw_marks(&self, drawing: &mut Drawing, frame: &Frame, run: &HistoryCurves) {
        let mut mark = |epoch: f64, text: &str, row: f64, style: Style| {
            let x = frame.x_of(epoch);
            drawing.line((x, frame.top), (x, frame.top + PLOT_HEIGHT), style);
            let half = NOTE.width(text) / 2.0;
            let middle = x.clamp(LEFT + half, (WIDTH - RIGHT - half).max(LEFT + half));
            drawing.text(middle, frame.top - 8.0 - ROW * row, text, NOTE, Anchor::Middle);
        };
        if let Some((epoch, monitor)) = &run.best {
            let text = format!("best {monitor}: epoch {epoch}");
            let row = if run.stopped_early.is_some() { 1.0 } else { 0.0 };
            mark(*epoch, &text, row, Style::stroke(AXIS, 1.0));
        }
        if let Some(epoch) = run.stopped_early {
            let text = format!("stopped early after epoch {epoch}");
            mark(epoch, &text, 0.0, Style::stroke(AXIS, 1.0).with_dash(Some([2.0, 3.0])));
        }
    }

    /// A ring at each run's best epoch: on the monitored curve or, in another panel, on validation.
    fn draw_best_points(&self, drawing: &mut Drawing, frame: &Frame) {
        for run in self.runs {
            let Some((epoch, monitor)) = &run.best else { continue };
            let of_run = || self.curves.iter().filter(|curve| std::ptr::eq(curve.run, run));
            let is_monitored = |curve: &&Curve| {
                curve.is_validation == monitor.starts_with("val_") && monitor.ends_with(self.metric)
            };
            let Some(curve) = of_run().find(is_monitored).or_else(|| of_run().next_back()) else { continue };
            let index = run.epochs.iter().position(|known| known == epoch);
            let value = index.and_then(|index| curve.values[index]);
            if let Some(value) = value {
                let center = (frame.x_of(*epoch), frame.y_of(value));
                drawing.circle(center, 7.5, Style::stroke(curve.color, 1.8));
            }
        }
    }
}
