//! The images that a model is wrong about: as a table and as a sheet.

use anyhow::Result;
use fitch::data::{Dataset, ImageOrigin, Images};
use fitch::report::{SheetImage, SheetLine, image_sheet};
use fitch::train::Evaluation;

/// A sheet shows at most this many.
const MAX_SHOWN: usize = 25;
const COLUMNS: usize = 5;

/// The test images that were predicted wrongly, those of which the model was most confident first.
pub fn wrong(dataset: &Dataset, test: &Evaluation) -> Vec<usize> {
    let labels = dataset.test.labels();
    let mut wrong: Vec<usize> =
        (0..labels.len()).filter(|&index| labels[index] != test.predictions[index]).collect();
    wrong.sort_by(|&a, &b| test.confidences[b].total_cmp(&test.confidences[a]));
    wrong
}

/// All of them as CSV: the file or, for data without one for each image, the row; the true class, the predicted
/// one, and its probability.
pub fn mistakes_csv(dataset: &Dataset, test: &Evaluation) -> Result<Vec<u8>> {
    let images = &dataset.test;
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([
        if has_files(images) { "file" } else { "row" },
        "true",
        "predicted",
        "probability",
    ])?;
    for index in wrong(dataset, test) {
        let class = |class: i64| dataset.classes[class as usize].as_str();
        writer.write_record([
            place(images, index).as_str(),
            class(images.labels()[index]),
            class(test.predictions[index]),
            &test.confidences[index].to_string(),
        ])?;
    }
    Ok(writer.into_inner()?)
}

/// Whether each image has a file of its own.
pub fn has_files(images: &Images) -> bool {
    !images.is_empty() && matches!(images.origin(0), ImageOrigin::File(_))
}

/// The name of an image's file, or its row.
pub fn place(images: &Images, index: usize) -> String {
    match images.origin(index) {
        ImageOrigin::File(name) => name.to_string(),
        ImageOrigin::Row(row) => row.to_string(),
    }
}

/// What an image is called where there is room: the name of its file in the data set, or `row 7`.
pub fn full_caption(images: &Images, index: usize) -> String {
    match images.origin(index) {
        ImageOrigin::File(name) => name.to_string(),
        ImageOrigin::Row(row) => format!("row {row}"),
    }
}

/// What an image is called on a sheet: the name of its file, without the folders, or `row 7`.
pub fn caption(images: &Images, index: usize) -> SheetLine {
    match images.origin(index) {
        ImageOrigin::File(name) => name.rsplit('/').next().unwrap_or(name).to_string().into(),
        ImageOrigin::Row(row) => SheetLine { lead: "row ", text: row.to_string() },
    }
}

/// Draws the first of them, if there is one and the data are images.
pub fn draw_mistakes(dataset: &Dataset, test: &Evaluation) -> Result<Option<Vec<u8>>> {
    let wrong = wrong(dataset, test);
    let mut mistakes = Vec::new();
    for &index in wrong.iter().take(MAX_SHOWN) {
        let Some(image) = dataset.rgb_image(&dataset.test, index)? else { return Ok(None) };
        let class = |class: i64| dataset.classes[class as usize].clone();
        let lines = vec![
            class(dataset.test.labels()[index]).into(),
            SheetLine { lead: "predicted ", text: class(test.predictions[index]) },
            format!("{:.1} % sure", 100.0 * test.confidences[index]).into(),
            caption(&dataset.test, index),
        ];
        mistakes.push(SheetImage { image, lines });
    }
    if mistakes.is_empty() {
        return Ok(None);
    }
    let note = format!("{} of {} wrong test images", mistakes.len(), wrong.len());
    Ok(Some(image_sheet("Most confident mistakes", &note, &mistakes, COLUMNS)?))
}
