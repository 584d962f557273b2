//! Parquet as Hugging Face has sets of images: a table with a column of encoded images (a struct of `bytes`
//! and `path`, or the bytes themselves) and one of labels, in a file or in a folder of several.

use super::reader::{FolderForm, Reader};
use crate::data::label_encoding::LabelEncoding;
use crate::data::load_options::{LoadOptions, OnProgress};
use crate::data::raw_dataset::{RawDataset, Split};
use anyhow::Result;
use std::path::Path;

pub(super) const READER: Reader = Reader {
    name: "Parquet",
    keyword: "parquet",
    folder: Some(FolderForm { needs: "train.parquet", is_there: files::are_in }),
    endings: &[".parquet"],
    can_group: |by| by.column().is_some(),
    load,
    shape_and_classes: None,
};

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
    let (files, notes) = match path.is_dir() {
        true => files::find(path)?,
        false => (vec![(Split::Train, path.to_path_buf())], Vec::new()),
    };
    let mut loaded = tables::load(path, &files, options, encoding, progress)?;
    loaded.notes.extend(notes);
    Ok(loaded)
}

mod files;
mod tables;

#[cfg(test)]
mod tests;
