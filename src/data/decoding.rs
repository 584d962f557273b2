//! Decodes images on all cores, a block at a time, and gives them to the cache. Memory is bounded by the
//! sizes that the images state, whatever their number.

use super::cache::{ValueKind, Writer};
use super::image_file;
use super::load_options::{LoadOptions, OnProgress};
use super::memory_limit::DecodingLimits;
use super::raw_dataset::Split;
use super::{Fault, Progress};
use anyhow::{Context, Result, ensure};
use image::DynamicImage;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Images of a block at most, and how many bytes they make up, decoded.
const MAX_BLOCK: usize = 2048;
const BLOCK_BYTES: usize = 64 << 20;
/// Of encoded images in memory, of a block.
const ENCODED_BYTES: usize = 64 << 20;
const THREADS_PER_CORE: usize = 4;

/// An image with its label and its split.
pub(super) struct Entry {
    pub image: EncodedImage,
    pub label: i64,
    pub split: Split,
}

/// An image that is not decoded yet.
#[cfg_attr(not(feature = "parquet"), allow(dead_code))]
pub(super) enum EncodedImage {
    File(PathBuf),
    /// In a row of a file; none if it is missing.
    Row {
        file: Arc<str>,
        row: usize,
        bytes: Option<Vec<u8>>,
    },
}

impl EncodedImage {
    /// For people.
    fn place(&self) -> String {
        match self {
            EncodedImage::File(path) => path.display().to_string(),
            EncodedImage::Row { file, row, .. } => format!("{file}: row {row} (from 0)"),
        }
    }

    /// The bytes that it takes in memory before it is decoded.
    fn bytes(&self) -> usize {
        match self {
            EncodedImage::File(_) => 0,
            EncodedImage::Row { bytes, .. } => bytes.as_ref().map_or(0, Vec::len),
        }
    }

    /// Decodes it and gives it to `take` while the memory counts as used.
    fn decode<T>(&self, limits: &DecodingLimits, take: impl FnOnce(DynamicImage) -> T) -> Result<T> {
        match self {
            EncodedImage::File(path) => image_file::decode_file(path, limits, take),
            EncodedImage::Row { bytes, .. } => {
                let bytes = bytes.as_deref().context("holds no image")?;
                image_file::decode_bytes(bytes, limits, take)
            }
        }
    }
}

/// Writes all images, `count` of them, in one size; grey if every one of them is. `entries` may be asked for
/// twice. Gives what users should know.
///
/// # Errors
/// [`Fault::UnreadableImage`], unless such images are to be left out; [`Fault::SizesDiffer`].
pub(super) fn decode_all<I: Iterator<Item = Result<Entry>>>(
    count: usize,
    entries: impl Fn() -> Result<I>,
    options: &LoadOptions,
    writer: &mut Writer,
    progress: OnProgress,
) -> Result<Option<String>> {
    let mut decode = |in_colour| {
        let mut decoding = Decoding { in_colour, count, options, writer, first: None, skipped: 0 };
        decoding.run(entries()?, progress)
    };
    // Most sets that begin grey are grey. If this one is not, that usually shows early.
    let skipped = match decode(false)? {
        Some(skipped) => skipped,
        None => decode(true)?.unwrap_or_default(),
    };
    progress(Progress::Finished);
    ensure!(skipped < count, "no image can be read");
    Ok((skipped > 0).then(|| format!("{skipped} of {count} images could not be read and are left out")))
}

/// A pass over the images.
struct Decoding<'a> {
    in_colour: bool,
    count: usize,
    options: &'a LoadOptions,
    writer: &'a mut Writer,
    /// The place and the size of the first image.
    first: Option<(String, [usize; 2])>,
    skipped: usize,
}

impl Decoding<'_> {
    /// The number of images that were left out; none if one has colour and the others were taken as grey.
    fn run(
        &mut self,
        mut entries: impl Iterator<Item = Result<Entry>>,
        progress: OnProgress,
    ) -> Result<Option<usize>> {
        let limits = DecodingLimits::default();
        let (mut done, mut block_size) = (0, 1);
        loop {
            let block = take_block(&mut entries, block_size)?;
            if block.is_empty() {
                return Ok(Some(self.skipped));
            }
            let first_size = self.first.as_ref().map(|(_, size)| *size);
            let decoded = decode_block(&block, self.options.image_size, first_size, &limits);
            for (entry, decoded) in block.iter().zip(decoded) {
                let Some(image) = self.readable(entry, decoded)? else { continue };
                if !image.is_grey && !self.in_colour {
                    return Ok(None);
                }
                self.push(entry, &image)?;
                let bytes = image.size[0] * image.size[1] * if self.in_colour { 3 } else { 1 };
                block_size = (BLOCK_BYTES / bytes.max(1)).clamp(1, MAX_BLOCK);
            }
            done += block.len();
            progress(Progress::Decoded { images: done, of: Some(self.count) });
        }
    }

    /// The image; none if it is to be left out.
    fn readable(&mut self, entry: &Entry, decoded: Result<Decoded>) -> Result<Option<Decoded>> {
        match decoded {
            Ok(image) => Ok(Some(image)),
            Err(_) if self.options.skips_bad => {
                self.skipped += 1;
                Ok(None)
            }
            Err(fault) => Err(fault.context(Fault::UnreadableImage { place: entry.image.place() })),
        }
    }

    /// Writes an image, which must have the size of the first.
    fn push(&mut self, entry: &Entry, image: &Decoded) -> Result<()> {
        let [height, width] = image.size;
        match &self.first {
            None => {
                self.first = Some((entry.image.place(), image.size));
                let shape = if self.in_colour { vec![3, height, width] } else { vec![height, width] };
                self.writer.begin(&shape, ValueKind::Uint8);
            }
            Some((first, size)) if *size != image.size => {
                return Err(Fault::SizesDiffer {
                    first: first.clone(),
                    first_size: *size,
                    other: entry.image.place(),
                    other_size: image.size,
                }
                .into());
            }
            Some(_) => {}
        }
        let mut values = Vec::new();
        image.append_to(&mut values, self.in_colour);
        self.writer.push(entry.split, &values, entry.label)
    }
}

/// The next entries, of not too many bytes together.
fn take_block(entries: &mut impl Iterator<Item = Result<Entry>>, size: usize) -> Result<Vec<Entry>> {
    let (mut block, mut bytes) = (Vec::new(), 0);
    while block.len() < size && bytes < ENCODED_BYTES {
        let Some(entry) = entries.next() else { break };
        let entry = entry?;
        bytes += entry.image.bytes();
        block.push(entry);
    }
    Ok(block)
}

/// A decoded image: its values, grey or red, green, blue by pixel.
struct Decoded {
    values: Vec<u8>,
    is_grey: bool,
    /// Height and width.
    size: [usize; 2],
}

impl Decoded {
    /// The values of an image, scaled to `size`. If it has another size than the first one, it cannot be
    /// used: it then comes without values, which could be any number of bytes.
    fn new(image: DynamicImage, size: Option<[u32; 2]>, first_size: Option<[usize; 2]>) -> Decoded {
        let image = match size {
            Some(size) => image_file::scaled(image, size),
            None => image,
        };
        let size = [image.height() as usize, image.width() as usize];
        if first_size.is_some_and(|first| first != size) {
            return Decoded { values: Vec::new(), is_grey: true, size };
        }
        if let DynamicImage::ImageLuma8(grey) = image {
            return Decoded { values: grey.into_raw(), is_grey: true, size };
        }
        let colour = image.to_rgb8().into_raw();
        let is_grey = colour.chunks(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]);
        let values = if is_grey { colour.into_iter().step_by(3).collect() } else { colour };
        Decoded { values, is_grey, size }
    }

    /// The values as they lie in the file: of colour, channel by channel.
    fn append_to(&self, values: &mut Vec<u8>, in_colour: bool) {
        match (in_colour, self.is_grey) {
            (false, _) => values.extend(&self.values),
            (true, true) => (0..3).for_each(|_| values.extend(&self.values)),
            (true, false) => {
                (0..3).for_each(|channel| values.extend(self.values.iter().skip(channel).step_by(3)));
            }
        }
    }
}

/// The images of a block in their order.
fn decode_block(
    entries: &[Entry],
    size: Option<[u32; 2]>,
    first_size: Option<[usize; 2]>,
    limits: &DecodingLimits,
) -> Vec<Result<Decoded>> {
    let next = AtomicUsize::new(0);
    let decoded: Mutex<Vec<(usize, Result<Decoded>)>> = Mutex::new(Vec::with_capacity(entries.len()));
    let work = || {
        let mut mine = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(entry) = entries.get(index) else { break };
            mine.push((index, entry.image.decode(limits, |image| Decoded::new(image, size, first_size))));
        }
        decoded.lock().unwrap_or_else(PoisonError::into_inner).extend(mine);
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // On a cold disk most of them wait for their files.
    let threads = (THREADS_PER_CORE * cores).min(entries.len());
    std::thread::scope(|scope| {
        (1..threads).for_each(|_| {
            scope.spawn(work);
        });
        work();
    });
    let mut decoded = decoded.into_inner().unwrap_or_else(PoisonError::into_inner);
    decoded.sort_by_key(|(index, _)| *index);
    decoded.into_iter().map(|(_, image)| image).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_of_another_size_is_not_kept_in_memory() {
        let decoded = |size, first| Decoded::new(DynamicImage::new_luma8(40, 30), size, first);
        let other = decoded(None, Some([3, 3]));
        assert_eq!((other.values.len(), other.size), (0, [30, 40]));
        assert_eq!(decoded(Some([3, 3]), Some([3, 3])).values.len(), 9);
    }

    #[test]
    fn a_block_ends_with_its_images_or_its_bytes() {
        let row = |bytes: usize| {
            let image = EncodedImage::Row { file: "a".into(), row: 0, bytes: Some(vec![0; bytes]) };
            Ok(Entry { image, label: 0, split: Split::Train })
        };
        let mut small = (0..5).map(|_| row(10));
        let sizes = [(); 3].map(|()| take_block(&mut small, 3).unwrap().len());
        assert_eq!(sizes, [3, 2, 0]);
        let mut large = (0..3).map(|_| row(ENCODED_BYTES / 2));
        assert_eq!(take_block(&mut large, 100).unwrap().len(), 2);
    }
}
