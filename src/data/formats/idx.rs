//! A folder of IDX files as a data set.

use super::reader::{FolderForm, Reader};
use crate::data::label_encoding::LabelEncoding;
use crate::data::raw_dataset::{RawDataset, Split};
use crate::data::scaling::Range;
use crate::data::{Images, idx_file, passed_over};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use tch::Kind;

pub(super) const READER: Reader = Reader {
    name: "IDX files",
    keyword: "idx",
    folder: Some(FolderForm {
        needs: "train-images-idx3-ubyte, no train-labels-idx1-ubyte, no t10k-images-idx3-ubyte, no \
                t10k-labels-idx1-ubyte (raw or .gz)",
        is_there: has_files,
    }),
    endings: &[],
    can_group: |_| false,
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

/// The file of that name in a folder, raw or gzipped, if there is one: `train-images-idx3-ubyte`, also with a
/// dot for its last hyphen but one, or in a folder of that name, as archives have it.
pub(in crate::data) fn find_file(folder: &Path, name: &str) -> Option<PathBuf> {
    let dotted = name.replace("-idx", ".idx");
    let names = [name, &dotted].map(|name| [name.to_string(), format!("{name}.gz")]).into_iter().flatten();
    let within = |name: &String| {
        let path = folder.join(name);
        if path.is_dir() { names_of(&path, name).into_iter().find(|path| path.is_file()) } else { None }
    };
    let names: Vec<String> = names.collect();
    let paths = || names.iter().map(|name| folder.join(name));
    let file = paths().find(|path| path.is_file()).or_else(|| names.iter().find_map(within));
    // Whoever reads an empty folder says that it is not a file.
    file.or_else(|| paths().find(|path| path.exists()))
}

/// What a file in a folder of its own name may be called.
fn names_of(folder: &Path, name: &str) -> Vec<PathBuf> {
    let other =
        if name.contains(".idx") { name.replace(".idx", "-idx") } else { name.replace("-idx", ".idx") };
    vec![folder.join(name), folder.join(other)]
}

/// A file of images and that of their labels.
type Pair = (PathBuf, PathBuf);

/// The files of a folder by their splits, those to train with first. A single pair is one to train with,
/// whatever it is called.
fn find_pairs(folder: &Path) -> Result<Vec<(Split, Pair)>> {
    let mut pairs = Vec::new();
    let mut missing = Vec::new();
    for split in Split::ALL {
        let [images, labels] = ["images", "labels"].map(|content| find(folder, Some(split), content));
        match (images?, labels?) {
            (Some(images), Some(labels)) => pairs.push((split, (images, labels))),
            (None, None) if split != Split::Train => {}
            (images, labels) => {
                let names = [(images, "images"), (labels, "labels")];
                missing.extend(
                    names.into_iter().filter(|(path, _)| path.is_none()).map(|(_, content)| (split, content)),
                );
            }
        }
    }
    let has_train = pairs.first().is_some_and(|(split, _)| *split == Split::Train);
    let is_torn = missing.iter().any(|(split, _)| *split != Split::Train) || missing.len() == 1;
    if has_train && !is_torn {
        return Ok(pairs);
    }
    if !is_torn && let [(_, only)] = pairs.as_slice() {
        return Ok(vec![(Split::Train, only.clone())]);
    }
    // Files whose names speak of no split.
    if pairs.is_empty()
        && let (Some(images), Some(labels)) = (find(folder, None, "images")?, find(folder, None, "labels")?)
    {
        return Ok(vec![(Split::Train, (images, labels))]);
    }
    let name = |(split, content): &(Split, &str)| {
        let names =
            IDX_FILES.iter().find(|name| name.contains(content) && Split::of_name(name) == Some(*split));
        names.map_or_else(|| format!("{}-{content}-idx-ubyte", split.name()), |name| name.to_string())
    };
    let mut names: Vec<String> = missing.iter().map(name).collect();
    if pairs.is_empty() && !is_torn {
        names = IDX_FILES.map(str::to_string).to_vec();
    }
    bail!("{}: has no {} (raw or .gz)", folder.display(), names.join(", no "))
}

/// The four files of a folder are there.
pub(in crate::data) fn is_whole(folder: &Path) -> bool {
    find_pairs(folder).is_ok_and(|pairs| {
        [Split::Train, Split::Test].iter().all(|split| pairs.iter().any(|(found, _)| found == split))
    })
}

/// Whether a folder looks like one of IDX files.
fn has_files(folder: &Path) -> bool {
    passed_over::entries(folder)
        .iter()
        .map(|path| lower_name(path))
        .any(|name| name.contains("idx") && (name.contains("images") || name.contains("labels")))
}

fn lower_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().to_lowercase()
}

/// The file of a split with images or labels: called as it usually is, or so that its name says the same.
fn find(folder: &Path, split: Option<Split>, content: &str) -> Result<Option<PathBuf>> {
    let fits = |name: &str| name.contains("idx") && name.contains(content) && Split::of_name(name) == split;
    let usual = IDX_FILES.iter().find(|name| fits(name));
    if let Some(path) = usual.and_then(|name| find_file(folder, name)) {
        return Ok(Some(path));
    }
    let fitting = passed_over::entries(folder).into_iter().filter(|path| fits(&lower_name(path)));
    let file_of = |path: PathBuf| match path.is_dir() {
        // A file that an archive has in a folder of its own name.
        true => names_of(&path, &path.file_name()?.to_string_lossy()).into_iter().find(|path| path.is_file()),
        false => Some(path),
    };
    let mut fitting: Vec<PathBuf> = fitting.filter_map(file_of).collect();
    // The same file may be there in both places.
    let name = |path: &PathBuf| lower_name(path).replace(".idx", "-idx");
    fitting.sort_by_key(|path| (name(path), path.components().count()));
    fitting.dedup_by_key(|path| name(path));
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
    let mut pairs = find_pairs(folder)?.into_iter();
    let (_, train_files) = pairs.next().with_context(|| format!("{}: has no IDX files", folder.display()))?;
    let train = load_pair(&train_files)?;
    let of_train = || train_files.1.display().to_string();
    let encoding = match encoding {
        Some(encoding) => encoding,
        None => LabelEncoding::from_labels(train.labels()).with_context(of_train)?,
    };
    let labels = encoding.classes(train.labels()).with_context(of_train)?;
    let train = train.with_labels(labels);
    let (mut validation, mut test) = (None, None);
    for (split, files) in pairs {
        let images = load_pair(&files)?;
        let (train_shape, shape) = (train.shape(), images.shape());
        ensure!(
            train_shape == shape,
            "{}: has images of {shape:?} pixels, but those of {} have {train_shape:?}",
            files.0.display(),
            train_files.0.display()
        );
        let labels = encoding.classes(images.labels()).with_context(|| files.1.display().to_string())?;
        let images = Some(images.with_labels(labels));
        match split {
            Split::Validation => validation = images,
            _ => test = images,
        }
    }
    let notes = Vec::from_iter(encoding.note());
    let classes = encoding.names;
    Ok(RawDataset { train, validation, test, classes, notes, left_out: Vec::new(), table: None })
}

/// Loads the files of a catalogued set, whose classes are known.
pub(in crate::data) fn load_known(folder: &Path, classes: Vec<String>) -> Result<RawDataset> {
    load(folder, Some(LabelEncoding::new(0, classes)))
}

/// The shape of an image and the number of classes, from the headers and the labels.
fn shape_and_classes(folder: &Path) -> Result<(Vec<i64>, usize)> {
    let pairs = find_pairs(folder)?;
    let (_, (images, labels)) = pairs.first().context("has no IDX files")?;
    let encoding = LabelEncoding::from_labels(&idx_file::read_label_numbers(labels)?);
    let encoding = encoding.with_context(|| labels.display().to_string())?;
    Ok((idx_file::image_sizes(images)?.split_off(1), encoding.names.len()))
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
    let loaded = Images::new(pixels, numbers)?.mapped_from(mapped_from);
    if matches!(loaded.kind(), Kind::Float | Kind::Double) {
        Range::of(&loaded).with_context(|| images.display().to_string())?;
    }
    Ok(loaded)
}
