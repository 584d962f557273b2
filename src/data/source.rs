//! What `--dataset` names: where data come from, and how they become a data set with its three splits.

use super::catalogue::{self, KnownSet};
use super::formats::{Format, csv, folders, idx, npz, parquet};
use super::label_encoding::LabelEncoding;
use super::load_options::{LoadOptions, TEST_SHARE};
use super::progress::Progress;
use super::raw_dataset::RawDataset;
use super::split::{SplitMethod, split};
use super::{Dataset, Images, digits};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};

/// What `--dataset` names.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The built-in digits.
    Digits,
    /// A set of the catalogue, kept below the data folder.
    Known(&'static KnownSet),
    /// A folder or file of one's own.
    Path(PathBuf),
}

impl Source {
    /// Finds out what a name or a path stands for. A name that the catalogue has is never a path: write
    /// `./mnist` for a folder of that name.
    ///
    /// # Errors
    /// Neither a known name nor an existing path.
    pub fn find(name_or_path: &str) -> Result<Source> {
        if name_or_path == "digits" {
            return Ok(Source::Digits);
        }
        if let Some(known) = KnownSet::named(name_or_path) {
            return Ok(Source::Known(known));
        }
        let path = Path::new(name_or_path);
        ensure!(
            path.exists(),
            "'{name_or_path}' is neither a data set ({}) nor an existing folder or file",
            catalogue::names().join(", ")
        );
        Ok(Source::Path(path.to_path_buf()))
    }

    /// A short name, for people and file names.
    pub fn name(&self) -> String {
        match self {
            Source::Digits => "digits".to_string(),
            Source::Known(set) => set.name.to_string(),
            Source::Path(path) => {
                let path = path.canonicalize().unwrap_or_else(|_| path.clone());
                let name = path.file_name().map_or("data".into(), |name| name.to_string_lossy());
                let ends = [".gz", ".csv", ".npz", ".parquet"];
                ends.iter().fold(name.as_ref(), |name, end| name.trim_end_matches(end)).to_string()
            }
        }
    }

    /// The form of the data, for people.
    ///
    /// # Errors
    /// As [`Format::of`].
    pub fn form(&self, reading: &LoadOptions) -> Result<&'static str> {
        match self {
            Source::Digits => Ok("built in"),
            Source::Known(_) => Ok(Format::Idx.name()),
            Source::Path(path) => Ok(reading.format_of(path)?.name()),
        }
    }

    /// Whether loading it would fetch nothing.
    pub fn is_here(&self, data_dir: &Path) -> bool {
        match self {
            Source::Digits => true,
            Source::Known(set) => idx::is_whole(&data_dir.join(set.name)),
            Source::Path(path) => path.exists(),
        }
    }

    /// Loads the data set with default options. A catalogued set that is not in the [default
    /// folder](super::default_folder) yet is fetched.
    ///
    /// # Errors
    /// Files that are missing, unreadable or wrong, each named.
    pub fn load(&self) -> Result<Dataset> {
        self.load_with(&LoadOptions::default(), &mut |_| ())
    }

    /// Loads the data set; files of a catalogued set that are missing below the data folder are fetched first.
    /// `progress` is called at each step.
    ///
    /// # Errors
    /// Files that are missing, unreadable or wrong, each named.
    pub fn load_with(&self, reading: &LoadOptions, progress: &mut dyn FnMut(Progress)) -> Result<Dataset> {
        let mut loaded = match self {
            Source::Digits => digits::load()?,
            Source::Known(set) => {
                let folder = reading.data_dir.join(set.name);
                set.fetch_missing(&folder, progress)?;
                let classes = set.classes.iter().map(|class| class.to_string()).collect();
                idx::load(&folder, Some(LabelEncoding::from(0, classes)))?
            }
            Source::Path(path) => load_path(path, reading, None, progress)?,
        };
        if let Some(path) = &reading.validation {
            let validation = load_validation(path, reading, &loaded, progress);
            loaded.validation = Some(validation.with_context(|| format!("--validation {}", path.display()))?);
        }
        let dataset = self.complete(loaded, reading)?;
        match &reading.classes {
            Some(classes) => dataset.keep_classes(classes),
            None => Ok(dataset),
        }
    }

    /// Splits a test set off where there is none.
    fn complete(&self, mut loaded: RawDataset, reading: &LoadOptions) -> Result<Dataset> {
        let test = match loaded.test.take() {
            Some(test) => test,
            None => {
                let share = reading.test_share.unwrap_or(TEST_SHARE);
                let (train, test) = split_off_test(&loaded.train, share).with_context(|| self.name())?;
                loaded.train = train;
                let share = 100.0 * share;
                loaded.notes.push(format!(
                    "there is no test set: {share:.0} % of each class are kept apart as one (--test-split)"
                ));
                test
            }
        };
        let RawDataset { train, validation, classes, maximum, notes, .. } = loaded;
        let counts = train.class_counts(classes.len());
        if let Some((class, _)) = classes.iter().zip(counts).find(|(_, count)| *count == 0) {
            bail!("{}: class {class} has no image to train on", self.name());
        }
        Ok(Dataset { name: self.name(), train, validation, test, classes, maximum, notes })
    }

    /// The shape of an image and the number of classes; what is catalogued or in IDX files is not loaded
    /// for that.
    ///
    /// # Errors
    /// Files that are missing or wrong.
    pub fn shape_and_classes(&self, reading: &LoadOptions) -> Result<(Vec<i64>, usize)> {
        if reading.classes.is_none() {
            match self {
                Source::Digits => return Ok((digits::SHAPE.to_vec(), 10)),
                Source::Known(set) => return Ok((catalogue::SHAPE.to_vec(), set.classes.len())),
                Source::Path(path) if reading.format_of(path)? == Format::Idx => {
                    return idx::shape_and_classes(path);
                }
                Source::Path(_) => {}
            }
        }
        let dataset = self.load_with(reading, &mut |_| ())?;
        Ok((dataset.shape(), dataset.classes.len()))
    }
}

/// Loads what lies at a path. Numbers that stand for classes are told by the labels, or are `numbering`'s.
fn load_path(
    path: &Path,
    reading: &LoadOptions,
    numbering: Option<LabelEncoding>,
    progress: &mut dyn FnMut(Progress),
) -> Result<RawDataset> {
    match reading.format_of(path)? {
        Format::Idx => idx::load(path, numbering),
        Format::Pictures => folders::load(path, reading, progress),
        Format::Csv => csv::load(path, reading, progress),
        Format::Npz => npz::load(path, numbering).with_context(|| path.display().to_string()),
        Format::Parquet => parquet::load(path, reading, numbering, progress),
    }
}

/// The images at a path, all of them to validate with: of the classes and the shape of the training images.
fn load_validation(
    path: &Path,
    reading: &LoadOptions,
    main: &RawDataset,
    progress: &mut dyn FnMut(Progress),
) -> Result<Images> {
    let reading = LoadOptions { format: None, ..reading.clone() };
    let loaded = load_path(path, &reading, Some(LabelEncoding::like(&main.classes)), progress)?;
    ensure!(
        loaded.test.is_none() && loaded.validation.is_none(),
        "has images of several splits; name a file or folder that holds those to validate with alone"
    );
    let Images { pixels, labels } = loaded.train;
    let (kind, kind_of_train) = (pixels.kind(), main.train.pixels.kind());
    ensure!(
        kind == kind_of_train,
        "has values of type {kind:?}, but the training images of {kind_of_train:?}"
    );
    let (shape, wanted) = (pixels.size().split_off(1), main.train.shape());
    let pixels = match (shape.as_slice(), wanted.as_slice()) {
        // As among pictures: where some have colour, all are taken in colour.
        ([height, width], [3, wanted_height, wanted_width])
            if (height, width) == (wanted_height, wanted_width) =>
        {
            pixels.f_unsqueeze(1)?.f_expand([-1, 3, *height, *width], false)?.f_contiguous()?
        }
        (shape, wanted) if shape == wanted => pixels,
        _ => bail!("has images of {shape:?} pixels, but those to train with have {wanted:?} (--image-size)"),
    };
    let class_of: Vec<Option<usize>> =
        loaded.classes.iter().map(|name| main.classes.iter().position(|class| class == name)).collect();
    let class = |&label: &i64| {
        let class = class_of[label as usize].map(|class| class as i64);
        class.with_context(|| {
            format!("class {} is none of the training set's", loaded.classes[label as usize])
        })
    };
    Ok(Images { pixels, labels: labels.iter().map(class).collect::<Result<_>>()? })
}

/// The images to train on and those for the test: the same for every seed, so that runs can be compared and a
/// later evaluation finds them again.
fn split_off_test(images: &Images, share: f64) -> Result<(Images, Images)> {
    ensure!(share > 0.0, "has no test set, and --test-split 0 leaves none to evaluate on");
    let mut rows = split(&images.labels, share, SplitMethod::Stratified, 0).context("--test-split")?;
    rows.train.sort_unstable();
    rows.validation.sort_unstable();
    Ok((images.choose(&rows.train)?, images.choose(&rows.validation)?))
}
