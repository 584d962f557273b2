//! The tensors in an archive of PyTorch's, TorchScript or what `torch.save` writes, read without running its code.

use super::file::ScriptFile;
use super::unpickle::{StoredTensor, Value, value};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use tch::{Device, Tensor};

/// One tensor under many names is still few names.
const MAX_NAMES: usize = 1 << 20;

/// The tensors of a file by the attributes and keys that lead to them, with dots between, on the CPU.
///
/// # Errors
/// A damaged file, or no such archive.
pub(crate) fn read_tensors(bytes: Vec<u8>) -> Result<BTreeMap<String, Tensor>> {
    let file = ScriptFile::archive(bytes)?;
    let pickle = file.get("data.pkl");
    let pickle =
        pickle.context("is a zip archive without data.pkl, not TorchScript and not of torch.save")?;
    let root = value(pickle).context("has a data.pkl that cannot be read")?;
    let mut found = BTreeMap::new();
    let mut open = vec![(String::new(), &root)];
    let mut count = 0;
    while let Some((name, value)) = open.pop() {
        count += 1;
        ensure!(count <= MAX_NAMES, "has more than {MAX_NAMES} values");
        let below = match value {
            Value::Tensor(tensor) => {
                let bytes = file.get(&format!("data/{}", tensor.storage));
                let bytes = bytes.with_context(|| format!("has no values of {name}"))?;
                let read =
                    read(tensor, bytes).with_context(|| format!("has a tensor {name} that cannot be"))?;
                found.insert(name, read);
                continue;
            }
            Value::Object(object) => &object.fields[..],
            Value::Dictionary(items) => &items[..],
            _ => continue,
        };
        let named = |key: &String| if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
        open.extend(below.iter().map(|(key, value)| (named(key), value)));
    }
    Ok(found)
}

/// The tensor over the values of its storage.
fn read(tensor: &StoredTensor, bytes: &[u8]) -> Result<Tensor> {
    let StoredTensor { kind, offset, size, stride, .. } = tensor;
    let count = (bytes.len() / kind.elt_size_in_bytes()) as i64;
    let mut steps = size.iter().zip(stride);
    let last =
        steps.try_fold(*offset, |sum, (size, stride)| sum.checked_add((size - 1).checked_mul(*stride)?));
    let values = size.iter().try_fold(1i64, |product, size| product.checked_mul(*size));
    if values == Some(0) {
        return Ok(Tensor::f_zeros(size.as_slice(), (*kind, Device::Cpu))?);
    }
    ensure!(
        values.is_some_and(|values| values <= count) && last.is_some_and(|last| last < count),
        "{size:?} values, {stride:?} apart, from {offset} on, of {count}"
    );
    let all = Tensor::f_from_data_size(bytes, &[count], *kind)?;
    Ok(all.f_as_strided(size.as_slice(), stride.as_slice(), *offset)?.f_contiguous()?)
}
