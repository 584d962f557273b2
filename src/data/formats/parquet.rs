//! Parquet as Hugging Face has sets of images: a table with a column of encoded images (a struct of `bytes`
//! and `path`, or the bytes themselves) and one of labels, in a file or in a folder of several.

use super::reader::{FolderForm, Reader};
use crate::data::label_encoding::LabelEncoding;
use crate::data::load_options::{LoadOptions, OnProgress};
use crate::data::passed_over::Reason;
use crate::data::raw_dataset::{RawDataset, Split};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

pub(super) const READER: Reader = Reader {
    name: "Parquet",
    keyword: "parquet",
    folder: Some(FolderForm { needs: "train.parquet", is_there: |folder| find(folder).is_some() }),
    endings: &[".parquet"],
    load,
    shape_and_classes: None,
};

/// The files of a folder and of those in it by their splits, as `train-00000-of-00001.parquet`; none
/// without one to train with.
fn find(folder: &Path) -> Option<Vec<(Split, PathBuf)>> {
    let mut found = Vec::new();
    let may_be_data = |entry: &DirEntry| entry.depth() == 0 || Reason::of(entry.path()).is_none();
    let files = WalkDir::new(folder).follow_links(true).max_depth(2).sort_by_file_name();
    for path in files.into_iter().filter_entry(may_be_data).flatten().map(|entry| entry.into_path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        // As `train/0000.parquet`, too.
        let of_folder = || {
            let parent = path.parent().filter(|parent| *parent != folder)?;
            Split::of_name(&parent.file_name()?.to_string_lossy())
        };
        if name.ends_with(".parquet")
            && path.is_file()
            && let Some(split) = Split::of_name(&name).or_else(of_folder)
        {
            found.push((split, path));
        }
    }
    found.sort_by_key(|(split, _)| *split as usize);
    found.first().is_some_and(|(split, _)| *split == Split::Train).then_some(found)
}

/// Loads a file, or the files of a folder, from the cache if they were decoded before. Without an encoding,
/// the file or the labels say how labels are counted.
///
/// # Errors
/// Files that are damaged or have no such columns, and images that cannot be used, each named.
fn load(
    path: &Path,
    options: &LoadOptions,
    encoding: Option<LabelEncoding>,
    progress: OnProgress,
) -> Result<RawDataset> {
    let files = match path.is_dir() {
        true => find(path).with_context(|| format!("{}: has no train.parquet", path.display()))?,
        false => vec![(Split::Train, path.to_path_buf())],
    };
    tables::load(path, &files, options, encoding, progress)
}

mod tables;

#[cfg(test)]
mod tests;
