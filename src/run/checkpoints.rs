//! Checkpoints on disk: folders that are whole or absent, of which the newest are kept.

use super::growing_text::{Beginning, Growth};
use super::weights::safetensors_bytes;
use crate::files::{remove_unfinished, write_end, write_folder_whole};
use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use tch::Tensor;

const STATE: &str = "state.toml";
const TENSORS: &str = "tensors.safetensors";
/// How much of the text that all checkpoints share belongs to this one.
const SHARED: &str = "history.toml";
/// The text that all checkpoints share, beside them: each has its beginning.
const SHARED_TEXT: &str = "history.tsv";
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
    growth: Growth,
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
    /// The text that grew until then; checkpoints of version 0.1.0 have none.
    pub text: Option<String>,
}

/// The number of checkpoints that this process is writing.
static IN_WRITING: AtomicUsize = AtomicUsize::new(0);

/// Whether this process is writing a checkpoint, in any thread: then it should not be ended.
pub fn is_writing_checkpoint() -> bool {
    IN_WRITING.load(Ordering::Relaxed) > 0
}

impl CheckpointFolder {
    /// The folder at a path, which need not exist.
    pub fn new(path: impl Into<PathBuf>) -> CheckpointFolder {
        CheckpointFolder { path: path.into() }
    }

    /// A checkpoint after (epochs, steps), with a copy of the tensors as they are now. The text that grows
    /// from checkpoint to checkpoint is not written again with each.
    ///
    /// # Errors
    /// Tensors that cannot be saved.
    pub fn prepare(
        &self,
        (epoch, step): (usize, usize),
        state: String,
        tensors: &BTreeMap<String, Tensor>,
        growth: Growth,
    ) -> Result<UnwrittenCheckpoint> {
        let name = format!("{epoch:08}-{step:010}");
        Ok(UnwrittenCheckpoint {
            folder: self.clone(),
            name,
            state,
            tensors: safetensors_bytes(tensors, &[])?,
            growth,
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
        remove_unfinished(&self.path);
    }

    /// Whether it has no checkpoint, not even a broken one.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.newest_first()?.is_empty())
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
        let _in_writing = InWriting::begin();
        // First, because the checkpoint counts on it.
        let path = self.folder.path.join(&self.name);
        write_end(&self.folder.path.join(SHARED_TEXT), self.growth.start, &self.growth.bytes)
            .with_context(|| format!("cannot write {}: {SHARED_TEXT}", path.display()))?;
        let shared = toml::to_string(&self.growth.beginning).context("its text cannot be described")?;
        let [state, tensors, shared] =
            [(STATE, self.state.as_bytes()), (TENSORS, self.tensors.as_slice()), (SHARED, shared.as_bytes())];
        let digests: String =
            [state, tensors, shared].iter().map(|(name, content)| digest_line(name, content)).collect();
        let files = [state, tensors, shared, (DIGESTS, digests.as_bytes())];
        write_folder_whole(&path, &files)?;
        for old in self.folder.newest_first()?.into_iter().skip(keep.max(1)) {
            fs::remove_dir_all(&old).with_context(|| format!("cannot remove {}", old.display()))?;
        }
        Ok(())
    }
}

/// Counts a checkpoint as long as it is being written.
struct InWriting;

impl InWriting {
    fn begin() -> InWriting {
        IN_WRITING.fetch_add(1, Ordering::Relaxed);
        InWriting
    }
}

impl Drop for InWriting {
    fn drop(&mut self) {
        IN_WRITING.fetch_sub(1, Ordering::Relaxed);
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
    let text = match digests.contains(&format!("  {SHARED}\n")) {
        false => None,
        true => {
            let shared = file(SHARED)?;
            ensure!(digests.contains(&digest_line(SHARED, &shared)), "{SHARED} is not as it was written");
            Some(shared_text(path, &shared).with_context(|| format!("its part of {SHARED_TEXT}"))?)
        }
    };
    let state = String::from_utf8(state).context("its state is not text")?;
    let tensors = Tensor::read_safetensors(path.join(TENSORS)).context("its tensors cannot be read")?;
    Ok(KeptCheckpoint { path: path.to_path_buf(), state, tensors: tensors.into_iter().collect(), text })
}

/// The part of the shared text that belongs to the checkpoint at a path.
fn shared_text(path: &Path, shared: &[u8]) -> Result<String> {
    let beginning: Beginning = toml::from_str(std::str::from_utf8(shared)?)?;
    beginning.read(&path.parent().unwrap_or(Path::new(".")).join(SHARED_TEXT))
}

#[cfg(test)]
mod tests {
    use super::super::growing_text::GrowingText;
    use super::*;
    use crate::files::fail_at;
    use tempfile::TempDir;

    fn tensors(value: f64) -> BTreeMap<String, Tensor> {
        let float = Tensor::from_slice(&[value as f32; 300]).view([3, 100]);
        let double = Tensor::from_slice(&[value, f64::NAN]);
        BTreeMap::from([("a/weight".to_string(), float), ("means".to_string(), double)])
    }

    fn write(folder: &CheckpointFolder, number: (usize, usize), state: &str, keep: usize) -> Result<()> {
        let mut text = GrowingText::default();
        (1..=number.0).for_each(|epoch| text.append(&format!("epoch {epoch}\n")));
        folder.prepare(number, state.to_string(), &tensors(number.0 as f64), text.growth())?.write(keep)
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
        assert_eq!(fs::read_dir(&folder.path).unwrap().count(), 3, "two, and the text that they share");
        let kept = folder.newest(|_| ()).unwrap().unwrap();
        assert_eq!(kept.tensors["a/weight"], tensors(10.0)["a/weight"]);
        let means = Vec::<f64>::try_from(&kept.tensors["means"]).unwrap();
        assert!(means[0] == 10.0 && means[1].is_nan());
        assert!(kept.text.unwrap().ends_with("epoch 9\nepoch 10\n"));
    }

    #[test]
    fn of_the_shared_text_each_has_its_own_part() {
        let place = TempDir::new().unwrap();
        let folder = CheckpointFolder::new(place.path());
        let text = place.path().join(SHARED_TEXT);
        write(&folder, (1, 0), "one", 3).unwrap();
        write(&folder, (3, 0), "three", 3).unwrap();
        // What a process that was killed had appended is no part of any.
        fs::write(&text, "epoch 1\nepoch 2\nepoch 3\nepo").unwrap();
        assert_eq!(newest(&folder).0.as_deref(), Some("three"));
        // What was altered after the older one ends breaks the newer one only.
        for altered in ["epoch 1\nepoch 2\nepoch 4\n", "epoch 1\nepo"] {
            fs::write(&text, altered).unwrap();
            let (found, broken) = newest(&folder);
            assert_eq!(found.as_deref(), Some("one"), "{altered}");
            assert!(
                broken[0].contains("00000003-0000000000 is broken: its part of history.tsv"),
                "{broken:?}"
            );
        }
        fs::remove_file(&text).unwrap();
        assert_eq!(newest(&folder).0, None);
        assert!(!folder.is_empty().unwrap(), "there are some, though broken");
    }

    #[test]
    fn a_checkpoint_of_an_earlier_version_has_no_shared_text() {
        let place = TempDir::new().unwrap();
        let folder = CheckpointFolder::new(place.path());
        write(&folder, (1, 0), "one", 3).unwrap();
        let path = place.path().join("00000001-0000000000");
        fs::remove_file(path.join(SHARED)).unwrap();
        let digests = fs::read_to_string(path.join(DIGESTS)).unwrap();
        let earlier: String =
            digests.lines().filter(|line| !line.contains(SHARED)).map(|line| format!("{line}\n")).collect();
        fs::write(path.join(DIGESTS), earlier).unwrap();
        let kept = folder.newest(|_| ()).unwrap().unwrap();
        assert_eq!((kept.state.as_str(), kept.text), ("one", None));
    }

    #[test]
    fn a_broken_one_is_named_and_the_one_before_it_taken() {
        let place = TempDir::new().unwrap();
        let folder = CheckpointFolder::new(place.path());
        write(&folder, (1, 0), "one", 3).unwrap();
        write(&folder, (2, 0), "two", 3).unwrap();
        let path = place.path().join("00000002-0000000000");
        for name in [STATE, TENSORS, SHARED, DIGESTS] {
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
        // The shared text opened, written, cut and flushed; for each of four files a write and a flush; the
        // folder made, flushed and renamed, its parent flushed.
        assert_eq!(steps, 16);
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
