//! Where the data lie that a path stands for: there, or below it if there is one way down, as archives are
//! unpacked. Else what is there instead.

use super::{Format, READERS};
use crate::data::Fault;
use crate::data::content::Content;
use crate::data::foreign_kind::ForeignKind;
use crate::data::passed_over;
use anyhow::{Error, Result, anyhow, bail};
use std::fs;
use std::path::{Path, PathBuf};

/// How far down data are looked for: `archive/MNIST/raw`.
const MAX_DEPTH: usize = 3;
/// How many folders of each folder are looked into, and how many files to tell what is there instead.
const MAX_LOOKED_AT: usize = 200;
/// How many places are named.
const NAMED: usize = 5;

/// Where data lie, and their format.
#[derive(Debug)]
pub(super) struct Location {
    pub path: PathBuf,
    pub format: Format,
}

impl Location {
    /// What a path stands for, in one format if it is given; none if nothing is there.
    ///
    /// # Errors
    /// [`Fault::AmbiguousFormat`], or data in several places below.
    pub fn find(path: &Path, format: Option<Format>) -> Result<Option<Location>> {
        if path.is_file() {
            let format = format.or_else(|| Format::of_named_file(path));
            return Ok(format.map(|format| Location { path: path.to_path_buf(), format }));
        }
        find_in_folder(path, format, MAX_DEPTH)
    }
}

fn find_in_folder(folder: &Path, wanted: Option<Format>, depth: usize) -> Result<Option<Location>> {
    let is_there = |format: &Format| {
        wanted.is_none_or(|wanted| wanted == *format)
            && format.0.folder.as_ref().is_some_and(|form| (form.is_there)(folder))
    };
    match Format::all().filter(is_there).collect::<Vec<_>>().as_slice() {
        [] => find_below(folder, wanted, depth),
        [only] => Ok(Some(Location { path: folder.to_path_buf(), format: *only })),
        [first, second, ..] => {
            let (names, keywords) = ([first.name(), second.name()], [first.keyword(), second.keyword()]);
            Err(Fault::AmbiguousFormat { path: folder.to_path_buf(), names, keywords }.into())
        }
    }
}

/// The only one of the entries of a folder that holds data.
fn find_below(folder: &Path, wanted: Option<Format>, depth: usize) -> Result<Option<Location>> {
    if depth == 0 {
        return Ok(None);
    }
    let entries = passed_over::entries(folder);
    let (folders, files): (Vec<PathBuf>, Vec<PathBuf>) = entries.into_iter().partition(|path| path.is_dir());
    let mut found = Vec::new();
    for path in folders.iter().take(MAX_LOOKED_AT) {
        if let Some(location) = find_in_folder(path, wanted, depth - 1).transpose() {
            found.push((path.clone(), location));
        }
    }
    let is_filled = |path: &Path| fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() > 0);
    for path in files.into_iter().take(MAX_LOOKED_AT).filter(|path| is_filled(path)) {
        if let Some(format) =
            Format::of_file(&path).filter(|format| wanted.is_none_or(|wanted| wanted == *format))
        {
            found.push((path.clone(), Ok(Location { path, format })));
        }
    }
    if found.len() > 1 {
        let named: Vec<String> =
            found.iter().take(NAMED).map(|(path, _)| path.display().to_string()).collect();
        let more = if found.len() > NAMED { ", ..." } else { "" };
        bail!("{}: holds several data sets; name one of them: {}{more}", folder.display(), named.join(", "));
    }
    found.pop().map(|(_, location)| location).transpose()
}

/// Why nothing at a path can be read.
pub(super) fn nothing_there(path: &Path) -> Error {
    if path.is_file() {
        return nothing_in_file(path);
    }
    if let Some((file, kind)) = largest_foreign_file(path) {
        if kind.is_image() {
            let name = kind.name();
            let fault = kind.fault_of_folder(path, format!("{name} ({})", file.display()));
            return Error::new(fault).context(path.display().to_string());
        }
        return Error::new(kind.fault(&file)).context(file.display().to_string());
    }
    #[cfg(feature = "images")]
    if crate::data::image_walk::has_images_itself(path) {
        return anyhow!("{}: holds images, but no folder of images for each class", path.display());
    }
    let needs = READERS.iter().filter_map(|reader| Some(reader.folder.as_ref()?.needs));
    anyhow!("{}: has no {}", path.display(), needs.collect::<Vec<_>>().join(", nor "))
}

fn nothing_in_file(path: &Path) -> Error {
    let shown = path.display();
    if let Some(kind) = ForeignKind::of(path) {
        return Error::new(kind.fault(path)).context(shown.to_string());
    }
    match Content::of_file(path) {
        Some(Content::Image) => {
            anyhow!("'{shown}' is a single image; a data set is a folder of images for each class")
        }
        Some(Content::Idx) => anyhow!(
            "'{shown}' is an IDX file; a data set is the folder of such files, one of images and one of labels"
        ),
        _ => anyhow!("'{shown}' is a file that is neither {}", endings()),
    }
}

/// `.csv, .csv.gz, .npz nor .parquet`.
fn endings() -> String {
    let endings: Vec<&str> = READERS.iter().flat_map(|reader| reader.endings).copied().collect();
    match endings.split_last() {
        Some((last, others)) => format!("{} nor {last}", others.join(", ")),
        None => String::new(),
    }
}

/// The largest file in a folder, or in those below it, that is of a kind which is not read: of data sets, the
/// data.
fn largest_foreign_file(folder: &Path) -> Option<(PathBuf, ForeignKind)> {
    let mut folders = vec![(folder.to_path_buf(), 0)];
    let mut largest: Option<(u64, PathBuf, ForeignKind)> = None;
    let mut left = MAX_LOOKED_AT;
    while let Some((folder, depth)) = folders.pop() {
        for path in passed_over::entries(&folder) {
            if path.is_dir() {
                folders.extend((depth < MAX_DEPTH).then_some((path, depth + 1)));
                continue;
            }
            if left == 0 {
                folders.clear();
                break;
            }
            left -= 1;
            let length = fs::metadata(&path).map_or(0, |file| file.len());
            let is_larger = largest.as_ref().is_none_or(|(largest, ..)| length > *largest);
            if is_larger && let Some(kind) = ForeignKind::of(&path).filter(|kind| !kind.is_converted(&path)) {
                largest = Some((length, path, kind));
            }
        }
    }
    largest.map(|(_, path, kind)| (path, kind))
}

/// The first file of a data set that is but a pointer to where Git LFS keeps it.
pub(super) fn lfs_pointer(path: &Path) -> Option<PathBuf> {
    /// Pointers have three short lines.
    const MAX_LENGTH: u64 = 1024;
    if path.is_dir() {
        let below = |path: PathBuf| if path.is_dir() { passed_over::entries(&path) } else { vec![path] };
        let files = passed_over::entries(path).into_iter().take(MAX_LOOKED_AT).flat_map(below);
        let is_pointer = |path: &PathBuf| path.is_file() && lfs_pointer(path).is_some();
        return files.take(MAX_LOOKED_AT).find(is_pointer);
    }
    let is_short = fs::metadata(path).is_ok_and(|file| file.len() <= MAX_LENGTH);
    let is_pointer = is_short && Content::of_file(path) == Some(Content::Foreign(ForeignKind::GitLfs));
    is_pointer.then(|| path.to_path_buf())
}
