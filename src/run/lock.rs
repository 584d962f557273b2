//! One process at a time on a run folder. The operating system releases the lock when its process ends,
//! however it does.

use super::RunFolder;
use crate::files::LockedFile;
use anyhow::{Result, bail};
use std::fs;
use std::io::{Seek, Write};
use std::path::Path;

pub(super) const FILE_NAME: &str = "run.lock";

/// A run folder that no other process can take until this is dropped.
#[derive(Debug)]
pub struct RunLock(Option<LockedFile>);

impl RunLock {
    /// Locks the folder. Where the file system has no locks, [`keeps_others_out`](RunLock::keeps_others_out)
    /// says so.
    ///
    /// # Errors
    /// Another process, which is named, has the folder; or it cannot be written.
    pub fn take(folder: &RunFolder) -> Result<RunLock> {
        match RunLock::take_file(&folder.file(FILE_NAME))? {
            Ok(lock) => Ok(lock),
            Err(holder) => bail!(
                "{} is in use by {holder}; two trainings in one folder would spoil each other",
                folder.path().display()
            ),
        }
    }

    /// Locks a file that stands for something else, such as the folder of several runs; gives the process that
    /// has it if another one has.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn take_file(path: &Path) -> Result<Result<RunLock, String>> {
        let Some(mut locked) = LockedFile::try_lock(path)? else {
            let holder = fs::read_to_string(path).unwrap_or_default();
            return Ok(Err(if holder.is_empty() { "another process" } else { holder.trim() }.to_string()));
        };
        // For people, and for the message to a process that is refused.
        let file = locked.file();
        let _ = file.rewind().and_then(|()| file.set_len(0));
        let _ = writeln!(file, "process {}", std::process::id());
        Ok(Ok(RunLock(Some(locked))))
    }

    /// Whether other processes cannot take the folder: not where the file system has no locks, as some network
    /// file systems.
    pub fn keeps_others_out(&self) -> bool {
        self.0.as_ref().is_some_and(LockedFile::is_enforced)
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        if let Some(locked) = self.0.take() {
            locked.remove();
        }
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
        // The file of a killed process is not a lock.
        fs::write(folder.file(FILE_NAME), "process 1\n").unwrap();
        RunLock::take(&folder).unwrap();
    }
}
