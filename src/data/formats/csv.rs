//! CSV with a label and the values of an image or other features in each row, raw or gzipped, as programs
//! write it and as Kaggle and others have MNIST.

mod cell;
mod table_file;
mod tables;
mod unlabelled;

use super::reader::{FolderForm, Reader};
use crate::data::cache::{self, Key};
use crate::data::groups::GroupBy;
use crate::data::load_options::{LoadOptions, OnProgress};
use crate::data::passed_over::PassedOver;
use crate::data::raw_dataset::{RawDataset, Split};
use crate::data::split_files::of_one_set;
use crate::data::{PixelOrder, Progress};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use tables::Tables;

pub(super) const READER: Reader = Reader {
    name: "CSV",
    keyword: "csv",
    folder: Some(FolderForm { needs: "train.csv", is_there: |folder| find_files(folder).is_some() }),
    endings: &ENDINGS,
    can_group: |by| by.column().is_some(),
    load: |path, options, _, progress| load(path, options, progress),
    shape_and_classes: None,
};

/// What tables are called.
const ENDINGS: [&str; 6] = [".csv", ".csv.gz", ".tsv", ".tsv.gz", ".data", ".data.gz"];

/// Changes whenever the same file is read otherwise than before, so that what was kept is not used.
const RULES: u32 = 2;

/// Files by their splits, and what users should know about others.
type FoundFiles = (Vec<(Split, PathBuf)>, Vec<String>);

/// The files of a folder; none without one to train with.
fn find_files(folder: &Path) -> Option<FoundFiles> {
    let mut passed_over = PassedOver::default();
    let (mut found, mut unused, mut stems) = (Vec::new(), Vec::new(), Vec::new());
    for path in passed_over.entries(folder).ok()?.into_iter().filter(|path| path.is_file()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let lower = name.to_lowercase();
        let Some(stem) = ENDINGS.iter().find_map(|ending| lower.strip_suffix(ending)) else { continue };
        match Split::of_name(&name) {
            // The same file, packed.
            Some(_) if stems.contains(&stem.to_string()) => {}
            Some(split) => {
                stems.push(stem.to_string());
                found.push((split, path));
            }
            None => unused.push(name),
        }
    }
    found.sort_by_key(|(split, _)| *split as usize);
    let is_whole = found.first().is_some_and(|(split, _)| *split == Split::Train);
    let unused = (!unused.is_empty())
        .then(|| format!("not used, because their names speak of no split: {}", unused.join(", ")));
    is_whole.then(|| (found, passed_over.note().into_iter().chain(unused).collect()))
}

/// Loads a file, or a folder of `train.csv`, `test.csv` and `validation.csv`, from the cache if they were
/// read before.
///
/// # Errors
/// Rows that are not images of one size with a label, each with its file and line.
fn load(path: &Path, options: &LoadOptions, progress: OnProgress) -> Result<RawDataset> {
    let (files, notes) = match path.is_dir() {
        true => {
            let (mut files, mut notes) =
                find_files(path).with_context(|| format!("{}: has no train.csv", path.display()))?;
            notes.extend(of_one_set(path, &mut files)?);
            (files, notes)
        }
        false => (vec![(Split::Train, path.to_path_buf())], Vec::new()),
    };
    let mut settings = vec![
        ("rules", RULES.to_string()),
        ("label_column", options.label_column.clone().unwrap_or_default()),
        ("pixel_order", options.pixel_order.map_or("", PixelOrder::keyword).to_string()),
        ("missing", options.missing.keyword().to_string()),
        ("table", serde_json::to_string(&options.table)?),
    ];
    let group = options.group_by.as_ref().and_then(GroupBy::column);
    settings.extend(group.map(|group| ("group_column", group.to_string())));
    let mut key = Key::new(path, "csv", &settings);
    files.iter().try_for_each(|(_, path)| key.add(path))?;
    cache::load(&options.folder()?, key, progress, |writer, progress| {
        let manifest = Tables::open(&files, options, notes)?.read(options, writer, progress);
        progress(Progress::Finished);
        manifest
    })
}

#[cfg(test)]
mod tests;
