//! Curves over epochs: a panel a metric, training and validation in each, for one run or several. It must
//! not know where the curves come from.

use super::axis::Axis;
use super::curves::Curves;
use super::drawing::{Drawing, FAINT, GREY, INK, PALETTE, Style};
use super::font::{Anchor, Font};

const WIDTH: f64 = 820.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 26.0;
const PLOT_HEIGHT: f64 = 300.0;
/// For the learning rate below a panel.
const STRIP_HEIGHT: f64 = 44.0;
const ROW: f64 = 18.0;
/// Markers nearer to each other than this are thinned out.
const MARKER_DISTANCE: f64 = 9.0;

const TITLE: Font = Font::new(19.0, INK).bold();
const LABEL: Font = Font::new(13.0, INK);
const NOTE: Font = Font::new(12.5, GREY);
const AXIS: &str = "#8a8a8a";

/// Draws a panel for each metric, named without `val_`. Training is a solid line with filled markers,
/// validation a dashed one with open markers, so that both are told apart without colour.
pub fn chart(runs: &[Curves], metrics: &[String]) -> Drawing {
    let panels: Vec<Panel> = metrics.iter().map(|metric| Panel::new(runs, metric)).collect();
    let height: f64 = panels.iter().map(Panel::height).sum();
    let mut picture = Drawing::new(WIDTH, height + 8.0);
    let mut top = 0.0;
    for panel in &panels {
        panel.draw(&mut picture, top);
        top += panel.height();
    }
    picture
}

/// A curve of a panel, and how it looks.
struct Curve<'a> {
    label: String,
    run: &'a Curves,
    values: &'a [Option<f64>],
    color: &'static str,
    marker: Marker,
    is_validation: bool,
}

#[derive(Clone, Copy)]
enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
}

const MARKERS: [Marker; 4] = [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond];

impl Curve<'_> {
    fn stroke(&self) -> Style {
        Style::stroke(self.color, 2.0).with_dash(self.is_validation.then_some([7.0, 4.0]))
    }

    fn draw_marker(&self, picture: &mut Drawing, (x, y): (f64, f64)) {
        let fill = if self.is_validation { "#ffffff" } else { self.color };
        let style = Style::fill(fill).with_stroke(self.color, 1.4);
        let place = |points: &[(f64, f64)]| points.iter().map(|&(dx, dy)| (x + dx, y + dy)).collect();
        match self.marker {
            Marker::Circle => picture.circle((x, y), 3.0, style),
            Marker::Square => picture.rectangle(x - 2.8, y - 2.8, 5.6, 5.6, style),
            Marker::Triangle => picture.polygon(place(&[(0.0, -3.8), (3.6, 2.6), (-3.6, 2.6)]), style),
            Marker::Diamond => {
                picture.polygon(place(&[(0.0, -4.2), (3.6, 0.0), (0.0, 4.2), (-3.6, 0.0)]), style);
            }
        }
    }
}

struct Panel<'a> {
    title: String,
    curves: Vec<Curve<'a>>,
    runs: &'a [Curves],
    metric: &'a str,
    legend: Vec<Vec<usize>>,
    has_strip: bool,
}

impl<'a> Panel<'a> {
    fn new(runs: &'a [Curves], metric: &'a str) -> Panel<'a> {
        let validation = format!("val_{metric}");
        let mut curves = Vec::new();
        for (number, run) in runs.iter().enumerate() {
            for (is_validation, name, what) in
                [(false, metric, "training"), (true, validation.as_str(), "validation")]
            {
                let Some(values) = run.values(name) else { continue };
                // A single run has its colours to itself: one a curve.
                let look = if runs.len() == 1 { usize::from(is_validation) } else { number };
                let label = match runs.len() {
                    1 => what.to_string(),
                    _ => format!("{}, {what}", NOTE.fit(&run.name, WIDTH / 3.0)),
                };
                curves.push(Curve {
                    label,
                    run,
                    values,
                    color: PALETTE[look % PALETTE.len()],
                    marker: MARKERS[look % MARKERS.len()],
                    is_validation,
                });
            }
        }
        let mut letters = metric.chars();
        let title =
            letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
        let has_strip = runs.iter().any(|run| {
            let mut rates = run.learning_rates.iter().flatten();
            let first = rates.next();
            rates.any(|rate| Some(rate) != first)
        });
        let legend = legend_rows(&curves);
        Panel { title, curves, runs, metric, legend, has_strip }
    }

    fn head_height(&self) -> f64 {
        // Title, legend, marks.
        let marks = match self.runs {
            [run] => usize::from(run.best.is_some()) + usize::from(run.stopped_early.is_some()),
            _ => 0,
        };
        44.0 + ROW * (self.legend.len() + marks) as f64 + if marks > 0 { 8.0 } else { 6.0 }
    }

    fn height(&self) -> f64 {
        self.head_height() + PLOT_HEIGHT + if self.has_strip { STRIP_HEIGHT + 22.0 } else { 0.0 } + 50.0
    }

    fn draw(&self, picture: &mut Drawing, top: f64) {
        picture.text(LEFT, top + 28.0, &self.title, TITLE, Anchor::Start);
        if let [run] = self.runs {
            let room = WIDTH - RIGHT - LEFT - TITLE.width(&self.title) - 30.0;
            picture.text(WIDTH - RIGHT, top + 28.0, &NOTE.fit(&run.name, room), NOTE, Anchor::End);
        }
        self.draw_legend(picture, top + 36.0);

        let frame = Frame::new(&self.curves, top + self.head_height());
        frame.draw_grid(picture);
        if let [run] = self.runs {
            self.draw_marks(picture, &frame, run);
        }
        for curve in &self.curves {
            draw_curve(picture, &frame, curve);
        }
        self.draw_best_points(picture, &frame);
        let mut bottom = frame.top + PLOT_HEIGHT;
        if self.has_strip {
            self.draw_strip(picture, &frame.x, bottom + 22.0);
            bottom += STRIP_HEIGHT + 22.0;
        }
        draw_epochs(picture, &frame.x, bottom);
    }

    fn draw_legend(&self, picture: &mut Drawing, top: f64) {
        for (row, curves) in self.legend.iter().enumerate() {
            let mut x = LEFT;
            let y = top + ROW * row as f64 + 9.0;
            for curve in curves.iter().map(|&number| &self.curves[number]) {
                picture.line((x, y), (x + 34.0, y), curve.stroke());
                curve.draw_marker(picture, (x + 17.0, y));
                picture.text(x + 40.0, y + 4.5, &curve.label, LABEL, Anchor::Start);
                x += entry_width(curve);
            }
        }
    }

    /// The best epoch and the early stop: a line across the panel, and a word above it.
    fn draw_marks(&self, picture: &mut Drawing, frame: &Frame, run: &Curves) {
        let mut mark = |epoch: f64, text: &str, row: f64, style: Style| {
            let x = frame.x_of(epoch);
            picture.line((x, frame.top), (x, frame.top + PLOT_HEIGHT), style);
            let half = NOTE.width(text) / 2.0;
            let middle = x.clamp(LEFT + half, (WIDTH - RIGHT - half).max(LEFT + half));
            picture.text(middle, frame.top - 8.0 - ROW * row, text, NOTE, Anchor::Middle);
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

    /// A ring about each run's best epoch, on the curve that says so or, in another panel, on validation.
    fn draw_best_points(&self, picture: &mut Drawing, frame: &Frame) {
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
                picture.circle(center, 7.5, Style::stroke(curve.color, 1.8));
            }
        }
    }

    /// The learning rate of each run as steps, on a scale of its own.
    fn draw_strip(&self, picture: &mut Drawing, epochs: &Axis, top: f64) {
        let rates = || self.runs.iter().flat_map(|run| run.learning_rates.iter().flatten().copied());
        let greatest = rates().fold(f64::MIN_POSITIVE, f64::max);
        let least = rates().filter(|&rate| rate > 0.0).fold(greatest, f64::min);
        let is_wide = greatest / least > 20.0;
        let scaled = |rate: f64| if is_wide { rate.max(least).ln() } else { rate };
        let (bottom_value, top_value) = (if is_wide { scaled(least) } else { 0.0 }, scaled(greatest));
        let y_of = |rate: f64| {
            let share = (scaled(rate) - bottom_value) / (top_value - bottom_value).max(f64::MIN_POSITIVE);
            top + STRIP_HEIGHT - 4.0 - share * (STRIP_HEIGHT - 8.0)
        };
        let right = WIDTH - RIGHT;
        picture.line((LEFT, top), (right, top), Style::stroke(FAINT, 1.0));
        let note = "learning rate";
        picture.text(right, top - 5.0, note, NOTE, Anchor::End);
        for rate in [greatest, least] {
            picture.text(LEFT - 8.0, y_of(rate) + 4.0, &short(rate), NOTE, Anchor::End);
        }
        for (number, run) in self.runs.iter().enumerate() {
            let mut points: Vec<(f64, f64)> = Vec::new();
            for (&epoch, rate) in run.epochs.iter().zip(&run.learning_rates) {
                let Some(rate) = *rate else { continue };
                let x = LEFT + epochs.position(epoch) * (right - LEFT);
                // The rate is that of the whole epoch, which ends at its point.
                points.extend(points.last().map(|&(before, _)| (before, y_of(rate))));
                points.push((x, y_of(rate)));
            }
            let color = if self.runs.len() == 1 { INK } else { PALETTE[number % PALETTE.len()] };
            picture.polyline(points, Style::stroke(color, 1.5));
        }
    }
}

/// The plot's area with its scales.
struct Frame {
    top: f64,
    x: Axis,
    y: Axis,
}

impl Frame {
    fn new(curves: &[Curve], top: f64) -> Frame {
        let epochs = || curves.iter().flat_map(|curve| &curve.run.epochs).copied();
        let values = || curves.iter().flat_map(|curve| curve.values.iter().flatten()).copied();
        let range = |mut values: Box<dyn Iterator<Item = f64> + '_>| {
            let first = values.next()?;
            Some(values.fold((first, first), |(least, greatest), v| (least.min(v), greatest.max(v))))
        };
        let (first, last) = range(Box::new(epochs())).unwrap_or((1.0, 1.0));
        let (mut least, mut greatest) = range(Box::new(values())).unwrap_or((0.0, 1.0));
        // Some room, so that no point lies on the frame; but not beyond the ends of what is a share.
        let room = 0.03 * (greatest - least);
        let is_share = least >= 0.0 && greatest <= 1.0;
        greatest = if is_share { (greatest + room).min(1.0) } else { greatest + room };
        // Zero is worth showing where it is not far.
        least = if least >= 0.0 && least < 0.35 * greatest { 0.0 } else { least - room };
        Frame { top, x: Axis::of_epochs(first, last, 10), y: Axis::covering(least, greatest, 6) }
    }

    fn x_of(&self, epoch: f64) -> f64 {
        LEFT + self.x.position(epoch) * (WIDTH - LEFT - RIGHT)
    }

    fn y_of(&self, value: f64) -> f64 {
        self.top + (1.0 - self.y.position(value)) * PLOT_HEIGHT
    }

    fn draw_grid(&self, picture: &mut Drawing) {
        for &tick in &self.y.ticks {
            let y = self.y_of(tick);
            picture.line((LEFT, y), (WIDTH - RIGHT, y), Style::stroke(FAINT, 1.0));
            picture.text(LEFT - 8.0, y + 4.0, &self.y.label(tick), NOTE, Anchor::End);
        }
        let bottom = self.top + PLOT_HEIGHT;
        picture.line((LEFT, self.top), (LEFT, bottom), Style::stroke(AXIS, 1.0));
        picture.line((LEFT, bottom), (WIDTH - RIGHT, bottom), Style::stroke(AXIS, 1.0));
    }
}

fn draw_curve(picture: &mut Drawing, frame: &Frame, curve: &Curve) {
    let points: Vec<Option<(f64, f64)>> = curve
        .run
        .epochs
        .iter()
        .zip(curve.values)
        .map(|(&epoch, value)| value.map(|value| (frame.x_of(epoch), frame.y_of(value))))
        .collect();
    for piece in points.split(Option::is_none) {
        let piece: Vec<(f64, f64)> = piece.iter().flatten().copied().collect();
        if piece.len() > 1 {
            picture.polyline(piece, curve.stroke().with_round_joins());
        }
    }
    let spacing = (WIDTH - LEFT - RIGHT) / (points.len().max(2) - 1) as f64;
    let every = (MARKER_DISTANCE / spacing).ceil().max(1.0) as usize;
    for (index, point) in points.iter().enumerate() {
        // A point between two gaps has no line to be seen by.
        let is_alone = [index.wrapping_sub(1), index + 1]
            .iter()
            .all(|&beside| points.get(beside).copied().flatten().is_none());
        if let Some(point) = point.filter(|_| index % every == 0 || is_alone) {
            curve.draw_marker(picture, point);
        }
    }
}

fn draw_epochs(picture: &mut Drawing, axis: &Axis, bottom: f64) {
    for &tick in &axis.ticks {
        let x = LEFT + axis.position(tick) * (WIDTH - LEFT - RIGHT);
        picture.line((x, bottom), (x, bottom + 4.0), Style::stroke(AXIS, 1.0));
        picture.text(x, bottom + 18.0, &axis.label(tick), NOTE, Anchor::Middle);
    }
    picture.text((LEFT + WIDTH - RIGHT) / 2.0, bottom + 38.0, "epoch", LABEL, Anchor::Middle);
}

fn entry_width(curve: &Curve) -> f64 {
    40.0 + LABEL.width(&curve.label) + 26.0
}

/// The curves of each row of the legend, as many as fit.
fn legend_rows(curves: &[Curve]) -> Vec<Vec<usize>> {
    let mut rows: Vec<Vec<usize>> = vec![Vec::new()];
    let mut x = LEFT;
    for (number, curve) in curves.iter().enumerate() {
        let width = entry_width(curve);
        if x + width > WIDTH && rows.last().is_some_and(|row| !row.is_empty()) {
            rows.push(Vec::new());
            x = LEFT;
        }
        x += width;
        rows.last_mut().into_iter().for_each(|row| row.push(number));
    }
    rows
}

/// `0.001`, `2.5e-7`: a learning rate with what is needed to tell it.
fn short(rate: f64) -> String {
    let plain = format!("{:.6}", rate);
    match rate {
        0.0 => "0".to_string(),
        rate if rate >= 1e-4 => plain.trim_end_matches('0').trim_end_matches('.').to_string(),
        _ => format!("{rate:.1e}"),
    }
}
