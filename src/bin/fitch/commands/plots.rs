//! The plots of a run folder: drawn while training runs, and when it has ended.

use super::mistakes::{draw_mistakes, mistakes_csv};
use super::output_file::check_writable;
use super::run_page::page_of;
use crate::failure::{self, UsageError};
use crate::terminal::Terminal;
use anyhow::{Context, Result};
use fitch::data::Dataset;
use fitch::files::write_whole;
use fitch::metrics::{ClassMetric, ConfusionMatrix};
use fitch::model::Network;
use fitch::report::Drawing;
use fitch::report::{
    self, ChartOptions, DiagramOptions, Fact, HistoryCurves, WorkbookContent, chart, heat_map,
};
use fitch::run::{RunFolder, RunRecord};
use fitch::train::{Callback, Evaluation, History, StopReason, Training};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::slice::from_ref;
use std::time::{Duration, Instant};

/// Curves are redrawn no sooner than this,
const DRAWING_INTERVAL: Duration = Duration::from_secs(3);
/// and so rarely that drawing takes at most one part in this many of the time.
const DRAWING_SHARE: u32 = 100;

/// Redraws the curves while training runs.
#[derive(Debug)]
pub struct LivePlots<'a> {
    folder: &'a RunFolder,
    last_drawn: Instant,
    cost: Duration,
    has_failed: bool,
}

impl LivePlots<'_> {
    pub fn new(folder: &RunFolder) -> LivePlots<'_> {
        LivePlots { folder, last_drawn: Instant::now(), cost: Duration::ZERO, has_failed: false }
    }
}

impl Callback for LivePlots<'_> {
    fn epoch_end(&mut self, training: &mut Training) -> Result<()> {
        if !self.has_failed && self.last_drawn.elapsed() >= DRAWING_INTERVAL.max(self.cost * DRAWING_SHARE) {
            let start = Instant::now();
            let curves =
                HistoryCurves { name: self.folder.name(), ..HistoryCurves::from(training.history()) };
            if let Err(fault) = failure::guard(|| draw_curves(self.folder, &curves, ChartOptions::default()))
            {
                // Training goes on without pictures.
                self.has_failed = true;
                training.note(format!("the curves are not drawn any more: {fault:#}"));
            }
            self.cost = start.elapsed();
            self.last_drawn = Instant::now();
        }
        Ok(())
    }
}

/// What is known of a run when it has ended, and drawn.
pub struct Subject<'a> {
    pub folder: &'a RunFolder,
    pub record: &'a RunRecord,
    pub history: &'a History,
    pub network: &'a Network,
    /// The images with the predictions for those of the test set, if they are there.
    pub test: Option<(&'a Dataset, &'a Evaluation)>,
}

impl Subject<'_> {
    /// Draws every picture and page whose name `is_wanted`, each on its own. Returns the names of those that
    /// were written.
    pub fn draw(&self, is_wanted: &dyn Fn(&str) -> bool, terminal: &Terminal) -> Vec<String> {
        let Subject { folder, record, history, network, test } = *self;
        let mut pages = Pages { folder, is_wanted, written: Vec::new(), failures: Vec::new() };
        let curves = with_marks(HistoryCurves::from(history), folder, record);
        for metric in drawn_metrics(&curves) {
            pages.draw(&metric, || Ok(chart(from_ref(&curves), from_ref(&metric), ChartOptions::default())));
        }
        pages.draw("model", || Ok(report::diagram(network, DiagramOptions::default())));
        if let Some((dataset, test)) = test {
            pages.draw("confusion", || Ok(heat_map(&matrix_of(dataset, test)?, &dataset.classes)));
            pages.write("mistakes.png", || draw_mistakes(dataset, test));
        }
        pages.write("history.xlsx", || Ok(Some(report::workbook(&workbook_content(history, record)?)?)));
        pages
            .write("report.html", || Ok(Some(page_of(folder, record, history, network, test)?.into_bytes())));
        pages.warn(terminal);
        pages.written
    }

    /// Writes confusion.csv.
    pub fn write_confusion(&self) -> Result<()> {
        let Some((dataset, test)) = self.test else { return Ok(()) };
        let confusion = confusion_csv(&matrix_of(dataset, test)?, &dataset.classes)?;
        write_whole(&self.folder.file("confusion.csv"), &confusion)
    }

    /// Writes mistakes.csv.
    pub fn write_mistakes(&self) -> Result<()> {
        let Some((dataset, test)) = self.test else { return Ok(()) };
        write_whole(&self.folder.file("mistakes.csv"), &mistakes_csv(dataset, test)?)
    }
}

fn matrix_of(dataset: &Dataset, test: &Evaluation) -> Result<ConfusionMatrix> {
    ConfusionMatrix::count(dataset.test.labels(), &test.predictions, dataset.classes.len())
}

/// The pictures and pages of a run. Whatever is wrong with one of them, the others are written.
struct Pages<'a> {
    folder: &'a RunFolder,
    is_wanted: &'a dyn Fn(&str) -> bool,
    written: Vec<String>,
    /// Names of files, with the reason.
    failures: Vec<(String, String)>,
}

impl Pages<'_> {
    /// Writes a drawing as SVG and as PNG.
    fn draw(&mut self, name: &str, draw: impl Fn() -> Result<Drawing>) {
        for format in [DrawingFormat::Svg, DrawingFormat::Png] {
            self.write(&format!("{name}.{}", format.extension()), || Ok(Some(format.bytes(&draw()?)?)));
        }
    }

    /// Writes a file, or removes an earlier one if there is nothing to show.
    fn write(&mut self, name: &str, produce: impl FnOnce() -> Result<Option<Vec<u8>>>) {
        if !(self.is_wanted)(name) {
            return;
        }
        let path = self.folder.file(name);
        let written = failure::guard(|| match produce()? {
            Some(bytes) => write_whole(&path, &bytes).map(|()| true),
            None => {
                let _ = fs::remove_file(&path);
                Ok(false)
            }
        });
        match written {
            Ok(true) => self.written.push(name.to_string()),
            Ok(false) => {}
            Err(fault) => self.failures.push((name.to_string(), fault.root_cause().to_string())),
        }
    }

    /// A warning for each reason.
    fn warn(&self, terminal: &Terminal) {
        for same in self.failures.chunk_by(|(_, one), (_, next)| one == next) {
            let names: Vec<&str> = same.iter().map(|(name, _)| name.as_str()).collect();
            terminal.warn(&format!("cannot make {}: {}", names.join(", "), same[0].1));
        }
        if !self.failures.is_empty() {
            let shown = self.folder.path().display();
            terminal
                .hint(&format!("the model and the results are saved; fitch report {shown} makes the rest"));
        }
    }
}

/// The format of a drawing, by the extension of its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DrawingFormat {
    Svg,
    Png,
}

impl DrawingFormat {
    /// `None` for another extension.
    pub fn of(path: &Path) -> Option<DrawingFormat> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("svg") => Some(DrawingFormat::Svg),
            Some("png") => Some(DrawingFormat::Png),
            _ => None,
        }
    }

    /// That of a file which an option asks for.
    ///
    /// # Errors
    /// Another extension; a file that cannot be written.
    pub fn asked_for(flag: &str, path: &Path) -> Result<DrawingFormat> {
        let fault =
            || UsageError(vec![format!("--{flag} {}: the name must end in .svg or .png", path.display())]);
        let format = DrawingFormat::of(path).ok_or_else(fault)?;
        check_writable(path)?;
        Ok(format)
    }

    fn extension(self) -> &'static str {
        match self {
            DrawingFormat::Svg => "svg",
            DrawingFormat::Png => "png",
        }
    }

    pub fn bytes(self, drawing: &Drawing) -> Result<Vec<u8>> {
        match self {
            DrawingFormat::Svg => Ok(drawing.to_svg().into_bytes()),
            DrawingFormat::Png => drawing.to_png(),
        }
    }
}

/// The metrics that have a file each: loss, accuracy, and what else was recorded.
pub fn drawn_metrics(curves: &HistoryCurves) -> Vec<String> {
    const ALWAYS: [&str; 2] = ["loss", "accuracy"];
    let others = report::metric_names(from_ref(curves)).into_iter();
    // Not any column of a file that was changed: they are names of files.
    let others =
        others.filter(|name| !ALWAYS.contains(&name.as_str()) && name.parse::<ClassMetric>().is_ok());
    ALWAYS.map(str::to_string).into_iter().chain(others).collect()
}

/// Draws the curves of a run, each metric in a file of its own.
pub fn draw_curves(folder: &RunFolder, curves: &HistoryCurves, how: ChartOptions) -> Result<()> {
    for metric in drawn_metrics(curves) {
        let drawing = chart(from_ref(curves), from_ref(&metric), how);
        write_drawing(folder, &metric, &drawing)?;
    }
    Ok(())
}

/// Writes a drawing as SVG and as PNG.
pub fn write_drawing(folder: &RunFolder, name: &str, drawing: &Drawing) -> Result<()> {
    write_whole(&folder.file(&format!("{name}.svg")), drawing.to_svg().as_bytes())?;
    write_whole(&folder.file(&format!("{name}.png")), &drawing.to_png()?)
}

/// Adds the name of the run, its best epoch, its early stop and its test.
pub fn with_marks(curves: HistoryCurves, folder: &RunFolder, record: &RunRecord) -> HistoryCurves {
    let stopped_early = record.stop_reason.as_deref() == Some(StopReason::EarlyStopping.name());
    let test = [("loss", record.test_loss), ("accuracy", record.test_accuracy)];
    let test = test.into_iter().filter_map(|(name, value)| Some((name.to_string(), value?)));
    let test = test.chain(record.test_metrics.clone());
    HistoryCurves {
        name: folder.name(),
        test: test.filter(|(_, value)| value.is_finite()).collect(),
        best: record.best_epoch.map(|epoch| (epoch as f64, record.monitor.clone())),
        stopped_early: curves.epochs.last().copied().filter(|_| stopped_early),
        ..curves
    }
}

/// A row for each true class, a column for each predicted one.
fn confusion_csv(matrix: &ConfusionMatrix, classes: &[String]) -> Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = std::iter::once("true \\ predicted").chain(classes.iter().map(String::as_str));
    writer.write_record(head)?;
    for (class, counts) in classes.iter().zip(&matrix.counts) {
        writer.write_record(std::iter::once(class.clone()).chain(counts.iter().map(u64::to_string)))?;
    }
    Ok(writer.into_inner()?)
}

fn workbook_content(history: &History, record: &RunRecord) -> Result<WorkbookContent> {
    let finite = |cell: Option<f64>| cell.filter(|value| value.is_finite());
    let rows = history.epochs.iter().map(|row| history.cells(row).into_iter().map(finite).collect());
    let mut facts = Vec::new();
    let mut record = serde_json::to_value(record).context("the record of the run has no JSON")?;
    // They are among the options already.
    record.as_object_mut().and_then(|record| record.remove("resolved"));
    collect_facts("", &record, &mut facts);
    Ok(WorkbookContent { columns: history.columns(), rows: rows.collect(), facts })
}

/// The leaves of a record, named by their paths.
fn collect_facts(path: &str, value: &Value, facts: &mut Vec<(String, Fact)>) {
    let fact = match value {
        Value::Null => return,
        Value::Object(entries) => {
            for (name, value) in entries {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect_facts(&path, value, facts);
            }
            return;
        }
        Value::Array(values) => {
            let texts: Vec<String> =
                values.iter().map(|value| value.as_str().map_or(value.to_string(), str::to_string)).collect();
            Fact::Text(texts.join(", "))
        }
        Value::Number(number) => Fact::Number(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Fact::Text(text.clone()),
        Value::Bool(truth) => Fact::Truth(*truth),
    };
    facts.push((path.to_string(), fact));
}
