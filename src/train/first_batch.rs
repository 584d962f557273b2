//! The trial of a first batch: what does not fit together is one plain error before training begins.

use super::fault::{Fault, catch_panic};
use crate::data::Batch;
use crate::metrics::{Loss, Metric};
use anyhow::{Error, Result, ensure};
use tch::nn::ModuleT;
use tch::{Device, Kind, TchError, Tensor};

/// Lets a batch go through the model, the losses and the metrics, in evaluation mode and without gradients:
/// neither weights, running statistics nor libtorch's random state change.
///
/// # Errors
/// [`Fault::BatchDoesNotFit`], or another fault of libtorch's.
pub fn try_batch(model: &dyn ModuleT, losses: &[&Loss], metrics: &[Metric], batch: &Batch) -> Result<()> {
    let _no_gradient = tch::no_grad_guard();
    let Batch { inputs, targets, .. } = batch;
    let outputs = outputs(model, inputs)?;
    let both = || format!("outputs of {} and targets of {}", described(&outputs), described(targets));
    for loss in losses {
        check_labels_on_cpu(loss, &outputs, targets)?;
        let value = attempt(
            || loss.call(&outputs, targets),
            || format!("the loss does not take {}{}", both(), advice(&outputs, targets)),
        )?;
        let size = value.size();
        ensure!(
            value.numel() == 1,
            Fault::BatchDoesNotFit(format!("the loss gives values of shape {size:?}, not a single one"))
        );
    }
    for metric in metrics {
        let name = &metric.name;
        let what = || format!("the metric {name} does not take {}", both());
        attempt(|| metric.try_with(&outputs, targets), what)??;
    }
    Ok(())
}

/// The outputs of a model in evaluation mode.
///
/// # Errors
/// [`Fault::BatchDoesNotFit`], or another fault of libtorch's.
pub fn outputs(model: &dyn ModuleT, inputs: &Tensor) -> Result<Tensor> {
    attempt(
        || model.forward_t(inputs, false),
        || format!("the model does not take inputs of {}", described(inputs)),
    )
}

/// A label out of range is an error on the CPU, but on a CUDA device it ends all work of the process: so the
/// loss is tried on the CPU first. Only labels count there, since a loss may hold tensors of its device.
fn check_labels_on_cpu(loss: &Loss, outputs: &Tensor, targets: &Tensor) -> Result<()> {
    if outputs.device() == Device::Cpu || first_wrong_label(outputs, targets)?.is_none() {
        return Ok(());
    }
    let (outputs, targets) = (outputs.f_to_device(Device::Cpu)?, targets.f_to_device(Device::Cpu)?);
    match catch_panic(|| loss.call(&outputs, &targets)) {
        Err(message) if message.contains("out of bounds") => {
            let what = format!("the loss does not take the labels{}", advice(&outputs, &targets));
            Err(Error::new(TchError::Torch(message)).context(Fault::BatchDoesNotFit(what)))
        }
        _ => Ok(()),
    }
}

/// What is probably wrong with targets that a loss refused, if they are class labels.
fn advice(outputs: &Tensor, targets: &Tensor) -> String {
    if let (2, 1, true) = (outputs.dim(), targets.dim(), targets.kind() != Kind::Int64) {
        return "; class labels must be int64".to_string();
    }
    match first_wrong_label(outputs, targets) {
        Ok(Some((row, label))) => {
            let classes = outputs.size()[1];
            format!("; the label {label} in row {row} is none of the {classes} classes of the model")
        }
        _ => String::new(),
    }
}

/// For outputs [b, classes] and targets int64 [b], the first row whose target is out of range, and that
/// target.
fn first_wrong_label(outputs: &Tensor, targets: &Tensor) -> Result<Option<(usize, i64)>> {
    let (2, 1, Kind::Int64) = (outputs.dim(), targets.dim(), targets.kind()) else { return Ok(None) };
    let labels: Vec<i64> = Vec::try_from(&targets.f_to_device(Device::Cpu)?)?;
    let classes = 0..outputs.size()[1];
    Ok(labels.into_iter().enumerate().find(|(_, label)| !classes.contains(label)))
}

/// `work`, with libtorch's refusal as its reason under what does not fit.
fn attempt<T>(work: impl FnOnce() -> T, what: impl FnOnce() -> String) -> Result<T> {
    catch_panic(work).map_err(|message| {
        let fault = match Fault::of(&message) {
            Fault::Operation => Fault::BatchDoesNotFit(what()),
            other => other,
        };
        Error::new(TchError::Torch(message)).context(fault)
    })
}

/// `shape [128, 4] (float32)`.
fn described(tensor: &Tensor) -> String {
    let kind = match tensor.kind() {
        Kind::Uint8 => "uint8",
        Kind::Int8 => "int8",
        Kind::Int16 => "int16",
        Kind::Int => "int32",
        Kind::Int64 => "int64",
        Kind::Half => "float16",
        Kind::Float => "float32",
        Kind::Double => "float64",
        Kind::Bool => "bool",
        Kind::BFloat16 => "bfloat16",
        other => return format!("shape {:?} ({other:?})", tensor.size()),
    };
    format!("shape {:?} ({kind})", tensor.size())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn::{self, VarStore};

    /// What a linear model of 3 inputs and 4 classes says of a batch.
    fn fault(inputs: &[i64], targets: &Tensor, loss: Loss) -> Option<String> {
        let model = nn::linear(VarStore::new(Device::Cpu).root(), 3, 4, Default::default());
        let inputs = Tensor::zeros(inputs, (Kind::Float, Device::Cpu));
        let batch = Batch { inputs, targets: targets.shallow_clone(), size: 2 };
        let fault = try_batch(&model, &[&loss], &[Metric::accuracy()], &batch).err()?;
        assert!(matches!(fault.downcast_ref(), Some(Fault::BatchDoesNotFit(_))), "{fault:#}");
        let text = format!("{fault:#}");
        assert!(!text.contains('\n'), "{text}");
        Some(text)
    }

    #[test]
    fn what_does_not_fit_is_named_with_shapes_and_types() {
        let labels = Tensor::from_slice(&[0i64, 3]);
        let float = labels.to_kind(Kind::Float);
        let whole = |_: &Tensor, targets: &Tensor| targets.shallow_clone();
        let squared = |outputs: &Tensor, targets: &Tensor| outputs.mse_loss(targets, tch::Reduction::Mean);
        let entropy = Loss::cross_entropy;
        assert_eq!(fault(&[2, 3], &labels, entropy()), None);
        for (inputs, targets, loss, words) in [
            (
                &[2, 5][..],
                labels.copy(),
                entropy(),
                &["inputs of shape [2, 5] (float32)", "(2x5 and 3x4)"][..],
            ),
            (
                &[2, 3],
                labels.to_kind(Kind::Int),
                entropy(),
                &["shape [2, 4] (float32)", "[2] (int32)", "int64"],
            ),
            (&[2, 3], float.copy(), entropy(), &["targets of shape [2] (float32)", "labels must be int64"]),
            (&[2, 3], Tensor::from_slice(&[1i64, 4]), entropy(), &["label 4 in row 1", "the 4 classes"]),
            (&[2, 3], Tensor::from_slice(&[-1i64, 0]), entropy(), &["label -1 in row 0"]),
            (&[2, 3], Tensor::from_slice(&[0i64, 1, 2]), entropy(), &["shape [2, 4]", "shape [3] (int64)"]),
            (&[2, 3], float.unsqueeze(0).tile([3, 1]), Loss::new(squared), &["[3, 2]"]),
            (&[2, 3], float.copy(), Loss::new(whole), &["shape [2], not a single one"]),
        ] {
            let text = fault(inputs, &targets, loss).unwrap();
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        }
    }

    #[test]
    fn a_trial_changes_neither_weights_nor_running_statistics() {
        let store = VarStore::new(Device::Cpu);
        let norm = nn::batch_norm1d(store.root(), 3, Default::default());
        let model = nn::seq_t().add(norm).add_fn_t(|inputs, train| inputs.dropout(0.5, train));
        let before: Vec<(String, Tensor)> =
            store.variables().into_iter().map(|(name, value)| (name, value.copy())).collect();
        let inputs = Tensor::arange(6, (Kind::Float, Device::Cpu)).view([2, 3]);
        let batch = Batch { inputs, targets: Tensor::from_slice(&[0i64, 1]), size: 2 };
        try_batch(&model, &[&Loss::cross_entropy()], &[], &batch).unwrap();
        let now = store.variables();
        assert!(before.iter().all(|(name, value)| now[name] == *value));
    }
}
