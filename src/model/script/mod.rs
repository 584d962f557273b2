//! Networks that other programs made: TorchScript modules. Their code computes and autograd differentiates;
//! their tensors, buffers included, are variables of ours, so that checkpoints, best weights and exports have
//! them under the names that PyTorch gives them.
//!
//! tch reaches a module's parameters but not its buffers. So a file is loaded from a copy in which the buffers
//! are declared as parameters; an exported model has its code as it was.

mod code;
mod fault;
mod loading;
mod parts;
mod preparation;
mod tree;

pub use fault::ScriptFault;
pub use parts::{ScriptParts, traced_parts};
pub use preparation::Preparation;

use super::freezing;
use super::normalization::Normalization;
use super::outline::OutlineRow;
use crate::kernels::script::file::{ScriptFile, digest};
use crate::kernels::script::torch_fault;
use anyhow::{Context, Result, anyhow, bail, ensure};
use loading::{adopt, load_module};
use parts::kept_entries;
use std::cell::RefCell;
use std::collections::BTreeSet;
use tch::nn::VarStore;
use tch::{CModule, Device, IValue, Kind, TchError, Tensor};
use tree::Tree;

/// True in a pickle.
const TRUE: u8 = 0x88;

/// Sizes of images that networks are made for, the commonest first.
const COMMON_SIZES: [i64; 12] = [224, 32, 64, 28, 299, 256, 384, 128, 96, 160, 192, 512];

/// A module with its mode, which is changed only where it must be: that walks all of the module.
struct Switched {
    module: CModule,
    is_training: Option<bool>,
    /// If some modules stay in evaluation while the others train, the mode of `module` is never changed, and this is
    /// another one over the same values for evaluation.
    evaluation: Option<CModule>,
}

/// A TorchScript module that classifies.
pub struct ScriptNetwork {
    module: RefCell<Switched>,
    tree: Tree,
    /// The names of the parameters that are not trained though they could be.
    frozen: BTreeSet<String>,
    /// Of a network's file: all but what the variables hold, by name.
    entries: Vec<(String, Vec<u8>)>,
    digest: String,
    preparation: Preparation,
    sample_shape: Vec<i64>,
    classes: i64,
    /// Whether its code normalises batches, which libtorch refuses for one value a channel.
    normalizes_batches: bool,
    /// Whether it has weights of four dimensions, as convolutions of images have.
    has_convolutions: bool,
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
        let module = load_module(file.entries(), variables.device())?;
        let live = module.named_parameters().map_err(|fault| torch_fault(&fault))?;
        adopt(live, &tensors, variables)?;
        ensure!(!variables.trainable_variables().is_empty(), ScriptFault::NoParameters);
        let entries = kept_entries(&file, &tensors);
        let has_convolutions = tensors.values().any(|tensor| tensor.size.len() == 4);
        let mut network = ScriptNetwork {
            module: RefCell::new(Switched { module, is_training: None, evaluation: None }),
            tree,
            frozen: BTreeSet::new(),
            entries,
            digest,
            preparation: Preparation::default(),
            sample_shape: sample_shape.to_vec(),
            classes: classes as i64,
            normalizes_batches,
            has_convolutions,
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
        let outputs = match self.call(&prepared, train)? {
            IValue::Tensor(outputs) => outputs,
            other => bail!(ScriptFault::OtherOutput(described(&other))),
        };
        Ok(if is_single { outputs.f_narrow(0, 0, 1)? } else { outputs })
    }

    fn call(&self, inputs: &Tensor, train: bool) -> Result<IValue> {
        let mut switched = self.module.borrow_mut();
        let inputs = [IValue::Tensor(inputs.shallow_clone())];
        let fault = |fault: TchError| torch_fault(&fault);
        if let Some(evaluation) = &switched.evaluation {
            let module = if train { &switched.module } else { evaluation };
            return module.forward_is(&inputs).map_err(fault);
        }
        if switched.is_training != Some(train) {
            match train {
                true => switched.module.f_set_train()?,
                false => switched.module.f_set_eval()?,
            }
            switched.is_training = Some(train);
        }
        switched.module.forward_is(&inputs).map_err(fault)
    }

    /// The shape of a sample before it is prepared.
    pub fn sample_shape(&self) -> &[i64] {
        &self.sample_shape
    }

    /// How channels are normalised before the network.
    pub fn normalization(&self) -> Option<&Normalization> {
        self.preparation.normalization.as_ref()
    }

    /// Normalises channels so.
    pub fn set_normalization(&mut self, normalization: Normalization) {
        self.preparation.normalization = Some(normalization);
    }

    /// Freezes the parameters that patterns name. If batches are normalised by some modules that are frozen, the
    /// network is loaded anew, so that these stay in evaluation: `variables` are others then, with the same values.
    ///
    /// # Errors
    /// A pattern that names no parameter; nothing left to train.
    pub fn freeze(&mut self, patterns: &str, variables: &mut VarStore) -> Result<()> {
        let built = variables.variables();
        let is_parameter = |name: &str| {
            self.frozen.contains(name) || built.get(name).is_some_and(|variable| variable.requires_grad())
        };
        let mut names = self.tree.root.names("");
        names.retain(|name| is_parameter(name));
        let mut frozen = freezing::frozen(patterns, &names)?;
        frozen.extend(self.frozen.iter().cloned());
        let is_frozen = |name: &str| is_parameter(name).then(|| frozen.contains(name));
        let flags = self.tree.root.frozen_flags("", false, &is_frozen);
        if self.normalizes_batches && !flags.is_empty() {
            let fresh = VarStore::new(variables.device());
            let switched = self.loaded_with(&flags, variables, &fresh)?;
            self.module = RefCell::new(switched);
            *variables = fresh;
        }
        let built = variables.variables();
        for variable in frozen.iter().filter_map(|name| built.get(name)) {
            let _ = variable.set_requires_grad(false);
        }
        self.frozen = frozen;
        Ok(())
    }

    /// The network with its values, loaded anew: one for training, in which the modules with those flags are in
    /// evaluation, and one in evaluation as a whole.
    fn loaded_with(&self, flags: &[usize], variables: &VarStore, fresh: &VarStore) -> Result<Switched> {
        let ScriptParts { mut pickle, files, .. } = self.parts(variables)?;
        let load = |pickle: &[u8]| {
            let files = files.iter().map(|(name, content)| (name.as_str(), content.as_slice()));
            load_module(std::iter::once(("data.pkl", pickle)).chain(files), variables.device())
        };
        let tensors_of = |module: &CModule| module.named_parameters().map_err(|fault| torch_fault(&fault));
        let evaluation = load(&pickle)?;
        for place in self.tree.training_flags.iter().filter(|place| !flags.contains(place)) {
            if let Some(flag) = pickle.get_mut(*place) {
                *flag = TRUE;
            }
        }
        let module = load(&pickle)?;
        adopt(tensors_of(&module)?, &self.tree.root.tensors(), fresh)?;
        let values = fresh.variables();
        for (name, mut tensor) in tensors_of(&evaluation)? {
            let value = values.get(&name).with_context(|| format!("there is no variable {name}"))?;
            tensor.f_set_data(&value.f_detach()?)?;
        }
        Ok(Switched { module, is_training: None, evaluation: Some(evaluation) })
    }

    /// How many samples it computes at once when it keeps nothing for gradients.
    pub fn samples_at_once(&self, device: Device) -> i64 {
        samples_of_unknown_width(&self.sample_shape, device)
    }

    /// What an exported model is made of, with the values that the variables have now.
    ///
    /// # Errors
    /// Variables that were changed to another kind or shape.
    pub fn parts(&self, variables: &VarStore) -> Result<ScriptParts> {
        ScriptParts::of(&self.tree, &self.entries, variables, self.preparation.clone(), &self.digest)
    }

    /// Finds out how samples are given to it, and that it gives what it should.
    fn fit_to(&mut self, sample_shape: &[i64], variables: &VarStore) -> Result<()> {
        let _no_gradient = tch::no_grad_guard();
        let device = variables.device();
        let ways: &[Option<i64>] = if sample_shape.len() == 2 { &[Some(1), Some(3)] } else { &[None] };
        let mut refusal = None;
        for &channels in ways {
            self.preparation = Preparation { channels, ..Preparation::default() };
            let takes_images = self.preparation.shape(sample_shape).len() == 3;
            self.preparation.by_pixels = self.has_convolutions && takes_images;
            match self.forward(&trial_samples(2, sample_shape, device)?, false) {
                Ok(outputs) => {
                    self.check_outputs(&outputs)?;
                    self.check_evaluation(&outputs, sample_shape, device)?;
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
        let given = Preparation { channels: ways[0], ..Preparation::default() }.shape(sample_shape);
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
                let taken = trial_samples(2, &shape, device).and_then(|images| self.call(&images, false));
                // A layer that takes any size, given anything else, gives no row for each sample.
                if taken
                    .is_ok_and(|outputs| !matches!(outputs, IValue::Tensor(outputs) if outputs.dim() != 2))
                {
                    return Some(shape);
                }
            }
        }
        None
    }

    fn check_outputs(&mut self, outputs: &Tensor) -> Result<()> {
        let (size, kind) = (outputs.size(), outputs.kind());
        let other = || ScriptFault::OtherOutput(described(&IValue::Tensor(outputs.shallow_clone())));
        let [2, gives] = size[..] else { bail!(other()) };
        ensure!(kind == Kind::Float, other());
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

    /// What it gives for a sample in evaluation mode must not depend on chance or on the batch.
    fn check_evaluation(&self, outputs: &Tensor, sample_shape: &[i64], device: Device) -> Result<()> {
        // Dropout hardly treats eight samples alike.
        const COPIES: usize = 8;
        let first = trial_samples(1, sample_shape, device)?;
        let same = self.forward(&Tensor::f_cat(&[&first; COPIES], 0)?, false)?;
        let expected = outputs.f_narrow(0, 0, 1)?.f_expand_as(&same)?;
        let scale = f64::try_from(expected.f_abs()?.f_max()?)?.max(1.0);
        ensure!(same.f_allclose(&expected, 0.0, 1e-3 * scale, true)?, ScriptFault::AlwaysInTraining);
        Ok(())
    }

    /// A batch of two in training mode; the buffers stay as they are.
    fn try_training(&self, sample_shape: &[i64], variables: &VarStore) -> Result<()> {
        let kept = variables.variables().into_values().filter(|tensor| !tensor.requires_grad());
        let kept: Vec<(Tensor, Tensor)> = kept.map(|tensor| (tensor.copy(), tensor)).collect();
        let outputs = self.forward(&trial_samples(2, sample_shape, variables.device())?, true);
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

/// How many samples of a shape to compute at once where the widths of the layers are not known; they are rarely
/// more than sixteen times that of an image, a grey one taken for three channels.
pub fn samples_of_unknown_width(sample_shape: &[i64], device: Device) -> i64 {
    let values = if device == Device::Cpu { 2 << 20 } else { 16 << 20 };
    let channels = if sample_shape.len() == 2 { 3 } else { 1 };
    (values / (channels * sample_shape.iter().product::<i64>()).max(1)).max(1)
}

/// Samples of a shape that are not alike, from 0 to 1.
pub fn trial_samples(count: i64, sample_shape: &[i64], device: Device) -> Result<Tensor> {
    let shape = [&[count][..], sample_shape].concat();
    let values = Tensor::f_arange(shape.iter().product::<i64>(), (Kind::Float, device))?.f_sin()?.f_abs()?;
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

#[cfg(test)]
mod tests;
