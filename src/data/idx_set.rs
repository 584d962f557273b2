//! A folder of four IDX files as a data set. It must not know other forms of data.

use super::idx;
use super::source::Loaded;
use super::{Images, count_classes, greatest_value};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use tch::Kind;

/// What the four files of an IDX set are called; each may end in `.gz`. Other names are taken where they tell
/// as much: `emnist-letters-test-labels-idx1-ubyte.gz`.
pub const IDX_FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// The file of that name in a folder, raw or gzipped, if there is one.
pub(super) fn find_file(folder: &Path, name: &str) -> Option<PathBuf> {
    [folder.join(name), folder.join(format!("{name}.gz"))].into_iter().find(|path| path.exists())
}

/// The four files of a folder.
///
/// # Errors
/// A file that is missing, or for which there is more than one.
pub(super) fn find_files(folder: &Path) -> Result<[PathBuf; 4]> {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for name in IDX_FILES {
        match find_file(folder, name) {
            Some(path) => found.push(path),
            None => match by_pattern(folder, name)? {
                Some(path) => found.push(path),
                None => missing.push(name),
            },
        }
    }
    found
        .try_into()
        .map_err(|_| anyhow::anyhow!("{}: has no {} (raw or .gz)", folder.display(), missing.join(", no ")))
}

/// Whether a folder looks like one of IDX files.
pub(super) fn has_idx_files(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name()).any(|name| name.to_string_lossy().contains("idx"))
}

/// A file whose name tells the same as `name`: train or test, images or labels, IDX.
fn by_pattern(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    let sides: &[&str] = if name.starts_with("train") { &["train"] } else { &["t10k", "test"] };
    let content = if name.contains("images") { "images" } else { "labels" };
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        name.contains("idx") && name.contains(content) && sides.iter().any(|side| name.contains(side))
    };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut fitting: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(fits).collect();
    fitting.sort();
    if let [first, second, ..] = fitting.as_slice() {
        bail!(
            "{}: has both {} and {}; keep one set in a folder",
            folder.display(),
            first.file_name().unwrap_or_default().display(),
            second.file_name().unwrap_or_default().display()
        );
    }
    Ok(fitting.pop())
}

/// Loads the four files of a folder. Where the names of the classes are not known, they are numbers.
///
/// # Errors
/// Files that are missing, damaged, or do not fit each other.
pub(super) fn load(folder: &Path, classes: Option<Vec<String>>) -> Result<Loaded> {
    let [train_images, train_labels, test_images, test_labels] = find_files(folder)?;
    let mut train = load_pair(&train_images, &train_labels)?;
    let mut test = load_pair(&test_images, &test_labels)?;
    let (train_shape, test_shape) = (train.pixels.size().split_off(1), test.pixels.size().split_off(1));
    ensure!(
        train_shape == test_shape,
        "{}: has images of {test_shape:?} pixels, but those of {} have {train_shape:?}",
        test_images.display(),
        train_images.display()
    );
    // Some sets count from 1, as EMNIST's letters do.
    let first = match &classes {
        None if train.labels.iter().min() == Some(&1) => 1,
        _ => 0,
    };
    for labels in [&mut train.labels, &mut test.labels] {
        labels.iter_mut().for_each(|label| *label -= first);
    }
    let count = match &classes {
        Some(classes) => classes.len(),
        None => {
            count_gapless_classes(&train.labels, first).with_context(|| train_labels.display().to_string())?
        }
    };
    check_labels(&train.labels, count, first).with_context(|| train_labels.display().to_string())?;
    check_labels(&test.labels, count, first).with_context(|| test_labels.display().to_string())?;
    let classes =
        classes.unwrap_or_else(|| (0..count).map(|class| (class as i64 + first).to_string()).collect());
    let maximum = greatest_value(&train)?;
    Ok(Loaded { train, test: Some(test), classes, maximum, notes: Vec::new() })
}

/// The shape of an image and the number of classes, from the headers and the labels.
pub(super) fn shape_and_classes(folder: &Path) -> Result<(Vec<i64>, usize)> {
    let [images, labels, ..] = find_files(folder)?;
    let labels = read_label_numbers(&labels)?;
    let first = i64::from(labels.iter().min() == Some(&1));
    Ok((idx::image_sizes(&images)?.split_off(1), (count_classes(&labels) as i64 - first) as usize))
}

fn read_label_numbers(path: &Path) -> Result<Vec<i64>> {
    let labels = idx::read_labels(path)?;
    let numbers = Vec::<i64>::try_from(&labels.f_to_kind(Kind::Int64)?)?;
    if let Some(row) = numbers.iter().position(|&label| !(0..=MOST_CLASSES).contains(&label)) {
        bail!("{}: the label {} (of image {row}, counted from 0) is no class", path.display(), numbers[row]);
    }
    Ok(numbers)
}

/// More classes are a sign of a wrong file.
const MOST_CLASSES: i64 = 1 << 16;

fn load_pair(images: &Path, labels: &Path) -> Result<Images> {
    let pixels = idx::read_images(images)?;
    let numbers = read_label_numbers(labels)?;
    let count = pixels.size()[0];
    ensure!(
        count == numbers.len() as i64,
        "{}: has {} labels, but {} has {count} images",
        labels.display(),
        numbers.len(),
        images.display()
    );
    Ok(Images { pixels, labels: numbers })
}

/// The number of classes where only the labels tell it. A class without a single training image below
/// the greatest label is the sign of a wrong label rather than of a class that cannot be learnt.
fn count_gapless_classes(labels: &[i64], first: i64) -> Result<usize> {
    let count = count_classes(labels);
    let mut seen = vec![false; count];
    labels.iter().for_each(|&label| seen[label as usize] = true);
    if let Some(absent) = seen.iter().position(|seen| !seen) {
        let greatest = count as i64 - 1;
        let row = labels.iter().position(|&label| label == greatest).unwrap_or(0);
        bail!(
            "label {} (of image {row}, counted from 0) is beyond the classes: no image has label {}; classes \
             are numbered from {first} without a gap",
            greatest + first,
            absent as i64 + first
        );
    }
    Ok(count)
}

fn check_labels(labels: &[i64], classes: usize, first: i64) -> Result<()> {
    match labels.iter().position(|label| !(0..classes as i64).contains(label)) {
        Some(row) => bail!(
            "label {} (of image {row}, counted from 0) is beyond the {classes} classes, {first} to {}",
            labels[row] + first,
            classes as i64 - 1 + first
        ),
        None => Ok(()),
    }
}
