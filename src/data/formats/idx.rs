//! A folder of IDX files as a data set.

use super::reader::{FolderForm, Reader};
use crate::data::images::max_value;
use crate::data::label_encoding::LabelEncoding;
use crate::data::raw_dataset::{RawDataset, Split};
use crate::data::{Images, idx_file, passed_over};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};

pub(super) const READER: Reader = Reader {
    name: "IDX files",
    keyword: "idx",
    folder: Some(FolderForm {
        needs: "train-images-idx3-ubyte, no train-labels-idx1-ubyte, no t10k-images-idx3-ubyte, no \
                t10k-labels-idx1-ubyte (raw or .gz)",
        is_there: has_files,
    }),
    endings: &[],
    load: |folder, _, encoding, _| load(folder, encoding),
    shape_and_classes: Some(shape_and_classes),
};

/// What the four files of an IDX set are called; each may end in `.gz`. Other names that say
/// as much are taken, too: `emnist-letters-test-labels-idx1-ubyte.gz`.
pub const IDX_FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// The file of that name in a folder, raw or gzipped, if there is one: with a dot before `idx`, too, or in a
/// folder of its own name, as archives of MNIST have them.
pub(in crate::data) fn find_file(folder: &Path, name: &str) -> Option<PathBuf> {
    let dotted = name.replace("-idx", ".idx");
    let names = [name.to_string(), format!("{name}.gz"), dotted.clone(), format!("{dotted}.gz")];
    let within = names.iter().flat_map(|place| names.iter().map(move |name| Path::new(place).join(name)));
    let places: Vec<PathBuf> =
        names.iter().map(PathBuf::from).chain(within).map(|path| folder.join(path)).collect();
    let file = places.iter().find(|path| path.is_file());
    file.or_else(|| places.iter().take(2).find(|path| path.exists())).cloned()
}

/// A file of images and that of their labels.
type Pair = (PathBuf, PathBuf);

/// The training files of a folder and, if there are any, the test files. A single pair is one to train with,
/// whatever it is called.
fn find_pairs(folder: &Path) -> Result<(Pair, Option<Pair>)> {
    let mut paths = [const { None }; 4];
    for (path, name) in paths.iter_mut().zip(IDX_FILES) {
        *path = find_by_name(folder, name)?;
    }
    let missing = IDX_FILES.iter().zip(&paths).filter(|(_, path)| path.is_none()).map(|(name, _)| *name);
    let missing: Vec<&str> = missing.collect();
    let [train_images, train_labels, test_images, test_labels] = paths;
    let is_torn =
        train_images.is_some() != train_labels.is_some() || test_images.is_some() != test_labels.is_some();
    match (train_images.zip(train_labels), test_images.zip(test_labels)) {
        (Some(train), test) if !is_torn => Ok((train, test)),
        (None, Some(only)) if !is_torn => Ok((only, None)),
        _ => bail!("{}: has no {} (raw or .gz)", folder.display(), missing.join(", no ")),
    }
}

/// The four files of a folder are there.
pub(in crate::data) fn is_whole(folder: &Path) -> bool {
    matches!(find_pairs(folder), Ok((_, Some(_))))
}

/// Whether a folder looks like one of IDX files.
fn has_files(folder: &Path) -> bool {
    let entries = passed_over::entries(folder).into_iter();
    entries
        .map(|path| path.file_name().unwrap_or_default().to_string_lossy().to_lowercase())
        .any(|name| name.contains("idx") && (name.contains("images") || name.contains("labels")))
}

/// The file of that name, or one whose name says the same: train or test, images or labels, IDX.
fn find_by_name(folder: &Path, name: &str) -> Result<Option<PathBuf>> {
    if let Some(path) = find_file(folder, name) {
        return Ok(Some(path));
    }
    let split = if name.starts_with("train") { Split::Train } else { Split::Test };
    let content = if name.contains("images") { "images" } else { "labels" };
    let fits = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        name.contains("idx") && name.contains(content) && Split::of_name(&name) == Some(split)
    };
    let mut fitting: Vec<PathBuf> = passed_over::entries(folder).into_iter().filter(fits).collect();
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

/// Loads the files of a folder. Without an encoding, the labels say how they are counted.
fn load(folder: &Path, encoding: Option<LabelEncoding>) -> Result<RawDataset> {
    let (train_files, test_files) = find_pairs(folder)?;
    let train = load_pair(&train_files)?;
    let maximum = max_value(&train.pixels()?)?;
    let of_train = || train_files.1.display().to_string();
    let encoding = match encoding {
        Some(encoding) => encoding,
        None => LabelEncoding::from_labels(train.labels()).with_context(of_train)?,
    };
    let labels = encoding.classes(train.labels()).with_context(of_train)?;
    let train = train.with_labels(labels);
    let test = test_files.map(|files| -> Result<Images> {
        let test = load_pair(&files)?;
        let (train_shape, test_shape) = (train.shape(), test.shape());
        ensure!(
            train_shape == test_shape,
            "{}: has images of {test_shape:?} pixels, but those of {} have {train_shape:?}",
            files.0.display(),
            train_files.0.display()
        );
        let labels = encoding.classes(test.labels()).with_context(|| files.1.display().to_string())?;
        Ok(test.with_labels(labels))
    });
    let test = test.transpose()?;
    let classes = encoding.names;
    Ok(RawDataset {
        train,
        validation: None,
        test,
        classes,
        maximum,
        notes: Vec::new(),
        left_out: Vec::new(),
        table: None,
    })
}

/// Loads the files of a catalogued set, whose classes are known.
pub(in crate::data) fn load_known(folder: &Path, classes: Vec<String>) -> Result<RawDataset> {
    load(folder, Some(LabelEncoding::new(0, classes)))
}

/// The shape of an image and the number of classes, from the headers and the labels.
fn shape_and_classes(folder: &Path) -> Result<(Vec<i64>, usize)> {
    let ((images, labels), _) = find_pairs(folder)?;
    let encoding = LabelEncoding::from_labels(&idx_file::read_label_numbers(&labels)?);
    let encoding = encoding.with_context(|| labels.display().to_string())?;
    Ok((idx_file::image_sizes(&images)?.split_off(1), encoding.names.len()))
}

/// Images with their labels as they are stored.
fn load_pair((images, labels): &Pair) -> Result<Images> {
    let (pixels, mapped_from) = idx_file::map_images(images)?;
    let numbers = idx_file::read_label_numbers(labels)?;
    let count = pixels.size()[0];
    ensure!(
        count == numbers.len() as i64,
        "{}: has {} labels, but {} has {count} images",
        labels.display(),
        numbers.len(),
        images.display()
    );
    Ok(Images::new(pixels, numbers)?.mapped_from(mapped_from))
}
