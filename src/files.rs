//! Writing so that whatever happens, what is on the disk is whole: the old or the new. It must not know
//! what is written.

use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use tempfile::NamedTempFile;

/// Writes a file whole or not at all: a temporary file in the same folder, flushed to the disk, renamed.
///
/// # Errors
/// A folder that cannot be written, or a full disk; what was there before is then still there.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<()> {
    write_whole_with(path, |file| Ok(file.write_all(content)?))
}

/// The same, for content that is produced into the temporary file.
///
/// # Errors
/// As [`write_whole`], and those of `produce`.
pub fn write_whole_with(path: &Path, produce: impl FnOnce(&mut NamedTempFile) -> Result<()>) -> Result<()> {
    let write = || -> Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut builder = tempfile::Builder::new();
        builder.prefix(".writing-");
        #[cfg(unix)]
        {
            // As any new file: the user's umask decides, not the privacy of temporary files.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let mut file = builder.tempfile_in(folder)?;
        produce(&mut file)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a folder of files whole or not at all, and flushes its name to the disk as well: a folder beside
/// it whose name begins with a dot, every file flushed, renamed.
///
/// # Errors
/// As [`write_whole`]. What was written by then is removed, where that is possible.
pub(crate) fn write_folder_whole(path: &Path, files: &[(&str, &[u8])]) -> Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    let write = || -> std::io::Result<()> {
        step()?;
        // Not what is above it: a run folder that was moved away must not come to life again.
        if let Err(fault) = fs::create_dir(parent)
            && fault.kind() != std::io::ErrorKind::AlreadyExists
        {
            return Err(fault);
        }
        let folder = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(parent)?;
        for (name, content) in files {
            let mut file = File::create(folder.path().join(name))?;
            step()?;
            file.write_all(content)?;
            step()?;
            file.sync_all()?;
        }
        step()?;
        flush_names(folder.path())?;
        if path.exists() {
            // Only what was found broken is written again under its name.
            step()?;
            fs::remove_dir_all(path)?;
        }
        step()?;
        fs::rename(folder.path(), path)?;
        // It has another name now, so there is nothing to clean up.
        let _ = folder.keep();
        step()?;
        flush_names(parent)
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// What the names of unfinished folders begin with.
pub(crate) const UNFINISHED: &str = ".writing-";

/// Flushes the names in a folder to the disk. Elsewhere than on Unix, a folder cannot be opened for that.
fn flush_names(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

/// Called before each write, flush and rename: where tests let them fail.
#[cfg(not(test))]
fn step() -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(crate) use failing::{fail_at, step};

#[cfg(test)]
mod failing {
    use std::cell::Cell;

    thread_local! {
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// Lets the step of that number (from 0) of this thread fail, and every one after it; none ends that.
    pub fn fail_at(step: Option<usize>) {
        LEFT.set(step);
    }

    pub fn step() -> std::io::Result<()> {
        match LEFT.get() {
            Some(0) => Err(std::io::Error::from(std::io::ErrorKind::StorageFull)),
            Some(left) => {
                LEFT.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write_whole(&path, b"old").unwrap();
        let fault = write_whole_with(&path, |file| {
            file.write_all(b"half")?;
            bail!("the disk is full")
        });
        let fault = format!("{:#}", fault.unwrap_err());
        assert!(fault.contains("cannot write") && fault.contains("the disk is full"), "{fault}");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
