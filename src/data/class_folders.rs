//! Pictures in folders named by their classes: `train/cat/1.png`, `validation/cat/2.png` and `test/cat/3.png`, or
//! `cat/1.png` alone. It must not know other forms of data.

use super::cache::{self, Card, Key};
use super::decoding::{Encoded, Entry, decode_all};
use super::download::Progress;
use super::picture;
use super::source::{Loaded, Reading, Side};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// What the folder of a side is called.
fn names_of(side: Side) -> &'static [&'static str] {
    match side {
        Side::Train => &["train", "training"],
        Side::Validation => &["validation", "valid", "val"],
        Side::Test => &["test", "testing"],
    }
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
    let folder_of = |side| {
        let names = names_of(side);
        folders.iter().find(|path| names.contains(&name_of(path).to_lowercase().as_str()))
    };
    let sides: Vec<(Side, Vec<PathBuf>)> = match folder_of(Side::Train) {
        None => vec![(Side::Train, folders)],
        Some(_) => {
            let there = Side::ALL.into_iter().filter_map(|side| Some((side, folder_of(side)?)));
            there.map(|(side, folder)| Ok((side, folders_in(folder)?))).collect::<Result<_>>()?
        }
    };
    let classes: BTreeSet<String> = sides[0].1.iter().map(|path| name_of(path)).collect();
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
    for (side, folders) in &sides {
        let unknown = folders.iter().map(|path| name_of(path)).filter(|name| !classes.contains(name));
        let unknown: Vec<String> = unknown.collect();
        ensure!(
            unknown.is_empty(),
            "has {} pictures of classes without a training picture: {}",
            side.name(),
            unknown.join(", ")
        );
        let before_side = entries.len();
        for folder in folders {
            let class = classes.binary_search(&name_of(folder)).unwrap_or_default();
            let before_class = entries.len();
            for file in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
                let file = file?;
                if file.file_type().is_file() && picture::is_named(file.path()) {
                    let picture = Encoded::File(file.into_path());
                    entries.push(Entry { picture, label: class as i64, side: *side });
                }
            }
            ensure!(
                *side != Side::Train || entries.len() > before_class,
                "class {} has no pictures (.{})",
                classes[class],
                picture::EXTENSIONS.join(", .")
            );
        }
        ensure!(entries.len() > before_side, "has no {} pictures", side.name());
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
