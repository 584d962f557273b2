//! Checkpoints on disk: folders that are whole or absent, of which the newest are kept.

use super::weights::safetensors_bytes;
use crate::files::{UNFINISHED, write_folder_whole};
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tch::Tensor;

const STATE: &str = "state.toml";
const TENSORS: &str = "tensors.safetensors";
/// In the form that `sha256sum --check` reads.
const DIGESTS: &str = "sha256sums.txt";

/// A folder of checkpoints. Each is a folder, named by the complete epochs and the steps after them:
/// `00000003-0000000120`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointFolder {
    path: PathBuf,
}

/// A checkpoint to write, also from another thread.
#[derive(Debug)]
pub struct UnwrittenCheckpoint {
    folder: CheckpointFolder,
    name: String,
    state: String,
    /// As safetensors.
    tensors: Vec<u8>,
}

/// A checkpoint read from disk.
#[derive(Debug)]
pub struct KeptCheckpoint {
    /// Its folder.
    pub path: PathBuf,
    /// Everything but the tensors.
    pub state: String,
    /// The tensors, on the CPU.
    pub tensors: BTreeMap<String, Tensor>,
}

impl CheckpointFolder {
    /// The folder at a path, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> CheckpointFolder {
        CheckpointFolder { path: path.into() }
    }

    /// A checkpoint after (epochs, steps), with a copy of the tensors as they are now.
    ///
    /// # Errors
    /// Tensors that cannot be saved.
    pub fn prepare(
        &self,
        (epoch, step): (usize, usize),
        state: String,
        tensors: &BTreeMap<String, Tensor>,
    ) -> Result<UnwrittenCheckpoint> {
        let name = format!("{epoch:08}-{step:010}");
        Ok(UnwrittenCheckpoint {
            folder: self.clone(),
            name,
            state,
            tensors: safetensors_bytes(tensors, &[])?,
        })
    }

    /// The newest checkpoint that is whole. Each newer one is an error, given to `broken`.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn newest(&self, mut broken: impl FnMut(anyhow::Error)) -> Result<Option<KeptCheckpoint>> {
        for path in self.newest_first()? {
            match read(&path) {
                Ok(checkpoint) => return Ok(Some(checkpoint)),
                Err(fault) => broken(fault.context(format!("{} is broken", path.display()))),
            }
        }
        Ok(None)
    }

    /// Removes what a killed process left half written. Only for a process that holds the lock of the run.
    pub fn remove_unfinished(&self) {
        for path in fs::read_dir(&self.path).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNFINISHED)) {
                // Leftovers that cannot be removed do no harm.
                let _ = fs::remove_dir_all(path);
            }
        }
    }

    /// All checkpoints, whole or not.
    fn newest_first(&self) -> Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.path) {
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| format!("cannot read {}", self.path.display()))?,
        };
        let mut numbered = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let number = name
                .split_once('-')
                .and_then(|(epoch, step)| Some((epoch.parse::<u64>().ok()?, step.parse::<u64>().ok()?)));
            numbered.extend(number.map(|number| (number, path)));
        }
        numbered.sort();
        Ok(numbered.into_iter().rev().map(|(_, path)| path).collect())
    }
}

impl UnwrittenCheckpoint {
    /// Writes the checkpoint, then removes all but the newest `keep`.
    ///
    /// # Errors
    /// The disk; the earlier checkpoints are still there then.
    pub fn write(self, keep: usize) -> Result<()> {
        let files = [(STATE, self.state.as_bytes()), (TENSORS, self.tensors.as_slice())];
        let digests: String = files.iter().map(|(name, content)| digest_line(name, content)).collect();
        let files = [files[0], files[1], (DIGESTS, digests.as_bytes())];
        write_folder_whole(&self.folder.path.join(self.name), &files)?;
        for old in self.folder.newest_first()?.into_iter().skip(keep.max(1)) {
            fs::remove_dir_all(&old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
        Ok(())
    }
}

fn digest_line(name: &str, content: &[u8]) -> String {
    format!("{:x}  {name}\n", Sha256::digest(content))
}

fn read(path: &Path) -> Result<KeptCheckpoint> {
    let file = |name: &str| fs::read(path.join(name)).with_context(|| format!("cannot read {name}"));
    let digests = String::from_utf8(file(DIGESTS)?).context("its digests are not text")?;
    let (state, tensors) = (file(STATE)?, file(TENSORS)?);
    for (name, content) in [(STATE, &state), (TENSORS, &tensors)] {
        ensure!(digests.contains(&digest_line(name, content)), "{name} is not as it was written");
    }
    let state = String::from_utf8(state).context("its state is not text")?;
    let tensors = Tensor::read_safetensors(path.join(TENSORS)).context("its tensors cannot be read")?;
    Ok(KeptCheckpoint { path: path.to_path_buf(), state, tensors: tensors.into_iter().collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::fail_at;
    use tempfile::TempDir;

    fn tensors(value: f64) -> BTreeMap<String, Tensor> {
        let float = Tensor::from_slice(&[value as f32; 300]).view([3, 100]);
        let double = Tensor::from_slice(&[value, f64::NAN]);
        BTreeMap::from([("a/weight".to_string(), float), ("means".to_string(), double)])
    }

    fn write(folder: &CheckpointFolder, number: (usize, usize), state: &str, keep: usize) -> Result<()> {
        folder.prepare(number, state.to_string(), &tensors(number.0 as f64))?.write(keep)
    }

    fn newest(folder: &CheckpointFolder) -> (Option<String>, Vec<String>) {
        let mut broken = Vec::new();
        let found = folder.newest(|fault| broken.push(format!("{fault:#}"))).unwrap();
        (found.map(|checkpoint| checkpoint.state), broken)
    }

    #[test]
    fn the_newest_by_number_comes_back_and_old_ones_go() {
        let place = TempDir::new().unwrap();
        let folder = CheckpointFolder::new(place.path().join("checkpoint"));
        assert_eq!(newest(&folder), (None, vec![]));
        for (number, state) in [((9, 0), "nine"), ((10, 0), "ten"), ((10, 7), "ten and seven steps")] {
            write(&folder, number, state, 2).unwrap();
        }
        assert_eq!(newest(&folder).0.unwrap(), "ten and seven steps");
        assert_eq!(fs::read_dir(&folder.path).unwrap().count(), 2);
        let kept = folder.newest(|_| ()).unwrap().unwrap();
        assert_eq!(kept.tensors["a/weight"], tensors(10.0)["a/weight"]);
        let means = Vec::<f64>::try_from(&kept.tensors["means"]).unwrap();
        assert!(means[0] == 10.0 && means[1].is_nan());
    }

    #[test]
    fn a_broken_one_is_named_and_the_one_before_it_taken() {
        let place = TempDir::new().unwrap();
        let folder = CheckpointFolder::new(place.path());
        write(&folder, (1, 0), "one", 3).unwrap();
        write(&folder, (2, 0), "two", 3).unwrap();
        let path = place.path().join("00000002-0000000000");
        for name in [STATE, TENSORS, DIGESTS] {
            let whole = fs::read(path.join(name)).unwrap();
            let mut altered = whole.clone();
            altered[whole.len() / 2] ^= 1;
            for bytes in [&altered[..], &whole[..whole.len() / 2], b""] {
                fs::write(path.join(name), bytes).unwrap();
                let (found, broken) = newest(&folder);
                assert_eq!(found.as_deref(), Some("one"), "{name}");
                assert!(
                    broken.len() == 1 && broken[0].contains("00000002-0000000000 is broken"),
                    "{broken:?}"
                );
            }
            fs::remove_file(path.join(name)).unwrap();
            assert_eq!(newest(&folder).0.as_deref(), Some("one"));
            fs::write(path.join(name), whole).unwrap();
            assert_eq!(newest(&folder).0.as_deref(), Some("two"));
        }
        // A broken one may be written again under its name.
        fs::write(path.join(STATE), "").unwrap();
        write(&folder, (2, 0), "two again", 3).unwrap();
        assert_eq!(newest(&folder), (Some("two again".to_string()), vec![]));
    }

    #[test]
    fn whichever_write_fails_a_whole_checkpoint_is_there() {
        let mut steps = 0;
        loop {
            let place = TempDir::new().unwrap();
            let folder = CheckpointFolder::new(place.path());
            write(&folder, (1, 0), "old", 1).unwrap();
            fail_at(Some(steps));
            let written = write(&folder, (2, 0), "new", 1);
            fail_at(None);
            let (found, broken) = newest(&folder);
            assert!(broken.is_empty(), "{broken:?}");
            match written {
                Ok(()) => {
                    assert_eq!(found.as_deref(), Some("new"));
                    break;
                }
                Err(fault) => {
                    let fault = format!("{fault:#}");
                    assert!(fault.contains("cannot write") && fault.contains("00000002"), "{fault}");
                    assert!(matches!(found.as_deref(), Some("old" | "new")), "after step {steps}: {found:?}");
                }
            }
            steps += 1;
        }
        // For each of three files a write and a flush; the folder made, flushed and renamed, its parent
        // flushed.
        assert_eq!(steps, 10);
    }

    #[test]
    fn a_run_folder_that_is_gone_is_not_made_again() {
        let place = TempDir::new().unwrap();
        let folder = CheckpointFolder::new(place.path().join("run").join("checkpoint"));
        let fault = format!("{:#}", write(&folder, (1, 0), "", 1).unwrap_err());
        assert!(fault.contains("cannot write") && fault.contains("No such file"), "{fault}");
        assert!(!place.path().join("run").exists());
    }

    #[test]
    fn what_was_left_unfinished_is_no_checkpoint_and_removed() {
        let place = TempDir::new().unwrap();
        let folder = CheckpointFolder::new(place.path());
        fs::create_dir(place.path().join(".writing-abc")).unwrap();
        fs::write(place.path().join(".writing-abc").join(STATE), "half").unwrap();
        assert_eq!(newest(&folder), (None, vec![]));
        folder.remove_unfinished();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
