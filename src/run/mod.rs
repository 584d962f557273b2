//! The run folder: its name, its files and how they are written. The room knows nothing of training.

mod checkpoints;
mod growing_text;
mod lock;
mod pretrained;
mod progress;
mod record;
mod weights;

pub use checkpoints::{CheckpointFolder, KeptCheckpoint, UnwrittenCheckpoint, is_writing_checkpoint};
pub use growing_text::{GrowingText, Growth};
pub use lock::{Look, RunLock};
pub use pretrained::{Pretrained, Taken, WeightsRecord};
pub use progress::{Phase, RunProgress};
pub use record::{DatasetRecord, GroupsRecord, RunRecord};
pub use weights::{load_weights, save_weights};

use crate::files::{is_unfinished, remove_unfinished};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The folder of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Creates the folder of a new run. An existing one is taken only if it is empty.
    ///
    /// # Errors
    /// The folder is not empty, or cannot be created.
    pub fn create(path: &Path) -> Result<RunFolder> {
        RunFolder::check_free(path)?;
        fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(RunFolder { path: path.to_path_buf() })
    }

    /// Creates a new folder of that name or, if another run has it, with `-2`, `-3`, ... appended.
    ///
    /// # Errors
    /// The folder cannot be created.
    pub fn create_numbered(path: &Path) -> Result<RunFolder> {
        let parent = path.parent().unwrap_or(Path::new(""));
        if !parent.as_os_str().is_empty() {
            fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        }
        let mut name = path.as_os_str().to_owned();
        let mut number = 1;
        loop {
            match fs::create_dir(&name) {
                Ok(()) => return Ok(RunFolder { path: name.into() }),
                Err(fault) if fault.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(fault) => return Err(fault).with_context(|| format!("cannot create {}", path.display())),
            }
            name = path.as_os_str().to_owned();
            name.push(format!("-{number}"));
        }
    }

    /// Whether a new run can have that folder; nothing is created.
    ///
    /// # Errors
    /// The folder is not empty, or is a file.
    pub fn check_free(path: &Path) -> Result<()> {
        match fs::read_dir(path) {
            Ok(mut entries) => {
                // What a start that was killed has left before its record is no run.
                let is_leftover = |name: &str| name == lock::FILE_NAME || is_unfinished(name);
                ensure!(
                    entries.all(|entry| {
                        entry.is_ok_and(|entry| is_leftover(&entry.file_name().to_string_lossy()))
                    }),
                    "{} holds files already, and a run is never overwritten; choose another folder",
                    path.display()
                );
                Ok(())
            }
            Err(fault) if fault.kind() == ErrorKind::NotFound => Ok(()),
            Err(fault) => Err(fault).with_context(|| format!("cannot use {} as run folder", path.display())),
        }
    }

    /// Opens the folder of an existing run.
    ///
    /// # Errors
    /// Not a folder, or one without `run.json`.
    pub fn open(path: &Path) -> Result<RunFolder> {
        ensure!(path.exists(), "there is no folder {}", path.display());
        ensure!(path.is_dir(), "{} is not a folder", path.display());
        let folder = RunFolder { path: path.to_path_buf() };
        if !folder.record_file().is_file() {
            bail!("{} is not a run: it has no run.json", path.display());
        }
        Ok(folder)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the run is called: the name of its folder.
    pub fn name(&self) -> String {
        let path = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// `history.csv`: one row for each epoch.
    pub fn history_file(&self) -> PathBuf {
        self.path.join("history.csv")
    }

    /// `run.json`: the settings and the results.
    pub fn record_file(&self) -> PathBuf {
        self.path.join("run.json")
    }

    /// `summary.txt`: the model.
    pub fn summary_file(&self) -> PathBuf {
        self.path.join("summary.txt")
    }

    /// A file or folder in it by its name.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The names of its files and folders, sorted, without the lock of a running process and what a killed
    /// one has left unfinished.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in
            fs::read_dir(&self.path).with_context(|| format!("cannot read {}", self.path.display()))?
        {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.retain(|name| name != lock::FILE_NAME && !is_unfinished(name));
        names.sort();
        Ok(names)
    }

    /// Removes the files that a killed process has left half written. Only for a process that holds the lock.
    pub fn remove_unfinished(&self) {
        remove_unfinished(&self.path);
        self.checkpoints().remove_unfinished();
    }

    /// `checkpoint/`: the checkpoints to resume from.
    pub fn checkpoints(&self) -> CheckpointFolder {
        CheckpointFolder::new(self.path.join("checkpoint"))
    }

    /// `network.pt`: the network as it was given, if another program made it.
    pub fn network_file(&self) -> PathBuf {
        self.path.join("network.pt")
    }

    /// `model.pt`: the model as TorchScript.
    pub fn model_file(&self) -> PathBuf {
        self.path.join("model.pt")
    }

    /// `weights.safetensors`: the trained weights.
    pub fn weights_file(&self) -> PathBuf {
        self.path.join("weights.safetensors")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a").join("run");
        RunFolder::create(&path).unwrap();
        RunFolder::create(&path).expect("an empty folder may be used");
        fs::write(path.join("run.lock"), "process 1").unwrap();
        fs::write(path.join(".writing-abc"), "{").unwrap();
        RunFolder::create(&path).expect("what a killed start has left is no run");
        fs::write(path.join("notes"), "x").unwrap();
        let fault = RunFolder::create(&path).unwrap_err().to_string();
        assert!(fault.contains("never overwritten") && fault.contains("run"), "{fault}");
        assert!(RunFolder::create(&path.join("notes")).is_err(), "a file is not a folder");
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs").join("digits");
        let names = || RunFolder::create_numbered(&path).unwrap().path().file_name().unwrap().to_owned();
        assert_eq!([names(), names(), names()], ["digits", "digits-2", "digits-3"]);
    }

    #[test]
    fn what_is_unfinished_is_not_named_and_can_be_removed() {
        let place = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(place.path()).unwrap();
        for name in ["run.json", ".writing-abc", "run.lock"] {
            fs::write(folder.file(name), "x").unwrap();
        }
        assert_eq!(folder.names().unwrap(), ["run.json"]);
        folder.remove_unfinished();
        assert!(!folder.file(".writing-abc").exists() && folder.file("run.lock").exists());
    }

    #[test]
    fn folders_that_are_no_runs_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        assert!(RunFolder::open(folder.path()).unwrap_err().to_string().contains("has no run.json"));
        assert!(
            RunFolder::open(&folder.path().join("x")).unwrap_err().to_string().contains("there is no folder")
        );
    }
}
