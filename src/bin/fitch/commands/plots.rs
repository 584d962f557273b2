//! The plots of a run folder: drawn while training runs, and when it has ended.

use anyhow::{Context, Result};
use fitch::data::Dataset;
use fitch::files::write_whole;
use fitch::metrics::ConfusionMatrix;
use fitch::model::Model;
use fitch::report::Drawing;
use fitch::report::{
    self, DiagramOptions, Fact, HistoryCurves, SheetImage, WorkbookContent, chart, heat_map, image_sheet,
};
use fitch::run::{RunFolder, RunRecord};
use fitch::train::{Callback, Evaluation, History, StopReason, Training};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

/// A sheet of mistakes shows at most this many.
const MAX_MISTAKES: usize = 25;
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
}

impl LivePlots<'_> {
    pub fn new(folder: &RunFolder) -> LivePlots<'_> {
        LivePlots { folder, last_drawn: Instant::now(), cost: Duration::ZERO }
    }
}

impl Callback for LivePlots<'_> {
    fn epoch_end(&mut self, training: &mut Training) -> Result<()> {
        if self.last_drawn.elapsed() >= DRAWING_INTERVAL.max(self.cost * DRAWING_SHARE) {
            let start = Instant::now();
            let curves =
                HistoryCurves { name: run_name(self.folder), ..HistoryCurves::from(training.history()) };
            draw_curves(self.folder, &curves)?;
            self.cost = start.elapsed();
            self.last_drawn = Instant::now();
        }
        Ok(())
    }
}

/// Draws everything, after a training.
pub fn draw_run(
    folder: &RunFolder,
    record: &RunRecord,
    history: &History,
    model: &Model,
    dataset: &Dataset,
    test: &Evaluation,
) -> Result<()> {
    draw_curves(folder, &with_marks(HistoryCurves::from(history), folder, record))?;
    write_drawing(folder, "model", &report::diagram(model, DiagramOptions::default()))?;
    let classes = &dataset.classes;
    let matrix = ConfusionMatrix::count(dataset.test.labels(), &test.predictions, classes.len())?;
    write_drawing(folder, "confusion", &heat_map(&matrix, classes))?;
    write_whole(&folder.file("confusion.csv"), &confusion_csv(&matrix, classes)?)?;
    draw_mistakes(folder, dataset, test)?;
    let workbook = report::workbook(&workbook_content(history, record)?)?;
    write_whole(&folder.file("history.xlsx"), &workbook)
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

    pub fn bytes(self, drawing: &Drawing) -> Result<Vec<u8>> {
        match self {
            DrawingFormat::Svg => Ok(drawing.to_svg().into_bytes()),
            DrawingFormat::Png => drawing.to_png(),
        }
    }
}

/// Draws the curves of a run: loss in one file, accuracy in another.
pub fn draw_curves(folder: &RunFolder, curves: &HistoryCurves) -> Result<()> {
    for metric in ["loss", "accuracy"] {
        let drawing = chart(std::slice::from_ref(curves), &[metric.to_string()]);
        write_drawing(folder, metric, &drawing)?;
    }
    Ok(())
}

fn write_drawing(folder: &RunFolder, name: &str, drawing: &Drawing) -> Result<()> {
    write_whole(&folder.file(&format!("{name}.svg")), drawing.to_svg().as_bytes())?;
    write_whole(&folder.file(&format!("{name}.png")), &drawing.to_png()?)
}

/// Adds the name of the run, its best epoch and its early stop.
pub fn with_marks(curves: HistoryCurves, folder: &RunFolder, record: &RunRecord) -> HistoryCurves {
    let stopped_early = record.stop_reason.as_deref() == Some(StopReason::EarlyStopping.name());
    HistoryCurves {
        name: run_name(folder),
        best: record.best_epoch.map(|epoch| (epoch as f64, record.monitor.clone())),
        stopped_early: curves.epochs.last().copied().filter(|_| stopped_early),
        ..curves
    }
}

fn run_name(folder: &RunFolder) -> String {
    let path = folder.path().canonicalize().unwrap_or_else(|_| folder.path().to_path_buf());
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
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

/// Draws the images that the model was most confidently wrong about; without a mistake there is no file.
fn draw_mistakes(folder: &RunFolder, dataset: &Dataset, test: &Evaluation) -> Result<()> {
    let labels = dataset.test.labels();
    let mut wrong: Vec<usize> =
        (0..labels.len()).filter(|&index| labels[index] != test.predictions[index]).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let total = wrong.len();
    wrong.sort_by(|&a, &b| test.confidences[b].total_cmp(&test.confidences[a]));
    wrong.truncate(MAX_MISTAKES);
    let mut mistakes = Vec::new();
    for index in wrong {
        let Some(image) = dataset.rgb_image(&dataset.test, index)? else { return Ok(()) };
        let class = |class: i64| &dataset.classes[class as usize];
        let lines = vec![
            class(labels[index]).clone(),
            format!("predicted {}", class(test.predictions[index])),
            format!("{:.1} % sure, image {index}", 100.0 * test.confidences[index]),
        ];
        mistakes.push(SheetImage { image, lines });
    }
    let note = format!("{} of {total} wrong test images", mistakes.len());
    let sheet = image_sheet("Most confident mistakes", &note, &mistakes)?;
    write_whole(&folder.file("mistakes.png"), &sheet)
}

fn workbook_content(history: &History, record: &RunRecord) -> Result<WorkbookContent> {
    let finite = |cell: Option<f64>| cell.filter(|value| value.is_finite());
    let rows = history.epochs.iter().map(|row| history.cells(row).into_iter().map(finite).collect());
    let mut facts = Vec::new();
    let record = serde_json::to_value(record).context("the record of the run has no JSON")?;
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
        Value::Bool(truth) => Fact::Text(truth.to_string()),
    };
    facts.push((path.to_string(), fact));
}
