//! Prediction: the outputs of a model for all samples.

use super::evaluate::within_memory;
use super::{evaluation_batch_size, fault, first_batch};
use crate::data::BatchSource;
use anyhow::{Result, ensure};
use tch::nn::ModuleT;
use tch::{Device, Tensor};

/// The outputs of a model in evaluation mode for a batch of inputs.
///
/// # Errors
/// Inputs that do not fit the model, or a fault of the device.
pub(crate) fn predict_batch(model: &dyn ModuleT, inputs: &Tensor) -> Result<Tensor> {
    fault::catch(|| first_batch::outputs(model, inputs))
}

/// The outputs [n, ...] of a model for all n samples, in their order, on the CPU: for a classifier its
/// logits. The model computes in evaluation mode, in batches of at least `batch_size` if memory allows, on the device of the
/// samples; their targets do not matter.
///
/// ```
/// use fitch::{data::Samples, train::predict};
/// use tch::{Device, Kind, Tensor, nn};
///
/// let variables = nn::VarStore::new(Device::Cpu);
/// let model = nn::linear(variables.root(), 2, 3, Default::default());
/// let inputs = Tensor::rand([5, 2], (Kind::Float, Device::Cpu));
/// let samples = Samples::new(&inputs, &Tensor::zeros([5], (Kind::Int64, Device::Cpu)))?;
/// let logits = predict(&model, &samples, 128)?;
/// assert_eq!(logits.size(), [5, 3]);
/// let probabilities = logits.softmax(-1, Kind::Float);
/// # Ok::<(), anyhow::Error>(())
/// ```
///
/// # Errors
/// No samples, samples that do not fit the model, or a fault of the device.
pub fn predict(model: &dyn ModuleT, source: &dyn BatchSource, batch_size: usize) -> Result<Tensor> {
    ensure!(!source.is_empty(), "there are no samples");
    let _no_gradient = tch::no_grad_guard();
    fault::catch(|| {
        let mut outputs = Vec::new();
        let batch_size = within_memory(source, evaluation_batch_size(batch_size))?;
        for batch in source.batches(batch_size)? {
            outputs.push(first_batch::outputs(model, &batch?.inputs)?.f_to_device(Device::Cpu)?);
        }
        Ok(Tensor::f_cat(&outputs, 0)?)
    })
}
