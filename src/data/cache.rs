//! Images that had to be decoded, kept as IDX files below the data folder and mapped from there the next
//! time.

use super::images::Images;
use super::load_options::OnProgress;
use super::raw_dataset::{RawDataset, Split};
pub(super) use super::value_kind::{Value, ValueKind};
use super::{Fault, Progress, TableForm, idx_file, image_digests};
use crate::files::{FileStamp, LockedFile, write_whole};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Changes when the files come to mean something else.
const VERSION: u32 = 5;
/// Written last: with it a folder is whole.
const MANIFEST: &str = "manifest.json";
/// What the files with a digest of each image are called, after their split.
const DIGESTS: &str = "digests";

/// What decides whether kept images can be used again: how they are read, and the files that they come from,
/// by name, length and times of change.
pub(super) struct Key {
    root: PathBuf,
    digest: Sha256,
}

impl Key {
    /// Of files that are all below `root`, or of that file, read in a format with such settings.
    pub fn new(root: &Path, format: &str, settings: &[(&str, String)]) -> Key {
        let whole = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
        let mut digest = Sha256::new();
        digest.update(format!("{VERSION}\0{format}\0{}", whole.display()));
        settings.iter().for_each(|(name, value)| digest.update(format!("\0{name}={value}")));
        Key { root: root.to_path_buf(), digest }
    }

    /// Another file.
    pub fn add(&mut self, path: &Path) -> Result<()> {
        let name = path.strip_prefix(&self.root).unwrap_or(path);
        self.digest.update(format!("\0{}\0{}", name.display(), FileStamp::of(path)?.text()));
        Ok(())
    }
}

/// What is kept along with the images.
#[derive(Serialize, Deserialize)]
pub(super) struct Manifest {
    pub classes: Vec<String>,
    pub notes: Vec<String>,
}

/// The manifest as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    manifest: Manifest,
    /// What could not be read, each with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
    /// How rows became images, if a table was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    table: Option<TableForm>,
    /// The names of groups, if images have some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    groups: Vec<String>,
}

/// The images under a key; `decode` puts them there if nobody has yet, or if what is there is damaged.
///
/// # Errors
/// Those of `decode`; [`Fault::CacheNotWritable`].
pub(super) fn load(
    data_dir: &Path,
    key: Key,
    progress: OnProgress,
    decode: impl FnOnce(&mut Writer, OnProgress) -> Result<Manifest>,
) -> Result<RawDataset> {
    let folder = data_dir.join("decoded").join(format!("{:x}", key.digest.finalize()));
    if let Ok(kept) = read(&folder) {
        return Ok(kept);
    }
    fill(&folder, progress, decode)?;
    read(&folder).with_context(|| folder.display().to_string())
}

fn fill(
    folder: &Path,
    progress: OnProgress,
    decode: impl FnOnce(&mut Writer, OnProgress) -> Result<Manifest>,
) -> Result<()> {
    let fault = || Fault::CacheNotWritable { folder: folder.to_path_buf() };
    let parent = folder.parent().unwrap_or(folder);
    fs::create_dir_all(parent).with_context(fault)?;
    // One process decodes a set; others wait for it, and then find what they need.
    let lock = LockedFile::lock(&lock_of(folder), || progress(Progress::Waiting)).with_context(fault)?;
    let filled = || -> Result<()> {
        if read(folder).is_ok() {
            return Ok(());
        }
        remove_unfinished(parent, folder);
        fs::create_dir(folder).with_context(fault)?;
        let mut writer = Writer {
            folder: folder.to_path_buf(),
            shape: Vec::new(),
            kind: ValueKind::Uint8,
            splits: Default::default(),
            left_out: Vec::new(),
            table: None,
            group_names: Vec::new(),
        };
        let written = decode(&mut writer, progress).and_then(|manifest| {
            writer.finish()?;
            let (left_out, table) = (std::mem::take(&mut writer.left_out), writer.table.take());
            let groups = std::mem::take(&mut writer.group_names);
            let stored = Stored { manifest, left_out, table, groups };
            write_whole(&folder.join(MANIFEST), &serde_json::to_vec_pretty(&stored)?)
        });
        if written.is_err() {
            let _ = fs::remove_dir_all(folder);
        }
        written
    };
    let filled = filled();
    lock.remove();
    filled
}

/// The file that whoever decodes into a folder holds.
fn lock_of(folder: &Path) -> PathBuf {
    folder.with_extension("lock")
}

/// Removes what killed processes have left: folders without a manifest that nobody decodes into; and `ours`, which is
/// locked, whatever it has.
fn remove_unfinished(parent: &Path, ours: &Path) {
    let _ = fs::remove_dir_all(ours);
    let entries = fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_whole = |folder: &Path| folder.join(MANIFEST).exists();
    for folder in entries.filter(|path| path != ours && path.is_dir() && !is_whole(path)) {
        if let Ok(Some(lock)) = LockedFile::try_lock(&lock_of(&folder)) {
            if !is_whole(&folder) {
                let _ = fs::remove_dir_all(&folder);
            }
            lock.remove();
        }
    }
}

/// Takes images one by one; memory does not grow with their number, but for labels and digests.
pub(super) struct Writer {
    folder: PathBuf,
    shape: Vec<u32>,
    kind: ValueKind,
    splits: [Option<SplitWriter>; 3],
    /// What could not be read, each with the reason; kept with the images.
    pub left_out: Vec<String>,
    /// How rows become images, if a table is read; kept with them.
    pub table: Option<TableForm>,
    /// The names of groups by their numbers, if images have some; kept with them.
    pub group_names: Vec<String>,
}

struct SplitWriter {
    images: BufWriter<File>,
    labels: Vec<i64>,
    /// Of each image, or of none.
    groups: Vec<u32>,
    /// Of each image.
    digests: Vec<u64>,
}

impl Writer {
    /// The shape of the images that follow, and the type of their values; discards what was written before.
    pub fn begin(&mut self, shape: &[usize], kind: ValueKind) {
        self.shape = shape.iter().map(|&size| size as u32).collect();
        self.kind = kind;
        self.splits = Default::default();
    }

    /// How many images a split has so far.
    pub fn count(&self, split: Split) -> usize {
        self.splits[split as usize].as_ref().map_or(0, |split| split.labels.len())
    }

    /// An image of the shape and type given to [`begin`](Writer::begin), and its label.
    pub fn push<T: Value>(&mut self, split: Split, values: &[T], label: i64) -> Result<()> {
        debug_assert_eq!(values.len(), self.shape.iter().product::<u32>() as usize);
        debug_assert_eq!(T::KIND, self.kind);
        let path = self.folder.join(file_name(split, "images"));
        let writer = match &mut self.splits[split as usize] {
            Some(writer) => writer,
            empty => {
                let mut images = BufWriter::new(File::create(&path)?);
                images.write_all(&header(0, &self.shape, self.kind))?;
                empty.insert(SplitWriter {
                    images,
                    labels: Vec::new(),
                    groups: Vec::new(),
                    digests: Vec::new(),
                })
            }
        };
        T::write_all(values, &mut writer.images)
            .with_context(|| format!("cannot write {}", path.display()))?;
        writer.labels.push(label);
        writer.digests.push(T::digest(values));
        Ok(())
    }

    /// The group of the image that was pushed last.
    pub fn push_group(&mut self, split: Split, group: u32) {
        self.splits[split as usize].iter_mut().for_each(|split| split.groups.push(group));
    }

    /// Replaces each label by its class: `class_of[label]`.
    pub fn relabel(&mut self, class_of: &[i64]) {
        for split in self.splits.iter_mut().flatten() {
            split.labels.iter_mut().for_each(|label| *label = class_of[*label as usize]);
        }
    }

    fn finish(&mut self) -> Result<()> {
        for split in Split::ALL {
            let Some(SplitWriter { mut images, labels, groups, digests }) =
                self.splits[split as usize].take()
            else {
                continue;
            };
            let count = u32::try_from(labels.len()).context("more images than an IDX file can hold")?;
            images.seek(SeekFrom::Start(0))?;
            images.write_all(&header(count, &self.shape, self.kind))?;
            images.flush()?;
            images.get_ref().sync_all()?;
            let file = |what| self.folder.join(file_name(split, what));
            write_numbers(&file("labels"), count, labels.iter().map(|&label| label as i32))?;
            // A file of a split may lack them.
            if groups.len() == count as usize {
                write_numbers(&file("groups"), count, groups.iter().map(|&group| group as i32))?;
            }
            image_digests::write(&file(DIGESTS), &digests)?;
        }
        Ok(())
    }
}

fn write_numbers(path: &Path, count: u32, numbers: impl Iterator<Item = i32>) -> Result<()> {
    let bytes: Vec<u8> = numbers.flat_map(i32::to_be_bytes).collect();
    write_whole(path, &idx_file::bytes(idx_file::INT32, &[count], &bytes))
}

fn type_code(kind: ValueKind) -> u8 {
    match kind {
        ValueKind::Uint8 => idx_file::UINT8,
        ValueKind::Int32 => idx_file::INT32,
        ValueKind::Float => idx_file::FLOAT32,
    }
}

fn header(count: u32, shape: &[u32], kind: ValueKind) -> Vec<u8> {
    idx_file::bytes(type_code(kind), &[&[count], shape].concat(), &[])
}

fn file_name(split: Split, what: &str) -> String {
    format!("{}-{what}", split.name())
}

fn read(folder: &Path) -> Result<RawDataset> {
    let stored: Stored = serde_json::from_slice(&fs::read(folder.join(MANIFEST))?).context(MANIFEST)?;
    let Stored { manifest: Manifest { classes, notes }, left_out, table, groups } = stored;
    let group_names: Arc<[String]> = groups.into();
    let split = |split: Split| -> Result<Option<Images>> {
        let images = folder.join(file_name(split, "images"));
        if !images.exists() {
            return Ok(None);
        }
        let (pixels, mapped_from) = idx_file::map_as_stored(&images)?;
        let labels = idx_file::read_label_numbers(&folder.join(file_name(split, "labels")))?;
        let count = classes.len() as i64;
        ensure!(labels.len() as i64 == pixels.size()[0], "{} has {} labels", split.name(), labels.len());
        ensure!(labels.iter().all(|label| (0..count).contains(label)), "has a label that is not a class");
        let images = Images::new(pixels, labels)?.mapped_from(mapped_from);
        let images = images.with_digest_file(folder.join(file_name(split, DIGESTS)));
        let groups = folder.join(file_name(split, "groups"));
        if !groups.exists() {
            return Ok(Some(images));
        }
        let numbers = idx_file::read_label_numbers(&groups)?;
        let known =
            |&number: &i64| u32::try_from(number).ok().filter(|&group| (group as usize) < group_names.len());
        let numbers: Option<Vec<u32>> = numbers.iter().map(known).collect();
        let numbers = numbers.filter(|numbers| numbers.len() == images.len());
        Ok(Some(images.grouped(numbers.context("has other groups than images")?, group_names.clone())))
    };
    let train = split(Split::Train)?.context("has no training images")?;
    let (validation, test) = (split(Split::Validation)?, split(Split::Test)?);
    Ok(RawDataset { train, validation, test, classes, notes, left_out, table })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tch::Kind;

    fn manifest() -> Manifest {
        Manifest { classes: vec!["a".into(), "b".into()], notes: vec!["a note".into()] }
    }

    fn key() -> Key {
        Key::new(Path::new("a"), "format", &[("size", "3".to_string())])
    }

    #[test]
    fn images_are_decoded_once() {
        let folder = tempfile::tempdir().unwrap();
        for time in 0..2 {
            let loaded = load(folder.path(), key(), &mut |_| (), |writer, _| {
                assert_eq!(time, 0, "decoded twice");
                writer.begin(&[1, 2], ValueKind::Float);
                writer.push(Split::Train, &[9.0, 9.0], 1)?;
                // It was another shape after all.
                writer.begin(&[2, 2], ValueKind::Uint8);
                writer.push(Split::Train, &[1u8, 2, 3, 4], 0)?;
                writer.push(Split::Test, &[5u8, 6, 7, 8], 1)?;
                writer.push(Split::Train, &[9u8, 9, 9, 9], 0)?;
                writer.relabel(&[1, 0]);
                Ok(manifest())
            });
            let RawDataset { train, validation, test, classes, notes, .. } = loaded.unwrap();
            assert_eq!((train.labels(), train.shape()), (&[1, 1][..], vec![2, 2]));
            assert_eq!(
                Vec::<u8>::try_from(train.pixels().unwrap().view([-1])).unwrap(),
                [1, 2, 3, 4, 9, 9, 9, 9]
            );
            assert_eq!((test.unwrap().labels(), validation.is_none()), (&[0][..], true));
            assert_eq!((classes, notes), (manifest().classes, manifest().notes));
        }
    }

    /// Whatever the type of the values: the digests of other sets are taken from memory.
    #[test]
    fn kept_digests_are_those_of_the_images_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let check = |name: &str, fill: &dyn Fn(&mut Writer) -> Result<()>| {
            let key = Key::new(Path::new(name), "format", &[]);
            let loaded = load(folder.path(), key, &mut |_| (), |writer, _| {
                fill(writer)?;
                Ok(manifest())
            });
            let images = loaded.unwrap().train;
            let (stored, _) = images.stored_bytes().unwrap();
            let bytes: Vec<u8> = Vec::try_from(stored).unwrap();
            let of_memory: Vec<u64> =
                bytes.chunks(bytes.len() / 3).map(image_digests::digest_of_image).collect();
            assert_eq!(image_digests::kept(&images).unwrap(), of_memory, "{name}");
            let chosen = image_digests::kept(&images.choose(&[2, 0])).unwrap();
            assert_eq!(chosen, [of_memory[2], of_memory[0]]);
            // A file that does not fit is as none.
            let (path, _) = images.digest_file().unwrap();
            fs::write(path, [0; 9]).unwrap();
            assert_eq!(image_digests::kept(&images), None);
        };
        check("bytes", &|writer| {
            writer.begin(&[2], ValueKind::Uint8);
            [[1u8, 2], [3, 4], [1, 2]].iter().try_for_each(|image| writer.push(Split::Train, image, 0))
        });
        check("whole", &|writer| {
            writer.begin(&[2], ValueKind::Int32);
            [[1, -2], [3, 400], [1, 2]].iter().try_for_each(|image| writer.push(Split::Train, image, 0))
        });
        check("real", &|writer| {
            writer.begin(&[2], ValueKind::Float);
            [[0.1f32, 2.0], [3.0, 4.0], [1.0, 2.0]]
                .iter()
                .try_for_each(|image| writer.push(Split::Train, image, 0))
        });
    }

    #[test]
    fn values_beyond_a_byte_are_kept_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let load_values = |name: &str, fill: &dyn Fn(&mut Writer) -> Result<()>| {
            let key = Key::new(Path::new(name), "format", &[]);
            let loaded = load(folder.path(), key, &mut |_| (), |writer, _| {
                fill(writer)?;
                Ok(manifest())
            });
            loaded.unwrap().train.pixels().unwrap()
        };
        let whole = load_values("whole", &|writer| {
            writer.begin(&[2], ValueKind::Int32);
            writer.push(Split::Train, &[65_535, -7], 0)
        });
        assert_eq!((whole.kind(), Vec::try_from(whole.view([-1])).ok()), (Kind::Int, Some(vec![65_535, -7])));
        let real = load_values("real", &|writer| {
            writer.begin(&[2], ValueKind::Float);
            writer.push(Split::Train, &[0.1f32, -1e9], 0)
        });
        assert_eq!(
            (real.kind(), Vec::try_from(real.view([-1])).ok()),
            (Kind::Float, Some(vec![0.1f32, -1e9]))
        );
    }

    #[test]
    fn nothing_is_kept_of_what_failed() {
        let folder = tempfile::tempdir().unwrap();
        let fill = |works: bool| {
            load(folder.path(), key(), &mut |_| (), |writer, _| {
                writer.begin(&[1], ValueKind::Uint8);
                writer.push(Split::Train, &[1u8], 0)?;
                ensure!(works, "no");
                Ok(manifest())
            })
        };
        assert!(fill(false).is_err());
        assert_eq!(fs::read_dir(folder.path().join("decoded")).unwrap().count(), 0);
        // As a process that was killed leaves it, and as one that is decoding has it.
        let left = folder.path().join("decoded").join("left");
        let busy = folder.path().join("decoded").join("busy");
        for unfinished in [&left, &busy] {
            fs::create_dir(unfinished).unwrap();
            fs::write(unfinished.join("train-images"), "part").unwrap();
        }
        let _held = LockedFile::try_lock(&lock_of(&busy)).unwrap().unwrap();
        assert!(fill(true).is_ok() && fill(false).is_ok());
        assert!(!left.exists() && busy.exists());
    }

    #[test]
    fn damaged_files_are_decoded_anew() {
        let folder = tempfile::tempdir().unwrap();
        let decoded = Cell::new(0);
        let fill = || {
            load(folder.path(), key(), &mut |_| (), |writer, _| {
                decoded.set(decoded.get() + 1);
                writer.begin(&[1], ValueKind::Uint8);
                writer.push(Split::Train, &[1u8], 0)?;
                Ok(manifest())
            })
        };
        fill().unwrap();
        let mut kept =
            fs::read_dir(folder.path().join("decoded")).unwrap().flatten().map(|entry| entry.path());
        let kept = kept.find(|path| path.is_dir()).unwrap();
        for name in ["train-labels", "train-images", MANIFEST] {
            let whole = fs::read(kept.join(name)).unwrap();
            let other_label = idx_file::bytes(idx_file::INT32, &[1], &2i32.to_be_bytes());
            for damaged in [&whole[..whole.len() - 1], &[], &other_label] {
                fs::write(kept.join(name), damaged).unwrap();
                let before = decoded.get();
                assert_eq!(fill().unwrap().train.labels(), [0]);
                assert_eq!(
                    (decoded.get(), fs::read(kept.join(name)).unwrap()),
                    (before + 1, whole.clone()),
                    "{name}"
                );
            }
        }
        assert!(fill().is_ok() && decoded.get() == 10);
        fs::remove_dir_all(folder.path().join("decoded")).unwrap();
        fs::write(folder.path().join("decoded"), "").unwrap();
        let fault = fill().err().unwrap();
        assert!(matches!(fault.downcast_ref(), Some(Fault::CacheNotWritable { .. })), "{fault:#}");
    }

    #[test]
    fn one_of_several_that_find_damaged_files_decodes_them() {
        let folder = tempfile::tempdir().unwrap();
        let decoded = AtomicUsize::new(0);
        let load_set = || {
            load(folder.path(), key(), &mut |_| (), |writer, _| {
                decoded.fetch_add(1, Ordering::Relaxed);
                writer.begin(&[1], ValueKind::Uint8);
                writer.push(Split::Train, &[1u8], 0)?;
                Ok(manifest())
            })
        };
        load_set().unwrap();
        let entries = fs::read_dir(folder.path().join("decoded")).unwrap().flatten();
        let kept = entries.map(|entry| entry.path()).find(|path| path.is_dir()).unwrap();
        fs::write(kept.join("train-images"), "cut").unwrap();
        std::thread::scope(|scope| {
            let loads: Vec<_> = (0..4).map(|_| scope.spawn(load_set)).collect();
            assert!(loads.into_iter().all(|load| load.join().unwrap().is_ok()));
        });
        assert_eq!(decoded.into_inner(), 2);
    }

    /// Once, one lock for all sets, and waiting without a word.
    #[test]
    fn sets_are_decoded_side_by_side_and_waiting_for_one_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let load_set = |settings: &str, events: &mut Vec<Progress>, decode: &dyn Fn()| {
            let key = Key::new(Path::new("a"), "format", &[("size", settings.to_string())]);
            load(folder.path(), key, &mut |event| events.push(event), |writer, _| {
                decode();
                writer.begin(&[1], ValueKind::Uint8);
                writer.push(Split::Train, &[1u8], 0)?;
                Ok(manifest())
            })
            .unwrap();
        };
        let (decoding, is_decoding) = std::sync::mpsc::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (decoding, may_go_on) = (decoding, may_go_on);
                load_set("1", &mut Vec::new(), &|| {
                    decoding.send(()).unwrap();
                    may_go_on.recv().unwrap();
                });
            });
            is_decoding.recv().unwrap();
            let mut events = Vec::new();
            load_set("2", &mut events, &|| ());
            assert!(events.is_empty(), "another set does not wait: {events:?}");
            let key = Key::new(Path::new("a"), "format", &[("size", "1".to_string())]);
            let waited = &mut |event| {
                assert_eq!(event, Progress::Waiting);
                go_on.send(()).unwrap();
            };
            load(folder.path(), key, waited, |_, _| panic!("decoded twice")).unwrap();
        });
    }
}
