//! Cross-entropy, its gradient and the number of right answers on a CPU. libtorch takes some 25 operators
//! for them, whose calls take longer than what they compute: of an epoch of the reference network, 4 %.
//! It must not know the model.

use crate::kernels::tensor_slice::{as_mut_slice, as_slice};
use anyhow::{Context, Result, ensure};
use tch::Tensor;

/// Logits [b, classes] in float32 and labels int64 [b], both in the CPU's memory; none if they are not.
fn rows<'a>(logits: &'a Tensor, labels: &'a Tensor) -> Option<(&'a [f32], &'a [i64], usize)> {
    let (samples, classes) = logits.size2().ok().filter(|&(samples, classes)| samples > 0 && classes > 0)?;
    let labels = as_slice::<i64>(labels).filter(|labels| labels.len() as i64 == samples)?;
    Some((as_slice(logits)?, labels, classes as usize))
}

/// The mean cross-entropy of logits and labels, in nats, as float32, and its gradient with respect to the
/// logits: softmax less 1 at the label, over b. None where the tensors are otherwise than it needs them.
///
/// # Errors
/// A label that is no class, or too little memory.
pub fn loss_and_gradient(logits: &Tensor, labels: &Tensor) -> Result<Option<(Tensor, Tensor)>> {
    let Some((_, labels, classes)) = rows(logits, labels) else { return Ok(None) };
    let _no_gradient = tch::no_grad_guard();
    let mut gradient = logits.f_internal_log_softmax(-1, false)?;
    let mut loss = 0.0;
    let log_softmax = as_slice::<f32>(&gradient).context("log_softmax is not contiguous float32")?;
    for (row, &label) in log_softmax.chunks(classes).zip(labels) {
        ensure!((0..classes as i64).contains(&label), "there is a label {label}, but {classes} classes");
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

/// How many samples have their greatest logit at their label; of equal ones the first counts, and NaN is
/// the greatest, as in libtorch's `argmax`. None as for [`loss_and_gradient`].
pub fn count_correct(logits: &Tensor, labels: &Tensor) -> Option<f64> {
    let (logits, labels, classes) = rows(logits, labels)?;
    let is_correct = |(row, &label): (&[f32], &i64)| {
        let mut greatest = 0;
        for (class, value) in row.iter().enumerate() {
            if *value > row[greatest] || (value.is_nan() && !row[greatest].is_nan()) {
                greatest = class;
            }
        }
        greatest as i64 == label
    };
    Some(logits.chunks(classes).zip(labels).filter(|&pair| is_correct(pair)).count() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn they_are_those_of_libtorch() {
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
    fn the_first_of_equal_logits_counts_and_nan_is_the_greatest() {
        let logits = Tensor::from_slice(&[1.0, 1.0, 0.0, 0.0, f32::NAN, 9.0, 9.0, f32::NAN, f32::NAN]);
        let logits = logits.view([3, 3]);
        let expected = Vec::<i64>::try_from(logits.argmax(-1, false)).unwrap();
        assert_eq!(count_correct(&logits, &Tensor::from_slice(&expected)), Some(3.0));
        assert_eq!(count_correct(&logits, &Tensor::from_slice(&[1i64, 2, 2])), Some(0.0));
    }

    #[test]
    fn what_is_otherwise_is_left_to_libtorch_and_a_wrong_label_is_an_error() {
        let logits = Tensor::zeros([2, 3], (Kind::Float, Device::Cpu));
        let labels = Tensor::from_slice(&[0i64, 2]);
        assert!(loss_and_gradient(&logits.to_kind(Kind::BFloat16), &labels).unwrap().is_none());
        assert!(loss_and_gradient(&logits.tr(), &labels).unwrap().is_none());
        assert!(count_correct(&logits, &labels.to_kind(Kind::Int)).is_none());
        let fault = loss_and_gradient(&logits, &Tensor::from_slice(&[0i64, 3])).unwrap_err().to_string();
        assert_eq!(fault, "there is a label 3, but 3 classes");
    }
}
