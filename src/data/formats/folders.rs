//! Pictures in folders named by their classes: `train/cat/1.png`, `validation/cat/2.png` and `test/cat/3.png`, or
//! `cat/1.png` alone. It must not know other forms of data.

use crate::data::cache::{self, Card, Key};
use crate::data::decoding::{Encoded, Entry, decode_all};
use crate::data::image_file;
use crate::data::progress::Progress;
use crate::data::{
    load_options::LoadOptions,
    raw_dataset::{RawDataset, Split},
};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// What the folder of a split is called.
fn names_of(split: Split) -> &'static [&'static str] {
    match split {
        Split::Train => &["train", "training"],
        Split::Validation => &["validation", "valid", "val"],
        Split::Test => &["test", "testing"],
    }
}

/// Whether a folder, or a folder in it, holds folders of pictures.
pub(in crate::data) fn has_pictures(folder: &Path) -> bool {
    let files = WalkDir::new(folder).follow_links(true).min_depth(2).max_depth(3).into_iter().flatten();
    files.take(10_000).any(|entry| image_file::is_named(entry.path()))
}

/// Loads a folder, from the cache if it was decoded before.
///
/// # Errors
/// Pictures that cannot be read or differ in size, and test classes that cannot be learnt, each named.
pub(in crate::data) fn load(
    folder: &Path,
    reading: &LoadOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<RawDataset> {
    let shown = || folder.display().to_string();
    let (entries, classes) = list(folder).with_context(shown)?;
    let mut key = Key::new(folder, ("pictures", reading.image_size, reading.skips_bad));
    for entry in &entries {
        if let Encoded::File(path) = &entry.picture {
            key.add(path)?;
        }
    }
    cache::load(&reading.data_dir, key, |writer| {
        let notes = decode_all(&entries, reading, writer, progress).with_context(shown)?;
        Ok(Card { classes, notes: notes.into_iter().collect() })
    })
}

/// The pictures of a folder and the names of their classes.
fn list(folder: &Path) -> Result<(Vec<Entry>, Vec<String>)> {
    let folders = folders_in(folder)?;
    let folder_of = |split| {
        let names = names_of(split);
        folders.iter().find(|path| names.contains(&name_of(path).to_lowercase().as_str()))
    };
    let splits: Vec<(Split, Vec<PathBuf>)> = match folder_of(Split::Train) {
        None => vec![(Split::Train, folders)],
        Some(_) => {
            let there = Split::ALL.into_iter().filter_map(|split| Some((split, folder_of(split)?)));
            there.map(|(split, folder)| Ok((split, folders_in(folder)?))).collect::<Result<_>>()?
        }
    };
    let classes: BTreeSet<String> = splits[0].1.iter().map(|path| name_of(path)).collect();
    let classes: Vec<String> = classes.into_iter().collect();
    ensure!(
        classes.len() > 1,
        "needs a folder of pictures for each class; there {}",
        match classes.as_slice() {
            [only] => format!("is only {only}"),
            _ => "is none".to_string(),
        }
    );
    let mut entries = Vec::new();
    for (split, folders) in &splits {
        let unknown = folders.iter().map(|path| name_of(path)).filter(|name| !classes.contains(name));
        let unknown: Vec<String> = unknown.collect();
        ensure!(
            unknown.is_empty(),
            "has {} pictures of classes without a training picture: {}",
            split.name(),
            unknown.join(", ")
        );
        let before_side = entries.len();
        for folder in folders {
            let class = classes.binary_search(&name_of(folder)).unwrap_or_default();
            let before_class = entries.len();
            for file in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
                let file = file?;
                if file.file_type().is_file() && image_file::is_named(file.path()) {
                    let picture = Encoded::File(file.into_path());
                    entries.push(Entry { picture, label: class as i64, split: *split });
                }
            }
            ensure!(
                *split != Split::Train || entries.len() > before_class,
                "class {} has no pictures (.{})",
                classes[class],
                image_file::EXTENSIONS.join(", .")
            );
        }
        ensure!(entries.len() > before_side, "has no {} pictures", split.name());
    }
    Ok((entries, classes))
}

/// The folders in a folder, hidden ones aside, sorted.
fn folders_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() && !name_of(&path).starts_with('.') {
            folders.push(path);
        }
    }
    folders.sort();
    Ok(folders)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests;
