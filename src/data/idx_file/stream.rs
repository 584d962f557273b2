//! Images of an IDX file one by one, in memory for one image, whatever the length of the file.

use super::{Contents, IMAGES, IdxFile, UINT8, gzip_fault, usual_sizes, value_size};
use anyhow::{Result, bail, ensure};
use std::io::{BufReader, Read};
use std::path::Path;

/// Opens a file of images to read them one by one.
///
/// # Errors
/// As [`read_images`](super::read_images); what is wrong behind the header comes when it is met.
pub fn stream_images(path: &Path) -> Result<ImageStream> {
    let file = IdxFile::open(path, IMAGES)?;
    let stored = file.header.shape();
    let [count, shape @ ..] = &usual_sizes(&stored)[..] else { bail!("has no sizes") };
    ensure!(shape.iter().all(|&size| size > 0), "holds no pixels: its sizes are {stored:?}");
    let values: Box<dyn Read> = match file.contents {
        Contents::Raw(raw) => Box::new(BufReader::new(raw)),
        Contents::Gzip(stream) => Box::new(BufReader::new(stream)),
    };
    let has_channels_last = stored.len() == 4 && stored[3] == 3;
    let (shape, left) = (shape.to_vec(), *count as u64);
    let type_code = file.header.type_code;
    Ok(ImageStream { shape, type_code, has_channels_last, left, values })
}

/// The images of a file one by one: their values as they are stored, in the order of [`ImageStream::shape`].
pub struct ImageStream {
    shape: Vec<i64>,
    type_code: u8,
    has_channels_last: bool,
    left: u64,
    values: Box<dyn Read>,
}

impl ImageStream {
    /// The shape of an image, as [`read_images`](super::read_images) would have it.
    pub fn shape(&self) -> &[i64] {
        &self.shape
    }

    /// Whether values are bytes, as raw pixels are.
    pub fn is_raw(&self) -> bool {
        self.type_code == UINT8
    }

    /// Whether values are floats.
    pub fn is_float(&self) -> bool {
        matches!(self.type_code, 0x0d | 0x0e)
    }

    fn read_image(&mut self) -> Result<Vec<f32>> {
        let count = self.shape.iter().product::<i64>() as u64 * value_size(self.type_code).unwrap_or(1);
        let mut bytes = Vec::new();
        // Memory grows with what is there, not with what the header states.
        self.values.by_ref().take(count).read_to_end(&mut bytes).map_err(gzip_fault)?;
        ensure!(bytes.len() as u64 == count, "is cut short");
        if self.left == 0 {
            // Reading to the end checks the CRC of a gzipped file.
            let surplus = self.values.by_ref().take(1).read_to_end(&mut Vec::new()).map_err(gzip_fault)?;
            ensure!(surplus == 0, "expands beyond what its header states");
        }
        let values = floats(self.type_code, &bytes);
        ensure!(values.iter().all(|value| value.is_finite()), "has a value that is no finite number");
        Ok(match self.has_channels_last {
            true => (0..3).flat_map(|channel| values.iter().skip(channel).step_by(3).copied()).collect(),
            false => values,
        })
    }
}

/// Values as they lie in a file.
fn floats(type_code: u8, bytes: &[u8]) -> Vec<f32> {
    fn each<const SIZE: usize>(bytes: &[u8], of: fn([u8; SIZE]) -> f32) -> Vec<f32> {
        bytes.as_chunks().0.iter().map(|bytes| of(*bytes)).collect()
    }
    match type_code {
        0x09 => each(bytes, |bytes| i8::from_be_bytes(bytes).into()),
        0x0b => each(bytes, |bytes| i16::from_be_bytes(bytes).into()),
        super::INT32 => each(bytes, |bytes| i32::from_be_bytes(bytes) as f32),
        0x0d => each(bytes, f32::from_be_bytes),
        0x0e => each(bytes, |bytes| f64::from_be_bytes(bytes) as f32),
        _ => bytes.iter().copied().map(f32::from).collect(),
    }
}

impl Iterator for ImageStream {
    type Item = Result<Vec<f32>>;

    fn next(&mut self) -> Option<Result<Vec<f32>>> {
        self.left = self.left.checked_sub(1)?;
        let image = self.read_image();
        if image.is_err() {
            self.left = 0;
        }
        Some(image)
    }
}
