//! `weights.safetensors`: all variables by name, floats as float32, as PyTorch lays them out.

use crate::files::write_whole;
use crate::kernels::named_tensors::assign;
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

/// Writes all variables with `metadata`: floats as float32, integers as they are. The same values give the same bytes.
///
/// # Errors
/// The file cannot be written.
pub fn save_weights(path: &Path, variables: &VarStore, metadata: &[(&str, &str)]) -> Result<()> {
    let as_saved = |(name, tensor): (String, Tensor)| {
        let tensor = tensor.f_detach()?;
        Ok((name, if tensor.f_is_floating_point()? { tensor.f_to_kind(Kind::Float)? } else { tensor }))
    };
    let tensors: BTreeMap<String, Tensor> =
        variables.variables().into_iter().map(as_saved).collect::<Result<_>>()?;
    write_whole(path, &safetensors_bytes(&tensors, metadata)?)
}

/// The format (<https://huggingface.co/docs/safetensors>): the length of the header, the header as JSON, the
/// values, all little-endian. Written here because the format's own crate writes the metadata in another
/// order in every run.
pub(super) fn safetensors_bytes(
    tensors: &BTreeMap<String, Tensor>,
    metadata: &[(&str, &str)],
) -> Result<Vec<u8>> {
    const ALIGNMENT: usize = 8;
    let mut header = Map::new();
    let texts = metadata.iter().map(|&(name, text)| (name.to_string(), text.into()));
    header.insert("__metadata__".to_string(), Value::Object(texts.collect()));
    let mut bytes = Vec::new();
    for (name, tensor) in tensors {
        let start = bytes.len();
        let flat = tensor.f_detach()?.f_to_device(Device::Cpu)?.f_reshape([-1])?;
        let kind = match flat.kind() {
            Kind::Float => "F32",
            Kind::Double => "F64",
            Kind::Half => "F16",
            Kind::BFloat16 => "BF16",
            Kind::Int64 => "I64",
            Kind::Int => "I32",
            Kind::Int16 => "I16",
            Kind::Int8 => "I8",
            Kind::Uint8 => "U8",
            Kind::Bool => "BOOL",
            other => bail!("{name} is {other:?}, which cannot be saved"),
        };
        append(&mut bytes, &flat)?;
        let entry = json!({ "dtype": kind, "shape": tensor.size(), "data_offsets": [start, bytes.len()] });
        header.insert(name.clone(), entry);
    }
    let mut header = serde_json::to_vec(&header)?;
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    Ok([&(header.len() as u64).to_le_bytes(), header.as_slice(), &bytes].concat())
}

/// Appends the values of a tensor, which are little-endian where libtorch runs.
fn append(bytes: &mut Vec<u8>, flat: &Tensor) -> Result<()> {
    let (start, count) = (bytes.len(), flat.numel());
    bytes.resize(start + count * flat.kind().elt_size_in_bytes(), 0);
    Ok(flat.f_copy_data_u8(&mut bytes[start..], count)?)
}

/// Gives all variables the values of a file. Nothing changes unless every one fits.
///
/// # Errors
/// A file that cannot be read; a variable that is missing there or has another shape; one too many.
pub fn load_weights(path: &Path, variables: &VarStore) -> Result<()> {
    let in_file = || path.display().to_string();
    let read = Tensor::read_safetensors(path)
        .with_context(|| format!("cannot read the weights in {}", path.display()))?;
    let values: BTreeMap<String, Tensor> = read.into_iter().collect();
    let variables = variables.variables();
    if let Some(name) = values.keys().find(|name| !variables.contains_key(*name)) {
        // A missing variable is the more telling fault, if there are both.
        if variables.keys().all(|name| values.contains_key(name)) {
            bail!("{}: the model does not have its tensor {name}", path.display());
        }
    }
    assign(variables, &values).with_context(in_file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn;

    fn store(outputs: i64, name: &str) -> VarStore {
        let store = VarStore::new(Device::Cpu);
        nn::linear(&store.root() / name, 3, outputs, Default::default());
        store
    }

    #[test]
    fn saved_weights_load_into_an_equal_model_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        let saved = store(2, "dense_1");
        save_weights(&path, &saved, &[("format", "pt")]).unwrap();
        let loaded = store(2, "dense_1");
        load_weights(&path, &loaded).unwrap();
        for (name, value) in saved.variables() {
            assert_eq!(loaded.variables()[&name], value, "{name}");
        }
        let fault = |store: &VarStore| format!("{:#}", load_weights(&path, store).unwrap_err());
        assert!(fault(&store(4, "dense_1")).contains("has the shape"));
        assert!(fault(&store(2, "dense_2")).contains("there is no tensor dense_2."));
        assert!(fault(&VarStore::new(Device::Cpu)).contains("does not have its tensor dense_1.bias"));
    }

    #[test]
    fn the_same_weights_give_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(2, "dense_1");
        let bytes = |name: &str| {
            let path = folder.path().join(name);
            save_weights(&path, &store, &[("format", "pt"), ("layers", "dense 2"), ("a", "b")]).unwrap();
            std::fs::read(path).unwrap()
        };
        assert_eq!(bytes("a"), bytes("b"));
    }

    #[test]
    fn a_damaged_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("weights.safetensors");
        for bytes in [&b""[..], b"garbage", &[0xff; 64]] {
            std::fs::write(&path, bytes).unwrap();
            let fault = format!("{:#}", load_weights(&path, &store(2, "dense_1")).unwrap_err());
            assert!(fault.contains("weights.safetensors"), "{fault}");
        }
    }
}
