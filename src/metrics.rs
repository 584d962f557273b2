//! What is measured while training: means over all samples of an epoch, added up on the device and read
//! once. The confusion matrix and what follows from it. It must not know files or layers.

use crate::kernels::cross_entropy::{count_correct, loss_and_gradient};
use anyhow::{Result, ensure};
use std::fmt;
use tch::{Device, Kind, Reduction, Tensor};

/// Whether smaller or greater values of a metric are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Smaller is better, as for a loss.
    Lower,
    /// Greater is better, as for accuracy.
    Higher,
}

impl Better {
    /// Whether `value` is better than `other`.
    pub fn is_better(self, value: f64, other: f64) -> bool {
        match self {
            Better::Lower => value < other,
            Better::Higher => value > other,
        }
    }

    /// Whether `value` is better than the best so far by more than `min_delta`. Any finite value improves on none at
    /// all; a value that is not finite never improves.
    pub fn improves(self, value: f64, best: Option<f64>, min_delta: f64) -> bool {
        let handicapped = match self {
            Better::Lower => value + min_delta,
            Better::Higher => value - min_delta,
        };
        value.is_finite() && best.is_none_or(|best| self.is_better(handicapped, best))
    }
}

type Function = dyn Fn(&Tensor, &Tensor) -> Tensor;
/// From outputs and targets to the value and its gradient with respect to the outputs; none where autograd
/// has to find them.
type Gradient = fn(&Tensor, &Tensor) -> Result<Option<(Tensor, Tensor)>>;

/// A number that tells how good outputs are for their targets: a loss, an accuracy, or one's own.
pub struct Metric {
    /// Its column in the history; with validation there is a second one, `val_` + name.
    pub name: String,
    /// What is better.
    pub direction: Better,
    function: Box<Function>,
    /// Whether the function gives the sum over the batch; otherwise it gives the mean.
    gives_sum: bool,
    gradient: Gradient,
}

impl fmt::Debug for Metric {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "Metric({}, {:?})", self.name, self.direction)
    }
}

impl Metric {
    /// A metric from a function of (outputs [b, ...], targets [b, ...]) that gives the mean over the
    /// batch as a tensor of one value. It is called on the device, with gradients off, for each batch.
    pub fn new(
        name: impl Into<String>,
        direction: Better,
        function: impl Fn(&Tensor, &Tensor) -> Tensor + 'static,
    ) -> Metric {
        Metric {
            name: name.into(),
            direction,
            function: Box::new(function),
            gives_sum: false,
            gradient: |_, _| Ok(None),
        }
    }

    /// The share of samples whose greatest logit is that of their label; among equal ones the first
    /// counts, as in Keras. Logits [b, classes], labels int64 `[b]`.
    pub fn accuracy() -> Metric {
        let correct = |logits: &Tensor, labels: &Tensor| match count_correct(logits, labels) {
            Some(count) => Tensor::from(count),
            None => logits.argmax(-1, false).eq_tensor(labels).sum(Kind::Double),
        };
        Metric { gives_sum: true, ..Metric::new("accuracy", Better::Higher, correct) }
    }

    /// Categorical cross-entropy of logits [b, classes] and labels int64 `[b]`, in nats.
    pub fn cross_entropy() -> Metric {
        let loss = |logits: &Tensor, labels: &Tensor| logits.cross_entropy_for_logits(labels);
        Metric { gradient: loss_and_gradient, ..Metric::new("loss", Better::Lower, loss) }
    }

    /// The same for training, with the labels smoothed and the classes weighted: of each label, the share
    /// `smoothing` is spread over all classes (Szegedy et al., 2016), and the mean is that of the samples
    /// weighted by the weight of their class, where there are such, float32 `[classes]`. As PyTorch's
    /// `cross_entropy` with these arguments.
    pub fn cross_entropy_with(smoothing: f64, class_weights: Option<Tensor>) -> Metric {
        const IGNORED: i64 = -100;
        let loss = move |logits: &Tensor, labels: &Tensor| {
            let weights = class_weights.as_ref().map(|weights| weights.to_device(logits.device()));
            logits.cross_entropy_loss(labels, weights, Reduction::Mean, IGNORED, smoothing)
        };
        Metric::new("loss", Better::Lower, loss)
    }

    /// The value for one batch as the function gives it, with its gradient.
    pub(crate) fn call(&self, outputs: &Tensor, targets: &Tensor) -> Tensor {
        (self.function)(outputs, targets)
    }

    /// The value for one batch and its gradient with respect to the outputs.
    ///
    /// # Errors
    /// A value that does not depend on the outputs, targets of another kind or shape, or a fault of the
    /// device.
    pub(crate) fn with_gradient(&self, outputs: &Tensor, targets: &Tensor) -> Result<(Tensor, Tensor)> {
        if let Some(known) = (self.gradient)(outputs, targets)? {
            return Ok(known);
        }
        let outputs = outputs.detach().set_requires_grad(true);
        let value = self.call(&outputs, targets);
        let gradients = Tensor::f_run_backward(&[&value], &[&outputs], false, false)?;
        Ok((value.detach(), gradients.into_iter().next().unwrap_or_default()))
    }
}

/// Means over samples that come in batches, weighted by batch size. The sums stay on the device:
/// adding to them makes the host wait for nothing.
#[derive(Debug)]
pub(crate) struct RunningMeans {
    sums: Sums,
    samples: usize,
}

/// The sums of values times batch sizes, float64, the loss first.
#[derive(Debug)]
enum Sums {
    Host(Vec<f64>),
    Device(Tensor),
}

impl RunningMeans {
    /// For a number of metrics.
    ///
    /// # Errors
    /// Too little memory.
    pub fn new(metrics: usize, device: Device) -> Result<RunningMeans> {
        let sums = match device {
            Device::Cpu => Sums::Host(vec![0.0; metrics]),
            _ => Sums::Device(Tensor::f_zeros(metrics as i64, (Kind::Double, device))?),
        };
        Ok(RunningMeans { sums, samples: 0 })
    }

    /// Adds a batch: its loss (a mean) first, then each of the metrics.
    ///
    /// # Errors
    /// A metric that gives more than one value.
    pub fn add(
        &mut self,
        loss: &Tensor,
        metrics: &[Metric],
        outputs: &Tensor,
        targets: &Tensor,
        batch_size: usize,
    ) -> Result<()> {
        let _no_gradient = tch::no_grad_guard();
        let mut values = vec![(loss.shallow_clone(), batch_size)];
        for metric in metrics {
            let value = metric.call(outputs, targets);
            ensure!(value.numel() == 1, "metric {}: gives {:?} values, not one", metric.name, value.size());
            values.push((value.f_reshape([0i64; 0])?, if metric.gives_sum { 1 } else { batch_size }));
        }
        match &mut self.sums {
            Sums::Host(sums) => {
                for (sum, (value, weight)) in sums.iter_mut().zip(values) {
                    *sum += value.f_double_value(&[])? * weight as f64;
                }
            }
            Sums::Device(sums) => {
                let weighted = |(value, weight): (Tensor, usize)| {
                    value.f_to_kind(Kind::Double)?.f_mul_scalar(weight as f64)
                };
                let weighted = values.into_iter().map(weighted).collect::<Result<Vec<_>, _>>()?;
                let _ = sums.f_add_(&Tensor::f_stack(&weighted, 0)?)?;
            }
        }
        self.samples += batch_size;
        Ok(())
    }

    /// The sums (float64, one a metric, the loss first) and the number of samples, to go on from.
    pub fn parts(&self) -> (Tensor, usize) {
        let sums = match &self.sums {
            Sums::Host(sums) => Tensor::from_slice(sums),
            Sums::Device(sums) => sums.shallow_clone(),
        };
        (sums, self.samples)
    }

    /// Goes on from what [`RunningMeans::parts`] gave.
    ///
    /// # Errors
    /// Sums of another number of metrics.
    pub fn restore(&mut self, sums: &Tensor, samples: usize) -> Result<()> {
        let (is, needed) = (sums.size(), self.parts().0.size());
        ensure!(is == needed, "there are sums of {is:?} metrics, not {needed:?}");
        match &mut self.sums {
            Sums::Host(of) => *of = Vec::try_from(sums)?,
            Sums::Device(of) => of.f_copy_(sums)?,
        }
        self.samples = samples;
        Ok(())
    }

    /// The means so far, in the order they were added. This waits for the device.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn read(&self) -> Result<Vec<f64>> {
        let sums = match &self.sums {
            Sums::Host(sums) => sums.clone(),
            Sums::Device(sums) => Vec::try_from(sums)?,
        };
        Ok(sums.into_iter().map(|sum| sum / self.samples as f64).collect())
    }
}

/// How often samples of each true class were given each class: rows are true classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    /// `counts[truth][prediction]`.
    pub counts: Vec<Vec<u64>>,
}

/// What a confusion matrix says of one class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassScores {
    /// The number of samples that are of this class.
    pub samples: u64,
    /// Of the samples given this class, the share that is of it; NaN if there are none.
    pub precision: f64,
    /// Of the samples of this class, the share that was given it; NaN if there are none.
    pub recall: f64,
    /// The harmonic mean of both, computed from the counts: 2 TP / (2 TP + FP + FN).
    pub f1: f64,
}

impl ConfusionMatrix {
    /// Counts pairs of true and predicted class, both below `classes`.
    pub fn count(truths: &[i64], predictions: &[i64], classes: usize) -> ConfusionMatrix {
        let mut counts = vec![vec![0; classes]; classes];
        for (&truth, &prediction) in truths.iter().zip(predictions) {
            counts[truth as usize][prediction as usize] += 1;
        }
        ConfusionMatrix { counts }
    }

    /// The scores of each class.
    pub fn scores(&self) -> Vec<ClassScores> {
        let classes = 0..self.counts.len();
        let scores = classes.clone().map(|class| {
            let correct = self.counts[class][class] as f64;
            let samples: u64 = self.counts[class].iter().sum();
            let given: u64 = classes.clone().map(|truth| self.counts[truth][class]).sum();
            ClassScores {
                samples,
                precision: correct / given as f64,
                recall: correct / samples as f64,
                f1: 2.0 * correct / (samples + given) as f64,
            }
        });
        scores.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits(rows: &[[f32; 3]]) -> Tensor {
        Tensor::from_slice(rows.as_flattened()).view([-1, 3])
    }

    #[test]
    fn accuracy_gives_ties_to_the_first_class() {
        let outputs = logits(&[[1.0, 1.0, 0.0], [0.0, 2.0, 2.0], [5.0, 5.0, 5.0]]);
        let correct = Metric::accuracy().call(&outputs, &Tensor::from_slice(&[0i64, 1, 2]));
        assert_eq!(f64::try_from(correct).unwrap(), 2.0);
    }

    #[test]
    fn cross_entropy_is_the_mean_of_the_negative_log_softmax() {
        let loss = Metric::cross_entropy()
            .call(&logits(&[[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]), &Tensor::from_slice(&[0i64, 2]));
        // Python: (math.log(3) + math.log(sum(map(math.exp, (1, 2, 3)))) - 3) / 2
        assert!((f64::try_from(loss).unwrap() - 0.753109126).abs() < 1e-6);
    }

    #[test]
    fn smoothed_labels_and_weighted_classes_follow_their_formulas() {
        let (outputs, targets) =
            (logits(&[[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]), Tensor::from_slice(&[2i64, 0]));
        let value = |metric: Metric| f64::try_from(metric.call(&outputs, &targets)).unwrap();
        let (first, second) = (0.407606, 3f64.ln());
        assert!((value(Metric::cross_entropy_with(0.0, None)) - (first + second) / 2.0).abs() < 1e-6);
        // Of 0.3, a tenth goes to each class: Python: 0.7 * 0.407606 + 0.1 * (2.407606 + 1.407606 + 0.407606)
        let smoothed = (0.707606 + second) / 2.0;
        assert!((value(Metric::cross_entropy_with(0.3, None)) - smoothed).abs() < 1e-5);
        let weights = Tensor::from_slice(&[3f32, 1.0, 1.0]);
        let weighted = (first + 3.0 * second) / 4.0;
        assert!((value(Metric::cross_entropy_with(0.0, Some(weights))) - weighted).abs() < 1e-6);
    }

    #[test]
    fn means_are_weighted_by_batch_size() {
        let spread = Metric::new("spread", Better::Lower, |outputs, _| outputs.max() - outputs.min());
        let metrics = [Metric::accuracy(), spread];
        let mut means = RunningMeans::new(3, Device::Cpu).unwrap();
        let first = logits(&[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]);
        means.add(&Tensor::from(2.0), &metrics, &first, &Tensor::from_slice(&[0i64, 0, 1]), 3).unwrap();
        means
            .add(&Tensor::from(6.0), &metrics, &logits(&[[0.0, 5.0, 0.0]]), &Tensor::from_slice(&[1i64]), 1)
            .unwrap();
        assert_eq!(means.read().unwrap(), [3.0, 0.75, 2.0]);
    }

    #[test]
    fn a_metric_of_many_values_is_an_error_that_names_it() {
        let metric = Metric::new("odd", Better::Lower, |outputs, _| outputs.shallow_clone());
        let mut means = RunningMeans::new(2, Device::Cpu).unwrap();
        let outputs = logits(&[[1.0, 0.0, 0.0]]);
        let fault =
            means.add(&Tensor::from(1.0), &[metric], &outputs, &Tensor::from_slice(&[0i64]), 1).unwrap_err();
        assert!(fault.to_string().contains("metric odd"), "{fault}");
    }

    #[test]
    fn scores_follow_from_the_confusion_matrix() {
        // Class 0: 2 right, 1 taken for 1; class 1: 1 right; class 2: never seen, never given.
        let matrix = ConfusionMatrix::count(&[0, 0, 0, 1], &[0, 0, 1, 1], 3);
        assert_eq!(matrix.counts, [[2, 1, 0], [0, 1, 0], [0, 0, 0]]);
        let scores = matrix.scores();
        assert_eq!(scores[0], ClassScores { samples: 3, precision: 1.0, recall: 2.0 / 3.0, f1: 0.8 });
        assert_eq!(scores[1], ClassScores { samples: 1, precision: 0.5, recall: 1.0, f1: 2.0 / 3.0 });
        assert!(scores[2].precision.is_nan() && scores[2].recall.is_nan() && scores[2].f1.is_nan());
    }
}
