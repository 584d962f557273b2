//! Labelled images in memory or mapped from files, and the data set that they make up.

use super::{Fault, Samples};
use crate::files::FileStamp;
use anyhow::{Result, bail, ensure};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use tch::{Kind, Tensor};

/// Images with their labels: all that a tensor holds, or a choice of its rows.
///
/// Raw IDX files and decoded images are mapped into memory, not read. While they are in use they must not be made
/// shorter: the system then ends the process with SIGBUS.
#[derive(Debug)]
pub struct Images {
    /// [n, height, width] if grey, [n, 3, height, width] in colour, [n, values] for anything but images; of the type
    /// that they are stored in, uint8 mostly.
    stored: Tensor,
    /// The rows in use; none means all.
    rows: Option<Vec<i64>>,
    /// Class indices of the rows in use.
    labels: Vec<i64>,
    /// The file that the pixels are mapped from, as it was then.
    mapped_from: Option<MappedFile>,
}

/// A file that images are mapped from.
#[derive(Clone, Debug)]
pub(super) struct MappedFile {
    pub path: PathBuf,
    pub stamp: FileStamp,
}

impl Images {
    /// `pixels` are [n, height, width] if grey, [n, 3, height, width] in colour, [n, values] for anything but images;
    /// `labels` are n class indices.
    ///
    /// # Errors
    /// Different numbers of images and labels.
    pub fn new(pixels: Tensor, labels: Vec<i64>) -> Result<Images> {
        let count = pixels.size().first().copied().unwrap_or(0);
        ensure!(count == labels.len() as i64, "there are {count} images but {} labels", labels.len());
        Ok(Images { stored: pixels, rows: None, labels, mapped_from: None })
    }

    /// The same images, noted as mapped from a file.
    pub(super) fn mapped_from(self, file: Option<MappedFile>) -> Images {
        Images { mapped_from: file, ..self }
    }

    /// The class index of each image.
    pub fn labels(&self) -> &[i64] {
        &self.labels
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The shape of an image.
    pub fn shape(&self) -> Vec<i64> {
        self.stored.size().split_off(1)
    }

    /// The type that pixels are stored in.
    pub fn kind(&self) -> Kind {
        self.stored.kind()
    }

    /// All pixels, [n, ...]; a copy if these images are a choice of rows.
    ///
    /// # Errors
    /// Too little memory.
    pub fn pixels(&self) -> Result<Tensor> {
        self.slice(0, self.len())
    }

    /// The pixels of `count` images from `start` on, or as many as there are.
    ///
    /// # Errors
    /// Too little memory.
    pub fn slice(&self, start: usize, count: usize) -> Result<Tensor> {
        let start = start.min(self.len());
        let count = count.min(self.len() - start);
        match &self.rows {
            Some(rows) => self.stored_rows(&rows[start..start + count]),
            None => Ok(self.stored.f_narrow(0, start as i64, count as i64)?),
        }
    }

    /// The pixels of these images, in this order.
    ///
    /// # Errors
    /// An index beyond the images, or too little memory.
    pub fn gather(&self, indices: &[i64]) -> Result<Tensor> {
        let count = self.len() as i64;
        if let Some(index) = indices.iter().find(|index| !(0..count).contains(*index)) {
            bail!("there is no image {index} among {count}");
        }
        match &self.rows {
            Some(rows) => self.stored_rows(&indices.iter().map(|&i| rows[i as usize]).collect::<Vec<_>>()),
            None => self.stored_rows(indices),
        }
    }

    fn stored_rows(&self, rows: &[i64]) -> Result<Tensor> {
        Ok(self.stored.f_index_select(0, &Tensor::f_from_slice(rows)?)?)
    }

    /// How many images each of so many classes has.
    ///
    /// # Panics
    /// A label is negative or not below `classes`.
    pub fn class_counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        self.labels.iter().for_each(|&label| counts[label as usize] += 1);
        counts
    }

    /// Some of the images, by their indices, in that order. Pixels are not copied: what is mapped stays mapped.
    pub(super) fn choose(&self, indices: &[i64]) -> Images {
        let rows = match &self.rows {
            Some(rows) => indices.iter().map(|&index| rows[index as usize]).collect(),
            None => indices.to_vec(),
        };
        Images {
            stored: self.stored.shallow_clone(),
            rows: Some(rows),
            labels: indices.iter().map(|&index| self.labels[index as usize]).collect(),
            mapped_from: self.mapped_from.clone(),
        }
    }

    /// The same images with other labels, one for each.
    pub(super) fn with_labels(self, labels: Vec<i64>) -> Images {
        debug_assert_eq!(labels.len(), self.labels.len());
        Images { labels, ..self }
    }

    /// As samples whose pixels are not copied.
    fn samples(&self) -> Result<Samples> {
        let Some(rows) = &self.rows else {
            return Samples::new(&self.stored, &Tensor::f_from_slice(&self.labels)?);
        };
        // A target for every stored row; those of other rows are never used.
        let mut targets = vec![-1; self.stored.size()[0] as usize];
        rows.iter().zip(&self.labels).for_each(|(&row, &label)| targets[row as usize] = label);
        Samples::new(&self.stored, &Tensor::f_from_slice(&targets)?)?.choose(rows)
    }

    fn file_has_changed(&self) -> bool {
        let has_changed = |file: &MappedFile| FileStamp::of(&file.path).ok() != Some(file.stamp.clone());
        self.mapped_from.as_ref().is_some_and(has_changed)
    }
}

/// An image in 8-bit colour, for display.
#[derive(Clone, Debug, PartialEq)]
pub struct RgbImage {
    /// Height and width.
    pub size: [usize; 2],
    /// Red, green and blue, pixel by pixel, row by row.
    pub pixels: Vec<[u8; 3]>,
}

/// A set of images to train on, one to test with, and the names of their classes.
#[derive(Debug)]
#[non_exhaustive]
pub struct Dataset {
    /// A short name, for people and file names.
    pub name: String,
    /// The training images; validation images are split off from these if the data have none.
    pub train: Images,
    /// Validation images, if the data come with some.
    pub validation: Option<Images>,
    /// The test images: for the end, never for a decision during training.
    pub test: Images,
    /// The name of each class.
    pub classes: Vec<String>,
    /// The pixel value that becomes 1.0.
    pub maximum: f64,
    /// What users should know about how it was read.
    pub notes: Vec<String>,
}

impl Dataset {
    /// The training images as samples: pixels scaled to 0..1, labels as int64 targets.
    ///
    /// # Errors
    /// Too little memory.
    pub fn train_samples(&self) -> Result<Samples> {
        self.samples(&self.train)
    }

    /// The validation images of the data's own as samples, likewise.
    ///
    /// # Errors
    /// Too little memory.
    pub fn validation_samples(&self) -> Result<Option<Samples>> {
        self.validation.as_ref().map(|images| self.samples(images)).transpose()
    }

    /// The test images as samples, likewise.
    ///
    /// # Errors
    /// Too little memory.
    pub fn test_samples(&self) -> Result<Samples> {
        self.samples(&self.test)
    }

    /// How bright the border of the training images is: the mean of its pixels, from 0 to 1, over the first
    /// thousand images; 0.5 if it differs much from image to image, 0 for anything but images.
    ///
    /// # Errors
    /// Too little memory.
    pub fn border(&self) -> Result<f64> {
        const IMAGES: usize = 1_000;
        let pixels = self.train.slice(0, IMAGES)?;
        let axes = pixels.dim() as i64;
        if axes < 3 {
            return Ok(0.0);
        }
        let mut border = Vec::new();
        for axis in [axes - 2, axes - 1] {
            for end in [0, pixels.size()[axis as usize] - 1] {
                border.push(pixels.f_select(axis, end)?.f_flatten(1, -1)?);
            }
        }
        let of_each =
            Tensor::f_cat(&border, 1)?.f_to_kind(Kind::Double)?.f_mean_dim(1, false, Kind::Double)?;
        let of_each = of_each.f_div_scalar(self.maximum)?;
        let mean = f64::try_from(of_each.f_mean(Kind::Double)?)?;
        let spread = f64::try_from((&of_each - mean).f_square()?.f_mean(Kind::Double)?)?.sqrt();
        // Neither dark nor bright if some are the one and some the other.
        Ok(if spread > MAX_BORDER_SPREAD { 0.5 } else { mean })
    }

    /// Whether a file that images are mapped from has changed since, by its length and times. Cheap; a file that
    /// was only touched counts as changed, and [`fingerprint`](Dataset::fingerprint) then says that it was not.
    pub fn files_have_changed(&self) -> bool {
        self.splits().any(|(_, images)| images.file_has_changed())
    }

    /// The splits that there are, with their names: `train`, `validation`, `test`.
    pub fn splits(&self) -> impl Iterator<Item = (&'static str, &Images)> {
        let splits = [
            ("train", Some(&self.train)),
            ("validation", self.validation.as_ref()),
            ("test", Some(&self.test)),
        ];
        splits.into_iter().filter_map(|(name, images)| Some((name, images?)))
    }

    /// A digest (SHA-256) of the sizes, all labels and a thousand images of each split: equal for equal data.
    ///
    /// # Errors
    /// Too little memory.
    pub fn fingerprint(&self) -> Result<String> {
        const IMAGES: usize = 1_000;
        let mut digest = Sha256::new();
        for images in [&self.train, &self.test].into_iter().chain(&self.validation) {
            let size = [vec![images.len() as i64], images.shape()].concat();
            digest.update(format!("{size:?} of {}", self.maximum));
            images.labels.iter().for_each(|label| digest.update(label.to_le_bytes()));
            let every = images.len().div_ceil(IMAGES).max(1);
            let rows: Vec<i64> = (0..images.len() as i64).step_by(every).collect();
            digest.update(bytes_of(&images.gather(&rows)?)?);
        }
        Ok(format!("{:x}", digest.finalize()))
    }

    /// An image for display; none for anything but images.
    ///
    /// # Errors
    /// An index beyond the images, or too little memory.
    pub fn rgb_image(&self, images: &Images, index: usize) -> Result<Option<RgbImage>> {
        let size = match self.shape()[..] {
            [height, width] | [3, height, width] => [height as usize, width as usize],
            _ => return Ok(None),
        };
        let image = images.gather(&[index as i64])?.f_to_kind(Kind::Double)?.f_reshape([-1])?;
        let values: Vec<f64> = Vec::try_from(&image)?;
        let area = size[0] * size[1];
        let byte = |value: f64| (value / self.maximum * 255.0).round().clamp(0.0, 255.0) as u8;
        let channel = |pixel: usize, channel: usize| byte(values[(channel * area + pixel) % values.len()]);
        let pixels = (0..area).map(|pixel| [0, 1, 2].map(|index| channel(pixel, index))).collect();
        Ok(Some(RgbImage { size, pixels }))
    }

    /// Only the images of these classes, whose indices follow the order of the names. Pixels are not copied.
    ///
    /// # Errors
    /// [`Fault::UnknownClass`]; a class named twice, fewer than two, or a split without images of these classes.
    pub fn keep_classes(self, names: &[String]) -> Result<Dataset> {
        let mut index_of = vec![None; self.classes.len()];
        for (index, name) in names.iter().enumerate() {
            let Some(class) = self.classes.iter().position(|class| class == name) else {
                let fault = Fault::UnknownClass { class: name.clone(), classes: self.classes };
                return Err(anyhow::Error::new(fault).context(self.name));
            };
            ensure!(index_of[class].is_none(), "the class {name} is named twice");
            index_of[class] = Some(index as i64);
        }
        ensure!(names.len() > 1, "a classifier needs at least two classes");
        let keep = |images: &Images| {
            let kept = |row: &i64| index_of[images.labels[*row as usize] as usize].is_some();
            let kept = images.choose(&(0..images.len() as i64).filter(kept).collect::<Vec<_>>());
            let labels = kept.labels.iter().filter_map(|&label| index_of[label as usize]).collect();
            kept.with_labels(labels)
        };
        let (train, test) = (keep(&self.train), keep(&self.test));
        let validation = self.validation.as_ref().map(keep);
        let splits = [("test", Some(&test)), ("validation", validation.as_ref())];
        for (split, images) in splits {
            let is_empty = images.is_some_and(Images::is_empty);
            ensure!(!is_empty, "{} has no {split} image of the classes {}", self.name, names.join(", "));
        }
        Ok(Dataset { train, validation, test, classes: names.to_vec(), ..self })
    }

    /// The shape of an image.
    pub fn shape(&self) -> Vec<i64> {
        self.train.shape()
    }

    fn samples(&self, images: &Images) -> Result<Samples> {
        Ok(images.samples()?.scaled_by(self.maximum))
    }
}

/// Borders whose brightness deviates more from their mean say nothing about another image's.
const MAX_BORDER_SPREAD: f64 = 0.2;

/// The values as they lie in memory.
pub(super) fn bytes_of(tensor: &Tensor) -> Result<Vec<u8>> {
    let flat = tensor.f_contiguous()?.f_reshape([-1])?;
    Ok(Vec::try_from(&flat.f_view_dtype(Kind::Uint8)?)?)
}

/// The value that becomes 1.0: 255 if a pixel is a byte, else the largest magnitude in the training images.
pub(super) fn max_value(pixels: &Tensor) -> Result<f64> {
    if pixels.kind() == Kind::Uint8 {
        return Ok(u8::MAX.into());
    }
    let max = f64::try_from(pixels.f_to_kind(Kind::Double)?.f_abs()?.f_max()?)?;
    ensure!(max.is_finite(), "a pixel is not a finite number");
    Ok(if max == 0.0 { 1.0 } else { max })
}

/// The shape of an image of so many values: a square, a square of three colours, or a row.
pub(super) fn shape_of_row(values: i64) -> Vec<i64> {
    let side_of = |values: i64| {
        let side = (values as f64).sqrt().round() as i64;
        (side > 1 && side * side == values).then_some(side)
    };
    let of_colour = if values % 3 == 0 { side_of(values / 3) } else { None };
    match (side_of(values), of_colour) {
        (Some(side), _) => vec![side, side],
        (None, Some(side)) => vec![3, side, side],
        (None, None) => vec![values],
    }
}
