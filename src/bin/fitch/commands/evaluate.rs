//! `fitch evaluate`: a run, or a model in a file, on a test set.

use super::built_model::RecordedRun;
use super::json::json_text;
use super::mistakes::mistakes_csv;
use super::output_file::{check_different, check_kept, check_output};
use super::plots::DrawingFormat;
use super::suspects::{self, Search};
use super::table::table;
use super::tested_model::{TestedModel, TestedOptions};
use crate::cli::{EvaluateFormat, EvaluateOptions, SuspectSplit};
use crate::config;
use crate::exit::Exit;
use crate::terminal::Terminal;
use crate::wrap::wrap_to;
use anyhow::{Context, Result};
use fitch::data::Dataset;
use fitch::files::write_whole;
use fitch::metrics::{Calibration, ClassMetric, ClassScores, ConfusionMatrix, Interval};
use fitch::report::reliability_diagram;
use fitch::text::with_separators;
use fitch::train::Evaluation;
use serde_json::json;
use std::path::PathBuf;

pub fn run(options: EvaluateOptions, terminal: &Terminal) -> Result<Exit> {
    let format_asked = |to: &PathBuf| DrawingFormat::asked_for("reliability", to);
    let reliability_format = options.reliability.as_ref().map(format_asked).transpose()?;
    options.suspects.as_deref().map_or(Ok(()), suspects::check)?;
    options.mistakes.as_deref().map_or(Ok(()), |table| check_output("mistakes", table, "csv"))?;
    let sheet = options.suspects.as_deref().map(suspects::sheet_of);
    let written = [&options.mistakes, &options.suspects, &sheet, &options.reliability].map(Option::as_deref);
    check_different(&written)?;
    let model = TestedModel::open(TestedOptions {
        command: format!("fitch evaluate {}", options.model.display()),
        model: options.model,
        dataset: config::one_dataset(options.data_argument, options.dataset)?,
        reading: options.reading,
        reads_validation: options.on != SuspectSplit::Test,
        device: options.device,
        threads: options.threads,
    })?;
    check_kept(&written, model.files_read())?;
    let dataset = model.load_data(terminal)?;
    let evaluation = model.evaluate(&dataset, terminal)?;

    if let Some(to) = &options.mistakes {
        write_whole(to, &mistakes_csv(&dataset, &evaluation)?)?;
        terminal.say(&format!("the wrong predictions are written to {}", to.display()));
    }
    let calibration =
        Calibration::measure(dataset.test.labels(), &evaluation.predictions, &evaluation.confidences)?;
    if let (Some(to), Some(format)) = (&options.reliability, reliability_format) {
        write_whole(to, &format.bytes(&reliability_diagram(&dataset.name, &calibration))?)?;
        terminal.say(&format!("the reliability diagram is written to {}", to.display()));
    }
    let ece = calibration.expected_error();
    if let Some(to) = &options.suspects {
        let is_trained_on_them = match model.run().filter(|_| !model.is_in_file()) {
            Some(run) if options.on != SuspectSplit::Test => {
                dataset.fingerprint()? == run.record.dataset.fingerprint
            }
            _ => false,
        };
        let (model, dataset, test) = (&model, &dataset, &evaluation);
        Search { model, dataset, test, is_trained_on_them, on: options.on }.write(to, terminal)?;
    }
    let classes = &dataset.classes;
    let matrix = ConfusionMatrix::count(dataset.test.labels(), &evaluation.predictions, classes.len())?;
    let testing = terminal.busy("testing");
    let metrics = measured(&evaluation, &metrics_of(model.run(), classes.len()));
    drop(testing);
    terminal.result(&match options.format {
        EvaluateFormat::Table => {
            let columns = terminal.result_columns();
            as_table(&dataset, ece, &metrics, &matrix, options.matrix, columns)
        }
        EvaluateFormat::Csv => as_csv(classes, &matrix)?,
        EvaluateFormat::Json => as_json(&dataset, ece, &metrics, &matrix),
    })?;
    Ok(Exit::Success)
}

/// A metric with its 95 % interval.
struct Measured {
    metric: ClassMetric,
    value: f64,
    interval: Option<Interval>,
}

/// Loss and accuracy, then the others.
fn measured(evaluation: &Evaluation, others: &[ClassMetric]) -> Vec<Measured> {
    let metrics = [&[ClassMetric::Loss, ClassMetric::Accuracy], others].concat();
    let intervals = evaluation.classification.intervals(&metrics);
    let measured = metrics.into_iter().zip(intervals).map(|(metric, interval)| {
        let value = match metric {
            ClassMetric::Loss => evaluation.loss,
            ClassMetric::Accuracy => evaluation.accuracy,
            metric => evaluation.classification.value(metric),
        };
        Measured { metric, value, interval }
    });
    measured.collect()
}

/// The metrics beside loss and accuracy: those that fit the number of classes, and those that the run
/// recorded.
fn metrics_of(run: Option<&RecordedRun>, classes: usize) -> Vec<ClassMetric> {
    let mut metrics = ClassMetric::all(classes);
    metrics.retain(|metric| ![ClassMetric::Loss, ClassMetric::Accuracy].contains(metric));
    let recorded = run.and_then(|run| config::check(&run.options).ok()).map(|run| run.metrics);
    for metric in recorded.unwrap_or_default() {
        if metric.check(classes).is_ok() && !metrics.contains(&metric) {
            metrics.push(metric);
        }
    }
    metrics
}

/// The scores, and the matrix if its lines are not too long to be read, or asked for.
fn as_table(
    dataset: &Dataset,
    ece: f64,
    metrics: &[Measured],
    matrix: &ConfusionMatrix,
    is_asked_for: bool,
    columns: Option<usize>,
) -> String {
    const MAX_CLASSES: usize = 30;
    let share = |value: f64| if value.is_nan() { "-".to_string() } else { format!("{value:.4}") };
    let classes = &dataset.classes;
    let averages = [
        ("macro average".to_string(), matrix.macro_average()),
        ("weighted average".to_string(), matrix.weighted_average()),
    ];
    let rows = classes.iter().cloned().zip(matrix.scores()).chain(averages).map(|(name, scores)| {
        let numbers =
            [scores.samples.to_string(), share(scores.precision), share(scores.recall), share(scores.f1)];
        std::iter::once(name).chain(numbers).collect()
    });
    let scores = table(["class", "images", "precision", "recall", "f1"], rows.collect())
        .first(&["class", "f1", "precision", "recall"])
        .fit(columns);
    // The averages stand below the classes, not among them.
    let of_classes = scores.split_inclusive('\n').take(1 + classes.len()).map(str::len).sum();
    let (of_classes, averages) = scores.split_at(of_classes);
    let (main, others) = metrics.split_at(2);
    let main = main.iter().map(|Measured { metric, value, interval }| {
        let interval = interval.map_or(String::new(), |interval| format!(" (95 % interval {interval:.6})"));
        format!("{metric} {value:.6}{interval}\n")
    });
    let main: String = main.collect();
    let others = others.iter().map(|Measured { metric, value, interval }| {
        let interval = interval.map_or("-".to_string(), |interval| format!("{interval:.4}"));
        vec![metric.to_string(), share(*value), interval]
    });
    let others = others.collect();
    let others = table(["metric", "value", "95 % interval"], others).fit(columns);
    let counts = || {
        classes.iter().zip(&matrix.counts).map(|(class, counts)| {
            // Most counts are zero: printed as dots they let the mistakes stand out.
            let cell = |&count: &u64| if count == 0 { ".".to_string() } else { count.to_string() };
            std::iter::once(class.clone()).chain(counts.iter().map(cell)).collect()
        })
    };
    format!(
        "test set of {}: {} images\n{}expected calibration error {ece:.6}\n\n{of_classes}\n{averages}\n{others}\n{}",
        dataset.name,
        with_separators(dataset.test.len() as i64),
        wrap_to(&main, columns),
        match classes.len() {
            count if count > MAX_CLASSES && !is_asked_for => {
                let left_out = format!(
                    "the confusion matrix of {} classes is left out; --matrix prints it\n",
                    with_separators(count as i64)
                );
                wrap_to(&left_out, columns)
            }
            _ => table(
                std::iter::once("true \\ predicted").chain(classes.iter().map(String::as_str)),
                counts().collect()
            )
            .fold(columns),
        }
    )
}

/// A row for each true class: its scores, and how often each class was predicted. A score that is undefined,
/// such as the precision of a class that was never predicted, is an empty cell.
fn as_csv(classes: &[String], matrix: &ConfusionMatrix) -> Result<String> {
    let share = |value: f64| if value.is_nan() { String::new() } else { value.to_string() };
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = ["class", "images", "precision", "recall", "f1"].map(str::to_string);
    let predicted = classes.iter().map(|class| format!("predicted {class}"));
    writer.write_record(head.into_iter().chain(predicted))?;
    for ((class, scores), counts) in classes.iter().zip(matrix.scores()).zip(&matrix.counts) {
        let numbers =
            [scores.samples.to_string(), share(scores.precision), share(scores.recall), share(scores.f1)];
        let counts = counts.iter().map(u64::to_string);
        writer.write_record(std::iter::once(class.clone()).chain(numbers).chain(counts))?;
    }
    String::from_utf8(writer.into_inner()?).context("a class name is not UTF-8")
}

fn as_json(dataset: &Dataset, ece: f64, metrics: &[Measured], matrix: &ConfusionMatrix) -> String {
    let classes = dataset.classes.iter().zip(matrix.scores()).map(|(class, scores)| {
        // NaN, where there is nothing to divide by, becomes null.
        json!({ "class": class, "images": scores.samples, "precision": scores.precision,
                "recall": scores.recall, "f1": scores.f1 })
    });
    let average = |scores: ClassScores| json!({ "precision": scores.precision, "recall": scores.recall, "f1": scores.f1 });
    let mut whole = json!({
        "dataset": dataset.name,
        "images": dataset.test.len(),
        "ece": ece,
    });
    for Measured { metric, value, interval } in metrics {
        whole[metric.to_string()] = json!(value);
        whole[format!("{metric}_interval")] = json!(interval);
    }
    whole["macro_average"] = average(matrix.macro_average());
    whole["weighted_average"] = average(matrix.weighted_average());
    whole["classes"] = classes.collect();
    whole["confusion"] = json!(matrix.counts);
    json_text(&whole)
}
