//! A file that a user asked for.

use crate::failure::UsageError;
use anyhow::{Context, Result, ensure};
use std::path::Path;

/// Fails before the work is done if the file cannot be written.
pub fn check_writable(path: &Path) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ensure!(!path.is_dir(), "cannot write {}: it is a folder", path.display());
    tempfile::tempfile_in(folder).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}

/// The same for a picture that is drawn as PNG.
pub fn check_png(flag: &str, path: &Path) -> Result<()> {
    if path.extension().is_none_or(|end| !end.eq_ignore_ascii_case("png")) {
        let fault = format!("--{flag} {}: the name must end in .png", path.display());
        return Err(UsageError(vec![fault]).into());
    }
    check_writable(path)
}
