//! Pictures in folders named by their classes: `train/cat/1.png` and `test/cat/2.png`, or `cat/1.png` alone.
//! They are decoded once, by all cores, into IDX files in a cache, and mapped from there. It must not know
//! other forms of data.

use super::download::Progress;
use super::source::{Loaded, Reading, split_off_test, test_note};
use super::{Images, idx, picture};
use crate::run::write_whole;
use anyhow::{Context, Result, bail, ensure};
use image::{DynamicImage, imageops::FilterType};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::UNIX_EPOCH;
use walkdir::WalkDir;

/// Changes when the cache's files come to mean something else.
const CACHE_VERSION: u32 = 1;
/// What a folder of training pictures is called, and those of test pictures.
const TRAIN: [&str; 2] = ["train", "training"];
const TEST: [&str; 2] = ["test", "testing"];
const VALIDATION: [&str; 2] = ["val", "validation"];

/// A picture's file, its class and its side.
struct Entry {
    path: PathBuf,
    class: usize,
    is_test: bool,
    /// Length and time of change, by which a file is told to be the one that was decoded.
    stamp: (u64, u128),
}

struct Listing {
    entries: Vec<Entry>,
    classes: Vec<String>,
    has_test: bool,
    /// What users should be told.
    note: Option<String>,
}

/// What is beside the cached IDX files.
#[derive(Serialize, Deserialize)]
struct Card {
    classes: Vec<String>,
    notes: Vec<String>,
}

/// Whether a folder, or a folder in it, holds folders of pictures.
pub(super) fn has_pictures(folder: &Path) -> bool {
    let files = WalkDir::new(folder).follow_links(true).min_depth(2).max_depth(3).into_iter().flatten();
    files.take(10_000).any(|entry| picture::is_named(entry.path()))
}

/// Loads a folder, from the cache if it was decoded before.
///
/// # Errors
/// Pictures that cannot be read or differ in size, and test classes that cannot be learnt, each named.
pub(super) fn load(folder: &Path, reading: &Reading, progress: &mut dyn FnMut(Progress)) -> Result<Loaded> {
    let listing = list(folder).with_context(|| folder.display().to_string())?;
    let cache = reading.data_dir.join("pictures").join(key(folder, &listing, reading));
    if !cache.join("card.json").exists() {
        decode_into(&cache, folder, &listing, reading, progress)?;
    }
    read_cache(&cache).with_context(|| format!("the cache {} (remove it to decode anew)", cache.display()))
}

fn list(folder: &Path) -> Result<Listing> {
    let below = |path: &Path| -> Result<Vec<PathBuf>> {
        let mut folders = Vec::new();
        for entry in fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))? {
            let path = entry?.path();
            let is_hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
            if path.is_dir() && !is_hidden {
                folders.push(path);
            }
        }
        folders.sort();
        Ok(folders)
    };
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let folders = below(folder)?;
    let side =
        |names: &[&str]| folders.iter().find(|path| names.contains(&name(path).to_lowercase().as_str()));
    let (test_folder, validation_folder) = (side(&TEST), side(&VALIDATION));
    let (train, test) = match side(&TRAIN) {
        Some(train) => {
            let test = test_folder.or(validation_folder);
            (below(train)?, test.map(|test| below(test)).transpose()?)
        }
        None => (folders.clone(), None),
    };
    let note = validation_folder.filter(|_| test.is_some()).map(|validation| {
        let validation = validation.display();
        match test_folder {
            Some(_) => {
                format!("{validation} is not used: validation images are split off from the training set")
            }
            None => format!("there is no test folder: {validation} is the test set"),
        }
    });
    let classes: BTreeSet<String> = train.iter().map(|path| name(path)).collect();
    let classes: Vec<String> = classes.into_iter().collect();
    ensure!(
        classes.len() > 1,
        "needs a folder of pictures for each class; there {}",
        match classes.as_slice() {
            [only] => format!("is only {only}"),
            _ => "is none".to_string(),
        }
    );
    let unknown = test.iter().flatten().map(|path| name(path)).filter(|name| !classes.contains(name));
    let unknown: Vec<String> = unknown.collect();
    ensure!(
        unknown.is_empty(),
        "has test pictures of classes without a training picture: {}",
        unknown.join(", ")
    );

    let mut entries = Vec::new();
    for (folders, is_test) in [(&train, false), (test.as_ref().unwrap_or(&Vec::new()), true)] {
        for class_folder in folders {
            let class = classes.iter().position(|class| *class == name(class_folder)).unwrap_or_default();
            let before = entries.len();
            for entry in WalkDir::new(class_folder).follow_links(true).sort_by_file_name() {
                let entry = entry?;
                if entry.file_type().is_file() && picture::is_named(entry.path()) {
                    let metadata = entry.metadata()?;
                    let changed =
                        metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                    let stamp = (metadata.len(), changed.unwrap_or_default().as_nanos());
                    entries.push(Entry { path: entry.into_path(), class, is_test, stamp });
                }
            }
            ensure!(
                is_test || entries.len() > before,
                "class {} has no pictures (.{})",
                classes[class],
                picture::EXTENSIONS.join(", .")
            );
        }
    }
    Ok(Listing { entries, classes, has_test: test.is_some(), note })
}

/// A name for what was decoded: a digest of the files' names, lengths and times of change, and of how they
/// are read.
fn key(folder: &Path, listing: &Listing, reading: &Reading) -> String {
    let mut digest = Sha256::new();
    let share = (!listing.has_test).then(|| reading.test_share());
    digest.update(format!("{CACHE_VERSION} {:?} {} {share:?}", reading.image_size, reading.skips_bad));
    for Entry { path, stamp, .. } in &listing.entries {
        let relative = path.strip_prefix(folder).unwrap_or(path);
        digest.update(format!("\0{}\0{stamp:?}", relative.display()));
    }
    format!("{:x}", digest.finalize())
}

/// A decoded picture: its values, grey or red, green, blue by pixel.
struct Decoded {
    values: Vec<u8>,
    is_grey: bool,
    /// Width and height.
    size: (u32, u32),
}

fn decode_into(
    cache: &Path,
    folder: &Path,
    listing: &Listing,
    reading: &Reading,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let entries = &listing.entries;
    let mut notes: Vec<String> = listing.note.iter().cloned().collect();
    let decoded = decode_all(entries, reading.image_size, progress);
    let mut pictures: Vec<(&Entry, Decoded)> = Vec::new();
    let mut bad = 0;
    for (entry, picture) in entries.iter().zip(decoded) {
        match picture {
            Ok(picture) => pictures.push((entry, picture)),
            Err(_) if reading.skips_bad => bad += 1,
            Err(fault) => {
                let hint = "--skip-bad leaves such pictures out";
                return Err(fault.context(format!("{}: cannot be used ({hint})", entry.path.display())));
            }
        }
    }
    if bad > 0 {
        notes.push(format!("{bad} of {} pictures could not be read and are left out", entries.len()));
    }
    let Some((first, Decoded { size, .. })) = pictures.first() else {
        bail!("{}: no picture can be read", folder.display())
    };
    if let Some((other, Decoded { size: (width, height), .. })) =
        pictures.iter().find(|(_, picture)| picture.size != *size)
    {
        bail!(
            "{} has {} x {} pixels, but {} has {width} x {height}; --image-size {}x{} stretches all to one size",
            first.path.display(),
            size.0,
            size.1,
            other.path.display(),
            size.1,
            size.0
        );
    }
    let is_grey = pictures.iter().all(|(_, picture)| picture.is_grey);
    let (width, height) = *size;

    let labels: Vec<i64> = pictures.iter().map(|(entry, _)| entry.class as i64).collect();
    let (train, test): (Vec<usize>, Vec<usize>) = match listing.has_test {
        true => (0..pictures.len()).partition(|&row| !pictures[row].0.is_test),
        false => {
            let (train, test) = split_off_test(&labels, reading.test_share())
                .with_context(|| folder.display().to_string())?;
            notes.push(test_note(reading.test_share()));
            let rows = |rows: Vec<i64>| rows.into_iter().map(|row| row as usize).collect();
            (rows(train), rows(test))
        }
    };
    fs::create_dir_all(cache).with_context(|| format!("cannot create {}", cache.display()))?;
    for (side, rows) in [("train", train), ("test", test)] {
        ensure!(!rows.is_empty(), "{}: no {side} picture can be read", folder.display());
        let count = rows.len() as u32;
        let mut values = Vec::new();
        for &row in &rows {
            append(&mut values, &pictures[row].1, is_grey);
        }
        let sizes = if is_grey { vec![count, height, width] } else { vec![count, 3, height, width] };
        write_whole(&cache.join(format!("{side}-images")), &idx::bytes(&sizes, &values))?;
        let numbers: Vec<u8> = rows.iter().flat_map(|&row| (labels[row] as i32).to_be_bytes()).collect();
        write_whole(&cache.join(format!("{side}-labels")), &idx::bytes_of_i32(&[count], &numbers))?;
    }
    // Last: with it the cache is whole.
    let card = Card { classes: listing.classes.clone(), notes };
    write_whole(&cache.join("card.json"), &serde_json::to_vec_pretty(&card)?)
}

/// The values of a picture as they lie in the file: of colour, channel by channel.
fn append(values: &mut Vec<u8>, picture: &Decoded, is_grey: bool) {
    if is_grey {
        values.extend(&picture.values);
        return;
    }
    for channel in 0..3 {
        match picture.is_grey {
            true => values.extend(&picture.values),
            false => values.extend(picture.values.iter().skip(channel).step_by(3)),
        }
    }
}

/// All pictures in their order, decoded by all cores.
fn decode_all(
    entries: &[Entry],
    size: Option<[u32; 2]>,
    progress: &mut dyn FnMut(Progress),
) -> Vec<Result<Decoded>> {
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<(usize, Result<Decoded>)>> = Mutex::new(Vec::with_capacity(entries.len()));
    let work = || {
        let mut mine = Vec::new();
        while let Some((number, entry)) = {
            let number = next.fetch_add(1, Ordering::Relaxed);
            entries.get(number).map(|entry| (number, entry))
        } {
            mine.push((number, decode(&entry.path, size)));
        }
        found.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).extend(mine);
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        while !workers.iter().all(|worker| worker.is_finished()) {
            let done = next.load(Ordering::Relaxed).min(entries.len());
            progress(Progress::Decoded { pictures: done, of: entries.len() });
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    progress(Progress::Finished);
    let mut found = found.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    found.sort_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, picture)| picture).collect()
}

fn decode(path: &Path, size: Option<[u32; 2]>) -> Result<Decoded> {
    let mut picture = picture::decode(path)?;
    if let Some([height, width]) = size
        && (picture.width(), picture.height()) != (width, height)
    {
        picture = picture.resize_exact(width, height, FilterType::Triangle);
    }
    let size = (picture.width(), picture.height());
    let picture = picture::without_alpha(picture);
    if let DynamicImage::ImageLuma8(grey) = picture {
        return Ok(Decoded { values: grey.into_raw(), is_grey: true, size });
    }
    let colour = picture.to_rgb8().into_raw();
    let is_grey = colour.chunks(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]);
    let values = if is_grey { colour.into_iter().step_by(3).collect() } else { colour };
    Ok(Decoded { values, is_grey, size })
}

fn read_cache(cache: &Path) -> Result<Loaded> {
    let card: Card = serde_json::from_slice(&fs::read(cache.join("card.json"))?)?;
    let side = |name: &str| -> Result<Images> {
        let pixels = idx::read_as_stored(&cache.join(format!("{name}-images")))?;
        let labels = idx::read_labels(&cache.join(format!("{name}-labels")))?;
        let labels = Vec::<i64>::try_from(labels.f_to_kind(tch::Kind::Int64)?)?;
        let classes = card.classes.len() as i64;
        ensure!(labels.len() as i64 == pixels.size()[0], "has {} labels", labels.len());
        ensure!(labels.iter().all(|label| (0..classes).contains(label)), "has a label that is no class");
        Ok(Images { pixels, labels })
    };
    let (train, test) = (side("train")?, side("test")?);
    ensure!(train.pixels.size()[1..] == test.pixels.size()[1..], "has images of two sizes");
    let maximum = u8::MAX.into();
    Ok(Loaded { train, test: Some(test), classes: card.classes, maximum, notes: card.notes })
}

#[cfg(test)]
mod tests;
