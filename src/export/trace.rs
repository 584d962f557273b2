//! Any tch module as a model file, by libtorch's tracing.

use super::{ModelCard, NetworkCard, script_network, verify_torchscript};
use crate::files::write_whole_with;
use crate::kernels::script::torch_fault;
use crate::model::{traced_parts, trial_samples};
use crate::train::predict_batch;
use anyhow::{Context, Result, ensure};
use std::io::Write;
use std::path::Path;
use tch::nn::{ModuleT, VarStore};
use tch::{CModule, Tensor};

/// Samples that are traced, and those that the file is then compared on: a module must not count on the first.
const TRACED: i64 = 2;
const COMPARED: i64 = 5;

/// Writes a module as a model file that `fitch predict` and `fitch evaluate` take, and any program with libtorch:
/// TorchScript that takes raw pixels and gives probabilities, with its card inside. In evaluation mode, the module
/// must turn float32 [n, ...], samples of the card's shape from 0 to 1, into logits [n, classes].
///
/// libtorch records what the module computes for two samples. The file gets its name only after it has given what
/// the module gives for five. The weights are constants in it: it can be used, but not trained.
///
/// ```
/// use fitch::data::ImageFit;
/// use fitch::export::{InputCard, ModelCard, ScriptModel, trace};
/// use tch::{Device, Kind, Tensor, nn};
///
/// # fn main() -> anyhow::Result<()> {
/// let variables = nn::VarStore::new(Device::Cpu);
/// let linear = nn::linear(variables.root(), 64, 3, Default::default());
/// let module = nn::seq_t().add_fn(|images| images.reshape([-1, 64])).add(linear);
/// let classes = ["cat", "dog", "owl"].map(str::to_string).to_vec();
/// let (shape, fit) = (vec![8, 8], ImageFit::Stretch);
/// let input = InputCard { shape, maximum: 255.0, border: 0.0, table: None, fit, normalization: None };
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("own.pt");
/// trace(&path, &module, &variables, &ModelCard::new(classes, input))?;
///
/// let model = ScriptModel::load(&path, Device::Cpu)?;
/// let pixels = Tensor::randint(256, [5, 8, 8], (Kind::Uint8, Device::Cpu));
/// assert_eq!(model.probabilities(&pixels)?.size(), [5, 3]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// A module that does not take such samples or gives something else, one that computes another thing for another
/// number of samples (sizes are recorded as numbers: `[-1, 64]`, not `[images.size()[0], 64]`), or a file that
/// cannot be written.
pub fn trace(path: &Path, module: &dyn ModuleT, variables: &VarStore, card: &ModelCard) -> Result<()> {
    let device = variables.device();
    let samples = |count| trial_samples(count, &card.input.shape, device);
    let _no_gradient = tch::no_grad_guard();
    // What does not fit ends here, not while libtorch records.
    let outputs = predict_batch(module, &samples(TRACED)?)?;
    let expected = [TRACED, card.classes.len() as i64];
    ensure!(
        outputs.size() == expected,
        "the module gives {:?} for {TRACED} samples, not {expected:?}",
        outputs.size()
    );
    let frozen = Frozen::of(variables)?;
    let mut refusal = None;
    // libtorch goes on recording until it has an output.
    let mut forward = |inputs: &[Tensor]| match predict_batch(module, &inputs[0]) {
        Ok(outputs) => vec![outputs],
        Err(fault) => {
            refusal = Some(fault);
            vec![inputs[0].shallow_clone()]
        }
    };
    let traced = CModule::create_by_tracing("Traced", "forward", &[samples(TRACED)?], &mut forward);
    if let Some(fault) = refusal {
        return Err(fault);
    }
    let traced = traced.map_err(|fault| torch_fault(&fault))?;
    let folder = tempfile::tempdir().context("cannot make a folder for the trace")?;
    let file = folder.path().join("traced.pt");
    // Constants are the variables themselves: they want no gradients until they are saved.
    traced.save(&file).context("cannot save the trace")?;
    drop(frozen);
    let parts = traced_parts(std::fs::read(&file)?)?;
    let network = NetworkCard { class: "Traced".to_string(), sha256: parts.digest.clone() };
    let card = ModelCard { network: Some(network), ..card.clone() };
    let archive = script_network::archive(&parts, &card)?;
    let compared = samples(COMPARED)?.f_mul_scalar(card.input.maximum)?;
    write_whole_with(path, |file| {
        file.write_all(&archive)?;
        verify_torchscript(file.path(), module, device, &compared).context(
            "the trace does not compute what the module does for another number of samples; the module may have \
             taken it as a number (size()) instead of -1",
        )
    })
}

/// Variables without gradients, which constants cannot have, until this is dropped.
struct Frozen(Vec<Tensor>);

impl Frozen {
    fn of(variables: &VarStore) -> Result<Frozen> {
        let trained: Vec<Tensor> =
            variables.variables().into_values().filter(|value| value.requires_grad()).collect();
        for value in &trained {
            let _ = value.f_set_requires_grad(false)?;
        }
        Ok(Frozen(trained))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        for value in &self.0 {
            let _ = value.f_set_requires_grad(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ImageFit;
    use crate::export::{InputCard, ScriptModel};
    use tch::{Device, Kind, nn};

    #[test]
    fn a_module_that_counts_on_its_first_batch_is_no_model_and_stays_as_it_was() {
        let variables = VarStore::new(Device::Cpu);
        let linear = || nn::linear(&variables.root() / "a", 64, 3, Default::default());
        let input = InputCard {
            shape: vec![8, 8],
            maximum: 255.0,
            border: 0.0,
            table: None,
            fit: ImageFit::Stretch,
            normalization: None,
        };
        let card = ModelCard::new(["cat", "dog", "owl"].map(str::to_string).to_vec(), input);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("own.pt");
        let fixed = nn::seq_t().add_fn(|images| images.reshape([images.size()[0], 64])).add(linear());
        let fault = format!("{:#}", trace(&path, &fixed, &variables, &card).unwrap_err());
        assert!(fault.contains("for another number of samples"), "{fault}");
        let refusing = nn::seq_t().add_fn(|images| images.reshape([-1, 60])).add(linear());
        assert!(trace(&path, &refusing, &variables, &card).is_err());
        assert!(!path.exists());

        let free = nn::seq_t().add_fn(|images| images.reshape([-1, 64])).add(linear());
        trace(&path, &free, &variables, &card).unwrap();
        assert!(variables.trainable_variables().iter().all(Tensor::requires_grad));
        let images = Tensor::rand([4, 8, 8], (Kind::Float, Device::Cpu));
        let found = ScriptModel::load(&path, Device::Cpu).unwrap().logits(&images).unwrap();
        assert!(found.allclose(&free.forward_t(&images, false), 1e-5, 1e-6, false));
    }
}
