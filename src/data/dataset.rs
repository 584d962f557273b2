//! Labelled images in memory or mapped from files, and the data set that they make up.

use super::Samples;
use anyhow::{Context, Result, ensure};
use sha2::{Digest as _, Sha256};
use tch::{Kind, Tensor};

/// Images with their labels.
#[derive(Debug)]
pub struct Images {
    /// [n, height, width] where grey, [n, 3, height, width] in colour, [n, values] where they are no pictures;
    /// of the type that they are stored in, uint8 mostly.
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

    /// The shape of an image.
    pub fn shape(&self) -> Vec<i64> {
        self.pixels.size().split_off(1)
    }

    /// How many images each of so many classes has.
    pub fn class_counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        self.labels.iter().for_each(|&label| counts[label as usize] += 1);
        counts
    }

    /// The images of these rows, in their order.
    pub(super) fn choose(&self, rows: &[i64]) -> Result<Images> {
        Ok(Images {
            pixels: self.pixels.f_index_select(0, &Tensor::f_from_slice(rows)?)?,
            labels: rows.iter().map(|&row| self.labels[row as usize]).collect(),
        })
    }
}

/// An image as it can be shown.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
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
    /// The training images; validation images are split off from these unless there are others.
    pub train: Images,
    /// Images to validate with, where the data have some of their own.
    pub validation: Option<Images>,
    /// The test images: for the end, never for a decision during training.
    pub test: Images,
    /// A name for each class number.
    pub classes: Vec<String>,
    /// The pixel value that becomes 1.0.
    pub maximum: f64,
    /// What users should know of how it was read.
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
    /// thousand images; 0.5 where it differs much from image to image, 0 where they are no pictures.
    ///
    /// # Errors
    /// Too little memory.
    pub fn border(&self) -> Result<f64> {
        const IMAGES: i64 = 1_000;
        let pixels = self.train.pixels.slice(0, 0, IMAGES, 1);
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
        // Neither dark nor bright, where some are the one and some the other.
        Ok(if spread > MAX_BORDER_SPREAD { 0.5 } else { mean })
    }

    /// A digest (SHA-256) of the sizes, all labels and a thousand images of each split, to tell whether
    /// the data are those of another time.
    ///
    /// # Errors
    /// Too little memory.
    pub fn fingerprint(&self) -> Result<String> {
        const IMAGES: usize = 1_000;
        let mut digest = Sha256::new();
        for images in [&self.train, &self.test].into_iter().chain(&self.validation) {
            digest.update(format!("{:?} of {}", images.pixels.size(), self.maximum));
            images.labels.iter().for_each(|label| digest.update(label.to_le_bytes()));
            let every = images.len().div_ceil(IMAGES).max(1);
            let rows: Vec<i64> = (0..images.len() as i64).step_by(every).collect();
            let chosen = images.pixels.f_index_select(0, &Tensor::f_from_slice(&rows)?)?;
            digest.update(bytes_of(&chosen)?);
        }
        Ok(format!("{:x}", digest.finalize()))
    }

    /// An image as it can be shown; none where the images are no pictures.
    ///
    /// # Errors
    /// Too little memory.
    pub fn shown(&self, images: &Images, row: usize) -> Result<Option<Shown>> {
        let size = match self.shape()[..] {
            [height, width] | [3, height, width] => [height as usize, width as usize],
            _ => return Ok(None),
        };
        let image = images.pixels.f_get(row as i64)?.f_to_kind(Kind::Double)?.f_reshape([-1])?;
        let values: Vec<f64> = Vec::try_from(&image)?;
        let area = size[0] * size[1];
        let byte = |value: f64| (value / self.maximum * 255.0).round().clamp(0.0, 255.0) as u8;
        let channel = |pixel: usize, channel: usize| byte(values[(channel * area + pixel) % values.len()]);
        let pixels = (0..area).map(|pixel| [0, 1, 2].map(|number| channel(pixel, number))).collect();
        Ok(Some(Shown { size, pixels }))
    }

    /// Only the images of these classes, which are numbered in their new order.
    ///
    /// # Errors
    /// A name that no class has, or one alone.
    pub fn keep_classes(self, names: &[String]) -> Result<Dataset> {
        let mut number_of = vec![None; self.classes.len()];
        for (number, name) in names.iter().enumerate() {
            let class = self.classes.iter().position(|class| class == name);
            let class = class.with_context(|| {
                format!("{} has no class {name}; there are {}", self.name, self.classes.join(", "))
            })?;
            ensure!(number_of[class].is_none(), "the class {name} is named twice");
            number_of[class] = Some(number as i64);
        }
        ensure!(names.len() > 1, "a classifier needs at least two classes");
        let keep = |images: &Images| -> Result<Images> {
            let is_kept = |row: &i64| number_of[images.labels[*row as usize] as usize].is_some();
            let mut kept = images.choose(&(0..images.len() as i64).filter(is_kept).collect::<Vec<_>>())?;
            kept.labels = kept.labels.iter().filter_map(|&label| number_of[label as usize]).collect();
            Ok(kept)
        };
        let (train, test) = (keep(&self.train)?, keep(&self.test)?);
        let validation = self.validation.as_ref().map(keep).transpose()?;
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
        let labels = Tensor::f_from_slice(&images.labels)?;
        Ok(Samples::new(&images.pixels, &labels)?.scaled_by(self.maximum))
    }
}

/// Borders whose brightness deviates more from their mean tell nothing about a picture's.
const MAX_BORDER_SPREAD: f64 = 0.2;

/// The values as they lie in memory.
pub(super) fn bytes_of(tensor: &Tensor) -> Result<Vec<u8>> {
    let flat = tensor.f_contiguous()?.f_reshape([-1])?;
    Ok(Vec::try_from(&flat.f_view_dtype(Kind::Uint8)?)?)
}

/// What becomes 1.0: 255 where a pixel is a byte, else the greatest magnitude in the training images.
pub(super) fn max_value(images: &Images) -> Result<f64> {
    if images.pixels.kind() == Kind::Uint8 {
        return Ok(u8::MAX.into());
    }
    let max = f64::try_from(images.pixels.f_to_kind(Kind::Double)?.f_abs()?.f_max()?)?;
    ensure!(max.is_finite(), "a pixel is no finite number");
    Ok(if max == 0.0 { 1.0 } else { max })
}

/// The shape of an image of so many values: a square, a square of three colours, or a row.
pub(super) fn shape_of_row(values: i64) -> Vec<i64> {
    let side_of = |values: i64| {
        let split = (values as f64).sqrt().round() as i64;
        (split > 1 && split * split == values).then_some(split)
    };
    let of_colour = if values % 3 == 0 { side_of(values / 3) } else { None };
    match (side_of(values), of_colour) {
        (Some(split), _) => vec![split, split],
        (None, Some(split)) => vec![3, split, split],
        (None, None) => vec![values],
    }
}
