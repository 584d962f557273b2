//! A file that a user asked for.

use crate::failure::UsageError;
use anyhow::{Context, Result, ensure};
use fitch::files::{folder_of, takes_streams, without_path};
use same_file::is_same_file;
use std::path::Path;

/// Fails before the work is done if the file cannot be written.
pub fn check_writable(path: &Path) -> Result<()> {
    ensure!(!path.is_dir(), "cannot write {}: it is a folder", path.display());
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

/// Fails if two files have the same name: one would replace the other.
pub fn check_different(files: &[Option<&Path>]) -> Result<()> {
    let files: Vec<&Path> = files.iter().copied().flatten().collect();
    let twice = files.iter().enumerate().find(|(index, file)| files[..*index].contains(file));
    twice.map_or(Ok(()), |(_, file)| {
        Err(UsageError(vec![format!(
            "{} would be written twice: give each file its own name",
            file.display()
        )])
        .into())
    })
}

/// Fails if a file that is to be written is one that is read.
pub fn check_kept(written: &[Option<&Path>], read: &Path) -> Result<()> {
    let is_read = |file: &&Path| is_same_file(file, read).unwrap_or(false);
    written.iter().copied().flatten().find(is_read).map_or(Ok(()), |file| {
        Err(UsageError(vec![format!("{} is read: it would be overwritten", file.display())]).into())
    })
}
