//! What `--dataset` names: where data come from and in which form they are, found out by what is there.

use super::catalogue::{self, KnownSet};
use super::download::Progress;
use super::split::{SplitMethod, split};
use super::{Dataset, Images, class_folders, count_classes, digits, idx_set, labelled_rows, npz};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use tch::Tensor;

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

/// How data are read, where there is a choice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Where fetched sets and decoded pictures are kept.
    pub data_dir: PathBuf,
    /// Height and width that pictures are stretched to.
    pub image_size: Option<[u32; 2]>,
    /// Whether pictures that cannot be read are left out.
    pub skips_bad: bool,
    /// The share of a set without a test set that is split off as one; none means [`TEST_SHARE`].
    pub test_share: Option<f64>,
    /// The column of a CSV file that holds the labels, by name or by number from 0.
    pub label_column: Option<String>,
    /// The only classes that are taken, by name; none means all.
    pub classes: Option<Vec<String>>,
}

/// What is split off for the test where a set has none.
pub const TEST_SHARE: f64 = 0.1;

impl Reading {
    /// Everything by default, with that folder.
    pub fn with_data_dir(data_dir: impl Into<PathBuf>) -> Reading {
        Reading { data_dir: data_dir.into(), ..Reading::default() }
    }

    pub(super) fn test_share(&self) -> f64 {
        self.test_share.unwrap_or(TEST_SHARE)
    }
}

/// What a reader of a format gives.
pub(super) struct Loaded {
    pub train: Images,
    /// None where the data have none.
    pub test: Option<Images>,
    pub classes: Vec<String>,
    pub maximum: f64,
    /// What users should be told.
    pub notes: Vec<String>,
}

/// Where catalogued sets are kept unless one says otherwise: `FITCH_DATA_DIR`, else the user's cache
/// folder; none where there is neither that variable nor a home folder.
pub fn default_folder() -> Option<PathBuf> {
    let from_environment = std::env::var_os("FITCH_DATA_DIR").filter(|folder| !folder.is_empty());
    let in_cache =
        || directories::ProjectDirs::from("", "", "fitch").map(|folders| folders.cache_dir().into());
    from_environment.map(PathBuf::from).or_else(in_cache)
}

/// The form of what lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// A folder of four IDX files.
    Idx,
    /// Folders of pictures, one a class.
    ClassFolders,
    /// Rows of pixels with a label, in a file or in a folder of two.
    Csv,
    /// NumPy's archive of arrays.
    Npz,
}

impl Format {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Format::Idx => "IDX files",
            Format::ClassFolders => "folders of pictures",
            Format::Csv => "CSV",
            Format::Npz => "NumPy archive",
        }
    }

    /// Finds out what lies at a path.
    ///
    /// # Errors
    /// Nothing that fitch can read.
    pub fn of(path: &Path) -> Result<Format> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        if path.is_file() {
            return match name.as_str() {
                _ if name.ends_with(".csv") || name.ends_with(".csv.gz") => Ok(Format::Csv),
                _ if name.ends_with(".npz") => Ok(Format::Npz),
                _ => bail!("'{}' is a file that is neither .csv, .csv.gz nor .npz", path.display()),
            };
        }
        if idx_set::has_idx_files(path) {
            return Ok(Format::Idx);
        }
        if labelled_rows::find_files(path).is_some() {
            return Ok(Format::Csv);
        }
        if class_folders::has_pictures(path) {
            return Ok(Format::ClassFolders);
        }
        // What is missing of the most common form tells best what a folder must hold.
        idx_set::find_files(path).map(|_| Format::Idx)
    }
}

impl Source {
    /// Finds out what a name or a path stands for. A name that the catalogue has is never a path: write
    /// `./mnist` for a folder of that name.
    ///
    /// # Errors
    /// Neither a known name nor an existing path, or a file of no form that fitch reads.
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
        if path.is_file() {
            Format::of(path)?;
        }
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
                let name = name.trim_end_matches(".gz").trim_end_matches(".csv").trim_end_matches(".npz");
                name.to_string()
            }
        }
    }

    /// Whether loading it would fetch nothing.
    pub fn is_here(&self, data_dir: &Path) -> bool {
        match self {
            Source::Digits => true,
            Source::Known(set) => idx_set::find_files(&data_dir.join(set.name)).is_ok(),
            Source::Path(path) => path.exists(),
        }
    }

    /// Loads the data set; files of a catalogued one that are missing below the data folder are fetched
    /// first, `progress` being told.
    ///
    /// # Errors
    /// Files that are missing, unreadable or wrong, each named.
    pub fn load(&self, reading: &Reading, progress: &mut dyn FnMut(Progress)) -> Result<Dataset> {
        let dataset = self.load_all(reading, progress)?;
        match &reading.classes {
            Some(classes) => dataset.keep_classes(classes),
            None => Ok(dataset),
        }
    }

    fn load_all(&self, reading: &Reading, progress: &mut dyn FnMut(Progress)) -> Result<Dataset> {
        let loaded = match self {
            Source::Digits => return digits::load(),
            Source::Known(set) => {
                let folder = reading.data_dir.join(set.name);
                set.fetch_missing(&folder, progress)?;
                let classes = set.classes.iter().map(|class| class.to_string()).collect();
                idx_set::load(&folder, Some(classes))?
            }
            Source::Path(path) => match Format::of(path)? {
                Format::Idx => idx_set::load(path, None)?,
                Format::ClassFolders => class_folders::load(path, reading, progress)?,
                Format::Csv => labelled_rows::load(path, reading)?,
                Format::Npz => npz::load(path).with_context(|| path.display().to_string())?,
            },
        };
        self.complete(loaded, reading)
    }

    /// Splits a test set off where there is none.
    fn complete(&self, loaded: Loaded, reading: &Reading) -> Result<Dataset> {
        let Loaded { mut train, test, classes, maximum, mut notes } = loaded;
        let test = match test {
            Some(test) => test,
            None => {
                let share = reading.test_share();
                let rows = split_off_test(&train.labels, share).with_context(|| self.name())?;
                notes.push(test_note(share));
                let chosen = |rows: &[i64]| -> Result<Images> {
                    let labels = rows.iter().map(|&row| train.labels[row as usize]).collect();
                    Ok(Images {
                        pixels: train.pixels.f_index_select(0, &Tensor::f_from_slice(rows)?)?,
                        labels,
                    })
                };
                let (left, test) = (chosen(&rows.0)?, chosen(&rows.1)?);
                train = left;
                test
            }
        };
        let mut counts = vec![0usize; classes.len().max(count_classes(&train.labels))];
        train.labels.iter().for_each(|&label| counts[label as usize] += 1);
        if let Some(class) =
            counts.iter().zip(&classes).find(|(count, _)| **count == 0).map(|(_, class)| class)
        {
            bail!("{}: class {class} has no image to train on", self.name());
        }
        Ok(Dataset { name: self.name(), train, test, classes, maximum, notes })
    }

    /// The shape of an image and the number of classes; what is catalogued or in IDX files is not loaded
    /// for that.
    ///
    /// # Errors
    /// Files that are missing or wrong.
    pub fn shape_and_classes(&self) -> Result<(Vec<i64>, usize)> {
        match self {
            Source::Digits => Ok((digits::SHAPE.to_vec(), 10)),
            Source::Known(set) => Ok((catalogue::SHAPE.to_vec(), set.classes.len())),
            Source::Path(path) if Format::of(path)? == Format::Idx => idx_set::shape_and_classes(path),
            Source::Path(_) => {
                let reading = Reading::with_data_dir(default_folder().unwrap_or_default());
                let dataset = self.load(&reading, &mut |_| ())?;
                Ok((dataset.shape(), dataset.classes.len()))
            }
        }
    }
}

/// What users are told of a test set that was split off.
pub(super) fn test_note(share: f64) -> String {
    format!("there is no test set: {:.0} % of each class are kept apart as one (--test-split)", 100.0 * share)
}

/// The rows to train on and those for the test: the same for every seed, so that runs can be compared and a
/// later evaluation finds them again.
pub(super) fn split_off_test(labels: &[i64], share: f64) -> Result<(Vec<i64>, Vec<i64>)> {
    ensure!(share > 0.0, "has no test set, and --test-split 0 leaves none to evaluate on");
    let mut rows = split(labels, share, SplitMethod::Stratified, 0).context("--test-split")?;
    rows.train.sort_unstable();
    rows.validation.sort_unstable();
    Ok((rows.train, rows.validation))
}
