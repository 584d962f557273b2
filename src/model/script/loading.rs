//! A TorchScript file loaded by libtorch, with its tensors as variables.

use super::code;
use super::preparation::by_pixels;
use crate::kernels::script::archive::Archive;
use crate::kernels::script::torch_fault;
use crate::kernels::script::unpickle::StoredTensor;
use anyhow::{Result, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use tch::nn::VarStore;
use tch::{CModule, Device, Kind, Tensor};

/// The module of a file, with its buffers as parameters.
pub fn load_module<'a>(
    entries: impl Iterator<Item = (&'a str, &'a [u8])>,
    device: Device,
) -> Result<CModule> {
    // The profiling executor computes other bits once it knows a network, and a resumed training would not know
    // it yet. Fused operators compute other bits than the layers.
    tch::jit::set_profiling_mode(false);
    tch::jit::set_tensor_expr_fuser_enabled(false);
    let mut archive = Archive::new();
    for (name, content) in entries {
        if name.starts_with("code/") && name.ends_with(".py") {
            let text = std::str::from_utf8(content)?;
            archive.put(name, code::with_buffers_as_parameters(text).as_bytes())?;
        } else if !name.ends_with(".debug_pkl") {
            archive.put(name, content)?;
        }
    }
    let module = CModule::load_data_on_device(&mut Cursor::new(archive.close()?), device);
    module.map_err(|fault| torch_fault(&fault).context("cannot be loaded as TorchScript"))
}

/// Makes the tensors of a module variables of a store.
pub fn adopt(
    live: Vec<(String, Tensor)>,
    stored: &BTreeMap<String, &StoredTensor>,
    variables: &VarStore,
) -> Result<()> {
    let mut places = BTreeSet::new();
    let _no_gradient = tch::no_grad_guard();
    for (name, mut tensor) in live {
        ensure!(stored.contains_key(&name), "has a tensor {name} that its pickle does not have");
        let kind = tensor.kind();
        ensure!(
            kind == Kind::Float || !tensor.requires_grad(),
            "{name} is {kind:?}; networks are trained in float32: call .float() before torch.jit.save"
        );
        // Tied weights are one variable under several names.
        let is_first = places.insert(tensor.data_ptr() as usize) || tensor.numel() == 0;
        if tensor.dim() == 4 && is_first {
            let by_pixels = by_pixels(&tensor.f_detach()?)?;
            tensor.f_set_data(&by_pixels)?;
            places.insert(tensor.data_ptr() as usize);
        }
        let (modules, field) = name.rsplit_once('.').unwrap_or(("", &name));
        let root = variables.root();
        let path =
            modules.split('.').filter(|module| !module.is_empty()).fold(root, |path, name| path / name);
        let is_trained = is_first && tensor.requires_grad();
        let _ = path.add(field, tensor, is_trained);
    }
    Ok(())
}
