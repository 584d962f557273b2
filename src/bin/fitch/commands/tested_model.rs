//! A trained model, of a run or in a file, with the images it is tested on: what `evaluate` and `compare` share.

use super::built_model::RecordedRun;
use super::copies;
use super::start_libtorch;
use crate::cli::{DataOptions, TrainOptions};
use crate::config::{self, Configuration};
use crate::failure::UsageError;
use crate::progress::{DownloadProgress, ProgressKind};
use crate::terminal::Terminal;
use anyhow::{Result, ensure};
use fitch::data::{Dataset, ImageDigests, ImageFit, LoadOptions, Samples, Source, TableForm, TestOrigin};
use fitch::export::{InputCard, ScriptModel};
use fitch::run::DatasetRecord;
use fitch::text::{listed, with_separators};
use fitch::train::{Evaluation, evaluate};
use std::path::{Path, PathBuf};
use tch::Device;
use tch::nn::ModuleT;
use toml::Table;

/// Classes that a message names.
const NAMED: usize = 6;

/// Which model, and on what images and where it is tested. What is not given is as in the training of its run.
#[derive(Clone, Debug)]
pub struct TestedOptions {
    /// What was typed, to be typed again with `--dataset` if the data are gone: `fitch evaluate runs/a`.
    pub command: String,
    pub model: PathBuf,
    pub dataset: Option<String>,
    pub reading: DataOptions,
    /// Whether the validation images of the run are read as well, which may lie elsewhere.
    pub reads_validation: bool,
    pub device: Option<String>,
    pub threads: Option<i64>,
}

impl TestedOptions {
    /// The options of a run, with what is given in their place.
    fn over(&self, run: &RecordedRun) -> TrainOptions {
        let mut recorded = run.options.clone();
        recorded.data.data_format = recorded.data.data_format.filter(|_| self.dataset.is_none());
        let reads_validation = self.dataset.is_none() && self.reads_validation;
        TrainOptions {
            validation: recorded.validation.filter(|_| reads_validation),
            dataset: self.dataset.clone().or(recorded.dataset),
            device: self.device.clone().or(recorded.device),
            threads: self.threads.or(Some(run.record.threads as i64)),
            ..recorded
        }
    }
}

/// A model that is loaded, and how its test set is.
pub struct TestedModel {
    model: LoadedModel,
    /// The run that it comes from, if it is known.
    run: Option<Box<RecordedRun>>,
    is_in_file: bool,
    configuration: Configuration,
    /// Whether all images of data without a test set are test images.
    may_take_all: bool,
    /// Whether more than the test images are used.
    reads_all: bool,
    /// Whether nothing is said of how the data are read, so that they are read as for the run.
    reads_alike: bool,
    device: Device,
}

impl TestedModel {
    /// Loads the model.
    ///
    /// # Errors
    /// Wrong options; no model there, or one that was not trained to its end; a device that does not work.
    pub fn open(options: TestedOptions) -> Result<TestedModel> {
        if options.reading.maximum.is_some() {
            let fault =
                "--maximum: a model is evaluated on values that are scaled as those it was trained on";
            return Err(UsageError(vec![fault.to_string()]).into());
        }
        let (subject, train_options) = match options.model.is_file() {
            true => Subject::file(&options)?,
            false => Subject::run(&options)?,
        };
        let has_fit = options.reading.fit.is_some();
        let reads_all = options.reads_validation;
        let reads_alike = Table::try_from(&options.reading)?.is_empty();
        let may_take_all = options.dataset.is_some() && options.reading.test_split.is_none();
        let mut configuration = config::check(&config::with_reading(train_options, options.reading))?;
        let device = start_libtorch(configuration.machine)?.device;
        let model = subject.load(device)?;
        let reading = &mut configuration.reading;
        if options.dataset.is_some() && reading.image_size.is_none() {
            reading.image_size = image_size(&model.shape);
        }
        if !has_fit {
            reading.image_fit = model.fit;
        }
        reading.maximum = None;
        reading.model_maximum = Some(model.maximum);
        if options.dataset.is_some() {
            let of_images = || TableForm::of_images(&model.shape, reading.pixel_order);
            reading.table = Some(model.table.clone().unwrap_or_else(of_images));
        }
        let (run, is_in_file) = match subject {
            Subject::Run(run) => (Some(run), false),
            Subject::File(_, run) => (run, true),
        };
        Ok(TestedModel {
            model,
            run,
            is_in_file,
            configuration,
            may_take_all,
            reads_all,
            reads_alike,
            device,
        })
    }

    /// The data with the test images, as the model takes them.
    ///
    /// # Errors
    /// Data that cannot be had, or do not fit the model.
    pub fn load_data(&self, terminal: &Terminal) -> Result<Dataset> {
        let dataset = self.read(terminal)?;
        let dataset = self.model.fitted(dataset, self.reads_all, terminal)?;
        self.model.check_fit(&dataset)?;
        Ok(dataset)
    }

    /// The data. Those that the run was trained on are split as they were for it; of others without a test set,
    /// all are evaluated.
    fn read(&self, terminal: &Terminal) -> Result<Dataset> {
        let TestedModel { ref configuration, may_take_all, .. } = *self;
        let run = self.run();
        let mut download = DownloadProgress::new(terminal, ProgressKind::Auto);
        let source =
            configuration.source.located(&configuration.reading, &mut |event| download.show(event))?;
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
        if let Some(run) = run {
            // Without its validation images nothing tells whether the data are the same.
            let is_whole = run.options.validation.is_none() || configuration.reading.validation.is_some();
            let (fingerprint, digests) = dataset.fingerprint_and_digests()?;
            let is_same = if is_whole { fingerprint == run.record.dataset.fingerprint } else { is_of_run };
            let is_other = !is_same && !is_of_run;
            let known = if is_other { known_images(run, &digests) } else { None };
            tell_of_training_images(run, &dataset, is_of_run && self.reads_alike, is_same, known, terminal);
        }
        Ok(dataset)
    }

    /// Tests the model on the test images of the data.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn evaluate(&self, dataset: &Dataset, terminal: &Terminal) -> Result<Evaluation> {
        let samples = dataset.test_samples()?;
        let _testing = terminal.busy("testing");
        self.test(&samples)
    }

    /// The same with any images of the model's shape.
    ///
    /// # Errors
    /// As there.
    pub fn test(&self, samples: &Samples) -> Result<Evaluation> {
        let samples = samples.to_device(self.device)?;
        evaluate(&*self.model.network, &samples, self.configuration.batch_size)
    }

    /// The files and folders that the data and the validation images of the run are read from.
    pub fn files_read(&self) -> impl Iterator<Item = &Path> {
        let source = match &self.configuration.source {
            Source::Path { path, .. } => Some(path.as_path()),
            Source::Digits | Source::Known(_) => None,
        };
        source.into_iter().chain(self.run.iter().flat_map(|run| run.data_paths()))
    }

    /// The run that it comes from, if it is known.
    pub fn run(&self) -> Option<&RecordedRun> {
        self.run.as_deref()
    }

    /// Whether it was given as a file, not as a run.
    pub fn is_in_file(&self) -> bool {
        self.is_in_file
    }

    /// How the data are read and split.
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// The names of the classes, in the order of their indices.
    pub fn classes(&self) -> &[String] {
        &self.model.classes
    }

    /// Fails if two models have different classes. Their order does not matter.
    ///
    /// # Errors
    /// The classes that one of them lacks.
    pub fn check_same_classes(models: [(&str, &TestedModel); 2]) -> Result<()> {
        let [(a, of_a), (b, of_b)] = models.map(|(name, model)| (name, &model.model.classes));
        let only = |own: &[String], others: &[String], name: &str| {
            let only: Vec<&str> =
                own.iter().filter(|class| !others.contains(class)).map(String::as_str).collect();
            (!only.is_empty()).then(|| format!("; only {name} has {}", listed(&only, NAMED)))
        };
        let differences = [only(of_a, of_b, a), only(of_b, of_a, b)];
        ensure!(
            differences.iter().all(Option::is_none),
            "{a} and {b} have different classes{}",
            differences.into_iter().flatten().collect::<String>()
        );
        Ok(())
    }

    /// Where the data lie: a path, or the name of a set.
    pub fn source_place(&self) -> String {
        match &self.configuration.source {
            Source::Path { path, .. } => path.canonicalize().unwrap_or(path.clone()).display().to_string(),
            known => known.name(),
        }
    }
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
    fn run(given: &TestedOptions) -> Result<(Subject, TrainOptions)> {
        let run = RecordedRun::open(&given.model)?;
        if given.dataset.is_none() {
            run.check_data_is_there(run.options.dataset.as_deref(), None, &given.command)?;
        }
        let options = given.over(&run);
        Ok((Subject::Run(Box::new(run)), options))
    }

    /// A file, which says nothing of its test set.
    fn file(given: &TestedOptions) -> Result<(Subject, TrainOptions)> {
        if given.dataset.is_none() {
            let fault = "--dataset is needed: a model file does not say where its test images are";
            return Err(UsageError(vec![fault.to_string()]).into());
        }
        let run = given.model.parent().and_then(|folder| RecordedRun::open(folder).ok());
        // In the folder of its run it is tested as the run is.
        let defaults = TrainOptions::defaults();
        let options = match &run {
            Some(run) => given.over(run),
            None => TrainOptions {
                dataset: given.dataset.clone(),
                device: given.device.clone().or(defaults.device),
                threads: given.threads,
                ..defaults
            },
        };
        Ok((Subject::File(given.model.clone(), run.map(Box::new)), options))
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
    fn fitted(&self, dataset: Dataset, reads_all: bool, terminal: &Terminal) -> Result<Dataset> {
        let found = dataset.test.shape();
        let dataset = match reads_all {
            true => dataset.with_channels_of(&self.shape)?,
            false => dataset.with_test_channels_of(&self.shape)?,
        };
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
        let unknown: Vec<&str> = dataset
            .classes
            .iter()
            .filter(|class| !self.classes.contains(class))
            .map(String::as_str)
            .collect();
        match unknown.is_empty() {
            true => String::new(),
            false => format!(" (unknown to the model: {})", listed(&unknown, NAMED)),
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

/// How many test images are identical to ones that a run was trained or validated with; none if its data are not
/// there as they were.
fn known_images(run: &RecordedRun, digests: &ImageDigests) -> Option<usize> {
    let configuration = config::check(&run.options).ok()?;
    if let Source::Known(set) = &configuration.source
        && !configuration.reading.folder().ok()?.join(set.name).is_dir()
    {
        // Nothing is downloaded for this.
        return None;
    }
    let own = configuration.source.load_with(&configuration.reading, &mut |_| ()).ok()?;
    let (fingerprint, of_run) = own.fingerprint_and_digests().ok()?;
    (fingerprint == run.record.dataset.fingerprint).then(|| digests.tested_among(&of_run))
}

/// Says which test images are among the training images of a run, or may be. `known` is how many of other data are.
fn tell_of_training_images(
    run: &RecordedRun,
    dataset: &Dataset,
    is_of_run: bool,
    is_same: bool,
    known: Option<usize>,
    terminal: &Terminal,
) {
    let (name, run_name) = (&dataset.name, run.folder.path().display());
    match dataset.test_origin {
        _ if is_same => {
            let leaked = copies::tested_and_trained_on(&run.record.dataset);
            leaked.iter().for_each(|leaked| terminal.warn(&format!("{run_name}: {leaked}")));
        }
        _ if known.is_some_and(|known| known > 0) => {
            let [known, of] = [known.unwrap_or_default(), dataset.test.len()]
                .map(|count| with_separators(count as i64));
            terminal.warn(&format!(
                "{known} of {of} test images are identical to ones that {run_name} was trained or validated with"
            ));
        }
        _ if known.is_some() => {}
        TestOrigin::All => terminal.say(&format!(
            "whether {run_name} was trained on some of them is not known: only on others does a result count"
        )),
        _ if !is_of_run => {}
        TestOrigin::Own => {
            terminal.warn(&format!("{name} holds other images than when {run_name} was trained"));
        }
        TestOrigin::SetAside => terminal.warn(&format!(
            "{name} holds other images than when {run_name} was trained, or others are set aside: test images \
             may be among its training images"
        )),
    }
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
