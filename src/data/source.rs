//! Where data come from, and how they become a data set with its three splits.

use super::catalogue::{self, KnownSet};
use super::dataset::TestOrigin;
use super::formats::{Format, idx};
use super::label_encoding::LabelEncoding;
use super::load_options::{LoadOptions, OnProgress, TEST_SHARE};
use super::progress::Progress;
use super::raw_dataset::{RawDataset, Split};
use super::scaling::{self, Scale};
use super::split::{Holdout, SplitMethod, split_rows};
use super::{Dataset, Fault, GroupBy, Images, archive, digits, idx_file, passed_over, ranges};
use crate::text::{counted, printable};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
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
        // The name of a file says enough; folders and archives are looked into when they are needed.
        let format = match format {
            None if path.is_file() && !archive::is_archive(path) => Some(Format::detect(path)?),
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

    /// The same source, looked into: an archive is unpacked below the data folder, and the path is that of its
    /// files; the format is known and is not looked for again.
    ///
    /// # Errors
    /// As [`Format::detect`]; an archive that cannot be unpacked.
    pub fn located(&self, options: &LoadOptions, progress: &mut dyn FnMut(Progress)) -> Result<Source> {
        match self {
            Source::Path { path, format } => {
                let (path, format) = locate(path, *format, options, progress)?;
                Ok(Source::Path { path, format: Some(format) })
            }
            known => Ok(known.clone()),
        }
    }

    /// A short name, for people and file names.
    pub fn name(&self) -> String {
        match self {
            Source::Digits => "digits".to_string(),
            Source::Known(set) => set.name.to_string(),
            Source::Path { path, .. } => {
                let path = path.canonicalize().unwrap_or_else(|_| path.clone());
                let name = path.file_name().map_or("data".into(), |name| name.to_string_lossy());
                printable(archive::stem(Format::stem(&name))).into_owned()
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

    /// Whether it holds images in files of their own, as other programs show them. Of a source that has not been
    /// [looked into](Source::located), that is not known.
    pub fn is_of_pictures(&self) -> bool {
        matches!(self, Source::Path { format: Some(format), .. } if format.is_of_pictures())
    }

    /// Whether rows and columns of the images are exchanged when they are loaded. Of a source that has not been
    /// [looked into](Source::located), that is not known.
    pub fn transposes(&self, options: &LoadOptions) -> bool {
        let Source::Path { path, format: Some(format) } = self else { return false };
        // EMNIST as pictures is upright.
        let is_upright = options.transposes.is_none() && format.is_of_pictures();
        !is_upright && transposes(path, *format, options)
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
        let source = self.located(options, progress)?;
        source.check_groups(options).with_context(|| source.name())?;
        let mut raw = match &source {
            Source::Digits => digits::load()?,
            Source::Known(set) => {
                let folder = options.folder()?.join(set.name);
                set.fetch_missing(&folder, progress)?;
                let classes = set.classes.iter().map(|class| class.to_string()).collect();
                idx::load_known(&folder, classes)?
            }
            Source::Path { path, format } => {
                let format = format.map_or_else(|| Format::detect(path), Ok)?;
                load_path(path, format, options, None, progress)?
            }
        };
        if let Some(by) = &options.group_by {
            check_grouped(&raw.train, by).with_context(|| source.name())?;
        }
        if let Some(path) = &options.validation {
            let place = || format!("validation images of {}", path.display());
            let other = load_validation(path, options, &raw, progress).with_context(place)?;
            raw.validation = Some(other.train);
            raw.left_out.extend(other.left_out);
            let of_these: Vec<String> =
                other.notes.iter().map(|note| format!("{}: {note}", place())).collect();
            raw.notes.extend(of_these);
        }
        let maximum = source.scale(&mut raw, options).with_context(|| source.name())?;
        let dataset = source.complete(raw, maximum, options)?;
        let dataset = match &options.classes {
            Some(classes) => dataset.keep_classes(classes)?,
            None => dataset,
        };
        dataset.check_classes().with_context(|| source.name())?;
        Ok(dataset)
    }

    /// Whether images can be grouped as asked for.
    fn check_groups(&self, options: &LoadOptions) -> Result<()> {
        let Some(by) = &options.group_by else { return Ok(()) };
        let can_group = match self {
            Source::Path { format, .. } => format.is_none_or(|format| format.can_group(by)),
            Source::Digits | Source::Known(_) => false,
        };
        match can_group {
            true => Ok(()),
            false => {
                Err(Fault::NoGroups { format: self.format_name().unwrap_or("data"), lacks: by.needs() }
                    .into())
            }
        }
    }

    /// The value that becomes 1.0; what users should know about it is noted.
    fn scale(&self, raw: &mut RawDataset, options: &LoadOptions) -> Result<f64> {
        let images_of = |split: Split| match split {
            Split::Train => Some(&raw.train),
            Split::Validation => raw.validation.as_ref(),
            Split::Test => raw.test.as_ref(),
        };
        let is_of_pictures = self.is_of_pictures();
        let scale = match options.maximum {
            // Programs that make pictures use all of a byte, so that any other picture can be compared.
            _ if is_of_pictures && raw.train.kind() == Kind::Uint8 => Scale::of_bytes(options.maximum),
            // As each picture is when it is classified.
            None if is_of_pictures && options.model_maximum == Some(255.0) => Scale::of_wide(&raw.train)?,
            Some(maximum) => Scale::given(maximum),
            // Each column has its own scale, which the network standardises.
            _ if options.model_maximum.is_none() && ranges::are_mixed(&raw.train)? => Scale::given(1.0),
            None => match (Scale::of(&raw.train).context("training images")?, options.model_maximum) {
                (own, Some(maximum)) => own.for_model_of(maximum, &raw.train.shape()),
                (own, None) => own,
            },
        };
        let mut notes = Vec::from_iter(scale.note.filter(|_| matches!(self, Source::Path { .. })));
        let is_standardised = raw.train.shape().len() == 1 && scale.maximum == 1.0;
        for split in Split::ALL.into_iter().filter(|_| !is_standardised) {
            let Some(images) = images_of(split) else { continue };
            let was_given = options.maximum.or(options.model_maximum).is_some();
            let beyond = scaling::beyond(images, scale.maximum, was_given);
            let beyond = beyond.with_context(|| format!("{} images", split.name()))?;
            notes.extend(beyond.map(|beyond| {
                format!("{} of {} {} images {beyond}", beyond.images, images.len(), split.name())
            }));
        }
        raw.notes.extend(notes);
        Ok(scale.maximum)
    }

    /// Finds test images if the data have no test set.
    fn complete(&self, mut raw: RawDataset, maximum: f64, options: &LoadOptions) -> Result<Dataset> {
        let (test, test_origin) = match raw.test.take() {
            Some(test) => (test, TestOrigin::Own),
            None if options.tests_all => {
                let (what, test) = match &raw.validation {
                    Some(validation) => ("validation images", validation.shared()),
                    None => ("images", raw.train.shared()),
                };
                raw.notes.push(format!("there is no test set: all {} {what} are taken as one", test.len()));
                (test, TestOrigin::All)
            }
            None => {
                let share = options.test_share.unwrap_or(TEST_SHARE);
                let (train, test) = split_off_test(&raw.train, share).with_context(|| self.name())?;
                let asked = 100.0 * share;
                raw.notes.push(match groups_of(&test) {
                    None => format!("there is no test set: {asked:.0} % of each class are set aside as one"),
                    Some(groups) => format!(
                        "there is no test set: {:.1} % of the images, all of {} of {}, are set aside as one",
                        100.0 * test.len() as f64 / raw.train.len() as f64,
                        groups.len(),
                        counted(groups_of(&raw.train).map_or(0, |all| all.len()), "group")
                    ),
                });
                raw.train = train;
                (test, TestOrigin::SetAside)
            }
        };
        let RawDataset { train, validation, classes, notes, left_out, table, .. } = raw;
        let name = self.name();
        Ok(Dataset { name, train, validation, test, test_origin, classes, maximum, notes, left_out, table })
    }

    /// The shape of an image and the number of classes, without loading more than that takes: for catalogued
    /// sets and IDX files, next to nothing.
    ///
    /// # Errors
    /// Files that are missing or wrong.
    pub fn shape_and_classes(&self, options: &LoadOptions) -> Result<(Vec<i64>, usize)> {
        let source = self.located(options, &mut |_| ())?;
        if options.classes.is_none() {
            match &source {
                Source::Digits => return Ok((digits::SHAPE.to_vec(), 10)),
                Source::Known(set) => return Ok((catalogue::SHAPE.to_vec(), set.classes.len())),
                Source::Path { path, format } => {
                    if let Some(format) = *format
                        && let Some(read) = format.shape_and_classes(path)
                    {
                        let (mut shape, classes) = read?;
                        if transposes(path, format, options) && shape.len() > 1 {
                            let last = shape.len() - 1;
                            shape.swap(last - 1, last);
                        }
                        return Ok((shape, classes));
                    }
                }
            }
        }
        let dataset = source.load_with(options, &mut |_| ())?;
        Ok((dataset.shape(), dataset.classes.len()))
    }
}

/// Where the files of a path lie, which may be in an archive, and their format.
fn locate(
    path: &Path,
    format: Option<Format>,
    options: &LoadOptions,
    progress: OnProgress,
) -> Result<(PathBuf, Format)> {
    let place = match archive::is_archive(path) {
        true => archive::unpacked(path, &options.folder()?, progress)
            .with_context(|| path.display().to_string())?,
        false => path.to_path_buf(),
    };
    let format = format.map_or_else(|| Format::detect(&place), Ok)?;
    Ok((place, format))
}

/// Loads what lies at a path. Labels that are numbers are counted as
/// `encoding` says, if it is given.
fn load_path(
    path: &Path,
    format: Format,
    options: &LoadOptions,
    encoding: Option<LabelEncoding>,
    progress: OnProgress,
) -> Result<RawDataset> {
    let is_empty = path.metadata().is_ok_and(|found| found.is_file() && found.len() == 0);
    ensure!(!is_empty, "{}: is empty", path.display());
    let mut raw = format.load(path, options, encoding, progress)?;
    // They are shown in many places, some of which a control character would break.
    raw.classes.iter_mut().for_each(|name| *name = printable(name).into_owned());
    let is_known = options.transposes.is_none();
    if !transposes(path, format, options) || (is_known && format.is_of_pictures()) {
        return Ok(raw);
    }
    if is_known {
        raw.notes.push("EMNIST has rows and columns exchanged: its images are turned upright".to_string());
    }
    let turned = |images: Option<Images>| images.map(Images::transposed).transpose();
    Ok(RawDataset {
        train: raw.train.transposed()?,
        validation: turned(raw.validation)?,
        test: turned(raw.test)?,
        ..raw
    })
}

/// Whether images have their rows and columns exchanged: if asked for, else if it is EMNIST, which has its
/// name in those of all its files.
fn transposes(path: &Path, format: Format, options: &LoadOptions) -> bool {
    options.transposes.unwrap_or_else(|| {
        let place = format.place(path).unwrap_or_else(|_| path.to_path_buf());
        let entries = passed_over::entries(&place);
        entries.iter().map(PathBuf::as_path).chain([path, &place]).any(idx_file::is_of_emnist)
    })
}

/// The images at a path, all of them to validate with: its training images, with the classes and the shape of those
/// of the main set. Its notes are those that the main set has not.
fn load_validation(
    path: &Path,
    options: &LoadOptions,
    main: &RawDataset,
    progress: OnProgress,
) -> Result<RawDataset> {
    // Its columns are those of the training table, in whatever order.
    let of_images = super::TableForm::of_images(&main.train.shape(), options.pixel_order);
    let table = Some(main.table.clone().unwrap_or(of_images));
    let options = LoadOptions { table, ..options.clone() };
    let (path, format) = locate(path, None, &options, progress)?;
    let mut raw = load_path(&path, format, &options, Some(LabelEncoding::like(&main.classes)), progress)?;
    ensure!(
        raw.test.is_none() && raw.validation.is_none(),
        "has images of several splits; name a file or folder with validation images alone"
    );
    if main.train.kind() == Kind::Float && raw.train.kind() != Kind::Float {
        // Whole numbers where others have fractions.
        raw.train = raw.train.of_kind(Kind::Float)?;
    }
    let (kind, kind_of_train) = (raw.train.kind(), main.train.kind());
    let is_float = |kind| matches!(kind, Kind::Half | Kind::Float | Kind::Double);
    let is_narrower = kind.elt_size_in_bytes() < kind_of_train.elt_size_in_bytes();
    ensure!(
        kind == kind_of_train
            || (is_float(kind) == is_float(kind_of_train) && (is_float(kind) || is_narrower)),
        "has values of type {kind:?}, but the training images of {kind_of_train:?}"
    );
    let images = raw.train.shared().of_kind(kind_of_train)?;
    let class_of: Vec<Option<usize>> =
        raw.classes.iter().map(|name| main.classes.iter().position(|class| class == name)).collect();
    let class = |&label: &i64| match class_of[label as usize] {
        Some(class) => Ok(class as i64),
        None => Err(Fault::UnknownValidationClass { class: raw.classes[label as usize].clone() }),
    };
    let labels = images.labels().iter().map(class).collect::<Result<Vec<i64>, Fault>>();
    // As within a set: if some images have colour, all are taken in colour.
    if (images.shape().len(), main.train.shape().len()) == (3, 2) {
        raw.notes.push("its images are taken in grey, as the training images are".to_string());
    }
    let images = images.with_channels_of(&main.train.shape())?;
    let (found, expected) = (images.shape(), main.train.shape());
    if found != expected {
        return Err(Fault::ValidationShape { found, expected }.into());
    }
    raw.train = images.with_labels(labels?);
    raw.notes.retain(|note| !main.notes.contains(note));
    Ok(raw)
}

/// Whether the training images have several groups.
fn check_grouped(train: &Images, by: &GroupBy) -> Result<()> {
    let Some(groups) = groups_of(train) else {
        let column = by.column().unwrap_or_default().to_string();
        return Err(Fault::UnknownGroupColumn { column, columns: Vec::new() }.into());
    };
    match groups.first() {
        Some(&only) if groups.len() == 1 => {
            let name = train.group_name(only).unwrap_or_default();
            Err(Fault::OneGroup { name: printable(name).into_owned() }.into())
        }
        _ => Ok(()),
    }
}

/// The groups that images have, by their numbers.
fn groups_of(images: &Images) -> Option<BTreeSet<u32>> {
    Some(images.groups()?.into_iter().collect())
}

/// The images to train on and the test images: the same for every seed, so that runs can be compared and a
/// later evaluation finds them again.
fn split_off_test(images: &Images, share: f64) -> Result<(Images, Images)> {
    if share == 0.0 {
        return Err(Fault::NoTestShare.into());
    }
    let (groups, holdout) = (images.groups(), Holdout::Share(share));
    let mut rows = split_rows(images.labels(), groups.as_deref(), holdout, SplitMethod::Stratified, 0)
        .map_err(|fault| Fault::TestShare { share, reason: format!("{fault:#}") })?;
    rows.train.sort_unstable();
    rows.validation.sort_unstable();
    Ok((images.choose(&rows.train), images.choose(&rows.validation)))
}
