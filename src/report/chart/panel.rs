//! A panel: title, legend, marks, plot and epochs of one metric.

use super::curve::{Curve, Look};
use super::frame::{Frame, has_room_for_markers};
use super::learning_rates;
use super::legend::{Entry, Legend, Sample};
use super::{AXIS, ChartOptions, LABEL, LEFT, NOTE, PLOT_HEIGHT, RIGHT, ROW, TITLE, WIDTH, value_text};
use crate::report::drawing::{Drawing, PALETTE, Style};
use crate::report::font::Anchor;
use crate::report::history_curves::HistoryCurves;
use crate::report::labels::labels;

/// So few runs may have long names;
const LONG_NAMES: usize = 3;
/// those of more are this wide at most, so that the legend has two columns.
const NAME_IN_COLUMNS: f64 = 165.0;

/// A metric of all runs.
pub(super) struct Panel<'a> {
    title: String,
    curves: Vec<Curve<'a>>,
    runs: &'a [HistoryCurves],
    metric: &'a str,
    legend: Legend,
    /// Across the plot.
    test: Option<f64>,
    is_logarithmic: bool,
    has_training_beside: bool,
    shows_learning_rates: bool,
}

impl<'a> Panel<'a> {
    pub fn new(runs: &'a [HistoryCurves], metric: &'a str, options: ChartOptions) -> Panel<'a> {
        let has_markers = has_room_for_markers(runs);
        let (curves, legend) = match runs {
            [run] => single(run, metric, has_markers),
            _ => compared(runs, metric, has_markers, options.compares_training),
        };
        let test = match runs {
            [run] => run.test.get(metric).copied(),
            _ => None,
        };
        let values = curves.iter().flat_map(|curve| curve.values.iter().flatten()).chain(&test);
        let is_logarithmic = options.scale.is_logarithmic(&values.copied().collect::<Vec<_>>());
        let words = metric.replace('_', " ");
        let mut letters = words.chars();
        let title =
            letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
        Panel {
            title,
            has_training_beside: runs.len() > 1 && curves.len() > legend.len(),
            curves,
            runs,
            metric,
            legend: Legend::new(legend),
            test,
            is_logarithmic,
            shows_learning_rates: learning_rates::change(runs),
        }
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
        self.draw_title(drawing, top + 28.0);
        self.legend.draw(drawing, top + 36.0);

        let epochs = self.curves.iter().flat_map(|curve| &curve.run.epochs).copied();
        let values = self.curves.iter().flat_map(|curve| curve.values.iter().flatten()).chain(&self.test);
        let frame = Frame::new(epochs, values.copied(), top + self.head_height(), self.is_logarithmic);
        frame.draw_grid(drawing);
        if let [run] = self.runs {
            self.draw_marks(drawing, &frame, run);
        }
        if let Some(test) = self.test {
            let y = frame.y_of(test);
            drawing.line((LEFT, y), (WIDTH - RIGHT, y), test_stroke());
        }
        // The first ones, which are in the background or of training, are covered by the others.
        for curve in &self.curves {
            curve.draw(drawing, &frame);
        }
        for curve in self.best_curves() {
            let Some((epoch, value)) = curve.run.at_best(curve.values) else { continue };
            let center = (frame.x_of(epoch), frame.y_of(value));
            drawing.circle(center, 7.5, Style::stroke(curve.look.color, 1.8));
        }
        let mut bottom = frame.top + PLOT_HEIGHT;
        if self.shows_learning_rates {
            learning_rates::draw(self.runs, drawing, &frame.x, bottom);
            bottom += learning_rates::HEIGHT_WITH_GAP;
        }
        frame.draw_epochs(drawing, bottom);
    }

    /// What is drawn and how; at the right the name of a single run.
    fn draw_title(&self, drawing: &mut Drawing, y: f64) {
        drawing.text(LEFT, y, &self.title, TITLE, Anchor::Start);
        let curves = match (self.runs, self.has_training_beside) {
            ([_], _) => "",
            (_, true) => "validation (thin: training)",
            (_, false) => "validation",
        };
        let scale = if self.is_logarithmic { "logarithmic axis" } else { "" };
        let note = [curves, scale].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
        let x = LEFT + TITLE.width(&self.title) + 12.0;
        drawing.text(x, y, &note, NOTE, Anchor::Start);
        if let [run] = self.runs {
            let room = WIDTH - RIGHT - x - NOTE.width(&note) - 20.0;
            drawing.text(WIDTH - RIGHT, y, &NOTE.fit(&run.name, room), NOTE, Anchor::End);
        }
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
            let row = if run.stopped_early.is_some() { 1.0 } else { 0.0 };
            mark(*epoch, &self.best_text(*epoch, monitor), row, Style::stroke(AXIS, 1.0));
        }
        if let Some(epoch) = run.stopped_early {
            let text = format!("stopped early after epoch {epoch}");
            mark(epoch, &text, 0.0, Style::stroke(AXIS, 1.0).with_dash(Some([2.0, 3.0])));
        }
    }

    /// `best val_loss 0.0677, epoch 34`; in another panel what its own metric was then.
    fn best_text(&self, epoch: f64, monitor: &str) -> String {
        let curve = self.best_curves().next();
        let Some((curve, (_, value))) =
            curve.and_then(|curve| Some((curve, curve.run.at_best(curve.values)?)))
        else {
            return format!("best {monitor}: epoch {epoch}");
        };
        let name = format!("{}{}", if curve.is_validation { "val_" } else { "" }, self.metric);
        match name == monitor {
            true => format!("best {monitor} {}, epoch {epoch}", value_text(value)),
            false => format!("{name} {} at the best {monitor}, epoch {epoch}", value_text(value)),
        }
    }

    /// The curve of each run that is marked at its best epoch: the monitored one or, in another panel, validation.
    fn best_curves(&self) -> impl Iterator<Item = &Curve<'a>> {
        self.runs.iter().filter_map(|run| {
            let (_, monitor) = run.best.as_ref()?;
            let of_run = || self.curves.iter().filter(move |curve| std::ptr::eq(curve.run, run));
            let is_monitored = |curve: &&Curve| {
                let name =
                    if curve.is_validation { monitor.strip_prefix("val_") } else { Some(monitor.as_str()) };
                name == Some(self.metric)
            };
            of_run().find(is_monitored).or_else(|| of_run().next_back())
        })
    }
}

fn test_stroke() -> Style {
    Style::stroke(PALETTE[2], 1.6).with_dash(Some([1.6, 3.0]))
}

/// The curves of a run: training and validation.
fn single<'a>(run: &'a HistoryCurves, metric: &str, has_markers: bool) -> (Vec<Curve<'a>>, Vec<Entry>) {
    let (mut curves, mut legend) = (Vec::new(), Vec::new());
    let validation = format!("val_{metric}");
    for (is_validation, name, what) in [(false, metric, "training"), (true, &validation, "validation")] {
        let Some(values) = run.values(name) else { continue };
        let look = Look::of_single(is_validation);
        let look = if has_markers { look.with_markers() } else { look };
        curves.push(Curve { run, values, is_validation, look, has_markers });
        let sample = if has_markers { Sample::MarkedCurve(look) } else { Sample::Curve(look) };
        legend.push(Entry { label: what.to_string(), note: String::new(), sample });
    }
    if let Some(&test) = run.test.get(metric) {
        let label = format!("test {}", value_text(test));
        legend.push(Entry { label, note: String::new(), sample: Sample::Line(test_stroke()) });
    }
    (curves, legend)
}

/// The validation of each run or, where it has none, its training; if asked for, both.
fn compared<'a>(
    runs: &'a [HistoryCurves],
    metric: &str,
    has_markers: bool,
    with_training: bool,
) -> (Vec<Curve<'a>>, Vec<Entry>) {
    let (mut background, mut curves, mut legend) = (Vec::new(), Vec::new(), Vec::new());
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    let room = if runs.len() <= LONG_NAMES { WIDTH / 3.0 } else { NAME_IN_COLUMNS };
    for ((index, run), name) in runs.iter().enumerate().zip(labels(LABEL, &names, room)) {
        let look = Look::of_run(index);
        let (training, validation) = (run.values(metric), run.values(&format!("val_{metric}")));
        let Some(values) = validation.or(training) else { continue };
        if let Some(values) = training.filter(|_| with_training && validation.is_some()) {
            let look = look.in_background();
            background.push(Curve { run, values, is_validation: false, look, has_markers: false });
        }
        let is_validation = validation.is_some();
        curves.push(Curve { run, values, is_validation, look, has_markers });
        let label = if is_validation { name } else { format!("{name} (training)") };
        let note = match run.at_best(values) {
            Some((epoch, value)) => format!("{}, epoch {epoch}", value_text(value)),
            None => String::new(),
        };
        let sample = if has_markers { Sample::MarkedCurve(look) } else { Sample::Curve(look) };
        legend.push(Entry { label, note, sample });
    }
    background.append(&mut curves);
    (background, legend)
}
