//! One process at a time on a run folder. The lock is the system's, so that it goes with its process,
//! however that ends.

use super::RunFolder;
use anyhow::{Context, Result, bail};
use same_file::Handle;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::PathBuf;

pub(super) const FILE_NAME: &str = "run.lock";

/// A run folder held by this process until this is dropped.
#[derive(Debug)]
pub struct RunLock {
    path: PathBuf,
    // Closing the file releases the lock.
    _file: File,
}

impl RunLock {
    /// Takes the folder.
    ///
    /// # Errors
    /// Another process has it (it is named), or the folder cannot be written.
    pub fn take(folder: &RunFolder) -> Result<RunLock> {
        let path = folder.file(FILE_NAME);
        loop {
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false).open(&path);
            let mut file = file.with_context(|| format!("cannot write {}", path.display()))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    let _ = file.read_to_string(&mut holder);
                    bail!(
                        "{} is in use by {}; two trainings in one folder would spoil each other",
                        folder.path().display(),
                        if holder.is_empty() { "another process" } else { holder.trim() }
                    );
                }
                Err(TryLockError::Error(fault)) => {
                    return Err(fault).with_context(|| format!("cannot lock {}", path.display()));
                }
            }
            // Who had it before may have removed the file meanwhile: then ours has no name any more.
            let ours = Handle::from_file(file.try_clone()?)?;
            if Handle::from_path(&path).is_ok_and(|named| named == ours) {
                // For people, and for whoever is refused.
                let _ = file.rewind().and_then(|()| file.set_len(0));
                let _ = writeln!(file, "process {}", std::process::id());
                return Ok(RunLock { path, _file: file });
            }
        }
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_held_once_and_free_again_afterwards() {
        let place = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(place.path()).unwrap();
        let lock = RunLock::take(&folder).unwrap();
        let fault = RunLock::take(&folder).unwrap_err().to_string();
        assert!(fault.contains(&format!("is in use by process {}", std::process::id())), "{fault}");
        drop(lock);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        // What a killed process left is no lock.
        fs::write(folder.file(FILE_NAME), "process 1\n").unwrap();
        RunLock::take(&folder).unwrap();
    }
}
