//! `fitch evaluate`: a run's weights on a test set.

use super::table::table;
use crate::cli::{EvaluateOptions, TrainOptions};
use crate::config;
use crate::progress::DownloadProgress;
use crate::terminal::Terminal;
use anyhow::{Context, Result, ensure};
use fitch::device;
use fitch::metrics::ConfusionMatrix;
use fitch::model::{Model, with_separators};
use fitch::run::{RunFolder, RunRecord, load_weights};
use fitch::train::evaluate;
use std::process::ExitCode;
use tch::nn::VarStore;

pub fn run(options: EvaluateOptions, terminal: &Terminal) -> Result<ExitCode> {
    let folder = RunFolder::open(&options.run)?;
    let record = RunRecord::load(&folder)?;
    let configuration = config::check(&options_of_run(options, &record, &folder)?)?;
    let chosen = device::choose(configuration.device)?;
    tch::set_num_threads(configuration.threads as i32);

    let mut download = DownloadProgress::new(terminal, configuration.progress);
    let dataset = configuration.source.load(&configuration.data_dir, &mut |event| download.show(event))?;
    let classes = record.dataset.classes.len();
    ensure!(
        dataset.classes.len() == classes,
        "the run has {classes} classes, but {} has {}",
        dataset.name,
        dataset.classes.len()
    );
    let variables = VarStore::new(chosen.device);
    let shape = dataset.test.pixels.size().split_off(1);
    let network = Model::classifier(&shape, configuration.hidden, classes)?.build(&variables.root())?;
    load_weights(&folder.weights_file(), &variables)?;
    let test = dataset.test_samples()?.to_device(chosen.device)?;
    let evaluation = evaluate(&network, &test, configuration.batch_size)?;

    let matrix = ConfusionMatrix::count(&dataset.test.labels, &evaluation.predictions, classes);
    let rows = dataset.classes.iter().zip(matrix.scores()).map(|(class, scores)| {
        let share = |value: f64| if value.is_nan() { "-".to_string() } else { format!("{value:.4}") };
        let numbers =
            [scores.samples.to_string(), share(scores.precision), share(scores.recall), share(scores.f1)];
        std::iter::once(class.clone()).chain(numbers).collect()
    });
    let images = with_separators(test.len() as i64);
    terminal.result(&format!(
        "test set of {}: {images} images\nloss {:.6}\naccuracy {:.6}\n\n{}",
        dataset.name,
        evaluation.loss,
        evaluation.accuracy,
        table(["class", "images", "precision", "recall", "f1"], rows.collect())
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The options that the run was trained with, but for what is given now.
fn options_of_run(given: EvaluateOptions, record: &RunRecord, folder: &RunFolder) -> Result<TrainOptions> {
    let mut options: TrainOptions = serde_json::from_value(record.config.clone()).with_context(|| {
        format!("{}: config is not one of this version's", folder.record_file().display())
    })?;
    // The recorded folder helps only on the machine that it was recorded on.
    let recorded = options.data_dir.filter(|dir| dir.is_dir());
    options.data_dir = given.data_dir.or(recorded);
    options.dataset = given.dataset.or(options.dataset);
    options.device = given.device.or(options.device);
    options.threads = given.threads.or(Some(record.threads as i64));
    Ok(options)
}
