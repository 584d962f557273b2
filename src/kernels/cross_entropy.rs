//! Cross-entropy, its gradient and the number of correct predictions on a CPU. libtorch needs some 25
//! operators for them, whose calls take longer than the computation: 4 % of an epoch of the reference
//! network.

use crate::kernels::tensor_slice::{as_mut_slice, as_slice};
use anyhow::{Context, Result, ensure};
use tch::Tensor;

/// The values of float32 logits [b, classes] and int64 labels `[b]` in the CPU's memory, and the number of
/// classes; none for other tensors.
pub(super) fn rows<'a>(logits: &'a Tensor, labels: &'a Tensor) -> Option<(&'a [f32], &'a [i64], usize)> {
    let (samples, classes) = logits.size2().ok().filter(|&(samples, classes)| samples > 0 && classes > 0)?;
    let labels = as_slice::<i64>(labels).filter(|labels| labels.len() as i64 == samples)?;
    Some((as_slice(logits)?, labels, classes as usize))
}

/// The mean cross-entropy of logits and labels, in nats, as float32, and its gradient with respect to the
/// logits: softmax less 1 at the label, over b. None for tensors that are not float32 and int64, contiguous
/// and on the CPU.
///
/// # Errors
/// A label out of range, or too little memory.
pub fn loss_and_gradient(logits: &Tensor, labels: &Tensor) -> Result<Option<(Tensor, Tensor)>> {
    let Some((_, labels, classes)) = rows(logits, labels) else { return Ok(None) };
    let _no_gradient = tch::no_grad_guard();
    let mut gradient = logits.f_internal_log_softmax(-1, false)?;
    let mut loss = 0.0;
    let log_softmax = as_slice::<f32>(&gradient).context("log_softmax is not contiguous float32")?;
    for (row, &label) in log_softmax.chunks(classes).zip(labels) {
        ensure!(
            (0..classes as i64).contains(&label),
            "the label {label} is not one of the {classes} classes, 0 to {}",
            classes - 1
        );
        loss -= f64::from(row[label as usize]);
    }
    let _ = gradient.f_exp_()?;
    let samples = labels.len() as f32;
    // SAFETY: the tensor is new, and nobody else has it yet.
    let values = unsafe { as_mut_slice::<f32>(&mut gradient) };
    let values = values.context("softmax is not contiguous float32")?;
    for (row, &label) in values.chunks_mut(classes).zip(labels) {
        row[label as usize] -= 1.0;
        row.iter_mut().for_each(|value| *value /= samples);
    }
    Ok(Some((Tensor::from((loss / labels.len() as f64) as f32), gradient)))
}

/// How many samples have their largest logit at their label. Of equal ones the first counts, and NaN is
/// larger than all, as for libtorch's `argmax`. None as for [`loss_and_gradient`].
pub fn count_correct(logits: &Tensor, labels: &Tensor) -> Option<f64> {
    let (logits, labels, classes) = rows(logits, labels)?;
    let is_correct = |(row, &label): (&[f32], &i64)| largest(row) as i64 == label;
    Some(logits.chunks(classes).zip(labels).filter(|&pair| is_correct(pair)).count() as f64)
}

/// The place of the largest number: the first of equal ones, and NaN is larger than all.
pub(super) fn largest(row: &[f32]) -> usize {
    let mut largest = 0;
    for (class, value) in row.iter().enumerate() {
        if *value > row[largest] || (value.is_nan() && !row[largest].is_nan()) {
            largest = class;
        }
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn they_match_libtorch() {
        for (samples, classes) in [(1, 2), (7, 10), (128, 3), (5, 1)] {
            let numbers = Tensor::arange(samples * classes, (Kind::Float, Device::Cpu));
            let logits = ((numbers * 0.618).frac() * 200.0 - 100.0).view([samples, classes]);
            let labels = Tensor::arange(samples, (Kind::Int64, Device::Cpu)).remainder(classes);
            let (loss, gradient) = loss_and_gradient(&logits, &labels).unwrap().unwrap();
            let leaf = logits.detach().set_requires_grad(true);
            let expected = leaf.cross_entropy_for_logits(&labels);
            let [by_autograd] =
                Tensor::run_backward(&[&expected], &[&leaf], false, false).try_into().unwrap();
            assert!(loss.allclose(&expected, 1e-6, 1e-6, false), "{samples} {classes}");
            assert!(gradient.allclose(&by_autograd, 1e-6, 1e-8, false), "{samples} {classes}");
            let correct = logits.argmax(-1, false).eq_tensor(&labels).sum(Kind::Double);
            assert_eq!(count_correct(&logits, &labels), Some(f64::try_from(correct).unwrap()));
        }
    }

    #[test]
    fn the_first_of_equal_logits_counts_and_nan_is_the_largest() {
        let logits = Tensor::from_slice(&[1.0, 1.0, 0.0, 0.0, f32::NAN, 9.0, 9.0, f32::NAN, f32::NAN]);
        let logits = logits.view([3, 3]);
        let expected = Vec::<i64>::try_from(logits.argmax(-1, false)).unwrap();
        assert_eq!(count_correct(&logits, &Tensor::from_slice(&expected)), Some(3.0));
        assert_eq!(count_correct(&logits, &Tensor::from_slice(&[1i64, 2, 2])), Some(0.0));
    }

    #[test]
    fn other_tensors_are_left_to_libtorch_and_a_wrong_label_is_an_error() {
        let logits = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        let labels = Tensor::from_slice(&[0i64, 2]);
        assert!(loss_and_gradient(&logits.to_kind(Kind::BFloat16), &labels).unwrap().is_none());
        assert!(loss_and_gradient(&logits.tr(), &labels).unwrap().is_none());
        assert!(count_correct(&logits, &labels.to_kind(Kind::Int)).is_none());
        let fault = loss_and_gradient(&logits, &Tensor::from_slice(&[0i64, 3])).unwrap_err().to_string();
        assert_eq!(fault, "the label 3 is not one of the 3 classes, 0 to 2");
    }
}
