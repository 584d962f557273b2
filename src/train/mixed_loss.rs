//! The loss of a batch whose samples may be mixed: of both targets, by their shares. A loss that weights classes
//! weights each of the two by its own class.

use crate::data::MixedBatch;
use crate::metrics::Loss;
use anyhow::Result;
use tch::Tensor;

/// The loss, for autograd.
pub fn value(loss: &Loss, outputs: &Tensor, batch: &MixedBatch) -> Tensor {
    let value = loss.call(outputs, &batch.targets);
    match &batch.others {
        None => value,
        Some((others, share)) => value * (1.0 - share) + loss.call(outputs, others) * *share,
    }
}

/// The loss, and its gradient with respect to the outputs.
///
/// # Errors
/// As [`Loss::value_and_gradient`].
pub fn value_and_gradient(loss: &Loss, outputs: &Tensor, batch: &MixedBatch) -> Result<(Tensor, Tensor)> {
    let (value, gradient) = loss.value_and_gradient(outputs, &batch.targets)?;
    let Some((others, share)) = &batch.others else { return Ok((value, gradient)) };
    let (of_others, other_gradient) = loss.value_and_gradient(outputs, others)?;
    Ok((value.f_lerp(&of_others, *share)?, gradient.f_lerp(&other_gradient, *share)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn each_target_counts_by_its_share_and_by_the_weight_of_its_class() {
        let outputs =
            Tensor::from_slice(&[1f32, 2.0, 3.0, 0.0, 1.0, 0.0]).view([2, 3]).set_requires_grad(true);
        let [targets, others] = [[2i64, 0], [0, 2]].map(|targets| Tensor::from_slice(&targets));
        let weights = [4.0, 1.0, 2.0];
        let batch = MixedBatch { inputs: Tensor::new(), targets, others: Some((others, 0.25)) };
        // As PyTorch weights the classes: by the sum of the weights.
        let log_softmax = outputs.log_softmax(-1, Kind::Float);
        let of = |row: i64, class: i64| {
            -log_softmax.double_value(&[row, class]) * weights[class as usize] / (weights[0] + weights[2])
        };
        let expected = 0.75 * (of(0, 2) + of(1, 0)) + 0.25 * (of(0, 0) + of(1, 2));
        let weighted = Loss::cross_entropy_with(0.0, Some(Tensor::from_slice(&weights).to_kind(Kind::Float)));
        assert!((value(&weighted, &outputs, &batch).double_value(&[]) - expected).abs() < 1e-6);

        for loss in [weighted, Loss::cross_entropy(), Loss::cross_entropy_with(0.1, None)] {
            let by_autograd = value(&loss, &outputs, &batch);
            let [gradient] =
                Tensor::run_backward(&[&by_autograd], &[&outputs], false, false).try_into().unwrap();
            let (own, own_gradient) = value_and_gradient(&loss, &outputs.detach(), &batch).unwrap();
            assert!(own.allclose(&by_autograd, 1e-6, 1e-6, false) && own.device() == Device::Cpu);
            assert!(own_gradient.allclose(&gradient, 1e-5, 1e-6, false), "{own_gradient} {gradient}");
        }
    }
}
