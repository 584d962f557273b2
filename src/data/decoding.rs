//! Decodes pictures by all cores, a block at a time, and gives them to the cache. It must not know where pictures
//! come from.

use super::cache::Writer;
use super::image_file;
use super::progress::Progress;
use super::{load_options::LoadOptions, raw_dataset::Split};
use anyhow::{Context, Result, bail, ensure};
use image::DynamicImage;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Pictures of a block at most, and how many bytes they make up, decoded.
const GREATEST_BLOCK: usize = 2048;
const BLOCK_BYTES: usize = 64 << 20;
const THREADS_PER_CORE: usize = 4;

/// A picture with its label and its split.
pub(super) struct Entry {
    pub picture: Encoded,
    pub label: i64,
    pub split: Split,
}

/// A picture that is not yet decoded.
#[cfg_attr(not(feature = "parquet"), allow(dead_code))]
pub(super) enum Encoded {
    File(PathBuf),
    /// In a row of a file; none where it is missing.
    Row {
        file: Arc<str>,
        row: usize,
        bytes: Option<Vec<u8>>,
    },
}

impl Encoded {
    /// For people.
    fn place(&self) -> String {
        match self {
            Encoded::File(path) => path.display().to_string(),
            Encoded::Row { file, row, .. } => format!("{file}: row {row} (from 0)"),
        }
    }

    fn decode(&self) -> Result<DynamicImage> {
        match self {
            Encoded::File(path) => image_file::decode_file(path),
            Encoded::Row { bytes, .. } => {
                image_file::decode_bytes(bytes.as_deref().context("holds no picture")?)
            }
        }
    }
}

/// Writes all pictures, of one size, grey if every one of them is; gives what users should be told.
///
/// # Errors
/// Pictures that cannot be read, unless they are to be left out, or that differ in size, each named.
pub(super) fn decode_all(
    entries: &[Entry],
    reading: &LoadOptions,
    writer: &mut Writer,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<String>> {
    let mut decode = |in_colour| decode_as(in_colour, entries, reading, writer, progress);
    // Most sets that begin grey are grey. Where that was wrong, it is found out soon, as a rule.
    let bad = match decode(false)? {
        Some(bad) => bad,
        None => decode(true)?.unwrap_or_default(),
    };
    progress(Progress::Finished);
    ensure!(bad < entries.len(), "no picture can be read");
    let all = entries.len();
    Ok((bad > 0).then(|| format!("{bad} of {all} pictures could not be read and are left out")))
}

/// The number of pictures that were left out; none where one has colour and the others were taken as grey.
fn decode_as(
    in_colour: bool,
    entries: &[Entry],
    reading: &LoadOptions,
    writer: &mut Writer,
    progress: &mut dyn FnMut(Progress),
) -> Result<Option<usize>> {
    let mut first: Option<(&Entry, [usize; 2])> = None;
    let (mut bad, mut done, mut block) = (0, 0, 1);
    let mut values = Vec::new();
    while done < entries.len() {
        let of_block = &entries[done..entries.len().min(done + block)];
        for (entry, decoded) in of_block.iter().zip(decode_block(of_block, reading.image_size)) {
            let picture = match decoded {
                Ok(picture) => picture,
                Err(_) if reading.skips_bad => {
                    bad += 1;
                    continue;
                }
                Err(fault) => {
                    let hint = "cannot be used (--skip-bad leaves such pictures out)";
                    return Err(fault.context(format!("{}: {hint}", entry.picture.place())));
                }
            };
            if !picture.is_grey && !in_colour {
                return Ok(None);
            }
            let [height, width] = picture.size;
            match &first {
                None => {
                    first = Some((entry, picture.size));
                    writer.begin(&if in_colour { vec![3, height, width] } else { vec![height, width] });
                    block = (BLOCK_BYTES / picture.values.len()).clamp(1, GREATEST_BLOCK);
                }
                Some((first, size)) if *size != picture.size => bail!(
                    "{} has {} x {} pixels, but {} has {width} x {height}; --image-size {}x{} stretches all to one size",
                    first.picture.place(),
                    size[1],
                    size[0],
                    entry.picture.place(),
                    size[0],
                    size[1]
                ),
                Some(_) => {}
            }
            values.clear();
            picture.append_to(&mut values, in_colour);
            writer.push(entry.split, &values, entry.label)?;
        }
        done += of_block.len();
        progress(Progress::Decoded { images: done, of: Some(entries.len()) });
    }
    Ok(Some(bad))
}

/// A decoded picture: its values, grey or red, green, blue by pixel.
struct Decoded {
    values: Vec<u8>,
    is_grey: bool,
    /// Height and width.
    size: [usize; 2],
}

impl Decoded {
    fn of(picture: &Encoded, size: Option<[u32; 2]>) -> Result<Decoded> {
        let mut picture = picture.decode()?;
        if let Some(size) = size {
            picture = image_file::stretched(picture, size);
        }
        let size = [picture.height() as usize, picture.width() as usize];
        if let DynamicImage::ImageLuma8(grey) = picture {
            return Ok(Decoded { values: grey.into_raw(), is_grey: true, size });
        }
        let colour = picture.to_rgb8().into_raw();
        let is_grey = colour.chunks(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]);
        let values = if is_grey { colour.into_iter().step_by(3).collect() } else { colour };
        Ok(Decoded { values, is_grey, size })
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

/// The pictures of a block in their order.
fn decode_block(entries: &[Entry], size: Option<[u32; 2]>) -> Vec<Result<Decoded>> {
    let next = AtomicUsize::new(0);
    let decoded: Mutex<Vec<(usize, Result<Decoded>)>> = Mutex::new(Vec::with_capacity(entries.len()));
    let work = || {
        let mut mine = Vec::new();
        while let Some((number, entry)) = {
            let number = next.fetch_add(1, Ordering::Relaxed);
            entries.get(number).map(|entry| (number, entry))
        } {
            mine.push((number, Decoded::of(&entry.picture, size)));
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
    decoded.sort_by_key(|(number, _)| *number);
    decoded.into_iter().map(|(_, picture)| picture).collect()
}
