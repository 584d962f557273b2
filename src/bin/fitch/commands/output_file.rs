//! A file that a user asked for.

use crate::failure::UsageError;
use anyhow::{Context, Result, ensure};
use fitch::files::{folder_of, path_through_links, takes_streams, without_path};
use same_file::is_same_file;
use std::path::{Path, PathBuf};

/// The files of a run that nothing makes again.
const RECORDS: [&str; 5] = ["run.json", "history.csv", "weights.safetensors", "model.pt", "network.pt"];

/// Fails before the work is done if the file cannot be written, or if it is one of a run that must stay.
pub fn check_writable(path: &Path) -> Result<()> {
    ensure!(!path.is_dir(), "cannot write {}: it is a folder", path.display());
    let place = place(path);
    let is_record = RECORDS.iter().any(|name| place.file_name().is_some_and(|file| file == *name));
    if is_record && folder_of(&place).join("run.json").is_file() {
        return refuse(path, "belongs to a run: it would be overwritten");
    }
    if !takes_streams(path) {
        let created = tempfile::tempfile_in(folder_of(path)).map_err(without_path);
        created.with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// The same for a file of one format, which its name tells.
pub fn check_output(flag: &str, path: &Path, format: &str) -> Result<()> {
    let has_other_end = path.extension().is_none_or(|end| !end.eq_ignore_ascii_case(format));
    if has_other_end && !takes_streams(path) {
        let fault = format!("--{flag} {}: the name must end in .{format}", path.display());
        return Err(UsageError(vec![fault]).into());
    }
    check_writable(path)
}

/// Fails if two files are the same: one would replace the other.
pub fn check_different(files: &[Option<&Path>]) -> Result<()> {
    let places: Vec<PathBuf> = files.iter().copied().flatten().map(place).collect();
    match places.iter().enumerate().find(|(index, place)| places[..*index].contains(place)) {
        Some((_, twice)) => refuse(twice, "would be written twice: give each file its own name"),
        None => Ok(()),
    }
}

/// Fails if a file that is to be written is one that is read, or an image in a folder that is.
pub fn check_kept<'a>(written: &[Option<&Path>], read: impl IntoIterator<Item = &'a Path>) -> Result<()> {
    let read: Vec<PathBuf> = read.into_iter().filter_map(|path| path.canonicalize().ok()).collect();
    let is_read = |file: &&Path| {
        let place = place(file);
        place.is_file() && read.iter().any(|read| is_image_in(&place, read) || is_linked(&place, read))
    };
    match written.iter().copied().flatten().find(is_read) {
        Some(file) => refuse(file, "is read: it would be overwritten"),
        None => Ok(()),
    }
}

fn refuse(file: &Path, why: &str) -> Result<()> {
    Err(UsageError(vec![format!("{} {why}", file.display())]).into())
}

/// Where a file is or will be, however it is spelled.
fn place(file: &Path) -> PathBuf {
    let target = path_through_links(file);
    let folder = folder_of(&target).canonicalize();
    folder.ok().zip(target.file_name()).map_or(target.clone(), |(folder, name)| folder.join(name))
}

/// Whether a picture lies in a folder of images: below the first level, and in no run.
fn is_image_in(file: &Path, folder: &Path) -> bool {
    let is_picture = file.extension().is_some_and(|end| end.eq_ignore_ascii_case("png"));
    let mut between = file.ancestors().skip(1).take_while(|above| *above != folder).peekable();
    is_picture
        && file.starts_with(folder)
        && between.peek().is_some()
        && between.all(|above| !above.join("run.json").exists())
}

/// Whether two files are one under two names.
fn is_linked(file: &Path, other: &Path) -> bool {
    file == other || other.is_file() && is_same_file(file, other).unwrap_or(false)
}
