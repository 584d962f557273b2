//! Labelled images and where they come from. It must not know models or training.

pub mod catalogue;
pub mod digits;
pub mod download;
mod gzip;
pub mod idx;
pub mod inputs;
pub mod picture;
mod pixel_rows;
mod samples;
pub mod split;

pub use samples::{Batch, Batches, Samples};

use anyhow::{Context, Result, bail, ensure};
use catalogue::KnownSet;
use download::Progress;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// Images with their labels.
#[derive(Debug)]
pub struct Images {
    /// uint8 [n, height, width].
    pub pixels: Tensor,
    /// Class numbers, n of them.
    pub labels: Vec<i64>,
}

impl Images {
    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }
}

/// A set of images to train on, one to test with, and the names of their classes.
#[derive(Debug)]
pub struct Dataset {
    /// A short name, for people and file names.
    pub name: String,
    /// The training images; validation images are split off from these.
    pub train: Images,
    /// The test images: for the end, never for a decision during training.
    pub test: Images,
    /// A name for each class number.
    pub classes: Vec<String>,
    /// The pixel value that becomes 1.0.
    pub maximum: f64,
}

impl Dataset {
    /// The training images as samples: pixels scaled to 0..1, labels as int64 targets.
    ///
    /// # Errors
    /// Too little memory.
    pub fn train_samples(&self) -> Result<Samples> {
        self.samples(&self.train)
    }

    /// The test images as samples, likewise.
    ///
    /// # Errors
    /// Too little memory.
    pub fn test_samples(&self) -> Result<Samples> {
        self.samples(&self.test)
    }

    /// How bright the border of the training images is: the mean of its pixels, from 0 to 1, over the first
    /// thousand images.
    ///
    /// # Errors
    /// Too little memory.
    pub fn border(&self) -> Result<f64> {
        const IMAGES: i64 = 1_000;
        let pixels = self.train.pixels.slice(0, 0, IMAGES, 1);
        let [_, height, width] = pixels.size()[..] else { bail!("images have a height and a width") };
        let sides = [
            pixels.f_select(1, 0)?,
            pixels.f_select(1, height - 1)?,
            pixels.f_select(2, 0)?,
            pixels.f_select(2, width - 1)?,
        ];
        let border = Tensor::f_cat(&sides, 1)?;
        Ok(f64::try_from(border.f_mean(Kind::Double)?)? / self.maximum)
    }

    /// A digest (SHA-256) of the sizes, all labels and a thousand images of either side, to tell whether
    /// the data are those of another time.
    ///
    /// # Errors
    /// Too little memory.
    pub fn fingerprint(&self) -> Result<String> {
        const IMAGES: usize = 1_000;
        let mut digest = Sha256::new();
        for images in [&self.train, &self.test] {
            digest.update(format!("{:?} of {}", images.pixels.size(), self.maximum));
            images.labels.iter().for_each(|label| digest.update(label.to_le_bytes()));
            let every = images.len().div_ceil(IMAGES).max(1);
            let rows: Vec<i64> = (0..images.len() as i64).step_by(every).collect();
            let chosen = images.pixels.f_index_select(0, &Tensor::f_from_slice(&rows)?)?;
            digest.update(Vec::<u8>::try_from(&chosen.f_reshape([-1])?)?);
        }
        Ok(format!("{:x}", digest.finalize()))
    }

    fn samples(&self, images: &Images) -> Result<Samples> {
        let labels = Tensor::f_from_slice(&images.labels)?;
        Ok(Samples::new(&images.pixels, &labels)?.scaled_by(self.maximum))
    }
}

/// What `--dataset` names.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// The built-in digits.
    Digits,
    /// A set of the catalogue, kept below the data folder.
    Known(&'static KnownSet),
    /// A folder of IDX files.
    Folder(PathBuf),
}

/// What the four files of an IDX set are called; each may end in `.gz`.
pub const IDX_FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// Where catalogued sets are kept unless one says otherwise: `FITCH_DATA_DIR`, else the user's cache
/// folder; none where there is neither that variable nor a home folder.
pub fn default_folder() -> Option<PathBuf> {
    let from_environment = std::env::var_os("FITCH_DATA_DIR").filter(|folder| !folder.is_empty());
    let in_cache =
        || directories::ProjectDirs::from("", "", "fitch").map(|folders| folders.cache_dir().into());
    from_environment.map(PathBuf::from).or_else(in_cache)
}

impl Source {
    /// Finds out what a name or a path stands for. A name that the catalogue has is never a path: write
    /// `./mnist` for a folder of that name.
    ///
    /// # Errors
    /// Neither a known name nor an existing folder.
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
            "'{name_or_path}' is neither a data set ({}) nor an existing folder",
            catalogue::names().join(", ")
        );
        ensure!(path.is_dir(), "'{name_or_path}' is a file; give the folder that holds the IDX files");
        Ok(Source::Folder(path.to_path_buf()))
    }

    /// A short name, for people and file names.
    pub fn name(&self) -> String {
        match self {
            Source::Digits => "digits".to_string(),
            Source::Known(set) => set.name.to_string(),
            Source::Folder(path) => {
                let path = path.canonicalize().unwrap_or_else(|_| path.clone());
                path.file_name().map_or("data".to_string(), |name| name.to_string_lossy().into_owned())
            }
        }
    }

    /// Whether loading it would fetch nothing.
    pub fn is_here(&self, data_dir: &Path) -> bool {
        match self {
            Source::Digits => true,
            Source::Known(set) => find_files(&data_dir.join(set.name)).is_ok(),
            Source::Folder(folder) => folder.is_dir(),
        }
    }

    /// Loads the data set; files of a catalogued one that are missing below `data_dir` are fetched
    /// first, `progress` being told.
    ///
    /// # Errors
    /// Files that are missing, unreadable or wrong, each named.
    pub fn load(&self, data_dir: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Dataset> {
        match self {
            Source::Digits => digits::load(),
            Source::Known(set) => {
                let folder = data_dir.join(set.name);
                set.fetch_missing(&folder, progress)?;
                let classes = set.classes.iter().map(|class| class.to_string()).collect();
                load_idx(&folder, set.name.to_string(), Some(classes))
            }
            Source::Folder(folder) => load_idx(folder, self.name(), None),
        }
    }

    /// The shape of an image and the number of classes, without loading or fetching the images.
    ///
    /// # Errors
    /// A folder whose files are missing or wrong.
    pub fn shape_and_classes(&self) -> Result<(Vec<i64>, usize)> {
        match self {
            Source::Digits => Ok((digits::SHAPE.to_vec(), 10)),
            Source::Known(set) => Ok((catalogue::SHAPE.to_vec(), set.classes.len())),
            Source::Folder(folder) => {
                let [images, labels, ..] = find_files(folder)?;
                let labels = read_label_numbers(&labels)?;
                Ok((idx::image_sizes(&images)?.split_off(1), count_classes(&labels)))
            }
        }
    }
}

/// The file of that name in a folder, raw or gzipped, if there is one.
fn find_file(folder: &Path, name: &str) -> Option<PathBuf> {
    [folder.join(name), folder.join(format!("{name}.gz"))].into_iter().find(|path| path.exists())
}

fn find_files(folder: &Path) -> Result<[PathBuf; 4]> {
    let found = IDX_FILES.map(|name| find_file(folder, name));
    let missing = IDX_FILES.iter().zip(&found).filter(|(_, path)| path.is_none()).map(|(name, _)| *name);
    let missing = missing.collect::<Vec<_>>().join(", no ");
    match found {
        [Some(a), Some(b), Some(c), Some(d)] => Ok([a, b, c, d]),
        _ => bail!("{}: has no {missing} (raw or .gz)", folder.display()),
    }
}

fn read_label_numbers(path: &Path) -> Result<Vec<i64>> {
    let labels = idx::read_labels(path)?;
    Ok(Vec::<u8>::try_from(&labels)?.into_iter().map(i64::from).collect())
}

fn count_classes(labels: &[i64]) -> usize {
    labels.iter().max().map_or(0, |&label| label as usize + 1)
}

fn load_idx(folder: &Path, name: String, classes: Option<Vec<String>>) -> Result<Dataset> {
    let [train_images, train_labels, test_images, test_labels] = find_files(folder)?;
    let train = load_pair(&train_images, &train_labels)?;
    let test = load_pair(&test_images, &test_labels)?;
    let (train_shape, test_shape) = (train.pixels.size().split_off(1), test.pixels.size().split_off(1));
    ensure!(
        train_shape == test_shape,
        "{}: has images of {test_shape:?} pixels, but those of {} have {train_shape:?}",
        test_images.display(),
        train_images.display()
    );
    let count = match &classes {
        Some(classes) => classes.len(),
        None => count_gapless_classes(&train.labels).with_context(|| train_labels.display().to_string())?,
    };
    check_labels(&train.labels, count).with_context(|| train_labels.display().to_string())?;
    check_labels(&test.labels, count).with_context(|| test_labels.display().to_string())?;
    let classes = classes.unwrap_or_else(|| (0..count).map(|class| class.to_string()).collect());
    Ok(Dataset { name, train, test, classes, maximum: u8::MAX.into() })
}

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
fn count_gapless_classes(labels: &[i64]) -> Result<usize> {
    let count = count_classes(labels);
    let mut seen = vec![false; count];
    labels.iter().for_each(|&label| seen[label as usize] = true);
    if let Some(absent) = seen.iter().position(|seen| !seen) {
        let greatest = count as i64 - 1;
        let row = labels.iter().position(|&label| label == greatest).unwrap_or(0);
        bail!(
            "label {greatest} (of image {row}, counted from 0) is beyond the classes: no image has label \
             {absent}; classes are numbered from 0 without a gap"
        );
    }
    Ok(count)
}

fn check_labels(labels: &[i64], classes: usize) -> Result<()> {
    match labels.iter().position(|&label| label >= classes as i64) {
        Some(row) => bail!(
            "label {} (of image {row}, counted from 0) is beyond the {classes} classes, 0 to {}",
            labels[row],
            classes - 1
        ),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
