//! One process at a time on a run folder. The operating system releases the lock when its process ends,
//! however it does.

use super::{RunFolder, RunProgress};
use crate::files::LockedFile;
use anyhow::{Result, bail};
use std::fs;
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
        let Some(locked) = LockedFile::try_lock(path)? else {
            let holder = fs::read_to_string(path).unwrap_or_default();
            return Ok(Err(holder.lines().next().unwrap_or("another process").trim().to_string()));
        };
        // For people, and for the message to a process that is refused.
        let _ = locked.write(holder_line().as_bytes());
        Ok(Ok(RunLock(Some(locked))))
    }

    /// Tells onlookers how far the run is, in the file that stands for the lock. That costs a short write to memory,
    /// nothing is flushed to the disk. Where it fails, they know less.
    pub fn tell(&self, progress: &RunProgress) {
        if let (Some(locked), Ok(text)) = (&self.0, serde_json::to_string(progress)) {
            let _ = locked.write(format!("{}{text}\n", holder_line()).as_bytes());
        }
    }

    /// Whether a process holds the folder now, and how far it has told that it is. Nothing is changed by looking. None
    /// where the file system has no locks.
    pub fn look(folder: &RunFolder) -> Option<Look> {
        let path = folder.file(FILE_NAME);
        let is_held = LockedFile::is_held(&path)?;
        let told = fs::read_to_string(&path).ok().filter(|_| is_held);
        // While it is written, the line may not be whole.
        let progress = told.and_then(|told| serde_json::from_str(told.lines().nth(1)?).ok());
        Some(Look { is_held, progress })
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

/// What an onlooker sees of a run folder.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Whether a process holds it.
    pub is_held: bool,
    /// How far that is, if it has told.
    pub progress: Option<RunProgress>,
}

fn holder_line() -> String {
    format!("process {}\n", std::process::id())
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
        assert_eq!(RunLock::look(&folder), Some(Look { is_held: true, progress: None }));
        let mut progress = RunProgress { epoch: 12, step: 3, ..RunProgress::default() };
        for epoch in [12, 1] {
            progress.epoch = epoch;
            lock.tell(&progress);
            assert_eq!(RunLock::look(&folder).unwrap().progress, Some(progress.clone()));
        }
        let fault = RunLock::take(&folder).unwrap_err().to_string();
        assert!(fault.contains(&format!("process {}; two", std::process::id())), "{fault}");
        drop(lock);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        assert_eq!(RunLock::look(&folder), Some(Look { is_held: false, progress: None }));
        // The file of a killed process is not a lock.
        fs::write(folder.file(FILE_NAME), "process 1\n{}\n").unwrap();
        assert_eq!(RunLock::look(&folder), Some(Look { is_held: false, progress: None }));
        assert!(folder.file(FILE_NAME).exists(), "looking changes nothing");
        RunLock::take(&folder).unwrap();
    }
}
