//! What an exported model is made of: a network's own code, and the values that its variables have.

use super::preparation::Preparation;
use super::tree::Tree;
use crate::kernels::script::file::{ScriptFile, digest};
use crate::kernels::script::unpickle::StoredTensor;
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

/// False in a pickle.
pub(super) const FALSE: u8 = 0x89;

/// What an exported model is made of.
#[derive(Debug)]
pub struct ScriptParts {
    /// `__torch__.torchvision.models.resnet.ResNet`.
    pub class: String,
    /// `data.pkl`.
    pub pickle: Vec<u8>,
    /// All other files, by name.
    pub files: Vec<(String, Vec<u8>)>,
    /// A weight in TorchScript, within a module whose field `network` is this one.
    pub weight: Option<String>,
    pub preparation: Preparation,
    /// The SHA-256 of the network's own file.
    pub digest: String,
}

impl ScriptParts {
    /// Those of a network: its pickled object in evaluation mode, its code, and the values that the variables have
    /// now. `entries` are the files that [`kept_entries`] gave.
    ///
    /// # Errors
    /// Variables that were changed to another kind or shape.
    pub fn of(
        tree: &Tree,
        entries: &[(String, Vec<u8>)],
        variables: &VarStore,
        preparation: Preparation,
        digest: &str,
    ) -> Result<ScriptParts> {
        let mut pickle = Vec::new();
        let mut files = Vec::new();
        for (name, content) in entries {
            match name.as_str() {
                "data.pkl" => pickle = content.clone(),
                _ => files.push((name.clone(), content.clone())),
            }
        }
        for &place in &tree.training_flags {
            if let Some(flag) = pickle.get_mut(place) {
                *flag = FALSE;
            }
        }
        let values = variables.variables();
        let mut storages: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (name, stored) in tree.root.tensors() {
            let value = values.get(&name).with_context(|| format!("there is no variable {name}"))?;
            let file = format!("data/{}", stored.storage);
            let kept = || files.iter().find(|(known, _)| *known == file).map(|(_, content)| content.clone());
            let storage = storages.entry(file.clone()).or_insert_with(|| kept().unwrap_or_default());
            write_into(storage, stored, value).with_context(|| name.clone())?;
        }
        files.retain(|(name, _)| !storages.contains_key(name));
        files.extend(storages);
        let weight = Some(weight(tree)?);
        Ok(ScriptParts {
            class: tree.root.class.clone(),
            pickle,
            files,
            weight,
            preparation,
            digest: digest.to_string(),
        })
    }
}

/// The expression of a weight of the network, which is `self.network`.
fn weight(tree: &Tree) -> Result<String> {
    let tensors = tree.root.tensors();
    let first = tensors.iter().find(|(_, tensor)| tensor.kind == Kind::Float);
    let (name, _) = first.context("has no float32 tensor")?;
    let path = name.split('.').fold("self.network".to_string(), |of, field| {
        // Fields with numbers for names are no words of the language.
        format!("getattr({of}, \"{field}\")")
    });
    // Fields of libtorch's own modules may be optional.
    Ok(format!("unchecked_cast(Tensor, {path})"))
}

/// The parts of a module that was traced, which has its weights as constants.
///
/// # Errors
/// A file that libtorch has not written.
pub fn traced_parts(bytes: Vec<u8>) -> Result<ScriptParts> {
    let digest = digest(&bytes);
    let file = ScriptFile::of(bytes)?;
    let class = Tree::of(&file)?.root.class;
    let mut files = kept_entries(&file, &BTreeMap::new());
    let place = files.iter().position(|(name, _)| name == "data.pkl").context("has no data.pkl")?;
    let (_, pickle) = files.swap_remove(place);
    Ok(ScriptParts { class, pickle, files, weight: None, preparation: Preparation::default(), digest })
}

/// What of a file the variables do not hold: code, constants, tensors that are neither parameters nor buffers.
pub fn kept_entries(file: &ScriptFile, tensors: &BTreeMap<String, &StoredTensor>) -> Vec<(String, Vec<u8>)> {
    let is_whole = |tensor: &&&StoredTensor| {
        let bytes = file.get(&format!("data/{}", tensor.storage)).map_or(0, <[u8]>::len);
        let count = tensor.size.iter().product::<i64>();
        tensor.offset == 0 && count as usize * tensor.kind.elt_size_in_bytes() == bytes
    };
    let covered: BTreeSet<String> =
        tensors.values().filter(is_whole).map(|tensor| format!("data/{}", tensor.storage)).collect();
    let is_needed = |name: &str| {
        let is_of_python = name.ends_with(".debug_pkl") || name.starts_with("extra/");
        !is_of_python && !name.starts_with(".data/") && !covered.contains(name)
    };
    let needed = file.entries().filter(|(name, _)| is_needed(name));
    needed.map(|(name, content)| (name.to_string(), content.to_vec())).collect()
}

/// Writes the values of a tensor to their places in a storage, which grows to hold them.
pub(super) fn write_into(storage: &mut Vec<u8>, stored: &StoredTensor, value: &Tensor) -> Result<()> {
    let StoredTensor { kind, offset, size, stride, .. } = stored;
    ensure!(value.size() == *size && value.kind() == *kind, "is {:?} {:?} now", value.kind(), value.size());
    let (count, width) = (value.numel(), kind.elt_size_in_bytes());
    let mut bytes = vec![0; count * width];
    value.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?.f_copy_data_u8(&mut bytes, count)?;
    let steps = || size.iter().zip(stride);
    let last = *offset + steps().map(|(size, stride)| (size - 1).max(0) * stride).sum::<i64>();
    let needed = if count == 0 { 0 } else { (last as usize + 1) * width };
    if storage.len() < needed {
        storage.resize(needed, 0);
    }
    let mut index = vec![0; size.len()];
    for value in bytes.chunks_exact(width) {
        let place = *offset + index.iter().zip(stride).map(|(index, stride)| index * stride).sum::<i64>();
        let place = place as usize * width;
        storage[place..place + width].copy_from_slice(value);
        for (index, &size) in index.iter_mut().zip(size).rev() {
            *index += 1;
            if *index < size {
                break;
            }
            *index = 0;
        }
    }
    Ok(())
}
