//! Decodes images on all cores, a block at a time, and gives them to the cache. Memory is bounded by the
//! sizes that the images state, whatever their number.

use super::cache::{ValueKind, Writer};
use super::image_file;
use super::load_options::{LoadOptions, OnProgress};
use super::memory_limit::DecodingLimits;
use super::raw_dataset::Split;
use super::resizing::Resizing;
use super::{Fault, Progress};
use anyhow::{Context, Result, bail, ensure};
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

/// How many images that could not be read are named.
const NAMED: usize = 3;

/// Pictures of 16 bits whose values end here use so little of them that ones of 8 bits cannot be compared
/// with them.
const MAX_OF_12_BITS: u16 = 4095;

/// An image with its label and its split.
pub(super) struct Entry {
    pub image: EncodedImage,
    pub label: i64,
    pub split: Split,
    /// The number of its group, if it has one.
    pub group: Option<u32>,
    /// Whether it must be readable: not if its class is not one of those asked for.
    pub is_needed: bool,
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
    fn decode<T>(
        &self,
        resizing: Option<Resizing>,
        limits: &DecodingLimits,
        take: impl FnOnce(DynamicImage) -> T,
    ) -> Result<T> {
        match self {
            EncodedImage::File(path) => image_file::decode_file(path, resizing, limits, take),
            EncodedImage::Row { bytes, .. } => {
                let bytes = bytes.as_deref().context("holds no image")?;
                image_file::decode_bytes(bytes, resizing, limits, take)
            }
        }
    }
}

/// Writes all images, `count` of them, in one size; grey if every one of them is, and with 16 bits a value if
/// one of these has them. `entries` may be asked for several times. Gives what users should know; the writer
/// gets the names of what is left out.
///
/// # Errors
/// [`Fault::UnreadableImage`], unless such images are to be left out; [`Fault::SizesDiffer`]; images of 16
/// bits and of 8 whose values cannot be compared.
pub(super) fn decode_all<I: Iterator<Item = Result<Entry>>>(
    count: usize,
    entries: impl Fn() -> Result<I>,
    options: &LoadOptions,
    writer: &mut Writer,
    progress: OnProgress,
) -> Result<Option<String>> {
    // Most sets that begin grey are grey. If this one is not, that usually shows early.
    let mut form = Form { in_colour: false, is_wide: false };
    let left_out = loop {
        let mut decoding = Decoding {
            form,
            count,
            options,
            writer,
            first: None,
            depths: Depths::default(),
            left_out: Vec::new(),
            skipped: 0,
        };
        match decoding.run(entries()?, progress)? {
            Some(other) => form = other,
            None => {
                decoding.depths.check()?;
                ensure!(decoding.skipped + decoding.left_out.len() < count, "no image can be read");
                break decoding.left_out;
            }
        }
    };
    progress(Progress::Finished);
    let note = (!left_out.is_empty()).then(|| {
        let named: Vec<&str> = left_out.iter().take(NAMED).map(|(place, _)| place.as_str()).collect();
        let more = if left_out.len() > NAMED { ", ..." } else { "" };
        let (left_out, named) = (left_out.len(), named.join(", "));
        format!("{left_out} of {count} images could not be read and are left out: {named}{more}")
    });
    writer.left_out.extend(left_out.into_iter().map(|(place, fault)| format!("{place}: {fault}")));
    Ok(note)
}

/// What all images become: grey or in colour, and then with 8 bits a value, or grey with 16.
#[derive(Clone, Copy, PartialEq)]
struct Form {
    in_colour: bool,
    is_wide: bool,
}

/// The first image of 8 bits and the first of 16, and the largest value of those.
#[derive(Default)]
struct Depths {
    narrow: Option<String>,
    wide: Option<String>,
    max: u16,
}

impl Depths {
    fn add(&mut self, image: &Decoded, place: impl FnOnce() -> String) {
        match &image.values {
            Values::Narrow(_) if self.narrow.is_none() => self.narrow = Some(place()),
            Values::Narrow(_) => {}
            Values::Wide(values) => {
                self.wide.get_or_insert_with(place);
                self.max = values.iter().copied().fold(self.max, u16::max);
            }
        }
    }

    /// Whether all values can be compared: those of 8 bits are taken as the high bits of 16.
    fn check(&self) -> Result<()> {
        match (&self.narrow, &self.wide) {
            (Some(narrow), Some(wide)) if self.max <= MAX_OF_12_BITS => bail!(
                "{narrow} has values of 8 bits, but {wide} of 16 that end at {} and cannot be compared with them",
                self.max
            ),
            _ => Ok(()),
        }
    }
}

/// A pass over the images.
struct Decoding<'a> {
    form: Form,
    count: usize,
    options: &'a LoadOptions,
    writer: &'a mut Writer,
    /// The place and the size of the first image.
    first: Option<(String, [usize; 2])>,
    depths: Depths,
    /// What could not be read, each with the reason.
    left_out: Vec<(String, String)>,
    /// Images that could not be used and need not be.
    skipped: usize,
}

impl Decoding<'_> {
    /// Writes all images; if they must have another form, gives that.
    fn run(
        &mut self,
        mut entries: impl Iterator<Item = Result<Entry>>,
        progress: OnProgress,
    ) -> Result<Option<Form>> {
        let limits = DecodingLimits::default();
        let (mut done, mut block_size) = (0, 1);
        loop {
            let block = take_block(&mut entries, block_size)?;
            if block.is_empty() {
                return Ok(None);
            }
            let first_size = self.first.as_ref().map(|(_, size)| *size);
            let decoded = decode_block(&block, self.options.resizing(), first_size, &limits);
            for (entry, decoded) in block.iter().zip(decoded) {
                let Some(image) = self.readable(entry, decoded)? else { continue };
                let form = self.form_with(&image);
                if form != self.form {
                    return Ok(Some(form));
                }
                self.depths.add(&image, || entry.image.place());
                let bytes = image.size[0] * image.size[1] * self.bytes_of_pixel();
                self.push(entry, image)?;
                block_size = (BLOCK_BYTES / bytes.max(1)).clamp(1, MAX_BLOCK);
            }
            done += block.len();
            progress(Progress::Decoded { images: done, of: Some(self.count) });
        }
    }

    /// The form of all images if this is one of them.
    fn form_with(&self, image: &Decoded) -> Form {
        let in_colour = self.form.in_colour || !image.is_grey;
        let is_wide = self.form.is_wide || matches!(image.values, Values::Wide(_));
        Form { in_colour, is_wide: is_wide && !in_colour }
    }

    fn bytes_of_pixel(&self) -> usize {
        match self.form {
            Form { in_colour: true, .. } => 3,
            Form { is_wide: true, .. } => 2,
            _ => 1,
        }
    }

    /// The image; none if it is to be left out.
    fn readable(&mut self, entry: &Entry, decoded: Result<Decoded>) -> Result<Option<Decoded>> {
        let is_of_other_size =
            |image: &Decoded| self.first.as_ref().is_some_and(|(_, size)| *size != image.size);
        match decoded {
            Ok(image) if !entry.is_needed && is_of_other_size(&image) => {
                self.skipped += 1;
                Ok(None)
            }
            Ok(image) => Ok(Some(image)),
            Err(_) if !entry.is_needed => {
                self.skipped += 1;
                Ok(None)
            }
            Err(fault) if self.options.skips_bad => {
                self.left_out.push((entry.image.place(), format!("{fault:#}")));
                Ok(None)
            }
            Err(fault) => {
                let remedy = match fault.downcast_ref() {
                    Some(Fault::ForeignKind { remedy, .. }) => Some(remedy.clone()),
                    _ => None,
                };
                Err(fault.context(Fault::UnreadableImage { place: entry.image.place(), remedy }))
            }
        }
    }

    /// Writes an image, which must have the size of the first.
    fn push(&mut self, entry: &Entry, image: Decoded) -> Result<()> {
        let [height, width] = image.size;
        match &self.first {
            None => {
                self.first = Some((entry.image.place(), image.size));
                let shape = if self.form.in_colour { vec![3, height, width] } else { vec![height, width] };
                let kind = if self.form.is_wide { ValueKind::Int32 } else { ValueKind::Uint8 };
                self.writer.begin(&shape, kind);
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
        match self.form {
            Form { is_wide: true, .. } => self.writer.push(entry.split, &image.wide_values(), entry.label)?,
            Form { in_colour, .. } => {
                self.writer.push(entry.split, &image.narrow_values(in_colour), entry.label)?;
            }
        }
        entry.group.into_iter().for_each(|group| self.writer.push_group(entry.split, group));
        Ok(())
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
    values: Values,
    is_grey: bool,
    /// Height and width.
    size: [usize; 2],
}

/// Values of 8 bits, or grey ones of 16.
enum Values {
    Narrow(Vec<u8>),
    Wide(Vec<u16>),
}

impl Decoded {
    /// The values of an image, resized if so. If it has another size than the first one, it cannot be
    /// used: it then comes without values, which could be any number of bytes.
    fn new(image: DynamicImage, resizing: Option<Resizing>, first_size: Option<[usize; 2]>) -> Decoded {
        let image = match resizing {
            Some(resizing) => resizing.apply(image),
            None => image,
        };
        let size = [image.height() as usize, image.width() as usize];
        if first_size.is_some_and(|first| first != size) {
            return Decoded { values: Values::Narrow(Vec::new()), is_grey: true, size };
        }
        let colour = match image {
            DynamicImage::ImageLuma8(grey) => {
                return Decoded { values: Values::Narrow(grey.into_raw()), is_grey: true, size };
            }
            DynamicImage::ImageLuma16(grey) => {
                return Decoded { values: Values::Wide(grey.into_raw()), is_grey: true, size };
            }
            colour => colour.into_rgb8().into_raw(),
        };
        let is_grey = colour.chunks(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]);
        let values = if is_grey { colour.into_iter().step_by(3).collect() } else { colour };
        Decoded { values: Values::Narrow(values), is_grey, size }
    }

    /// The values as they lie in the file: of colour, channel by channel.
    fn narrow_values(self, in_colour: bool) -> Vec<u8> {
        let values = match self.values {
            Values::Narrow(values) => values,
            Values::Wide(values) => values.into_iter().map(image_file::high_byte).collect(),
        };
        match (in_colour, self.is_grey) {
            (false, _) => values,
            (true, true) => values.repeat(3),
            (true, false) => {
                let mut channels = Vec::with_capacity(values.len());
                (0..3).for_each(|channel| channels.extend(values.iter().skip(channel).step_by(3)));
                channels
            }
        }
    }

    /// Grey values of 16 bits.
    fn wide_values(self) -> Vec<i32> {
        match self.values {
            Values::Narrow(values) => values.into_iter().map(|value| i32::from(value) * 257).collect(),
            Values::Wide(values) => values.into_iter().map(i32::from).collect(),
        }
    }
}

/// The images of a block in their order.
fn decode_block(
    entries: &[Entry],
    resizing: Option<Resizing>,
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
            mine.push((
                index,
                entry.image.decode(resizing, limits, |image| Decoded::new(image, resizing, first_size)),
            ));
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
    use crate::data::ImageFit;

    #[test]
    fn an_image_of_another_size_is_not_kept_in_memory() {
        let decoded = |size: Option<[u32; 2]>, first| {
            let resizing = size.map(|size| Resizing { size, fit: ImageFit::Stretch });
            Decoded::new(DynamicImage::new_luma8(40, 30), resizing, first)
        };
        let other = decoded(None, Some([3, 3]));
        assert_eq!(other.size, [30, 40]);
        assert_eq!(other.narrow_values(false).len(), 0);
        assert_eq!(decoded(Some([3, 3]), Some([3, 3])).narrow_values(false).len(), 9);
    }

    #[test]
    fn a_block_ends_with_its_images_or_its_bytes() {
        let row = |bytes: usize| {
            let image = EncodedImage::Row { file: "a".into(), row: 0, bytes: Some(vec![0; bytes]) };
            Ok(Entry { image, label: 0, split: Split::Train, group: None, is_needed: true })
        };
        let mut small = (0..5).map(|_| row(10));
        let sizes = [(); 3].map(|()| take_block(&mut small, 3).unwrap().len());
        assert_eq!(sizes, [3, 2, 0]);
        let mut large = (0..3).map(|_| row(ENCODED_BYTES / 2));
        assert_eq!(take_block(&mut large, 100).unwrap().len(), 2);
    }
}
