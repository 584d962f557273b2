//! The images that some models classify correctly and others do not: as a table and as a sheet.

use super::comparison::Comparison;
use super::output::letter;
use crate::commands::mistakes::{caption, has_files, place};
use crate::failure::UsageError;
use anyhow::Result;
use fitch::data::Dataset;
use fitch::report::{SheetImage, SheetLine, SheetRow, class_sheet};
use std::collections::BTreeMap;

/// Images in a row of a sheet, rows of the same models, and rows in all.
const ROW: usize = 8;
const MAX_ROWS_ALIKE: usize = 2;
const MAX_ROWS: usize = 12;

/// A row for each image: its file or row in the data, its class, the models that are right, and the predictions of
/// each model.
pub fn as_csv(comparison: &Comparison, dataset: &Dataset, differences: &[usize]) -> Result<Vec<u8>> {
    let images = &dataset.test;
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = [if has_files(images) { "file" } else { "row" }, "true", "right"].map(str::to_string);
    let of_models = comparison.candidates.iter().flat_map(|candidate| {
        [format!("predicted by {}", candidate.name), format!("probability by {}", candidate.name)]
    });
    writer.write_record(head.into_iter().chain(of_models))?;
    for &index in differences {
        let right: Vec<&str> = comparison
            .candidates
            .iter()
            .filter(|candidate| candidate.is_right[index])
            .map(|candidate| candidate.name.as_str())
            .collect();
        let head = [place(images, index), comparison.truths[index].clone(), right.join("; ")];
        let of_models = comparison.candidates.iter().flat_map(|candidate| {
            [candidate.predictions[index].clone(), candidate.confidences[index].to_string()]
        });
        writer.write_record(head.into_iter().chain(of_models))?;
    }
    Ok(writer.into_inner()?)
}

/// Draws the images in groups by the models that are right, those first that the others are most wrong about;
/// none if there is none.
pub fn sheet(comparison: &Comparison, dataset: &Dataset, differences: &[usize]) -> Result<Option<Vec<u8>>> {
    let mut groups: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
    for &index in differences {
        let is_right = |&model: &usize| comparison.candidates[model].is_right[index];
        groups.entry((0..comparison.candidates.len()).filter(is_right).collect()).or_default().push(index);
    }
    let mut rows = Vec::new();
    for (right, mut members) in groups {
        let confidence = |index: usize| {
            surest_wrong(comparison, index)
                .map_or(0.0, |model| comparison.candidates[model].confidences[index])
        };
        members.sort_by(|&a, &b| confidence(b).total_cmp(&confidence(a)));
        let letters = right.iter().map(|&model| letter(model)).collect::<Vec<_>>().join(", ");
        for members in members.chunks(ROW).take(MAX_ROWS_ALIKE) {
            let mut images = Vec::new();
            for &index in members {
                let Some(image) = dataset.rgb_image(&dataset.test, index)? else {
                    let fault = format!("--sheet: {} holds no images", dataset.name);
                    return Err(UsageError(vec![fault]).into());
                };
                images.push(SheetImage { image, lines: lines(comparison, dataset, index) });
            }
            rows.push(SheetRow { heading: format!("right: {letters}"), images });
        }
    }
    rows.truncate(MAX_ROWS);
    if rows.is_empty() {
        return Ok(None);
    }
    let shown: usize = rows.iter().map(|row| row.images.len()).sum();
    let names = comparison.candidates.iter().enumerate();
    let names: Vec<String> =
        names.map(|(index, model)| format!("{}: {}", letter(index), model.name)).collect();
    let note = format!("{}; {shown} of {} images", names.join(", "), differences.len());
    Ok(Some(class_sheet("Differences", &note, &rows)?))
}

/// The true class, what the surest model that is wrong predicts, and where the image lies.
fn lines(comparison: &Comparison, dataset: &Dataset, index: usize) -> Vec<SheetLine> {
    let predicted = surest_wrong(comparison, index).map(|model| {
        let candidate = &comparison.candidates[model];
        let percent = 100.0 * candidate.confidences[index];
        format!("{}: {}, {percent:.0} %", letter(model), candidate.predictions[index])
    });
    let truth = comparison.truths[index].clone();
    let lines = std::iter::once(truth).chain(predicted).map(SheetLine::from);
    lines.chain([caption(&dataset.test, index)]).collect()
}

/// Of the models that are wrong about an image the one that is most confident.
fn surest_wrong(comparison: &Comparison, index: usize) -> Option<usize> {
    let confidence = |model: usize| comparison.candidates[model].confidences[index];
    let wrong =
        (0..comparison.candidates.len()).filter(|&model| !comparison.candidates[model].is_right[index]);
    wrong.max_by(|&a, &b| confidence(a).total_cmp(&confidence(b)))
}
