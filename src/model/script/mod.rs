//! Networks that other programs made: TorchScript modules. Their code computes and autograd differentiates;
//! their tensors, buffers included, are variables of ours, so that checkpoints, best weights and exports have
//! them under the names that PyTorch gives them.
//!
//! tch reaches a module's parameters but not its buffers. So a file is loaded from a copy in which the buffers
//! are declared as parameters; an exported model has its code as it was.

mod code;
mod fault;
mod preparation;
mod tree;

pub use fault::ScriptFault;
pub use preparation::{Preparation, by_pixels};

use super::outline::OutlineRow;
use crate::kernels::script::archive::Archive;
use crate::kernels::script::file::ScriptFile;
use crate::kernels::script::message_line;
use crate::kernels::script::unpickle::StoredTensor;
use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use tch::nn::VarStore;
use tch::{CModule, Device, IValue, Kind, Tensor};
use tree::Tree;

/// False in a pickle.
const FALSE: u8 = 0x89;

/// Sizes of images that networks are made for, the commonest first.
const COMMON_SIZES: [i64; 12] = [224, 32, 64, 28, 299, 256, 384, 128, 96, 160, 192, 512];

/// A module with its mode, which is changed only where it must be: that walks all of the module.
struct Switched {
    module: CModule,
    is_training: Option<bool>,
}

/// A TorchScript module that classifies.
pub struct ScriptNetwork {
    module: RefCell<Switched>,
    tree: Tree,
    /// Of a network's file: all but what the variables hold, by name.
    entries: Vec<(String, Vec<u8>)>,
    digest: String,
    preparation: Preparation,
    sample_shape: Vec<i64>,
    classes: i64,
    /// Whether its code normalises batches, which libtorch refuses for one value a channel.
    normalizes_batches: bool,
    /// Whether images are given to it with their channels side by side in memory.
    takes_pixels: bool,
    notes: Vec<String>,
    warnings: Vec<String>,
}

impl std::fmt::Debug for ScriptNetwork {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(out, "ScriptNetwork({})", self.tree.root.class)
    }
}

impl ScriptNetwork {
    /// Loads a file, puts its tensors into the store and tries it with samples of that shape.
    ///
    /// # Errors
    /// A file that is not TorchScript, a [`ScriptFault`], operators that this libtorch does not have.
    pub fn load(
        bytes: Vec<u8>,
        sample_shape: &[i64],
        classes: usize,
        variables: &VarStore,
    ) -> Result<ScriptNetwork> {
        let digest = digest(&bytes);
        let file = ScriptFile::of(bytes)?;
        ensure!(file.get("extra/fitch.json").is_none(), ScriptFault::ExportedHere);
        let tree = Tree::of(&file)?;
        let mut warnings = Vec::new();
        let (mut normalizes_batches, mut assigned) = (false, BTreeSet::new());
        for (_, text) in file.code() {
            let text = std::str::from_utf8(text)?;
            normalizes_batches |= text.contains("batch_norm(");
            assigned.extend(code::assigned(text).into_iter().map(str::to_string));
        }
        let tensors = tree.root.tensors();
        let is_field = |name: &String| assigned.contains(name.rsplit('.').next().unwrap_or_default());
        if let Some(name) = tensors.keys().find(|name| is_field(name)) {
            bail!(
                "puts a new tensor in the place of {name} while it computes, so that its state cannot be kept: \
                 let it change the tensor in place (copy_)"
            );
        }
        if let Some(name) = assigned.first() {
            warnings.push(format!(
                "the network keeps a value of its own, {name}, which checkpoints do not have: a training that is \
                 resumed may not be the same"
            ));
        }
        let module = load_module(&file, variables.device())?;
        let live = module.named_parameters().map_err(|fault| torch_fault(&fault.to_string()))?;
        adopt(live, &tensors, variables)?;
        ensure!(!variables.trainable_variables().is_empty(), ScriptFault::NoParameters);
        let entries = kept_entries(&file, &tensors);
        let takes_pixels = tensors.values().any(|tensor| tensor.size.len() == 4);
        let mut network = ScriptNetwork {
            module: RefCell::new(Switched { module, is_training: None }),
            tree,
            entries,
            digest,
            preparation: Preparation { channels: None },
            sample_shape: sample_shape.to_vec(),
            classes: classes as i64,
            normalizes_batches,
            takes_pixels,
            notes: Vec::new(),
            warnings,
        };
        network.fit_to(sample_shape, variables)?;
        Ok(network)
    }

    /// What users should know about it.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// What is probably wrong with it.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The SHA-256 of its file, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The class of the module: `ResNet`.
    pub fn type_name(&self) -> &str {
        self.tree.root.type_name()
    }

    /// Its modules, and the shape that it takes.
    pub fn rows(&self) -> (Vec<i64>, Vec<OutlineRow>) {
        (self.preparation.shape(&self.sample_shape), self.tree.root.rows())
    }

    /// The outputs [n, classes] for samples [n, ...], float32.
    ///
    /// # Errors
    /// libtorch's refusal.
    pub fn forward(&self, samples: &Tensor, train: bool) -> Result<Tensor> {
        // As in Keras, a single sample is normalised by its own values; libtorch does so only for two.
        let is_single = train && self.normalizes_batches && samples.size().first() == Some(&1);
        let samples = match is_single {
            true => Tensor::f_cat(&[samples, samples], 0)?,
            false => samples.shallow_clone(),
        };
        let prepared = self.preparation.apply(&samples)?;
        let prepared = if self.takes_pixels { by_pixels(&prepared)? } else { prepared };
        let outputs = match self.call(&prepared, train)? {
            IValue::Tensor(outputs) => outputs,
            other => bail!(ScriptFault::OtherOutput(described(&other))),
        };
        Ok(if is_single { outputs.f_narrow(0, 0, 1)? } else { outputs })
    }

    fn call(&self, inputs: &Tensor, train: bool) -> Result<IValue> {
        let mut switched = self.module.borrow_mut();
        if switched.is_training != Some(train) {
            match train {
                true => switched.module.f_set_train()?,
                false => switched.module.f_set_eval()?,
            }
            switched.is_training = Some(train);
        }
        let output = switched.module.forward_is(&[IValue::Tensor(inputs.shallow_clone())]);
        output.map_err(|fault| torch_fault(&fault.to_string()))
    }

    /// How many samples it computes at once when it keeps nothing for gradients.
    pub fn samples_at_once(&self, device: Device) -> i64 {
        samples_of_unknown_width(&self.preparation.shape(&self.sample_shape), device)
    }

    /// What an exported model is made of: the class of the network, its pickled object in evaluation mode, its
    /// other files with the values that the variables have now.
    ///
    /// # Errors
    /// Variables that were changed to another kind or shape.
    pub fn parts(&self, variables: &VarStore) -> Result<ScriptParts> {
        let mut pickle = Vec::new();
        let mut files = Vec::new();
        for (name, content) in &self.entries {
            match name.as_str() {
                "data.pkl" => pickle = content.clone(),
                _ => files.push((name.clone(), content.clone())),
            }
        }
        for &place in &self.tree.training_flags {
            if let Some(flag) = pickle.get_mut(place) {
                *flag = FALSE;
            }
        }
        let values = variables.variables();
        let mut storages: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for (name, stored) in self.tree.root.tensors() {
            let value = values.get(&name).with_context(|| format!("there is no variable {name}"))?;
            let file = format!("data/{}", stored.storage);
            let kept = || files.iter().find(|(known, _)| *known == file).map(|(_, content)| content.clone());
            let storage = storages.entry(file.clone()).or_insert_with(|| kept().unwrap_or_default());
            write_into(storage, stored, value).with_context(|| name.clone())?;
        }
        files.retain(|(name, _)| !storages.contains_key(name));
        files.extend(storages);
        let weight = Some(self.weight()?);
        Ok(ScriptParts {
            class: self.tree.root.class.clone(),
            pickle,
            files,
            weight,
            preparation: self.preparation,
            digest: self.digest.clone(),
        })
    }

    /// The expression of a weight of the network, which is `self.network`.
    fn weight(&self) -> Result<String> {
        let tensors = self.tree.root.tensors();
        let first = tensors.iter().find(|(_, tensor)| tensor.kind == Kind::Float);
        let (name, _) = first.context("has no float32 tensor")?;
        let path = name.split('.').fold("self.network".to_string(), |of, field| {
            // Fields with numbers for names are no words of the language.
            format!("getattr({of}, \"{field}\")")
        });
        // Fields of libtorch's own modules may be optional.
        Ok(format!("unchecked_cast(Tensor, {path})"))
    }

    /// Finds out how samples are given to it, and that it gives what it should.
    fn fit_to(&mut self, sample_shape: &[i64], variables: &VarStore) -> Result<()> {
        let _no_gradient = tch::no_grad_guard();
        let device = variables.device();
        let ways: &[Option<i64>] = if sample_shape.len() == 2 { &[Some(1), Some(3)] } else { &[None] };
        let mut refusal = None;
        for &channels in ways {
            self.preparation = Preparation { channels };
            match self.forward(&trial(sample_shape, device)?, false) {
                Ok(outputs) => {
                    self.check_outputs(&outputs)?;
                    if channels == Some(3) {
                        self.notes.push(
                            "the network takes three channels: grey is given to all of them".to_string(),
                        );
                    }
                    return self.try_training(sample_shape, variables);
                }
                Err(fault) if fault.is::<ScriptFault>() => return Err(fault),
                Err(fault) => refusal = refusal.or(Some(fault)),
            }
        }
        let given = Preparation { channels: ways[0] }.shape(sample_shape);
        let fault = ScriptFault::OtherSamples { takes: self.taken(&given, device), given };
        Err(refusal.unwrap_or_else(|| anyhow!("libtorch refuses")).context(fault))
    }

    /// A shape of images that the network takes.
    fn taken(&self, given: &[i64], device: Device) -> Option<Vec<i64>> {
        let [channels, height, width] = *given else { return None };
        let mut channel_counts = vec![channels, 3, 1];
        channel_counts.dedup();
        let sizes = std::iter::once([height, width]).chain(COMMON_SIZES.map(|side| [side, side]));
        for [height, width] in sizes {
            for &channels in &channel_counts {
                let shape = vec![channels, height, width];
                let taken = trial(&shape, device).and_then(|images| self.call(&images, false));
                if taken.is_ok() {
                    return Some(shape);
                }
            }
        }
        None
    }

    fn check_outputs(&mut self, outputs: &Tensor) -> Result<()> {
        let (size, kind) = (outputs.size(), outputs.kind());
        let [2, gives] = size[..] else {
            bail!(ScriptFault::OtherOutput(described(&IValue::Tensor(outputs.shallow_clone()))))
        };
        ensure!(
            kind == Kind::Float,
            ScriptFault::OtherOutput(described(&IValue::Tensor(outputs.shallow_clone())))
        );
        let classes = self.classes;
        ensure!(gives == classes, ScriptFault::OtherClasses { gives, classes });
        let sums = Vec::<f32>::try_from(outputs.f_sum_dim_intlist(-1, false, Kind::Float)?)?;
        let lowest = f64::try_from(outputs.f_min()?)?;
        if classes > 1 && lowest >= 0.0 && sums.iter().all(|sum| (sum - 1.0).abs() < 1e-4) {
            self.warnings.push(
                "the network seems to give probabilities: its outputs sum to 1. Training takes them for logits and \
                 learns slowly; leave softmax out of its forward"
                    .to_string(),
            );
        }
        Ok(())
    }

    /// A batch of two in training mode; the buffers stay as they are.
    fn try_training(&self, sample_shape: &[i64], variables: &VarStore) -> Result<()> {
        let kept = variables.variables().into_values().filter(|tensor| !tensor.requires_grad());
        let kept: Vec<(Tensor, Tensor)> = kept.map(|tensor| (tensor.copy(), tensor)).collect();
        let outputs = self.forward(&trial(sample_shape, variables.device())?, true);
        for (before, mut tensor) in kept {
            tensor.f_copy_(&before)?;
        }
        let outputs = outputs.context("in training mode")?;
        ensure!(
            outputs.size() == [2, self.classes],
            ScriptFault::OtherOutput(format!("float {:?} in training mode", outputs.size()))
        );
        Ok(())
    }
}

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
    Ok(ScriptParts {
        class,
        pickle,
        files,
        weight: None,
        preparation: Preparation { channels: None },
        digest,
    })
}

/// The SHA-256 of bytes, in hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// How many samples of a shape to compute at once where the widths of the layers are not known; they are rarely
/// more than sixteen times that of an image.
pub fn samples_of_unknown_width(sample_shape: &[i64], device: Device) -> i64 {
    let values = if device == Device::Cpu { 2 << 20 } else { 16 << 20 };
    (values / sample_shape.iter().product::<i64>().max(1)).max(1)
}

/// Writes the values of a tensor to their places in a storage, which grows to hold them.
fn write_into(storage: &mut Vec<u8>, stored: &StoredTensor, value: &Tensor) -> Result<()> {
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

/// Two samples that are not alike.
fn trial(sample_shape: &[i64], device: Device) -> Result<Tensor> {
    let shape = [&[2][..], sample_shape].concat();
    let count = shape.iter().product::<i64>();
    let values = Tensor::f_arange(count, (Kind::Float, device))?.f_sin()?.f_abs()?;
    Ok(values.f_view(shape.as_slice())?)
}

fn described(value: &IValue) -> String {
    match value {
        IValue::Tensor(tensor) => format!("{:?} {:?}", tensor.kind(), tensor.size()).to_lowercase(),
        IValue::Tuple(_) => "a tuple".to_string(),
        IValue::GenericDict(_) => "a dictionary".to_string(),
        IValue::TensorList(_) | IValue::GenericList(_) => "a list".to_string(),
        _ => "no tensor".to_string(),
    }
}

fn torch_fault(message: &str) -> Error {
    anyhow!("libtorch: {}", message_line(message))
}

/// The module of a file, with its buffers as parameters.
fn load_module(file: &ScriptFile, device: Device) -> Result<CModule> {
    // The profiling executor computes other bits once it knows a network, and a resumed training would not know
    // it yet. Fused operators compute other bits than the layers.
    tch::jit::set_profiling_mode(false);
    tch::jit::set_tensor_expr_fuser_enabled(false);
    let mut archive = Archive::new();
    for (name, content) in file.entries() {
        if name.starts_with("code/") && name.ends_with(".py") {
            let text = std::str::from_utf8(content)?;
            archive.put(name, code::with_buffers_as_parameters(text).as_bytes())?;
        } else if !name.ends_with(".debug_pkl") {
            archive.put(name, content)?;
        }
    }
    let module = CModule::load_data_on_device(&mut Cursor::new(archive.close()?), device);
    module.map_err(|fault| torch_fault(&fault.to_string()).context("cannot be loaded as TorchScript"))
}

/// Makes the tensors of a module variables of a store.
fn adopt(
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

/// What of a file the variables do not hold: code, constants, tensors that are neither parameters nor buffers.
fn kept_entries(file: &ScriptFile, tensors: &BTreeMap<String, &StoredTensor>) -> Vec<(String, Vec<u8>)> {
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

#[cfg(test)]
mod tests;
