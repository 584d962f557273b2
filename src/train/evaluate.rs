//! Evaluation: one pass over a set in evaluation mode, without gradients.

use super::batch_rows::BatchRows;
use super::{evaluation_batch_size, fault, first_batch};
use crate::data::BatchSource;
use crate::distributed::Group;
use crate::metrics::{Classification, Loss, Metric, RunningMeans, Sums};
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use tch::nn::ModuleT;
use tch::{Device, Kind, Tensor};

/// How a classifier does on a set.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Evaluation {
    /// The mean cross-entropy, in nats.
    pub loss: f64,
    /// The share of samples that are classified correctly.
    pub accuracy: f64,
    /// The predicted class of each sample.
    pub predictions: Vec<i64>,
    /// The probability that the model gives to that class.
    pub confidences: Vec<f64>,
    /// What every other metric follows from.
    pub classification: Classification,
}

/// Evaluates a classifier on all samples, on their device, in the batches that [`Fit`](super::Fit) uses for
/// validation at the same `batch_size`.
///
/// # Errors
/// No samples, samples that do not fit the model, or a fault of the device.
pub fn evaluate(model: &dyn ModuleT, source: &dyn BatchSource, batch_size: usize) -> Result<Evaluation> {
    evaluate_in(model, source, batch_size, &Group::alone())
}

/// As [`evaluate`], with the batches shared by the processes of a group, each of which has the same weights and
/// gets the same result.
///
/// # Errors
/// As there; a process that cannot be reached.
pub fn evaluate_in(
    model: &dyn ModuleT,
    source: &dyn BatchSource,
    batch_size: usize,
    group: &Group,
) -> Result<Evaluation> {
    let (loss, metrics) = (Loss::cross_entropy(), [Metric::accuracy()]);
    let mut classified = BatchRows::default();
    let keep = |logits: &Tensor, labels: &Tensor| {
        let columns = [
            logits.f_argmax(-1, true)?,
            logits.f_softmax(-1, Kind::Double)?.f_amax(-1, true)?,
            labels.f_unsqueeze(-1)?,
            logits.shallow_clone(),
        ];
        let columns = columns.iter().map(|column| column.f_to_kind(Kind::Double));
        classified.push(&Tensor::f_cat(&columns.collect::<Result<Vec<_>, _>>()?, 1)?)
    };
    let batch_size = within_memory(source, evaluation_batch_size(batch_size))?;
    let group = Some(group).filter(|group| group.size() > 1);
    let means = fault::catch(|| evaluate_batches(model, source, &loss, &metrics, batch_size, group, keep))?;
    let classified = classified.in_order(source.len(), batch_size, group)?.f_to_device(Device::Cpu)?;
    let column = |index| classified.f_select(1, index);
    let predictions = Vec::try_from(&column(0)?.f_to_kind(Kind::Int64)?)?;
    let confidences = Vec::try_from(&column(1)?)?;
    let logits = classified.f_narrow(1, 3, classified.size()[1] - 3)?;
    let classification = Classification::new(&logits, &column(2)?)?;
    group.map_or(Ok(()), Group::check)?;
    Ok(Evaluation { loss: means[0], accuracy: means[1], predictions, confidences, classification })
}

/// Evaluates any model: the means of a loss, as `loss`, and of metrics by their names over all samples, on
/// their device, in the batches that [`Fit`](super::Fit) uses for validation at the same `batch_size`.
///
/// # Errors
/// As [`evaluate`]; a metric that gives more than one value.
pub fn evaluate_with(
    model: &dyn ModuleT,
    source: &dyn BatchSource,
    loss: &Loss,
    metrics: &[Metric],
    batch_size: usize,
) -> Result<BTreeMap<String, f64>> {
    let batch_size = evaluation_batch_size(batch_size);
    let evaluate = || evaluate_batches(model, source, loss, metrics, batch_size, None, |_, _| Ok(()));
    let means = fault::catch(evaluate)?;
    let names = std::iter::once("loss").chain(metrics.iter().map(|metric| metric.name.as_str()));
    Ok(names.map(str::to_string).zip(means).collect())
}

/// A batch size of evaluation for inputs of any size: large images come in smaller batches.
pub(super) fn within_memory(source: &dyn BatchSource, batch_size: usize) -> Result<usize> {
    const MAX_INPUT_BYTES: usize = 32 << 20;
    let row_bytes = source.row_values()?.saturating_mul(size_of::<f32>());
    Ok(batch_size.min(MAX_INPUT_BYTES / row_bytes.max(1)).max(1))
}

/// The means of the loss and the metrics over all samples; `each` is given the outputs and targets of every batch.
/// The processes of a group share the batches and come to the same means, which do not depend on their number.
pub(super) fn evaluate_batches(
    model: &dyn ModuleT,
    source: &dyn BatchSource,
    loss: &Loss,
    metrics: &[Metric],
    batch_size: usize,
    group: Option<&Group>,
    mut each: impl FnMut(&Tensor, &Tensor) -> Result<()>,
) -> Result<Vec<f64>> {
    ensure!(!source.is_empty(), "there are no samples to evaluate");
    let _no_gradient = tch::no_grad_guard();
    let mut means = RunningMeans::new(metrics, source.device())?;
    let batch_size = within_memory(source, batch_size)?;
    let (rank, processes) = group.map_or((0, 1), |group| (group.rank(), group.size()));
    let needs_all = metrics.iter().any(Metric::is_of_epoch);
    let (mut all_outputs, mut all_targets) = (BatchRows::default(), BatchRows::default());
    let mut own = Vec::new();
    for batch in source.batches(batch_size)?.skip(rank).step_by(processes) {
        let batch = batch?;
        let outputs = first_batch::outputs(model, &batch.inputs)?;
        let value = loss.call(&outputs, &batch.targets);
        let sums = means.sums_of(&value, metrics, &outputs, &batch.targets, batch.size)?;
        match group {
            None => means.add_sums(sums, batch.size)?,
            Some(_) => own.push(sums.as_tensor()),
        }
        if needs_all {
            all_outputs.push(&outputs)?;
            all_targets.push(&batch.targets)?;
        }
        each(&outputs, &batch.targets)?;
    }
    if let Some(group) = group {
        let batches = source.len().div_ceil(batch_size);
        add_of_all(&mut means, own, batches, source.len(), group)?;
    }
    let mut values = means.read(metrics)?;
    if needs_all {
        let in_order = |rows: BatchRows| rows.in_order(source.len(), batch_size, group);
        let (outputs, targets) = (in_order(all_outputs)?, in_order(all_targets)?);
        for (index, metric) in metrics.iter().enumerate().filter(|(_, metric)| metric.is_of_epoch()) {
            values.insert(1 + index, metric.of_epoch_outputs(&outputs, &targets)?); // after the loss
        }
    }
    group.map_or(Ok(()), Group::check)?;
    Ok(values)
}

/// Adds the sums of all batches, in their order, given those of this process.
fn add_of_all(
    means: &mut RunningMeans,
    mut own: Vec<Tensor>,
    batches: usize,
    samples: usize,
    group: &Group,
) -> Result<()> {
    let none = means.parts().0.f_zeros_like()?;
    // All send as many.
    own.resize_with(batches.div_ceil(group.size()), || none.shallow_clone());
    let all = group.gather(&Tensor::f_cat(&own, 0)?)?;
    let metrics = none.numel() as i64;
    for batch in 0..batches {
        let (turn, rank) = ((batch / group.size()) as i64, batch % group.size());
        let sums = all[rank].f_narrow(0, turn * metrics, metrics)?;
        // The samples are counted with the first.
        means.add_sums(Sums::from_tensor(&sums)?, if batch == 0 { samples } else { 0 })?;
    }
    Ok(())
}
