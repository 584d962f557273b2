//! Labelled images in memory or mapped from files.

use super::Samples;
use super::groups::Groups;
use crate::files::FileStamp;
use anyhow::{Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
    /// The file that has a digest of every stored row, if there is one.
    digest_file: Option<Arc<Path>>,
    /// Of every stored row: where the image was found, if it was not at that row.
    origins: Origins,
    /// Of every stored row, if the data have groups.
    groups: Option<Groups>,
}

/// Where images were found.
#[derive(Clone, Debug, Default)]
enum Origins {
    /// One after another, as they are stored.
    #[default]
    InOrder,
    /// In these rows.
    Rows(Arc<[usize]>),
    /// In files of these names.
    Files(Arc<[String]>),
}

/// Where an image was found, to find it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageOrigin<'a> {
    /// In a file of its own, named from the folder of the data.
    File(&'a str),
    /// Among others: its number in their order, from 0.
    Row(usize),
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
        Ok(Images {
            stored: pixels,
            rows: None,
            labels,
            mapped_from: None,
            digest_file: None,
            origins: Origins::InOrder,
            groups: None,
        })
    }

    /// The same images, found in files of these names: one for each image, or they stay without.
    #[cfg_attr(not(feature = "images"), allow(dead_code))]
    pub(super) fn found_in(self, names: Vec<String>) -> Images {
        if self.rows.is_some() || names.len() != self.len() {
            return self;
        }
        Images { origins: Origins::Files(names.into()), ..self }
    }

    /// Where an image was found.
    ///
    /// # Panics
    /// The index is beyond the images.
    pub fn origin(&self, index: usize) -> ImageOrigin<'_> {
        let row = match &self.rows {
            Some(rows) => rows[index] as usize,
            None => index,
        };
        match &self.origins {
            Origins::InOrder => ImageOrigin::Row(row),
            Origins::Rows(rows) => ImageOrigin::Row(rows[row]),
            Origins::Files(names) => ImageOrigin::File(&names[row]),
        }
    }

    /// The same images, each of the group of that number: one for each image, or they stay without.
    pub(super) fn grouped(self, numbers: Vec<u32>, names: Arc<[String]>) -> Images {
        if self.rows.is_some() || numbers.len() != self.len() {
            return self;
        }
        Images { groups: Some(Groups { of_stored: numbers.into(), names }), ..self }
    }

    /// The group of each image, by its number; none if the data have no groups. Images of one load share their
    /// numbers.
    pub fn groups(&self) -> Option<Vec<u32>> {
        let groups = self.groups.as_ref()?;
        Some(match &self.rows {
            Some(rows) => rows.iter().map(|&row| groups.of_stored[row as usize]).collect(),
            None => groups.of_stored.to_vec(),
        })
    }

    /// The name of a group.
    pub fn group_name(&self, number: u32) -> Option<&str> {
        self.groups.as_ref()?.names.get(number as usize).map(String::as_str)
    }

    /// The same images with all of their pixels anew.
    fn with_pixels(self, pixels: Tensor) -> Result<Images> {
        let origins = match (&self.rows, &self.origins) {
            (None, origins) => origins.clone(),
            (Some(rows), Origins::Files(names)) => {
                Origins::Files(rows.iter().map(|&row| names[row as usize].clone()).collect())
            }
            (Some(rows), Origins::Rows(known)) => {
                Origins::Rows(rows.iter().map(|&row| known[row as usize]).collect())
            }
            (Some(rows), Origins::InOrder) => Origins::Rows(rows.iter().map(|&row| row as usize).collect()),
        };
        let numbers = self.groups();
        let groups = numbers
            .zip(self.groups)
            .map(|(numbers, Groups { names, .. })| Groups { of_stored: numbers.into(), names });
        Ok(Images { origins, groups, ..Images::new(pixels, self.labels)? })
    }

    /// The same images, noted as mapped from a file.
    pub(super) fn mapped_from(self, file: Option<MappedFile>) -> Images {
        Images { mapped_from: file, ..self }
    }

    /// The same images, with a digest of every stored row in a file.
    pub(super) fn with_digest_file(self, file: PathBuf) -> Images {
        Images { digest_file: Some(file.into()), ..self }
    }

    /// The file that has a digest of every stored row, and the rows in use; none means all.
    pub(super) fn digest_file(&self) -> Option<(&Path, Option<&[i64]>)> {
        Some((self.digest_file.as_deref()?, self.rows.as_deref()))
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
            digest_file: self.digest_file.clone(),
            origins: self.origins.clone(),
            groups: self.groups.clone(),
        }
    }

    /// The same images with other labels, one for each.
    pub(super) fn with_labels(self, labels: Vec<i64>) -> Images {
        debug_assert_eq!(labels.len(), self.labels.len());
        Images { labels, ..self }
    }

    /// The same images; pixels are not copied.
    pub(super) fn shared(&self) -> Images {
        Images {
            stored: self.stored.shallow_clone(),
            rows: self.rows.clone(),
            labels: self.labels.clone(),
            mapped_from: self.mapped_from.clone(),
            digest_file: self.digest_file.clone(),
            origins: self.origins.clone(),
            groups: self.groups.clone(),
        }
    }

    /// Grey images in colour, each value three times; others as they are.
    ///
    /// # Errors
    /// Too little memory.
    pub(super) fn in_colour(self) -> Result<Images> {
        let &[height, width] = self.shape().as_slice() else { return Ok(self) };
        let grey = self.pixels()?.f_unsqueeze(1)?;
        let colour = grey.f_expand([-1, 3, height, width], false)?.f_contiguous()?;
        self.with_pixels(colour)
    }

    /// Images in colour made grey by their brightness (Rec. 709), as image files are; others as they are.
    ///
    /// # Errors
    /// Too little memory.
    pub(super) fn in_grey(self) -> Result<Images> {
        /// Of red, green and blue, in ten thousandths.
        const BRIGHTNESS: [i64; 3] = [2126, 7152, 722];
        if self.shape().len() != 3 {
            return Ok(self);
        }
        let pixels = self.pixels()?;
        let is_float = pixels.f_is_floating_point()?;
        let wide = pixels.f_to_kind(if is_float { Kind::Double } else { Kind::Int64 })?;
        let mut sum = wide.f_select(1, 0)?.f_mul_scalar(BRIGHTNESS[0])?;
        for channel in [1, 2] {
            sum = sum.f_add(&wide.f_select(1, channel)?.f_mul_scalar(BRIGHTNESS[channel as usize])?)?;
        }
        let grey = if is_float { sum.f_div_scalar(10_000.0)? } else { sum.f_floor_divide_scalar(10_000)? };
        let grey = grey.f_to_kind(pixels.kind())?;
        self.with_pixels(grey)
    }

    /// Images with their rows and columns exchanged; anything but images as it is.
    ///
    /// # Errors
    /// Too little memory.
    pub(super) fn transposed(self) -> Result<Images> {
        match self.shape().len() {
            2 | 3 => {
                let turned = self.pixels()?.f_transpose(-2, -1)?.f_contiguous()?;
                self.with_pixels(turned)
            }
            _ => Ok(self),
        }
    }

    /// The same images with values of another type.
    ///
    /// # Errors
    /// Too little memory.
    pub(super) fn of_kind(self, kind: Kind) -> Result<Images> {
        if self.kind() == kind {
            return Ok(self);
        }
        let converted = self.pixels()?.f_to_kind(kind)?;
        self.with_pixels(converted)
    }

    /// The same with as many channels as images of a shape: grey ones in colour, coloured ones in grey.
    ///
    /// # Errors
    /// Too little memory.
    pub(super) fn with_channels_of(self, shape: &[i64]) -> Result<Images> {
        match (self.shape().len(), shape.len()) {
            (2, 3) => self.in_colour(),
            (3, 2) => self.in_grey(),
            _ => Ok(self),
        }
    }

    /// The bytes that an image takes as it is stored.
    pub(super) fn bytes_of_one(&self) -> usize {
        self.shape().iter().product::<i64>() as usize * self.kind().elt_size_in_bytes()
    }

    /// The number of stored rows.
    pub(super) fn stored_count(&self) -> usize {
        self.stored.size()[0] as usize
    }

    /// The bytes of what is stored, contiguous, and the rows of it in use; none means all.
    pub(super) fn stored_bytes(&self) -> Result<(Tensor, Option<&[i64]>)> {
        let bytes = self.stored.f_contiguous()?.f_reshape([-1])?.f_view_dtype(Kind::Uint8)?;
        Ok((bytes, self.rows.as_deref()))
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

    /// What the file that the pixels are mapped from is like now, if that is not as it was.
    pub(super) fn changed_file(&self) -> Option<String> {
        let file = self.mapped_from.as_ref()?;
        let now = FileStamp::of(&file.path).ok();
        let stamp = now.as_ref().map_or("gone".to_string(), FileStamp::text);
        (now.as_ref() != Some(&file.stamp)).then(|| format!("{}: {stamp}", file.path.display()))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_found_again_whatever_was_done_to_its_set() {
        let images =
            || Images::new(Tensor::arange(8, (Kind::Uint8, tch::Device::Cpu)).view([4, 1, 2]), vec![0; 4]);
        let done =
            |images: Images| images.choose(&[3, 1]).in_colour().unwrap().choose(&[1]).transposed().unwrap();
        assert_eq!(done(images().unwrap()).origin(0), ImageOrigin::Row(1));
        let names = ["a", "b", "c", "d"].map(str::to_string).to_vec();
        let named = done(images().unwrap().found_in(names.clone()));
        assert_eq!(named.origin(0), ImageOrigin::File("b"));
        assert_eq!(named.pixels().unwrap().size(), [1, 3, 2, 1]);
        // Names that are not those of the images say nothing.
        let unnamed = images().unwrap().found_in(names[1..].to_vec());
        assert_eq!(unnamed.origin(3), ImageOrigin::Row(3));
    }
}
