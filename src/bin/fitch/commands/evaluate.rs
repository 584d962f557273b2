//! `fitch evaluate`: a run, or a model in a file, on a test set.

use super::built_model::{BuiltModel, RecordedRun};
use super::start_libtorch;
use super::table::table;
use crate::cli::{EvaluateFormat, EvaluateOptions, ProgressOption, TrainOptions};
use crate::config::{self, Configuration};
use crate::exit::Exit;
use crate::failure::UsageError;
use crate::progress::DownloadProgress;
use crate::terminal::Terminal;
use anyhow::{Context, Result, ensure};
use fitch::data::{Dataset, Samples};
use fitch::export::ScriptModel;
use fitch::metrics::ConfusionMatrix;
use fitch::text::with_separators;
use fitch::train::{Evaluation, evaluate};
use serde_json::{Value, json};

pub fn run(options: EvaluateOptions, terminal: &Terminal) -> Result<Exit> {
    let format = options.format;
    let (dataset, evaluation) = match options.model.is_file() {
        true => evaluate_file(options, terminal)?,
        false => evaluate_run(options, terminal)?,
    };
    let classes = &dataset.classes;
    let matrix = ConfusionMatrix::count(&dataset.test.labels, &evaluation.predictions, classes.len())?;
    terminal.result(&match format {
        EvaluateFormat::Table => as_table(&dataset, &evaluation, &matrix),
        EvaluateFormat::Csv => as_csv(classes, &matrix)?,
        EvaluateFormat::Json => as_json(&dataset, &evaluation, &matrix)?,
    })?;
    Ok(Exit::Success)
}

fn evaluate_run(given: EvaluateOptions, terminal: &Terminal) -> Result<(Dataset, Evaluation)> {
    let run = RecordedRun::open(&given.model)?;
    let mut options = TrainOptions { validation: None, ..run.options.clone() };
    let is_other = given.dataset.is_some();
    if is_other {
        options.data_format = None;
    }
    options = config::with_reading(options, given.reading);
    options.dataset = given.dataset.or(options.dataset);
    options.device = given.device.or(options.device);
    options.threads = given.threads.or(Some(run.record.threads as i64));
    let mut configuration = config::check(&options)?;
    let record = &run.record.dataset;
    if is_other && options.image_size.is_none() {
        configuration.reading.image_size = image_size(&record.shape);
    }
    let chosen = start_libtorch(configuration.machine)?;
    let dataset = load_data(&configuration, terminal)?;
    check_fit("the run", &record.classes, &record.shape, &dataset)?;
    let BuiltModel { network, .. } = run.load(chosen.device)?;
    let test = dataset.test_samples()?.to_device(chosen.device)?;
    let evaluation = evaluate(&network, &test, configuration.batch_size)?;
    Ok((dataset, evaluation))
}

fn evaluate_file(given: EvaluateOptions, terminal: &Terminal) -> Result<(Dataset, Evaluation)> {
    let EvaluateOptions { model: path, dataset, reading, device, threads, .. } = given;
    if dataset.is_none() {
        let fault = "--dataset is needed: a file does not tell where its test images are".to_string();
        return Err(UsageError(vec![fault]).into());
    }
    let defaults = config::defaults();
    let device = device.or(defaults.device.clone());
    let options = config::with_reading(TrainOptions { dataset, device, threads, ..defaults }, reading);
    let mut configuration = config::check(&options)?;
    let chosen = start_libtorch(configuration.machine)?;
    let model = ScriptModel::load(&path, chosen.device)?;
    if options.image_size.is_none() {
        configuration.reading.image_size = image_size(&model.card().input.shape);
    }
    let dataset = load_data(&configuration, terminal)?;
    let card = model.card();
    check_fit(&path.display().to_string(), &card.classes, &card.input.shape, &dataset)?;
    let samples: Samples = dataset.test_samples()?.to_device(chosen.device)?;
    let evaluation = evaluate(&model, &samples, configuration.batch_size)?;
    Ok((dataset, evaluation))
}

fn load_data(configuration: &Configuration, terminal: &Terminal) -> Result<Dataset> {
    let mut download = DownloadProgress::new(terminal, ProgressOption::Auto);
    let dataset = configuration.source.load(&configuration.reading, &mut |event| download.show(event))?;
    dataset.notes.iter().for_each(|note| terminal.say(note));
    Ok(dataset)
}

/// The size that pictures must have for a model.
fn image_size(shape: &[i64]) -> Option<[u32; 2]> {
    match *shape {
        [.., height, width] => Some([u32::try_from(height).ok()?, u32::try_from(width).ok()?]),
        _ => None,
    }
}

fn check_fit(what: &str, classes: &[String], shape: &[i64], dataset: &Dataset) -> Result<()> {
    let found = dataset.classes.len();
    ensure!(found == classes.len(), "{what} has {} classes, but {} has {found}", classes.len(), dataset.name);
    // Sets without names of their own number their classes.
    let is_numbered = dataset.classes.iter().enumerate().all(|(number, class)| *class == number.to_string());
    ensure!(
        is_numbered || dataset.classes == classes,
        "{what} has the classes {}, but {} has {}",
        classes.join(", "),
        dataset.name,
        dataset.classes.join(", ")
    );
    let found = &dataset.test.pixels.size()[1..];
    ensure!(
        found == shape,
        "{what} takes images of {shape:?} pixels, but those of {} have {found:?}",
        dataset.name
    );
    Ok(())
}

fn as_table(dataset: &Dataset, evaluation: &Evaluation, matrix: &ConfusionMatrix) -> String {
    let classes = &dataset.classes;
    let scores = classes.iter().zip(matrix.scores()).map(|(class, scores)| {
        let share = |value: f64| if value.is_nan() { "-".to_string() } else { format!("{value:.4}") };
        let numbers =
            [scores.samples.to_string(), share(scores.precision), share(scores.recall), share(scores.f1)];
        std::iter::once(class.clone()).chain(numbers).collect()
    });
    let counts = classes.iter().zip(&matrix.counts).map(|(class, counts)| {
        // Zeros are most of it: a dot lets the mistakes stand out.
        let shown = |&count: &u64| if count == 0 { ".".to_string() } else { count.to_string() };
        std::iter::once(class.clone()).chain(counts.iter().map(shown)).collect()
    });
    format!(
        "test set of {}: {} images\nloss {:.6}\naccuracy {:.6}\n\n{}\n{}",
        dataset.name,
        with_separators(dataset.test.len() as i64),
        evaluation.loss,
        evaluation.accuracy,
        table(["class", "images", "precision", "recall", "f1"], scores.collect()),
        table(
            std::iter::once("true \\ predicted").chain(classes.iter().map(String::as_str)),
            counts.collect()
        )
    )
}

/// A row a true class: its scores, and how often it was taken for each class. What cannot be told, such
/// as the precision of a class that was never given, is an empty cell.
fn as_csv(classes: &[String], matrix: &ConfusionMatrix) -> Result<String> {
    let share = |value: f64| if value.is_nan() { String::new() } else { value.to_string() };
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = ["class", "images", "precision", "recall", "f1"].map(str::to_string);
    let taken_for = classes.iter().map(|class| format!("predicted {class}"));
    writer.write_record(head.into_iter().chain(taken_for))?;
    for ((class, scores), counts) in classes.iter().zip(matrix.scores()).zip(&matrix.counts) {
        let numbers =
            [scores.samples.to_string(), share(scores.precision), share(scores.recall), share(scores.f1)];
        let counts = counts.iter().map(u64::to_string);
        writer.write_record(std::iter::once(class.clone()).chain(numbers).chain(counts))?;
    }
    String::from_utf8(writer.into_inner()?).context("a class name is not UTF-8")
}

fn as_json(dataset: &Dataset, evaluation: &Evaluation, matrix: &ConfusionMatrix) -> Result<String> {
    let classes = dataset.classes.iter().zip(matrix.scores()).map(|(class, scores)| {
        // NaN, where there is nothing to divide by, becomes null.
        json!({ "class": class, "images": scores.samples, "precision": scores.precision,
                "recall": scores.recall, "f1": scores.f1 })
    });
    let whole = json!({
        "dataset": dataset.name,
        "images": dataset.test.len(),
        "loss": evaluation.loss,
        "accuracy": evaluation.accuracy,
        "classes": classes.collect::<Vec<Value>>(),
        "confusion": matrix.counts,
    });
    Ok(serde_json::to_string_pretty(&whole)? + "\n")
}
