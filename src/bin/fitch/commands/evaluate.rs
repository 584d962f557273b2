//! `fitch evaluate`: a run, or a model in a file, on a test set.

use super::built_model::RecordedRun;
use super::json::json_text;
use super::mistakes::mistakes_csv;
use super::plots::DrawingFormat;
use super::start_libtorch;
use super::suspects::{self, Search};
use super::table::table;
use crate::cli::{EvaluateFormat, EvaluateOptions, SuspectSplit, TrainOptions};
use crate::config::{self, Configuration};
use crate::exit::Exit;
use crate::failure::UsageError;
use crate::progress::{DownloadProgress, ProgressKind};
use crate::terminal::Terminal;
use crate::wrap::wrap;
use anyhow::{Context, Result, ensure};
use fitch::data::{Dataset, ImageFit, LoadOptions, Source, TableForm, TestOrigin};
use fitch::export::{InputCard, ScriptModel};
use fitch::files::write_whole;
use fitch::metrics::{Calibration, ClassMetric, ClassScores, ConfusionMatrix};
use fitch::report::reliability_diagram;
use fitch::run::DatasetRecord;
use fitch::text::with_separators;
use fitch::train::{Evaluation, evaluate};
use serde_json::json;
use std::path::{Path, PathBuf};
use tch::Device;
use tch::nn::ModuleT;

pub fn run(mut options: EvaluateOptions, terminal: &Terminal) -> Result<Exit> {
    options.dataset = config::one_dataset(options.data_argument.take(), options.dataset)?;
    if options.reading.maximum.is_some() {
        let fault = "--maximum: a model is evaluated on values that are scaled as those it was trained on";
        return Err(UsageError(vec![fault.to_string()]).into());
    }
    let format_asked = |to: &PathBuf| DrawingFormat::asked_for("reliability", to);
    let reliability_format = options.reliability.as_ref().map(format_asked).transpose()?;
    let (subject, train_options) = match options.model.is_file() {
        true => Subject::file(&options)?,
        false => Subject::run(&options)?,
    };
    options.suspects.as_deref().map_or(Ok(()), suspects::check)?;
    let has_fit = options.reading.fit.is_some();
    let may_take_all = options.dataset.is_some() && options.reading.test_split.is_none();
    let mut configuration = config::check(&config::with_reading(train_options, options.reading))?;
    let chosen = start_libtorch(configuration.machine)?;
    let model = subject.load(chosen.device)?;
    if options.dataset.is_some() && configuration.reading.image_size.is_none() {
        configuration.reading.image_size = image_size(&model.shape);
    }
    if !has_fit {
        configuration.reading.image_fit = model.fit;
    }
    configuration.reading.maximum = None;
    configuration.reading.model_maximum = Some(model.maximum);
    if options.dataset.is_some() {
        let of_images = || TableForm::of_images(&model.shape, configuration.reading.pixel_order);
        configuration.reading.table = Some(model.table.clone().unwrap_or_else(of_images));
    }
    let dataset = load_data(&configuration, subject.run_of_it(), may_take_all, terminal)?;
    let dataset = model.fitted(dataset, terminal)?;
    model.check_fit(&dataset)?;
    let samples = dataset.test_samples()?.to_device(chosen.device)?;
    let testing = terminal.busy("testing");
    let evaluation = evaluate(&*model.network, &samples, configuration.batch_size)?;
    drop(testing);

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
        let run = subject.run_of_it().filter(|_| matches!(subject, Subject::Run(_)));
        let is_trained_on_them = match run {
            Some(run) if options.on != SuspectSplit::Test => {
                dataset.fingerprint()? == run.record.dataset.fingerprint
            }
            _ => false,
        };
        let (network, device) = (&*model.network, chosen.device);
        let (dataset, configuration, on) = (&dataset, &configuration, options.on);
        let search = Search { network, dataset, device, configuration, is_trained_on_them, on };
        search.write(to, terminal)?;
    }
    let classes = &dataset.classes;
    let matrix = ConfusionMatrix::count(dataset.test.labels(), &evaluation.predictions, classes.len())?;
    let metrics = metrics_of(subject.run_of_it(), classes.len());
    let metrics: Vec<(ClassMetric, f64)> =
        metrics.into_iter().map(|metric| (metric, evaluation.classification.value(metric))).collect();
    terminal.result(&match options.format {
        EvaluateFormat::Table => {
            let columns = terminal.result_columns();
            as_table(&dataset, &evaluation, ece, &metrics, &matrix, options.matrix, columns)
        }
        EvaluateFormat::Csv => as_csv(classes, &matrix)?,
        EvaluateFormat::Json => as_json(&dataset, &evaluation, ece, &metrics, &matrix),
    })?;
    Ok(Exit::Success)
}

/// The metrics beside loss and accuracy: those that say something of so many classes, and those that the run
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

/// What is evaluated, not loaded yet.
enum Subject {
    Run(Box<RecordedRun>),
    /// With the run that it lies in the folder of, if it does.
    File(PathBuf, Option<Box<RecordedRun>>),
}

/// A model, with its inputs and its classes.
struct LoadedModel {
    /// For messages.
    name: String,
    network: Box<dyn ModuleT>,
    classes: Vec<String>,
    /// The shape of an image.
    shape: Vec<i64>,
    /// The value that becomes 1.0.
    maximum: f64,
    /// How the rows of its training table became images, if it was one.
    table: Option<TableForm>,
    /// What of an image came into its shape.
    fit: ImageFit,
}

impl Subject {
    /// A run, with the options it was trained with except for those that are given anew.
    fn run(given: &EvaluateOptions) -> Result<(Subject, TrainOptions)> {
        let run = RecordedRun::open(&given.model)?;
        if given.dataset.is_none() {
            let command = format!("fitch evaluate {}", given.model.display());
            run.check_data_is_there(run.options.dataset.as_deref(), None, &command)?;
        }
        let mut recorded = run.options.clone();
        recorded.data.data_format = recorded.data.data_format.filter(|_| given.dataset.is_none());
        // Otherwise they need not be there any more.
        let takes_validation = given.dataset.is_none() && given.on != SuspectSplit::Test;
        let options = TrainOptions {
            validation: recorded.validation.filter(|_| takes_validation),
            dataset: given.dataset.clone().or(recorded.dataset),
            device: given.device.clone().or(recorded.device),
            threads: given.threads.or(Some(run.record.threads as i64)),
            ..recorded
        };
        Ok((Subject::Run(Box::new(run)), options))
    }

    /// A file, which says nothing of its test set.
    fn file(given: &EvaluateOptions) -> Result<(Subject, TrainOptions)> {
        if given.dataset.is_none() {
            let fault = "--dataset is needed: a model file does not say where its test images are";
            return Err(UsageError(vec![fault.to_string()]).into());
        }
        let defaults = TrainOptions::defaults();
        let options = TrainOptions {
            dataset: given.dataset.clone(),
            device: given.device.clone().or(defaults.device),
            threads: given.threads,
            ..defaults
        };
        let run = given.model.parent().and_then(|folder| RecordedRun::open(folder).ok());
        Ok((Subject::File(given.model.clone(), run.map(Box::new)), options))
    }

    /// The run that the model comes from, if it is known.
    fn run_of_it(&self) -> Option<&RecordedRun> {
        match self {
            Subject::Run(run) => Some(run),
            Subject::File(_, run) => run.as_deref(),
        }
    }

    fn load(&self, device: Device) -> Result<LoadedModel> {
        Ok(match self {
            Subject::Run(run) => {
                let DatasetRecord { classes, shape, maximum, table, .. } = run.record.dataset.clone();
                let network = Box::new(run.load(device)?);
                let fit = run.options.data.fit.map(|fit| fit.0).unwrap_or_default();
                LoadedModel { name: "the run".to_string(), network, classes, shape, maximum, table, fit }
            }
            Subject::File(path, _) => {
                let model = ScriptModel::load(path, device)?;
                let (classes, InputCard { shape, maximum, table, fit, .. }) =
                    (model.card().classes.clone(), model.card().input.clone());
                let (name, network) = (path.display().to_string(), Box::new(model));
                LoadedModel { name, network, classes, shape, maximum, table, fit }
            }
        })
    }
}

impl LoadedModel {
    /// The data with the classes and the colours that the model knows, if they can be brought to them.
    fn fitted(&self, dataset: Dataset, terminal: &Terminal) -> Result<Dataset> {
        let found = dataset.test.shape();
        let dataset = dataset.with_test_channels_of(&self.shape)?;
        let now = dataset.test.shape();
        if now != found {
            let kind = if now.len() == 3 { "colour" } else { "grey" };
            terminal
                .say(&format!("the images of {} are taken in {kind}, as the model takes them", dataset.name));
        }
        Ok(if now == self.shape { dataset.with_classes_of(&self.classes) } else { dataset })
    }

    /// The classes of data that the model does not have, for an error.
    fn unknown_classes(&self, dataset: &Dataset) -> String {
        const NAMED: usize = 6;
        let unknown: Vec<&str> = dataset
            .classes
            .iter()
            .filter(|class| !self.classes.contains(class))
            .map(String::as_str)
            .collect();
        let named = unknown.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
        match unknown.len() {
            0 => String::new(),
            count if count > NAMED => format!(" (unknown to the model: {named} and {} more)", count - NAMED),
            _ => format!(" (unknown to the model: {named})"),
        }
    }

    fn check_fit(&self, dataset: &Dataset) -> Result<()> {
        let LoadedModel { name, classes, shape, .. } = self;
        let found = dataset.classes.len();
        // Data without class names number their classes.
        let is_numbered =
            dataset.classes.iter().enumerate().all(|(index, class)| *class == index.to_string());
        ensure!(
            found == classes.len(),
            "{name} has {} classes, but {} has {found}{}",
            classes.len(),
            dataset.name,
            self.unknown_classes(dataset)
        );
        ensure!(
            is_numbered || dataset.classes == *classes,
            "{name} has the classes {}, but {} has {}{}",
            classes.join(", "),
            dataset.name,
            dataset.classes.join(", "),
            self.unknown_classes(dataset)
        );
        let found = dataset.test.shape();
        ensure!(
            found == *shape,
            "{name} takes images of {shape:?} pixels, but those of {} have {found:?}",
            dataset.name
        );
        Ok(())
    }
}

/// The data. Those that the run was trained on are split as they were for it; of others without a test set,
/// all are evaluated.
fn load_data(
    configuration: &Configuration,
    run: Option<&RecordedRun>,
    may_take_all: bool,
    terminal: &Terminal,
) -> Result<Dataset> {
    let mut download = DownloadProgress::new(terminal, ProgressKind::Auto);
    let source = configuration.source.located(&configuration.reading, &mut |event| download.show(event))?;
    // Pictures are upright, whatever rows the run was trained on.
    let inherits = run.is_some_and(|run| run.options.data.transpose == configuration.reading.transposes);
    let is_of_run = run.is_some_and(|run| is_source_of(run, &configuration.source));
    let transposes =
        configuration.reading.transposes.filter(|_| !source.is_of_pictures() || !inherits || is_of_run);
    let mut load = |tests_all: bool| {
        // Groups matter to a split only.
        let group_by = configuration.reading.group_by.clone().filter(|_| !tests_all);
        let reading = LoadOptions { tests_all, transposes, group_by, ..configuration.reading.clone() };
        source.load_with(&reading, &mut |event| download.show(event))
    };
    let mut dataset = load(may_take_all && !is_of_run)?;
    // The same data may lie elsewhere now.
    if let (TestOrigin::All, Some(run)) = (dataset.test_origin, run)
        && let Ok(split) = load(false)
        && split.fingerprint()? == run.record.dataset.fingerprint
    {
        dataset = split;
    }
    dataset.notes.iter().for_each(|note| terminal.say(note));
    if let (TestOrigin::SetAside, Some(run)) = (dataset.test_origin, run.filter(|_| is_of_run))
        && dataset.fingerprint()? != run.record.dataset.fingerprint
    {
        terminal.warn(&format!(
            "{} holds other images than the run was trained on: test images that are set aside anew may be \
             among its training images",
            dataset.name
        ));
    }
    Ok(dataset)
}

/// Whether a run was trained on what lies there.
fn is_source_of(run: &RecordedRun, source: &Source) -> bool {
    let Some(recorded) = run.options.dataset.as_deref().map(Path::new) else { return false };
    match source {
        Source::Path { path, .. } => path.canonicalize().is_ok_and(|path| path == recorded),
        known => Path::new(&known.name()) == recorded,
    }
}

/// The size that a model's images must be stretched to.
fn image_size(shape: &[i64]) -> Option<[u32; 2]> {
    match *shape {
        [.., height, width] => Some([u32::try_from(height).ok()?, u32::try_from(width).ok()?]),
        _ => None,
    }
}

/// The scores, and the matrix if its lines are not too long to be read, or asked for.
fn as_table(
    dataset: &Dataset,
    evaluation: &Evaluation,
    ece: f64,
    metrics: &[(ClassMetric, f64)],
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
    let metrics = metrics.iter().map(|(metric, value)| vec![metric.to_string(), share(*value)]);
    let metrics = table(["metric", "value"], metrics.collect()).fit(columns);
    let counts = || {
        classes.iter().zip(&matrix.counts).map(|(class, counts)| {
            // Most counts are zero: printed as dots they let the mistakes stand out.
            let cell = |&count: &u64| if count == 0 { ".".to_string() } else { count.to_string() };
            std::iter::once(class.clone()).chain(counts.iter().map(cell)).collect()
        })
    };
    format!(
        "test set of {}: {} images\nloss {:.6}\naccuracy {:.6}\nexpected calibration error {ece:.6}\n\n{of_classes}\n{averages}\n{metrics}\n{}",
        dataset.name,
        with_separators(dataset.test.len() as i64),
        evaluation.loss,
        evaluation.accuracy,
        match classes.len() {
            count if count > MAX_CLASSES && !is_asked_for => {
                let left_out = format!(
                    "the confusion matrix of {} classes is left out; --matrix prints it\n",
                    with_separators(count as i64)
                );
                match columns {
                    Some(columns) => wrap(&left_out, columns),
                    None => left_out,
                }
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

fn as_json(
    dataset: &Dataset,
    evaluation: &Evaluation,
    ece: f64,
    metrics: &[(ClassMetric, f64)],
    matrix: &ConfusionMatrix,
) -> String {
    let classes = dataset.classes.iter().zip(matrix.scores()).map(|(class, scores)| {
        // NaN, where there is nothing to divide by, becomes null.
        json!({ "class": class, "images": scores.samples, "precision": scores.precision,
                "recall": scores.recall, "f1": scores.f1 })
    });
    let average = |scores: ClassScores| json!({ "precision": scores.precision, "recall": scores.recall, "f1": scores.f1 });
    let mut whole = json!({
        "dataset": dataset.name,
        "images": dataset.test.len(),
        "loss": evaluation.loss,
        "accuracy": evaluation.accuracy,
        "ece": ece,
    });
    for (metric, value) in metrics {
        whole[metric.to_string()] = json!(value);
    }
    whole["macro_average"] = average(matrix.macro_average());
    whole["weighted_average"] = average(matrix.weighted_average());
    whole["classes"] = classes.collect();
    whole["confusion"] = json!(matrix.counts);
    json_text(&whole)
}
