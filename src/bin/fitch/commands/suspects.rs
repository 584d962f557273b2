//! Images whose labels are probably wrong: as a table, and as a sheet beside it.

use super::mistakes::{caption, has_files, place};
use super::output_file::check_output;
use super::tested_model::TestedModel;
use super::train::splits::split_rows;
use crate::cli::SuspectSplit;
use crate::failure::UsageError;
use crate::terminal::Terminal;
use anyhow::{Result, ensure};
use fitch::data::split::SplitRows;
use fitch::data::{Dataset, Images, Samples, TestOrigin};
use fitch::files::{takes_streams, write_whole};
use fitch::metrics::Suspect;
use fitch::report::{SheetImage, SheetLine, image_sheet};
use fitch::text::with_separators;
use fitch::train::Evaluation;
use std::fs;
use std::path::{Path, PathBuf};

/// A sheet shows at most this many.
const MAX_SHOWN: usize = 25;
const COLUMNS: usize = 5;
/// How the file of the sheet ends.
const SHEET: &str = "png";

const TEST: &str = "test";

/// A model and the data whose labels it doubts.
pub struct Search<'a> {
    pub model: &'a TestedModel,
    pub dataset: &'a Dataset,
    /// Of the test images.
    pub test: &'a Evaluation,
    /// Whether the model was trained on these data, split as they were for it.
    pub is_trained_on_them: bool,
    pub on: SuspectSplit,
}

/// Images of a split, or some of their rows.
struct Part<'a> {
    name: &'static str,
    images: &'a Images,
    rows: Option<Vec<i64>>,
    samples: Samples,
}

/// A suspect, and its image.
struct Found<'a> {
    split: &'static str,
    images: &'a Images,
    index: usize,
    suspect: Suspect,
}

/// Fails before the work is done if the files cannot be written.
pub fn check(to: &Path) -> Result<()> {
    if to.extension().is_some_and(|end| end == SHEET) {
        let fault = format!("--suspects {}: is a table, .csv; the sheet is drawn beside it", to.display());
        return Err(UsageError(vec![fault]).into());
    }
    check_output("suspects", to, "csv")
}

/// The sheet beside a table.
pub fn sheet_of(to: &Path) -> PathBuf {
    to.with_extension(SHEET)
}

impl Search<'_> {
    /// Finds them and writes both files.
    pub fn write(&self, to: &Path, terminal: &Terminal) -> Result<()> {
        let parts = self.parts()?;
        let (mut found, mut searched) = (Vec::new(), 0);
        let searching = terminal.busy("looking for wrong labels");
        for Part { name, images, rows, samples } in &parts {
            searched += samples.len();
            let of_part = match *name {
                TEST => self.test.classification.suspects(),
                _ => self.model.test(samples)?.classification.suspects(),
            };
            found.extend(of_part.into_iter().map(|suspect| {
                let index = rows.as_ref().map_or(suspect.index, |rows| rows[suspect.index] as usize);
                Found { split: name, images, index, suspect }
            }));
        }
        drop(searching);
        // Each part is in order.
        found.sort_by(|a, b| b.suspect.suspicion().total_cmp(&a.suspect.suspicion()));

        write_whole(to, &self.csv(&found)?)?;
        let sheet = sheet_of(to);
        let has_sheet = !takes_streams(to);
        let drawn = if has_sheet { self.sheet(&found)? } else { None };
        match &drawn {
            Some(drawn) => write_whole(&sheet, drawn)?,
            // One of an earlier search would not belong to this table.
            None if has_sheet => _ = fs::remove_file(&sheet),
            None => {}
        }
        let written = match drawn {
            Some(_) => format!("{} and {}", to.display(), sheet.display()),
            None => to.display().to_string(),
        };
        let count = |count: usize| with_separators(count as i64);
        let (suspicious, searched) = (count(found.len()), count(searched));
        terminal.say(&format!("{suspicious} of {searched} labels are probably wrong: written to {written}"));
        if self.is_trained_on_them && matches!(self.on, SuspectSplit::Train | SuspectSplit::All) {
            terminal.say(
                "the model was trained on the labels of the training images: it may have learned wrong ones, which are \
                 then missing here",
            );
        }
        Ok(())
    }

    fn parts(&self) -> Result<Vec<Part<'_>>> {
        let Search { model, dataset, on, .. } = *self;
        let rows = match (on, self.is_trained_on_them) {
            (SuspectSplit::Test, _) | (_, false) => None,
            _ => Some(split_rows(dataset, model.configuration())?),
        };
        let mut parts = Vec::new();
        // Where all images are test images, those to train on are the same ones.
        let has_others = dataset.test_origin != TestOrigin::All;
        if on == SuspectSplit::Train || on == SuspectSplit::All && has_others {
            let samples = dataset.train_samples()?;
            let rows = rows.as_ref().map(|rows| rows.train.clone());
            parts.push(part("train", &dataset.train, rows, samples)?);
        }
        if matches!(on, SuspectSplit::Validation | SuspectSplit::All) {
            let held_out =
                rows.map(|SplitRows { validation, .. }| validation).filter(|rows| !rows.is_empty());
            match (held_out, &dataset.validation) {
                (Some(rows), _) => {
                    parts.push(part("validation", &dataset.train, Some(rows), dataset.train_samples()?)?);
                }
                (None, Some(images)) => {
                    let samples = dataset.validation_samples()?;
                    parts.extend(
                        samples.map(|samples| part("validation", images, None, samples)).transpose()?,
                    );
                }
                (None, None) if on == SuspectSplit::All => {}
                (None, None) => {
                    let of_run = model.run().filter(|run| run.record.dataset.validation > 0);
                    let fault = match of_run {
                        Some(run) if !self.is_trained_on_them => format!(
                            "--on validation: {} is not as when {} was trained, so that its validation images are \
                             not known",
                            dataset.name,
                            run.folder.path().display()
                        ),
                        _ => format!("--on validation: there are no validation images in {}", dataset.name),
                    };
                    return Err(UsageError(vec![fault]).into());
                }
            }
        }
        if matches!(on, SuspectSplit::Test | SuspectSplit::All) {
            parts.push(part(TEST, &dataset.test, None, dataset.test_samples()?)?);
        }
        let expected = dataset.test.shape();
        for Part { name, images, .. } in &parts {
            let found = images.shape();
            ensure!(
                found == expected,
                "the {name} images of {} are of {found:?}, but the model takes {expected:?}",
                dataset.name
            );
        }
        Ok(parts)
    }

    /// A row for each: the split, the file or row, the label, what the model says, and how sure it is.
    fn csv(&self, found: &[Found]) -> Result<Vec<u8>> {
        let has_files = has_files(&self.dataset.test);
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record([
            "split",
            if has_files { "file" } else { "row" },
            "label",
            "predicted",
            "probability",
            "probability_of_label",
            "loss",
        ])?;
        for Found { split, images, index, suspect } in found {
            writer.write_record([
                split,
                place(images, *index).as_str(),
                &self.dataset.classes[suspect.label],
                &self.dataset.classes[suspect.prediction],
                &suspect.confidence.to_string(),
                &suspect.label_probability.to_string(),
                &suspect.loss().to_string(),
            ])?;
        }
        Ok(writer.into_inner()?)
    }

    /// Draws the first of them, if there is one and the data are images.
    fn sheet(&self, found: &[Found]) -> Result<Option<Vec<u8>>> {
        let class = |class: usize| self.dataset.classes[class].clone();
        let mut shown = Vec::new();
        for Found { split, images, index, suspect } in found.iter().take(MAX_SHOWN) {
            let Some(image) = self.dataset.rgb_image(images, *index)? else { return Ok(None) };
            let lines = vec![
                SheetLine { lead: "labelled ", text: class(suspect.label) },
                SheetLine { lead: "predicted ", text: class(suspect.prediction) },
                format!("{:.1} % sure, {split}", 100.0 * suspect.confidence).into(),
                caption(images, *index),
            ];
            shown.push(SheetImage { image, lines });
        }
        if shown.is_empty() {
            return Ok(None);
        }
        let note = format!("{} of {} suspects", shown.len(), with_separators(found.len() as i64));
        Ok(Some(image_sheet("Labels that are probably wrong", &note, &shown, COLUMNS)?))
    }
}

fn part<'a>(
    name: &'static str,
    images: &'a Images,
    rows: Option<Vec<i64>>,
    samples: Samples,
) -> Result<Part<'a>> {
    let samples = match &rows {
        Some(rows) => samples.choose(rows)?,
        None => samples,
    };
    Ok(Part { name, images, rows, samples })
}
