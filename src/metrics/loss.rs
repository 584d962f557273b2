//! Losses: what training lowers.

use crate::kernels::cross_entropy::loss_and_gradient;
use anyhow::{Context, Result};
use std::cell::RefCell;
use std::fmt;
use tch::{Reduction, Tensor};

type Function = dyn Fn(&Tensor, &Tensor) -> Tensor;
type Gradient = dyn Fn(&Tensor, &Tensor) -> Result<Option<(Tensor, Tensor)>>;

/// What training lowers: a function of outputs and targets. It is `loss` in the history.
///
/// ```
/// use fitch::metrics::Loss;
/// use tch::{Reduction, Tensor};
///
/// let huber = Loss::new(|outputs, targets| outputs.huber_loss(targets, Reduction::Mean, 1.0));
/// ```
pub struct Loss {
    function: Box<Function>,
    gradient: Option<Box<Gradient>>,
}

impl fmt::Debug for Loss {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "Loss({})", if self.gradient.is_some() { "gradient of its own" } else { "autograd" })
    }
}

impl Loss {
    /// A loss from a function of (outputs [b, ...], targets [b, ...]) that returns the mean over the batch as
    /// a tensor of one value, which autograd can differentiate.
    pub fn new(function: impl Fn(&Tensor, &Tensor) -> Tensor + 'static) -> Loss {
        Loss { function: Box::new(function), gradient: None }
    }

    /// With a gradient written by hand, for models that compute their own: from outputs and targets to the
    /// loss (one value) and its gradient with respect to the outputs. It may leave a batch to autograd by
    /// returning none.
    pub fn with_gradient(
        self,
        gradient: impl Fn(&Tensor, &Tensor) -> Result<Option<(Tensor, Tensor)>> + 'static,
    ) -> Loss {
        Loss { gradient: Some(Box::new(gradient)), ..self }
    }

    /// Categorical cross-entropy of logits [b, classes] and labels int64 `[b]`, in nats.
    pub fn cross_entropy() -> Loss {
        let loss = |logits: &Tensor, labels: &Tensor| logits.cross_entropy_for_logits(labels);
        Loss::new(loss).with_gradient(loss_and_gradient)
    }

    /// The same with smoothed labels and weighted classes, as PyTorch's `cross_entropy` with these arguments:
    /// the share `smoothing` of each label is spread over all classes (Szegedy et al., 2016), and each sample
    /// counts as much as its class in `class_weights`, float32 `[classes]`, if there are any.
    pub fn cross_entropy_with(smoothing: f64, class_weights: Option<Tensor>) -> Loss {
        const IGNORED: i64 = -100;
        // They are sent to the device of the logits once: at each step, the host would wait for it.
        let class_weights = RefCell::new(class_weights);
        Loss::new(move |logits, labels| {
            let mut class_weights = class_weights.borrow_mut();
            if let Some(weights) =
                class_weights.as_mut().filter(|weights| weights.device() != logits.device())
            {
                *weights = weights.to_device(logits.device());
            }
            logits.cross_entropy_loss(labels, class_weights.as_ref(), Reduction::Mean, IGNORED, smoothing)
        })
    }

    /// The loss of a batch, as the function returns it, for autograd.
    pub(crate) fn call(&self, outputs: &Tensor, targets: &Tensor) -> Tensor {
        (self.function)(outputs, targets)
    }

    /// The loss of a batch and its gradient with respect to the outputs.
    ///
    /// # Errors
    /// A loss that does not depend on the outputs, targets of another kind or shape, or a fault of the
    /// device.
    pub(crate) fn value_and_gradient(&self, outputs: &Tensor, targets: &Tensor) -> Result<(Tensor, Tensor)> {
        if let Some(gradient) = &self.gradient
            && let Some(known) = gradient(outputs, targets)?
        {
            return Ok(known);
        }
        let outputs = outputs.detach().set_requires_grad(true);
        let value = self.call(&outputs, targets);
        let gradients = Tensor::f_run_backward(&[&value], &[&outputs], false, false)?;
        let gradient = gradients.into_iter().next().filter(Tensor::defined);
        Ok((value.detach(), gradient.context("the loss does not depend on the outputs")?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn logits(rows: &[[f32; 3]]) -> Tensor {
        Tensor::from_slice(rows.as_flattened()).view([-1, 3])
    }

    #[test]
    fn cross_entropy_is_the_mean_of_the_negative_log_softmax() {
        let loss = Loss::cross_entropy()
            .call(&logits(&[[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]), &Tensor::from_slice(&[0i64, 2]));
        // Python: (math.log(3) + math.log(sum(map(math.exp, (1, 2, 3)))) - 3) / 2
        assert!((f64::try_from(loss).unwrap() - 0.753109126).abs() < 1e-6);
    }

    #[test]
    fn smoothed_labels_and_weighted_classes_follow_their_formulas() {
        let (outputs, targets) =
            (logits(&[[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]), Tensor::from_slice(&[2i64, 0]));
        let value = |loss: Loss| f64::try_from(loss.call(&outputs, &targets)).unwrap();
        let (first, second) = (0.407606, 3f64.ln());
        assert!((value(Loss::cross_entropy_with(0.0, None)) - (first + second) / 2.0).abs() < 1e-6);
        // Of 0.3, a tenth goes to each class: Python: 0.7 * 0.407606 + 0.1 * (2.407606 + 1.407606 + 0.407606)
        let smoothed = (0.707606 + second) / 2.0;
        assert!((value(Loss::cross_entropy_with(0.3, None)) - smoothed).abs() < 1e-5);
        let weights = Tensor::from_slice(&[3f32, 1.0, 1.0]);
        let weighted = (first + 3.0 * second) / 4.0;
        assert!((value(Loss::cross_entropy_with(0.0, Some(weights))) - weighted).abs() < 1e-6);
    }

    #[test]
    fn a_gradient_written_by_hand_takes_the_place_of_autograd() {
        let square = || Loss::new(|outputs, targets| outputs.mse_loss(targets, Reduction::Mean));
        let by_hand = square().with_gradient(|outputs, targets| {
            let distance = outputs - targets;
            // Recognisable: twice what it should be. Batches of one value are left to autograd.
            let gradient = &distance * 4.0 / distance.numel() as f64;
            Ok((distance.numel() > 1).then(|| (distance.square().mean(Kind::Float), gradient)))
        });
        for (size, factor) in [(1, 1.0), (3, 2.0)] {
            let outputs = Tensor::arange(size, (Kind::Float, Device::Cpu)) + 1.0;
            let targets = outputs.zeros_like();
            let (loss, gradient) = square().value_and_gradient(&outputs, &targets).unwrap();
            let (same, other) = by_hand.value_and_gradient(&outputs, &targets).unwrap();
            assert_eq!(loss, same);
            assert!(other.allclose(&(gradient * factor), 1e-6, 1e-6, false), "{size}");
        }
    }
}
