//! Weights to start from: those of a run, or of any file that names its tensors.

use super::RunFolder;
use crate::files::kind_of_file;
use crate::kernels::script::file::digest;
use crate::kernels::script::stored::read_tensors;
use crate::text::listed;
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use tch::nn::VarStore;
use tch::{Kind, Tensor};

/// How many names a line lists.
const LISTED: usize = 4;

/// The tensors of a file by name, on the CPU.
#[derive(Debug)]
pub struct Pretrained {
    path: PathBuf,
    digest: String,
    tensors: BTreeMap<String, Tensor>,
}

/// What weights a training started from, as its record has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightsRecord {
    /// The file.
    pub file: String,
    /// The SHA-256 of its content.
    pub sha256: String,
    /// The names of the variables that took a tensor of it.
    pub taken: Vec<String>,
}

/// What came of taking weights over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// The names of the variables that have the values of the file now.
    pub taken: Vec<String>,
    /// Tensors of the file that the network has no place for, and why.
    pub left: Vec<String>,
    /// Variables that stay as they were.
    pub missing: Vec<String>,
}

impl Pretrained {
    /// Reads the weights of a run folder, of a safetensors file, or of an archive of PyTorch's: TorchScript, whose
    /// code is not run, or a dictionary of tensors that `torch.save` wrote.
    ///
    /// # Errors
    /// A run without weights; a file that cannot be read, is damaged or something else.
    pub fn read(path: &Path) -> Result<Pretrained> {
        let path = if path.is_dir() { RunFolder::open(path)?.weights_file() } else { path.to_path_buf() };
        let shown = || path.display().to_string();
        let unreadable = || format!("cannot read {}", path.display());
        let mut start = Vec::new();
        let opened = File::open(&path).and_then(|file| file.take(16).read_to_end(&mut start));
        opened.with_context(unreadable)?;
        // Before all of a large file is read.
        check_kind(&start).with_context(shown)?;
        let bytes = fs::read(&path).with_context(unreadable)?;
        let digest = digest(&bytes);
        let tensors = read(&path, bytes).with_context(shown)?;
        Ok(Pretrained { path, digest, tensors })
    }

    /// The SHA-256 of the file, in lower-case hexadecimal.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Gives every variable the values of the tensor of its name and shape, unless it `is_own`. If the names in the
    /// file begin with a word (`model.`) that the network does not have, the same for all, it is left out.
    ///
    /// # Errors
    /// No tensor fits; a fault of the device.
    pub fn give_to(&self, variables: &VarStore, is_own: impl Fn(&str) -> bool) -> Result<Taken> {
        let built = variables.variables();
        let tensors = self.named_like(&built);
        let mut taken = Taken::default();
        let _no_gradient = tch::no_grad_guard();
        for (name, tensor) in &tensors {
            let shape = tensor.size();
            match built.get(*name) {
                _ if is_own(name) => {}
                None => taken.left.push(format!("{name} {shape:?}")),
                Some(variable) if variable.size() != shape || !is_alike(variable, tensor) => {
                    taken.left.push(format!("{name} {shape:?}, here {:?}", variable.size()));
                }
                Some(variable) => {
                    variable.shallow_clone().f_copy_(tensor).with_context(|| name.to_string())?;
                    taken.taken.push(name.to_string());
                }
            }
        }
        let is_missing = |name: &&String| !is_own(name) && !taken.taken.contains(name);
        taken.missing = built.keys().filter(is_missing).cloned().collect();
        taken.missing.sort();
        if taken.taken.is_empty() {
            bail!(
                "{}: none of its {} tensors fits the network by name and shape: it has {}; the network has {}",
                self.path.display(),
                tensors.len(),
                first_of(&taken.left),
                first_of(&taken.missing)
            );
        }
        Ok(taken)
    }

    /// What a run says of them.
    pub fn record(&self, taken: &Taken) -> WeightsRecord {
        let file = self.path.canonicalize().unwrap_or_else(|_| self.path.clone());
        WeightsRecord {
            file: file.display().to_string(),
            sha256: self.digest.clone(),
            taken: taken.taken.clone(),
        }
    }

    /// The tensors by their names in the network.
    fn named_like(&self, built: &HashMap<String, Tensor>) -> BTreeMap<&str, &Tensor> {
        let named = || self.tensors.iter().map(|(name, tensor)| (name.as_str(), tensor));
        let mut outer: Vec<&str> = named().filter_map(|(name, _)| Some(name.split_once('.')?.0)).collect();
        outer.dedup();
        let is_wrapped = outer.len() == 1 && !named().any(|(name, _)| built.contains_key(name));
        let inner = |name| str::split_once(name, '.').filter(|_| is_wrapped).map_or(name, |(_, inner)| inner);
        named().map(|(name, tensor)| (inner(name), tensor)).collect()
    }
}

impl Taken {
    /// What is to be said of it, in lines for people; `from` is what they named.
    pub fn lines(&self, from: &str) -> Vec<String> {
        let Taken { taken, left, missing } = self;
        let all = taken.len() + missing.len();
        let mut lines = vec![format!("weights of {from}: {} of {all} tensors", taken.len())];
        lines.extend((!left.is_empty()).then(|| format!("not taken: {}", first_of(left))));
        lines.extend(
            (!missing.is_empty()).then(|| format!("not in it, left as initialised: {}", first_of(missing))),
        );
        lines
    }
}

/// The first of many.
fn first_of(names: &[String]) -> String {
    if names.is_empty() { "none".to_string() } else { listed(names, LISTED) }
}

/// Whether values of one are values of the other, perhaps rounded.
fn is_alike(variable: &Tensor, tensor: &Tensor) -> bool {
    let is_float =
        |tensor: &Tensor| matches!(tensor.kind(), Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16);
    is_float(variable) == is_float(tensor)
}

fn is_of_pytorch(start: &[u8]) -> bool {
    start.starts_with(b"PK")
}

/// Refuses what begins like no file of weights.
fn check_kind(start: &[u8]) -> Result<()> {
    ensure!(
        is_of_pytorch(start) || start.get(8) == Some(&b'{'),
        "is {}; weights come from a run folder, a .safetensors file or a file of PyTorch's",
        kind_of_file(start)
    );
    Ok(())
}

fn read(path: &Path, bytes: Vec<u8>) -> Result<BTreeMap<String, Tensor>> {
    let tensors = if is_of_pytorch(&bytes) {
        read_tensors(bytes)?
    } else {
        let read = Tensor::read_safetensors(path);
        // What the reader says of it are names in its own code.
        read.map_err(|_| anyhow!("is a cut or damaged safetensors file"))?.into_iter().collect()
    };
    ensure!(!tensors.is_empty(), "has no tensors");
    Ok(tensors)
}

#[cfg(test)]
mod tests {
    use super::super::save_weights;
    use super::*;
    use tch::{Device, nn};

    fn store(outputs: i64, names: &[&str]) -> VarStore {
        let store = VarStore::new(Device::Cpu);
        for name in names {
            nn::linear(&store.root() / "net" / name, 3, outputs, Default::default());
        }
        store
    }

    #[test]
    fn what_has_the_same_name_and_shape_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let saved = store(2, &["a", "b"]);
        save_weights(&path, &saved, &[]).unwrap();
        let file = Pretrained::read(&path).unwrap();
        assert_eq!(file.digest().len(), 64);

        let started = store(2, &["b", "c"]);
        let taken = file.give_to(&started, |name| name == "net.b.bias").unwrap();
        assert_eq!(taken.taken, ["net.b.weight"]);
        assert_eq!(taken.left, ["net.a.bias [2]", "net.a.weight [2, 3]"]);
        assert_eq!(taken.missing, ["net.c.bias", "net.c.weight"]);
        let value = |store: &VarStore, name: &str| store.variables()[name].copy();
        assert_eq!(value(&started, "net.b.weight"), value(&saved, "net.b.weight"));
        assert_ne!(value(&started, "net.b.bias"), value(&saved, "net.b.bias"));

        // Without the word that all names begin with.
        let inner = VarStore::new(Device::Cpu);
        nn::linear(inner.root() / "a", 3, 2, Default::default());
        let taken = file.give_to(&inner, |_| false).unwrap();
        assert_eq!((taken.taken.len(), taken.missing.len()), (2, 0));
        assert_eq!(value(&inner, "a.weight"), value(&saved, "net.a.weight"));

        let fault = file.give_to(&store(4, &["a"]), |_| false).unwrap_err().to_string();
        assert!(fault.contains("none of its 4 tensors fits") && fault.contains("here [4]"), "{fault}");
    }

    #[test]
    fn other_files_are_errors_that_say_what_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let fault = |name: &str, content: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            format!("{:#}", Pretrained::read(&path).unwrap_err())
        };
        for (content, part) in [
            (&b""[..], "is empty"),
            (b"dense 5, relu", "is a text file"),
            (b"\x80\x02}.", "is a Python pickle"),
            (b"\x90\0\0\0\0\0\0\0{", "is a cut or damaged safetensors file"),
            (b"PK\x03\x04 and so on", "is a cut or damaged zip archive"),
        ] {
            let said = fault("weights.pt", content);
            assert!(said.contains("weights.pt: ") && said.contains(part), "{said}");
        }
    }
}
