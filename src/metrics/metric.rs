//! Metrics: numbers that are recorded for each epoch.

use super::{Better, ClassCounts, ClassMetric, Classification, Loss};
use crate::kernels::cross_entropy::count_correct;
use crate::kernels::predictions::{class_counts, count_in_top};
use anyhow::{Context, Result, bail};
use std::fmt;
use std::rc::Rc;
use tch::{Kind, Tensor};

type Function = dyn Fn(&Tensor, &Tensor) -> Tensor;
type OfSums = dyn Fn(&[f64], usize) -> f64;
type OfEpoch = dyn Fn(&Tensor, &Tensor) -> Result<f64>;

/// A number that says how well outputs fit their targets: an accuracy, an error, or your own.
pub struct Metric {
    /// Its column in the history; with validation there is a second one, `val_` + name.
    pub name: String,
    /// Whether smaller or larger values are better.
    pub direction: Better,
    computation: Computation,
}

/// What is computed of each batch, and what of the epoch.
enum Computation {
    /// The mean over the batch.
    Mean(Box<Function>),
    /// Sums over the batch, and the value that follows from those over the epoch and the number of samples.
    Sums(Rc<BatchSums>, Box<OfSums>),
    /// Nothing; then the value, of all outputs and targets.
    Epoch(Box<OfEpoch>),
}

/// Sums over a batch, which several metrics may share.
struct BatchSums {
    count: usize,
    function: Box<Function>,
}

impl fmt::Debug for Metric {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "Metric({}, {:?})", self.name, self.direction)
    }
}

impl Metric {
    /// A metric from a function of (outputs [b, ...], targets [b, ...]) that returns the mean over the batch
    /// as a tensor of one value. It is called for each batch, on the device, with gradients off.
    pub fn new(
        name: impl Into<String>,
        direction: Better,
        function: impl Fn(&Tensor, &Tensor) -> Tensor + 'static,
    ) -> Metric {
        Metric { name: name.into(), direction, computation: Computation::Mean(Box::new(function)) }
    }

    /// A metric that is no mean of batches, but follows from sums over them: a function of (outputs [b, ...],
    /// targets [b, ...]) that returns `count` sums over the batch, called as that of [`Metric::new`]; and one of the
    /// sums over all batches and the number of samples that returns the value. The sums of a training are in its
    /// checkpoints, and processes that train together add theirs.
    ///
    /// ```
    /// use fitch::metrics::{Better, Metric};
    /// use tch::{Kind, Tensor};
    ///
    /// // The root of a mean is not the mean of the batches' roots.
    /// let rmse = Metric::of_sums(
    ///     "rmse",
    ///     Better::Lower,
    ///     1,
    ///     |outputs, targets| (outputs - targets).square().sum(Kind::Double),
    ///     |sums, samples| (sums[0] / samples as f64).sqrt(),
    /// );
    /// ```
    pub fn of_sums(
        name: impl Into<String>,
        direction: Better,
        count: usize,
        sums: impl Fn(&Tensor, &Tensor) -> Tensor + 'static,
        value: impl Fn(&[f64], usize) -> f64 + 'static,
    ) -> Metric {
        let sums = Rc::new(BatchSums { count, function: Box::new(sums) });
        let computation = Computation::Sums(sums, Box::new(value));
        Metric { name: name.into(), direction, computation }
    }

    /// A metric that needs the whole epoch: a function of the outputs [n, ...] and the targets [n, ...] of all n
    /// samples of the validation set, in their order, on the device, with gradients off. It is not measured of the
    /// training samples, whose outputs come from weights that move: its one column is `val_` + name.
    ///
    /// Outputs and targets are kept until the end of the validation, which takes the memory of both twice, on the
    /// device: for 50,000 samples of 1,000 classes 400 MB. Integers come as int64, other numbers as float32 or
    /// float64. Of several processes each is given the outputs of all, and all compute the same value; a validation
    /// is never split by a checkpoint, so that there is nothing to resume. The function is tried with the first batch
    /// of the training samples before the first step.
    ///
    /// A value that is not finite never counts as an improvement.
    ///
    /// ```
    /// use fitch::metrics::{Better, Metric};
    ///
    /// let median = Metric::of_epoch("median_error", Better::Lower, |outputs, targets| {
    ///     Ok((outputs - targets).f_abs()?.f_median()?.f_double_value(&[])?)
    /// });
    /// ```
    pub fn of_epoch(
        name: impl Into<String>,
        direction: Better,
        function: impl Fn(&Tensor, &Tensor) -> Result<f64> + 'static,
    ) -> Metric {
        Metric { name: name.into(), direction, computation: Computation::Epoch(Box::new(function)) }
    }

    /// The share of samples whose largest logit is that of their label; among equal ones the first counts, as
    /// in Keras. Logits [b, classes], labels int64 `[b]`.
    pub fn accuracy() -> Metric {
        let correct = |logits: &Tensor, labels: &Tensor| match count_correct(logits, labels) {
            Some(count) => Tensor::from(count),
            None => logits.argmax(-1, false).eq_tensor(labels).sum(Kind::Double),
        };
        Metric::mean_of_sum(ClassMetric::Accuracy, correct)
    }

    /// Metrics of a classifier: of logits [b, classes] and labels int64 `[b]`. Those that follow from the counts of
    /// classes count once for all of them. `auc` is [of the epoch](Metric::of_epoch).
    ///
    /// ```
    /// use fitch::metrics::{ClassMetric, Metric};
    ///
    /// let metrics = Metric::of_classes(&[ClassMetric::F1, ClassMetric::Auc, ClassMetric::Top(3)], 10)?;
    /// assert_eq!(metrics[2].name, "top3");
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`ClassMetric::check`].
    pub fn of_classes(metrics: &[ClassMetric], classes: usize) -> Result<Vec<Metric>> {
        let counts = Rc::new(BatchSums { count: 3 * classes, function: Box::new(class_counts) });
        let made = metrics.iter().map(|&metric| {
            metric.check(classes)?;
            Ok(match metric {
                ClassMetric::Loss => {
                    let loss = Loss::cross_entropy();
                    Metric::new(metric.to_string(), metric.direction(), move |logits, labels| {
                        loss.call(logits, labels)
                    })
                }
                ClassMetric::Accuracy => Metric::accuracy(),
                ClassMetric::Top(k) => {
                    Metric::mean_of_sum(metric, move |logits, labels| count_in_top(logits, labels, k))
                }
                ClassMetric::Brier => Metric::mean_of_sum(metric, squared_errors),
                ClassMetric::Auc => {
                    Metric::of_epoch(metric.to_string(), metric.direction(), move |logits, labels| {
                        Ok(Classification::new(logits, labels)?.value(metric))
                    })
                }
                of_counts => Metric {
                    name: metric.to_string(),
                    direction: metric.direction(),
                    computation: Computation::Sums(
                        counts.clone(),
                        Box::new(move |sums, _| {
                            ClassCounts::from_sums(sums).value(of_counts).unwrap_or(f64::NAN)
                        }),
                    ),
                },
            })
        });
        made.collect()
    }

    /// Of a function that returns the sum over a batch.
    fn mean_of_sum(metric: ClassMetric, sum: impl Fn(&Tensor, &Tensor) -> Tensor + 'static) -> Metric {
        let mean = |sums: &[f64], samples: usize| sums[0] / samples as f64;
        Metric::of_sums(metric.to_string(), metric.direction(), 1, sum, mean)
    }

    /// Whether it needs the whole epoch.
    pub fn is_of_epoch(&self) -> bool {
        matches!(self.computation, Computation::Epoch(_))
    }

    /// The number of sums that are kept of it.
    pub(super) fn sums(&self) -> usize {
        match &self.computation {
            Computation::Mean(_) => 1,
            Computation::Sums(sums, _) => sums.count,
            Computation::Epoch(_) => 0,
        }
    }

    /// Whether its sums are those of another metric as well.
    pub(super) fn shares_sums_with(&self, other: &Metric) -> bool {
        match (&self.computation, &other.computation) {
            (Computation::Sums(sums, _), Computation::Sums(others, _)) => Rc::ptr_eq(sums, others),
            _ => false,
        }
    }

    /// What a batch adds to its sums, and the weight of it; none for a metric of the epoch.
    ///
    /// # Errors
    /// Another number of values than the metric says.
    pub(super) fn of_batch(
        &self,
        outputs: &Tensor,
        targets: &Tensor,
        batch_size: usize,
    ) -> Result<Option<(Tensor, usize)>> {
        let (function, weight) = match &self.computation {
            Computation::Mean(function) => (function, batch_size),
            Computation::Sums(sums, _) => (&sums.function, 1),
            Computation::Epoch(_) => return Ok(None),
        };
        let value = function(outputs, targets);
        let (shape, due) = (value.size(), self.sums());
        if value.numel() != due {
            let due = if due == 1 { "one value".to_string() } else { format!("{due} values") };
            bail!("metric {}: returns the shape {shape:?}, not {due}", self.name);
        }
        Ok(Some((value.f_reshape([-1])?, weight)))
    }

    /// The value that follows from its sums over a number of samples.
    pub(super) fn of_all(&self, sums: &[f64], samples: usize) -> f64 {
        match &self.computation {
            Computation::Sums(_, value) => value(sums, samples),
            Computation::Mean(_) | Computation::Epoch(_) => sums[0] / samples as f64,
        }
    }

    /// The value of a metric of the epoch for all outputs and targets.
    ///
    /// # Errors
    /// Those of its function.
    pub(crate) fn of_epoch_outputs(&self, outputs: &Tensor, targets: &Tensor) -> Result<f64> {
        let _no_gradient = tch::no_grad_guard();
        match &self.computation {
            Computation::Epoch(function) => {
                function(outputs, targets).with_context(|| format!("the metric {}", self.name))
            }
            _ => bail!("the metric {} is not one of the whole epoch", self.name),
        }
    }

    /// Tries it with a batch.
    ///
    /// # Errors
    /// What does not fit, and another number of values than the metric says.
    pub(crate) fn try_with(&self, outputs: &Tensor, targets: &Tensor) -> Result<()> {
        match self.is_of_epoch() {
            true => self.of_epoch_outputs(outputs, targets).map(drop),
            false => self.of_batch(outputs, targets, 1).map(drop),
        }
    }
}

/// The sum over a batch of what [`ClassMetric::Brier`] is the mean of.
fn squared_errors(logits: &Tensor, labels: &Tensor) -> Tensor {
    let probabilities = logits.softmax(-1, Kind::Double);
    let labels = labels.unsqueeze(-1);
    let errors = probabilities.scatter_add(-1, &labels, &(-labels.ones_like().to_kind(Kind::Double)));
    let of_two = if logits.size().last() == Some(&2) { 0.5 } else { 1.0 };
    errors.square().sum(Kind::Double) * of_two
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_gives_ties_to_the_first_class() {
        let outputs = Tensor::from_slice(&[1f32, 1.0, 0.0, 0.0, 2.0, 2.0, 5.0, 5.0, 5.0]).view([3, 3]);
        let labels = Tensor::from_slice(&[0i64, 1, 2]);
        let (correct, _) = Metric::accuracy().of_batch(&outputs, &labels, 3).unwrap().unwrap();
        assert_eq!(Vec::<f64>::try_from(correct).unwrap(), [2.0]);
    }
}
