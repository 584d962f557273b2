//! The page of a run: from what is known when it has ended, or from the files in its folder.

use super::built_model::RecordedRun;
use super::mistakes::{full_caption, wrong};
use super::run_files::SUMMARY_COLUMNS;
use crate::config;
use anyhow::{Context, Result, ensure};
use fitch::data::Dataset;
use fitch::metrics::{ConfusionMatrix, History};
use fitch::model::{Network, SummaryStyle, summary};
use fitch::report::page::{Confusion, Mistake, PageContent, page};
use fitch::run::{RunFolder, RunRecord};
use fitch::train::Evaluation;
use fitch::train::callbacks::HistoryFile;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// The page of a run whose results are known. The confusion matrix of an earlier test takes the place of one
/// that cannot be made again.
pub fn page_of(
    folder: &RunFolder,
    record: &RunRecord,
    history: &History,
    network: &Network,
    test: Option<(&Dataset, &Evaluation)>,
) -> Result<String> {
    let model = summary(network, SummaryStyle::Keras3 { columns: SUMMARY_COLUMNS });
    let Some((dataset, test)) = test else { return page_without_images(folder, record, history, &model, "") };
    let matrix = ConfusionMatrix::count(dataset.test.labels(), &test.predictions, dataset.classes.len())?;
    let wrong = wrong(dataset, test);
    let mistakes: Vec<Mistake> = wrong.iter().map(|&index| mistake(dataset, test, index)).collect();
    page(&PageContent {
        name: &folder.name(),
        record,
        history,
        model: &model,
        confusion: Some(Confusion { matrix: &matrix, classes: &dataset.classes }),
        mistakes: &mistakes,
        picture: &|mistake| dataset.rgb_image(&dataset.test, wrong[mistake]),
        script: "",
    })
}

/// The page of a run from its files alone: while it is running, or where its images are not available.
/// `script` runs after the page's own.
pub fn page_of_files(run: &RecordedRun, script: &str) -> Result<String> {
    let (history, folder) = (recorded_history(run)?, &run.folder);
    let model = fs::read_to_string(folder.summary_file()).unwrap_or_default();
    page_without_images(folder, &run.record, &history, &model, script)
}

/// The history so far.
pub fn recorded_history(run: &RecordedRun) -> Result<History> {
    let form = config::csv_form(&run.options)?;
    let file = run.folder.history_file();
    match file.exists() {
        true => HistoryFile::new(file).form(form).read(),
        false => Ok(History::default()),
    }
}

fn page_without_images(
    folder: &RunFolder,
    record: &RunRecord,
    history: &History,
    model: &str,
    script: &str,
) -> Result<String> {
    let (path, classes) = (folder.file("confusion.csv"), &record.dataset.classes);
    // Until a run ends, the matrix is that of an earlier end.
    let has_ended = record.stop_reason.is_some();
    let matrix = (has_ended && path.exists()).then(|| read_confusion(&path, classes.len())).transpose()?;
    let path = folder.file("mistakes.csv");
    let mistakes = match has_ended && path.exists() {
        true => read_mistakes(&path, classes)?,
        false => Vec::new(),
    };
    page(&PageContent {
        name: &folder.name(),
        record,
        history,
        model,
        confusion: matrix.as_ref().map(|matrix| Confusion { matrix, classes }),
        mistakes: &mistakes,
        picture: &|_| Ok(None),
        script,
    })
}

fn mistake(dataset: &Dataset, test: &Evaluation, index: usize) -> Mistake {
    Mistake {
        name: full_caption(&dataset.test, index),
        truth: dataset.test.labels()[index] as usize,
        predicted: test.predictions[index] as usize,
        probability: test.confidences[index],
    }
}

/// Reads mistakes.csv: the file or the row of each mistake, the true and the predicted class, the probability.
fn read_mistakes(path: &Path, classes: &[String]) -> Result<Vec<Mistake>> {
    let read = || -> Result<Vec<Mistake>> {
        let mut rows = csv::Reader::from_path(path)?;
        let lead = if rows.headers()?.get(0) == Some("row") { "row " } else { "" };
        let class_of: HashMap<&str, usize> =
            classes.iter().enumerate().map(|(index, class)| (class.as_str(), index)).collect();
        let mistake = |row: csv::Result<csv::StringRecord>| -> Result<Mistake> {
            let row = row?;
            let cell = |column: usize| row.get(column).context("has too few columns");
            let class = |column| {
                let name = cell(column)?;
                class_of.get(name).copied().with_context(|| format!("the run has no class {name}"))
            };
            let (truth, predicted) = (class(1)?, class(2)?);
            Ok(Mistake {
                name: format!("{lead}{}", cell(0)?),
                truth,
                predicted,
                probability: cell(3)?.parse()?,
            })
        };
        rows.records().map(mistake).collect()
    };
    read().with_context(|| path.display().to_string())
}

/// Reads confusion.csv.
fn read_confusion(path: &Path, classes: usize) -> Result<ConfusionMatrix> {
    let read = || -> Result<ConfusionMatrix> {
        let mut rows = csv::Reader::from_path(path)?;
        let counts = |row: csv::Result<csv::StringRecord>| -> Result<Vec<u64>> {
            row?.iter().skip(1).map(|count| Ok(count.parse()?)).collect()
        };
        let counts: Vec<Vec<u64>> = rows.records().map(counts).collect::<Result<_>>()?;
        ensure!(
            counts.len() == classes && counts.iter().all(|row| row.len() == classes),
            "is not the confusion matrix of {classes} classes"
        );
        Ok(ConfusionMatrix { counts })
    };
    read().with_context(|| path.display().to_string())
}
