//! Images that had to be decoded, kept as IDX files below the data folder and mapped from there the next time. It
//! must not know what they were decoded from.

use super::Images;
use super::idx_file;
use super::raw_dataset::{RawDataset, Split};
use crate::files::write_whole;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Changes when the files come to mean something else.
const VERSION: u32 = 2;
/// Written last: with it a folder is whole.
const CARD: &str = "card.json";

/// What makes decoded images the same as those of another time: how they are read, and the files that they come
/// from, by name, length and times of change.
pub(super) struct Key {
    root: PathBuf,
    digest: Sha256,
}

impl Key {
    /// Of files that are all below `root`, or of that file.
    pub fn new(root: &Path, how: impl std::fmt::Debug) -> Key {
        let mut digest = Sha256::new();
        let whole = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
        digest.update(format!("{VERSION} {how:?} {}", whole.display()));
        Key { root: root.to_path_buf(), digest }
    }

    pub fn add(&mut self, path: &Path) -> Result<()> {
        let metadata = fs::metadata(path).with_context(|| path.display().to_string())?;
        let name = path.strip_prefix(&self.root).unwrap_or(path);
        let changed = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let changed = changed.unwrap_or_default().as_nanos();
        self.digest.update(format!("\0{}\0{}\0{changed}", name.display(), metadata.len()));
        // Unlike the time above it cannot be set, so that a file that took the place of another is told.
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            self.digest.update(format!("\0{}.{}", metadata.ctime(), metadata.ctime_nsec()));
        }
        Ok(())
    }
}

/// What is told beside the images.
#[derive(Serialize, Deserialize)]
pub(super) struct Card {
    pub classes: Vec<String>,
    pub notes: Vec<String>,
}

/// The images under a key; `decode` puts them there if nobody has yet.
///
/// # Errors
/// Those of `decode`; a folder that cannot be written; kept files that are damaged.
pub(super) fn load(
    data_dir: &Path,
    key: Key,
    decode: impl FnOnce(&mut Writer) -> Result<Card>,
) -> Result<RawDataset> {
    let folder = data_dir.join("decoded").join(format!("{:x}", key.digest.finalize()));
    if !folder.join(CARD).exists() {
        fill(&folder, decode)?;
    }
    read(&folder).with_context(|| format!("{} (remove it to decode anew)", folder.display()))
}

fn fill(folder: &Path, decode: impl FnOnce(&mut Writer) -> Result<Card>) -> Result<()> {
    let hint = || format!("cannot write {}; --data-dir chooses another place", folder.display());
    let parent = folder.parent().unwrap_or(folder);
    fs::create_dir_all(parent).with_context(hint)?;
    // One process decodes; others wait for it, and then find what they need.
    let lock = File::create(parent.join("lock")).with_context(hint)?;
    lock.lock().with_context(hint)?;
    if folder.join(CARD).exists() {
        return Ok(());
    }
    remove_unfinished(parent);
    fs::create_dir(folder).with_context(hint)?;
    let mut writer = Writer { folder: folder.to_path_buf(), shape: Vec::new(), splits: Default::default() };
    let written = decode(&mut writer).and_then(|card| {
        writer.finish()?;
        write_whole(&folder.join(CARD), &serde_json::to_vec_pretty(&card)?)
    });
    if written.is_err() {
        let _ = fs::remove_dir_all(folder);
    }
    written
}

/// Removes what processes that were killed have left; whoever holds the lock is the only one that decodes.
fn remove_unfinished(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path());
    for folder in entries.filter(|path| path.is_dir() && !path.join(CARD).exists()) {
        let _ = fs::remove_dir_all(folder);
    }
}

/// Takes images one by one; memory does not grow with their number, but for the labels.
pub(super) struct Writer {
    folder: PathBuf,
    shape: Vec<u32>,
    splits: [Option<SplitWriter>; 3],
}

struct SplitWriter {
    images: BufWriter<File>,
    labels: Vec<i64>,
}

impl Writer {
    /// The shape of the images that follow; what was written before is forgotten.
    pub fn begin(&mut self, shape: &[usize]) {
        self.shape = shape.iter().map(|&size| size as u32).collect();
        self.splits = Default::default();
    }

    /// The shape that was begun with; empty before.
    pub fn shape(&self) -> &[u32] {
        &self.shape
    }

    /// How many images a split has so far.
    pub fn count(&self, split: Split) -> usize {
        self.splits[split as usize].as_ref().map_or(0, |split| split.labels.len())
    }

    /// An image of the shape that was begun with, and its label.
    pub fn push(&mut self, split: Split, values: &[u8], label: i64) -> Result<()> {
        debug_assert_eq!(values.len(), self.shape.iter().product::<u32>() as usize);
        let path = self.folder.join(file_name(split, "images"));
        let writer = match &mut self.splits[split as usize] {
            Some(writer) => writer,
            empty => {
                let mut images = BufWriter::new(File::create(&path)?);
                images.write_all(&header(0, &self.shape))?;
                empty.insert(SplitWriter { images, labels: Vec::new() })
            }
        };
        writer.images.write_all(values).with_context(|| format!("cannot write {}", path.display()))?;
        writer.labels.push(label);
        Ok(())
    }

    /// Gives every label the class that `class_of` has at its place.
    pub fn relabel(&mut self, class_of: &[i64]) {
        for split in self.splits.iter_mut().flatten() {
            split.labels.iter_mut().for_each(|label| *label = class_of[*label as usize]);
        }
    }

    fn finish(&mut self) -> Result<()> {
        for split in Split::ALL {
            let Some(SplitWriter { mut images, labels }) = self.splits[split as usize].take() else {
                continue;
            };
            let count = u32::try_from(labels.len()).context("more images than an IDX file can hold")?;
            images.seek(SeekFrom::Start(0))?;
            images.write_all(&header(count, &self.shape))?;
            images.flush()?;
            images.get_ref().sync_all()?;
            let numbers: Vec<u8> = labels.iter().flat_map(|&label| (label as i32).to_be_bytes()).collect();
            let labels = idx_file::bytes_of_i32(&[count], &numbers);
            write_whole(&self.folder.join(file_name(split, "labels")), &labels)?;
        }
        Ok(())
    }
}

fn header(count: u32, shape: &[u32]) -> Vec<u8> {
    idx_file::bytes(&[&[count], shape].concat(), &[])
}

fn file_name(split: Split, what: &str) -> String {
    format!("{}-{what}", split.name())
}

fn read(folder: &Path) -> Result<RawDataset> {
    let card: Card = serde_json::from_slice(&fs::read(folder.join(CARD))?).context(CARD)?;
    let split = |split: Split| -> Result<Option<Images>> {
        let images = folder.join(file_name(split, "images"));
        if !images.exists() {
            return Ok(None);
        }
        let pixels = idx_file::read_as_stored(&images)?;
        let labels = idx_file::read_label_numbers(&folder.join(file_name(split, "labels")))?;
        let classes = card.classes.len() as i64;
        ensure!(labels.len() as i64 == pixels.size()[0], "{} has {} labels", split.name(), labels.len());
        ensure!(labels.iter().all(|label| (0..classes).contains(label)), "has a label that is no class");
        Ok(Some(Images { pixels, labels }))
    };
    let train = split(Split::Train)?.context("has no training images")?;
    let (validation, test) = (split(Split::Validation)?, split(Split::Test)?);
    let maximum = u8::MAX.into();
    Ok(RawDataset { train, validation, test, classes: card.classes, maximum, notes: card.notes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card() -> Card {
        Card { classes: vec!["a".into(), "b".into()], notes: vec!["told".into()] }
    }

    fn key() -> Key {
        Key::new(Path::new("a"), "how")
    }

    #[test]
    fn images_are_decoded_once() {
        let folder = tempfile::tempdir().unwrap();
        for time in 0..2 {
            let loaded = load(folder.path(), key(), |writer| {
                assert_eq!(time, 0, "decoded twice");
                writer.begin(&[1, 2]);
                writer.push(Split::Train, &[9, 9], 1)?;
                // It was another shape after all.
                writer.begin(&[2, 2]);
                writer.push(Split::Train, &[1, 2, 3, 4], 0)?;
                writer.push(Split::Test, &[5, 6, 7, 8], 1)?;
                writer.push(Split::Train, &[9, 9, 9, 9], 0)?;
                writer.relabel(&[1, 0]);
                Ok(card())
            });
            let RawDataset { train, validation, test, classes, notes, .. } = loaded.unwrap();
            assert_eq!((train.labels, train.pixels.size()), (vec![1, 1], vec![2, 2, 2]));
            assert_eq!(Vec::<u8>::try_from(train.pixels.view([-1])).unwrap(), [1, 2, 3, 4, 9, 9, 9, 9]);
            assert_eq!((test.unwrap().labels, validation.is_none()), (vec![0], true));
            assert_eq!((classes, notes), (card().classes, card().notes));
        }
    }

    #[test]
    fn nothing_is_kept_of_what_failed() {
        let folder = tempfile::tempdir().unwrap();
        let fill = |works: bool| {
            load(folder.path(), key(), |writer| {
                writer.begin(&[1]);
                writer.push(Split::Train, &[1], 0)?;
                ensure!(works, "no");
                Ok(card())
            })
        };
        assert!(fill(false).is_err());
        let kept = fs::read_dir(folder.path().join("decoded")).unwrap().flatten();
        assert!(kept.map(|entry| entry.file_name()).eq(["lock"]));
        // As a process that was killed leaves it.
        let left = folder.path().join("decoded").join("left");
        fs::create_dir(&left).unwrap();
        fs::write(left.join("train-images"), "part").unwrap();
        assert!(fill(true).is_ok() && fill(false).is_ok());
        assert!(!left.exists());
    }

    #[test]
    fn damage_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let fill = || {
            load(folder.path(), key(), |writer| {
                writer.begin(&[1]);
                writer.push(Split::Train, &[1], 0)?;
                Ok(card())
            })
        };
        fill().unwrap();
        let mut kept =
            fs::read_dir(folder.path().join("decoded")).unwrap().flatten().map(|entry| entry.path());
        let kept = kept.find(|path| path.is_dir()).unwrap();
        for name in ["train-labels", "train-images", CARD] {
            let whole = fs::read(kept.join(name)).unwrap();
            let other_label = idx_file::bytes_of_i32(&[1], &2i32.to_be_bytes());
            for damaged in [&whole[..whole.len() - 1], &[], &other_label] {
                fs::write(kept.join(name), damaged).unwrap();
                let fault = format!("{:#}", fill().err().unwrap());
                assert!(fault.contains("(remove it to decode anew)"), "{name}: {fault}");
            }
            fs::write(kept.join(name), whole).unwrap();
        }
        assert!(fill().is_ok());
        fs::remove_dir_all(folder.path().join("decoded")).unwrap();
        fs::write(folder.path().join("decoded"), "").unwrap();
        assert!(format!("{:#}", fill().err().unwrap()).contains("--data-dir chooses another place"));
    }
}
