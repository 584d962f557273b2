//! Evaluation: one pass in evaluation mode, without gradients. It must not know which set it is given.

use super::evaluation_batch_size;
use crate::data::Samples;
use crate::metrics::{Loss, Metric, RunningMeans};
use anyhow::{Result, ensure};
use tch::nn::ModuleT;
use tch::{Device, Kind, Tensor};

/// What a classifier does on a set.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Evaluation {
    /// The mean cross-entropy, in nats.
    pub loss: f64,
    /// The share of samples classified rightly.
    pub accuracy: f64,
    /// The class given to each sample.
    pub predictions: Vec<i64>,
    /// How probable that class was, to the model.
    pub confidences: Vec<f64>,
}

/// Evaluates a classifier on all samples, with the batches that [`Fit`](super::Fit) uses for validation
/// at the same `batch_size`.
///
/// # Errors
/// No samples, or a fault of the device.
pub fn evaluate(model: &dyn ModuleT, samples: &Samples, batch_size: usize) -> Result<Evaluation> {
    let (loss, metrics) = (Loss::cross_entropy(), [Metric::accuracy()]);
    let (mut predictions, mut confidences) = (Vec::new(), Vec::new());
    let keep = |logits: &Tensor| {
        predictions.push(logits.argmax(-1, false));
        confidences.push(logits.softmax(-1, Kind::Double).amax(-1, false));
    };
    let means = evaluate_samples(model, samples, &loss, &metrics, evaluation_batch_size(batch_size), keep)?;
    let whole = |parts: &[Tensor]| Ok::<_, tch::TchError>(Tensor::f_cat(parts, 0)?.to_device(Device::Cpu));
    Ok(Evaluation {
        loss: means[0],
        accuracy: means[1],
        predictions: Vec::try_from(&whole(&predictions)?)?,
        confidences: Vec::try_from(&whole(&confidences)?)?,
    })
}

/// The means of the loss and the metrics over all samples; `each` is shown the outputs of every batch.
pub(super) fn evaluate_samples(
    model: &dyn ModuleT,
    samples: &Samples,
    loss: &Loss,
    metrics: &[Metric],
    batch_size: usize,
    mut each: impl FnMut(&Tensor),
) -> Result<Vec<f64>> {
    ensure!(!samples.is_empty(), "there are no samples to evaluate");
    let _no_gradient = tch::no_grad_guard();
    let mut means = RunningMeans::new(1 + metrics.len(), samples.device())?;
    for batch in samples.batches(batch_size)? {
        let batch = batch?;
        let outputs = model.forward_t(&batch.inputs, false);
        let value = loss.call(&outputs, &batch.targets);
        means.add(&value, metrics, &outputs, &batch.targets, batch.size)?;
        each(&outputs);
    }
    means.read()
}
