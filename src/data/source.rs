//! Where data come from, and how they become a data set with its three splits.

use super::catalogue::{self, KnownSet};
use super::formats::{Format, idx};
use super::label_encoding::LabelEncoding;
use super::load_options::{LoadOptions, OnProgress, TEST_SHARE};
use super::progress::Progress;
use super::raw_dataset::RawDataset;
use super::split::{SplitMethod, split};
use super::{Dataset, Fault, Images, digits, ranges};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use tch::Kind;

/// Where data come from.
///
/// ```
/// use fitch::data::Source;
///
/// let digits = Source::find("digits")?.load()?;
/// assert_eq!((digits.train.len(), digits.test.len(), digits.classes.len()), (1_433, 364, 10));
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The built-in digits.
    Digits,
    /// A set of the catalogue, kept below the data folder.
    Known(&'static KnownSet),
    /// A folder or file of your own.
    Path {
        /// Where it is.
        path: PathBuf,
        /// Its format; none for a folder that has not been looked into yet.
        format: Option<Format>,
    },
}

impl Source {
    /// Finds out what a name or a path stands for. A name of the catalogue is never a path: write `./mnist`
    /// for a folder of that name.
    ///
    /// # Errors
    /// Neither a known name nor an existing path, or a file of no known format.
    pub fn find(name_or_path: &str) -> Result<Source> {
        Source::find_as(name_or_path, None)
    }

    /// The same; what lies at a path is in that format, if one is given.
    ///
    /// # Errors
    /// As [`Source::find`].
    pub fn find_as(name_or_path: &str, format: Option<Format>) -> Result<Source> {
        if let Some(named) = Source::named(name_or_path) {
            return Ok(named);
        }
        let path = Path::new(name_or_path);
        ensure!(
            path.exists(),
            "'{name_or_path}' is neither a data set ({}) nor an existing folder or file",
            catalogue::names().join(", ")
        );
        // The name of a file says enough; folders are looked into when they are needed.
        let format = match format {
            None if path.is_file() => Some(Format::detect(path)?),
            given => given,
        };
        Ok(Source::Path { path: path.to_path_buf(), format })
    }

    /// The set of that name, if there is one.
    pub fn named(name: &str) -> Option<Source> {
        match name {
            "digits" => Some(Source::Digits),
            _ => KnownSet::named(name).map(Source::Known),
        }
    }

    /// The same source, looked into: a folder's format is known afterwards and is not looked for again.
    ///
    /// # Errors
    /// As [`Format::detect`].
    pub fn located(self) -> Result<Source> {
        Ok(match self {
            Source::Path { path, format: None } => {
                Source::Path { format: Some(Format::detect(&path)?), path }
            }
            known => known,
        })
    }

    /// A short name, for people and file names.
    pub fn name(&self) -> String {
        match self {
            Source::Digits => "digits".to_string(),
            Source::Known(set) => set.name.to_string(),
            Source::Path { path, .. } => {
                let path = path.canonicalize().unwrap_or_else(|_| path.clone());
                let name = path.file_name().map_or("data".into(), |name| name.to_string_lossy());
                Format::stem(&name).to_string()
            }
        }
    }

    /// The format of the data, for people; none for a folder that has not been looked into.
    pub fn format_name(&self) -> Option<&'static str> {
        match self {
            Source::Digits => Some("built in"),
            Source::Known(_) => Some("IDX files"),
            Source::Path { format, .. } => format.map(Format::name),
        }
    }

    /// Whether loading it would fetch nothing.
    pub fn is_here(&self, options: &LoadOptions) -> bool {
        match self {
            Source::Digits => true,
            Source::Known(set) => options.folder().is_ok_and(|folder| idx::is_whole(&folder.join(set.name))),
            Source::Path { path, .. } => path.exists(),
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

    /// Loads the data set; files of a catalogued set that are missing below the data folder are fetched
    /// first. `progress` is called at each step.
    ///
    /// # Errors
    /// Files that are missing, unreadable or wrong, each named; [`Fault`]s.
    pub fn load_with(&self, options: &LoadOptions, progress: &mut dyn FnMut(Progress)) -> Result<Dataset> {
        let mut raw = match self {
            Source::Digits => digits::load()?,
            Source::Known(set) => {
                let folder = options.folder()?.join(set.name);
                set.fetch_missing(&folder, progress)?;
                let classes = set.classes.iter().map(|class| class.to_string()).collect();
                idx::load_known(&folder, classes)?
            }
            Source::Path { path, format } => load_path(path, *format, options, None, progress)?,
        };
        if let Some(path) = &options.validation {
            let validation = load_validation(path, options, &raw, progress);
            raw.validation =
                Some(validation.with_context(|| format!("validation images of {}", path.display()))?);
        }
        let dataset = self.complete(raw, options)?;
        match &options.classes {
            Some(classes) => dataset.keep_classes(classes),
            None => Ok(dataset),
        }
    }

    /// Sets a test set aside if there is none.
    fn complete(&self, mut raw: RawDataset, options: &LoadOptions) -> Result<Dataset> {
        if let [only] = raw.classes.as_slice() {
            bail!("{}: has one class alone, {only}; a classifier needs at least two", self.name());
        }
        let test = match raw.test.take() {
            Some(test) => test,
            None => {
                let share = options.test_share.unwrap_or(TEST_SHARE);
                let (train, test) = split_off_test(&raw.train, share).with_context(|| self.name())?;
                raw.train = train;
                let share = 100.0 * share;
                raw.notes
                    .push(format!("there is no test set: {share:.0} % of each class are set aside as one"));
                test
            }
        };
        let RawDataset { train, validation, classes, mut maximum, notes, table, .. } = raw;
        if ranges::are_mixed(&train)? {
            // Each column has its own scale, which the network standardises.
            maximum = 1.0;
        }
        let counts = train.class_counts(classes.len());
        if let Some((class, _)) = classes.iter().zip(counts).find(|(_, count)| *count == 0) {
            bail!("{}: class {class} has no image to train on", self.name());
        }
        Ok(Dataset { name: self.name(), train, validation, test, classes, maximum, notes, table })
    }

    /// The shape of an image and the number of classes, without loading more than that takes: for catalogued
    /// sets and IDX files, next to nothing.
    ///
    /// # Errors
    /// Files that are missing or wrong.
    pub fn shape_and_classes(&self, options: &LoadOptions) -> Result<(Vec<i64>, usize)> {
        let source = self.clone().located()?;
        if options.classes.is_none() {
            match &source {
                Source::Digits => return Ok((digits::SHAPE.to_vec(), 10)),
                Source::Known(set) => return Ok((catalogue::SHAPE.to_vec(), set.classes.len())),
                Source::Path { path, format } => {
                    if let Some(read) = format.and_then(|format| format.shape_and_classes(path)) {
                        return read;
                    }
                }
            }
        }
        let dataset = source.load_with(options, &mut |_| ())?;
        Ok((dataset.shape(), dataset.classes.len()))
    }
}

/// Loads what lies at a path, in that format if it is known. Labels that are numbers are counted as
/// `encoding` says, if it is given.
fn load_path(
    path: &Path,
    format: Option<Format>,
    options: &LoadOptions,
    encoding: Option<LabelEncoding>,
    progress: OnProgress,
) -> Result<RawDataset> {
    let format = format.map_or_else(|| Format::detect(path), Ok)?;
    format.load(path, options, encoding, progress)
}

/// The images at a path, all of them to validate with: of the classes and the shape of the training images.
fn load_validation(
    path: &Path,
    options: &LoadOptions,
    main: &RawDataset,
    progress: OnProgress,
) -> Result<Images> {
    // Its columns are those of the training table, in whatever order.
    let options = LoadOptions { table: main.table.clone(), ..options.clone() };
    let mut raw = load_path(path, None, &options, Some(LabelEncoding::like(&main.classes)), progress)?;
    ensure!(
        raw.test.is_none() && raw.validation.is_none(),
        "has images of several splits; name a file or folder with validation images alone"
    );
    if main.train.kind() == Kind::Float && raw.train.kind() != Kind::Float {
        // Whole numbers where others have fractions.
        let labels = raw.train.labels().to_vec();
        raw.train = Images::new(raw.train.pixels()?.f_to_kind(Kind::Float)?, labels)?;
    }
    let (kind, kind_of_train) = (raw.train.kind(), main.train.kind());
    ensure!(
        kind == kind_of_train,
        "has values of type {kind:?}, but the training images of {kind_of_train:?}"
    );
    let class_of: Vec<Option<usize>> =
        raw.classes.iter().map(|name| main.classes.iter().position(|class| class == name)).collect();
    let class = |&label: &i64| match class_of[label as usize] {
        Some(class) => Ok(class as i64),
        None => Err(Fault::UnknownValidationClass { class: raw.classes[label as usize].clone() }),
    };
    let (found, expected) = (raw.train.shape(), main.train.shape());
    let labels = || raw.train.labels().iter().map(class).collect::<Result<Vec<i64>, Fault>>();
    match (found.as_slice(), expected.as_slice()) {
        // As within a set: if some images have colour, all are taken in colour.
        ([height, width], [3, expected_height, expected_width])
            if (height, width) == (expected_height, expected_width) =>
        {
            let grey = raw.train.pixels()?.f_unsqueeze(1)?;
            Images::new(grey.f_expand([-1, 3, *height, *width], false)?.f_contiguous()?, labels()?)
        }
        (found, expected) if found == expected => {
            let labels = labels()?;
            Ok(raw.train.with_labels(labels))
        }
        _ => Err(Fault::ValidationShape { found, expected }.into()),
    }
}

/// The images to train on and the test images: the same for every seed, so that runs can be compared and a
/// later evaluation finds them again.
fn split_off_test(images: &Images, share: f64) -> Result<(Images, Images)> {
    if share == 0.0 {
        return Err(Fault::NoTestShare.into());
    }
    let mut rows = split(images.labels(), share, SplitMethod::Stratified, 0)
        .map_err(|fault| Fault::TestShare { share, reason: format!("{fault:#}") })?;
    rows.train.sort_unstable();
    rows.validation.sort_unstable();
    Ok((images.choose(&rows.train), images.choose(&rows.validation)))
}
