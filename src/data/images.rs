//! Labelled images in memory or mapped from files.

use super::Samples;
use crate::files::FileStamp;
use anyhow::{Result, bail, ensure};
use std::path::PathBuf;
use tch::{Kind, Tensor};

/// Images with their labels: all that a tensor holds, or a choice of its rows.
///
/// Raw IDX files and decoded images are mapped into memory, not read. While they are in use they must not be
/// made shorter: the system then ends the process with SIGBUS.
#[derive(Debug)]
pub struct Images {
    /// [n, height, width] if grey, [n, 3, height, width] in colour, [n, values] for anything but images; of
    /// the type that they are stored in, uint8 mostly.
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
    /// `pixels` are [n, height, width] if grey, [n, 3, height, width] in colour, [n, values] for anything but
    /// images; `labels` are n class indices.
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

    /// The number of images of each class, for that many classes.
    ///
    /// # Panics
    /// A label is negative or not below `classes`.
    pub fn class_counts(&self, classes: usize) -> Vec<usize> {
        let mut counts = vec![0; classes];
        self.labels.iter().for_each(|&label| counts[label as usize] += 1);
        counts
    }

    /// Some of the images, by their indices, in that order. Pixels are not copied: what is mapped stays
    /// mapped.
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
    pub(super) fn samples(&self) -> Result<Samples> {
        let Some(rows) = &self.rows else {
            return Samples::new(&self.stored, &Tensor::f_from_slice(&self.labels)?);
        };
        // A target for every stored row; those of other rows are never used.
        let mut targets = vec![-1; self.stored.size()[0] as usize];
        rows.iter().zip(&self.labels).for_each(|(&row, &label)| targets[row as usize] = label);
        Samples::new(&self.stored, &Tensor::f_from_slice(&targets)?)?.choose(rows)
    }

    /// Whether the file that the pixels are mapped from is not as it was.
    pub(super) fn file_has_changed(&self) -> bool {
        let has_changed = |file: &MappedFile| FileStamp::of(&file.path).ok() != Some(file.stamp.clone());
        self.mapped_from.as_ref().is_some_and(has_changed)
    }
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

/// The shape of an image of that many values: a square, a square of three colours, or a row.
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
