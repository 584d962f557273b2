//! Images in folders named by their classes: `train/cat/1.png`, `validation/cat/2.png` and `test/cat/3.png`,
//! or `cat/1.png` alone.

use super::reader::{FolderForm, Reader};
use crate::data::cache::{self, Key, Manifest};
use crate::data::decoding::{EncodedImage, Entry, decode_all};
use crate::data::image_file;
use crate::data::load_options::{LoadOptions, OnProgress};
use crate::data::raw_dataset::{RawDataset, Split};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

pub(super) const READER: Reader = Reader {
    name: "folders of images",
    keyword: "pictures",
    folder: Some(FolderForm { needs: "a folder of images for each class", is_there: has_images }),
    endings: &[],
    load: |folder, options, _, progress| load(folder, options, progress),
    shape_and_classes: None,
};

/// Whether a folder, or a folder in it, holds folders of images.
fn has_images(folder: &Path) -> bool {
    let files = WalkDir::new(folder).follow_links(true).min_depth(2).max_depth(3).into_iter().flatten();
    files.take(10_000).any(|entry| image_file::is_named(entry.path()))
}

/// Loads a folder, from the cache if it was decoded before.
///
/// # Errors
/// Images that cannot be read or differ in size, and test classes that cannot be learnt, each named.
fn load(folder: &Path, options: &LoadOptions, progress: OnProgress) -> Result<RawDataset> {
    let name = || folder.display().to_string();
    let (entries, classes) = list(folder).with_context(name)?;
    let mut key = Key::new(folder, "folders", &options.decoding_key());
    for (path, ..) in &entries {
        key.add(path)?;
    }
    cache::load(&options.folder()?, key, progress, |writer, progress| {
        let entries = || {
            entries.iter().map(|(path, label, split)| {
                Ok(Entry { image: EncodedImage::File(path.clone()), label: *label, split: *split })
            })
        };
        let count = entries().len();
        let notes = decode_all(count, || Ok(entries()), options, writer, progress).with_context(name)?;
        Ok(Manifest { classes, notes: notes.into_iter().collect() })
    })
}

/// A file, its label and its split.
type LabelledFile = (PathBuf, i64, Split);

/// The images of a folder, and the names of their classes.
fn list(folder: &Path) -> Result<(Vec<LabelledFile>, Vec<String>)> {
    let folders = folders_in(folder)?;
    let folder_of = |split: Split| folders.iter().find(|path| Split::of_name(&name_of(path)) == Some(split));
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
        "needs a folder of images for each class; there {}",
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
            "has {} images of classes without a training image: {}",
            split.name(),
            unknown.join(", ")
        );
        let before_split = entries.len();
        for folder in folders {
            let class = classes.binary_search(&name_of(folder)).unwrap_or_default();
            let before_class = entries.len();
            for file in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
                let file = file?;
                if file.file_type().is_file() && image_file::is_named(file.path()) {
                    entries.push((file.into_path(), class as i64, *split));
                }
            }
            ensure!(
                *split != Split::Train || entries.len() > before_class,
                "class {} has no images (.{})",
                classes[class],
                image_file::EXTENSIONS.join(", .")
            );
        }
        ensure!(entries.len() > before_split, "has no {} images", split.name());
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
