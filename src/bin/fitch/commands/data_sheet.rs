//! Sheets of the training images of a data set: of every class, or with random changes of them.

use super::mistakes::caption;
use crate::failure::UsageError;
use anyhow::{Context, Error, Result};
use fitch::data::{Augmentation, Batch, Dataset, RgbImage};
use fitch::report::{SheetImage, SheetLine, SheetRow, class_sheet, image_sheet};
use fitch::text::with_separators;
use tch::{Kind, Tensor};

/// Up to this many classes, each has a row of its own on a sheet, with this many images.
const CLASSES_WITH_ROWS: usize = 20;
const ROW_IMAGES: usize = 8;
/// With more classes it is a grid with an image of each.
const GRID_COLUMNS: usize = 8;
/// Images with random changes of them, each in a row of its own, and how many of these it has.
const AUGMENTED: usize = 10;
const VERSIONS: usize = 7;

/// Training images of every class: a row for each of a few classes, else a grid with one image of each.
pub fn sheet(dataset: &Dataset) -> Result<Vec<u8>> {
    let has_rows = dataset.classes.len() <= CLASSES_WITH_ROWS;
    let by_class = first_of_classes(dataset, if has_rows { ROW_IMAGES } else { 1 });
    let mut classes = Vec::new();
    for (rows, class) in by_class.iter().zip(&dataset.classes) {
        let mut images = Vec::new();
        for &row in rows {
            let image = dataset.rgb_image(&dataset.train, row)?.ok_or_else(|| no_images(dataset))?;
            let caption = caption(&dataset.train, row);
            let lines = if has_rows { vec![caption] } else { vec![class.clone().into(), caption] };
            images.push(SheetImage { image, lines });
        }
        classes.push(SheetRow { heading: class.clone(), images });
    }
    let shown: usize = by_class.iter().map(Vec::len).sum();
    let total = with_separators(dataset.train.len() as i64);
    let note = format!("{} of {total} training images", with_separators(shown as i64));
    match has_rows {
        true => class_sheet(&dataset.name, &note, &classes),
        false => {
            let images: Vec<SheetImage> = classes.into_iter().flat_map(|class| class.images).collect();
            image_sheet(&dataset.name, &note, &images, GRID_COLUMNS)
        }
    }
}

/// The first training images of as many classes as fit, each with some random changes of it beside. All of them are
/// one batch, so that each is mixed with the one above it.
pub fn augmented_sheet(dataset: &Dataset, augmentation: &Augmentation, seed: i64) -> Result<Vec<u8>> {
    if !matches!(dataset.shape().len(), 2 | 3) {
        return Err(no_images(dataset));
    }
    let by_class = first_of_classes(dataset, AUGMENTED);
    let in_turn = (0..AUGMENTED).flat_map(|turn| by_class.iter().filter_map(move |rows| rows.get(turn)));
    let rows: Vec<i64> = in_turn.take(AUGMENTED).map(|&row| row as i64).collect();
    let labels: Vec<i64> = rows.iter().map(|&row| dataset.train.labels()[row as usize]).collect();
    let range = dataset.value_range()?.map(|value| value / dataset.maximum);
    augmentation.check(&dataset.shape(), range).context("--augment")?;
    let inputs = dataset.train.gather(&rows)?.f_to_kind(Kind::Float)?.f_div_scalar(dataset.maximum)?;
    let batch = Batch { inputs, targets: Tensor::f_from_slice(&labels)?, size: rows.len() };

    let class = |label: i64| dataset.classes[label as usize].clone();
    let image = |images: &Tensor, index: usize| -> Result<RgbImage> {
        RgbImage::of(&images.f_select(0, index as i64)?)?.ok_or_else(|| no_images(dataset))
    };
    let mut sheet = Vec::new();
    for (index, (&row, &label)) in rows.iter().zip(&labels).enumerate() {
        let lines = vec![caption(&dataset.train, row as usize)];
        let whole = SheetImage { image: image(&batch.inputs, index)?, lines };
        sheet.push(SheetRow { heading: class(label), images: vec![whole] });
    }
    tch::manual_seed(seed);
    for _ in 0..VERSIONS {
        let mixed = augmentation.apply_to_batch(&batch)?;
        let others = match &mixed.others {
            Some((others, share)) => Some((Vec::<i64>::try_from(others)?, *share)),
            None => None,
        };
        for (index, row) in sheet.iter_mut().enumerate() {
            let share = |(others, share): &(Vec<i64>, f64)| {
                format!("{:.0} % {}", 100.0 * share, class(others[index]))
            };
            let lines: Vec<SheetLine> = others.iter().map(|others| share(others).into()).collect();
            row.images.push(SheetImage { image: image(&mixed.inputs, index)?, lines });
        }
    }
    class_sheet(&dataset.name, &format!("{augmentation}; seed {seed}"), &sheet)
}

/// The first `count` training images of each class.
fn first_of_classes(dataset: &Dataset, count: usize) -> Vec<Vec<usize>> {
    let mut by_class: Vec<Vec<usize>> = vec![Vec::new(); dataset.classes.len()];
    for (row, &label) in dataset.train.labels().iter().enumerate() {
        let rows = &mut by_class[label as usize];
        if rows.len() < count {
            rows.push(row);
        }
    }
    by_class
}

fn no_images(dataset: &Dataset) -> Error {
    UsageError(vec![format!("--to: {} holds no images", dataset.name)]).into()
}
