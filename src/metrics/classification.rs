//! Samples as a classifier classified them: what every metric of classifiers follows from.

use super::class_ranking::ClassRanking;
use super::{ClassCounts, ClassMetric};
use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

/// The outputs of a classifier for labelled samples. It computes every [`ClassMetric`].
///
/// ```
/// use fitch::metrics::{ClassMetric, Classification};
/// use tch::Tensor;
///
/// let logits = Tensor::from_slice2(&[[2.0f32, 1.0, 0.0], [0.0, 1.0, 2.0], [0.0, 1.0, 0.5]]);
/// let labels = Tensor::from_slice(&[0i64, 1, 1]);
/// let classified = Classification::new(&logits, &labels)?;
/// assert_eq!(classified.value(ClassMetric::Top(2)), 1.0);
/// assert_eq!(classified.value(ClassMetric::BalancedAccuracy), 0.75);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Classification {
    classes: usize,
    labels: Vec<usize>,
    predictions: Vec<usize>,
    /// How many classes come before the label, in the order of the logits.
    ranks: Vec<usize>,
    losses: Vec<f64>,
    brier: Vec<f64>,
    /// [n, classes]
    logits: Vec<f32>,
    /// Of each sample, the largest logit and the sum of what softmax divides by.
    softmax: Vec<(f64, f64)>,
}

/// A classification whose samples are drawn anew, some several times and some not at all: for a bootstrap.
#[derive(Debug)]
pub struct Resampling<'a> {
    classification: &'a Classification,
    /// Of each class; none without auc.
    rankings: Option<Vec<ClassRanking>>,
}

impl Classification {
    /// From logits [n, classes] and labels int64 `[n]`, on any device. It takes 4 bytes a logit.
    ///
    /// # Errors
    /// Other shapes, a label out of range, or a fault of the device.
    pub fn new(logits: &Tensor, labels: &Tensor) -> Result<Classification> {
        let (shape, of_labels) = (logits.size(), labels.size());
        ensure!(
            shape.len() == 2 && shape[1] > 0 && of_labels == shape[..1],
            "metrics of classes take logits [n, classes] and labels [n], not {shape:?} and {of_labels:?}"
        );
        let classes = shape[1] as usize;
        let logits = logits.f_detach()?.f_to_kind(Kind::Float)?.f_to_device(Device::Cpu)?;
        let logits: Vec<f32> = Vec::try_from(logits.f_reshape([-1])?)?;
        let labels: Vec<i64> = Vec::try_from(labels.f_to_kind(Kind::Int64)?.f_to_device(Device::Cpu)?)?;
        let index = |&label: &i64| usize::try_from(label).ok().filter(|label| *label < classes);
        let wrong = labels.iter().find(|label| index(label).is_none());
        ensure!(wrong.is_none(), "the label {} is none of the {classes} classes", wrong.unwrap_or(&0));
        let count = labels.len();
        let labels: Vec<usize> = labels.iter().filter_map(index).collect();
        let mut found = Classification {
            classes,
            labels: Vec::new(),
            predictions: Vec::with_capacity(count),
            ranks: Vec::with_capacity(count),
            losses: Vec::with_capacity(count),
            brier: Vec::with_capacity(count),
            logits: Vec::new(),
            softmax: Vec::with_capacity(count),
        };
        for (row, &label) in logits.chunks(classes).zip(&labels) {
            found.add(row, label);
        }
        Ok(Classification { labels, logits, ..found })
    }

    fn add(&mut self, logits: &[f32], label: usize) {
        // NaN is larger than all, as for libtorch's argmax.
        let ordered = |class: usize| if logits[class].is_nan() { f32::INFINITY } else { logits[class] };
        let prediction = (1..logits.len())
            .fold(0, |best, class| if ordered(class) > ordered(best) { class } else { best });
        let own = ordered(label);
        let before = |&class: &usize| ordered(class) > own || ordered(class) == own && class < label;
        let max: f64 = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max).into();
        let (mut sum, mut others, mut squares) = (0.0, 0.0, 0.0);
        for (class, logit) in logits.iter().enumerate() {
            let part = (f64::from(*logit) - max).exp();
            sum += part;
            if class != label {
                others += part;
                squares += part * part;
            }
        }
        let squared = (squares + others * others) / (sum * sum);
        self.predictions.push(prediction);
        self.ranks.push((0..logits.len()).filter(before).count());
        self.losses.push(sum.ln() + max - f64::from(logits[label]));
        self.brier.push(if logits.len() == 2 { squared / 2.0 } else { squared });
        self.softmax.push((max, sum));
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The label of each sample.
    pub fn labels(&self) -> &[usize] {
        &self.labels
    }

    /// The class of each sample with the largest logit; the first of equal ones.
    pub fn predictions(&self) -> &[usize] {
        &self.predictions
    }

    /// The cross-entropy of each sample, in nats.
    pub fn losses(&self) -> &[f64] {
        &self.losses
    }

    /// The probability that the model gives to a class, for a sample.
    pub fn probability(&self, sample: usize, class: usize) -> f64 {
        let (max, sum) = self.softmax[sample];
        (f64::from(self.logits[sample * self.classes + class]) - max).exp() / sum
    }

    /// The counts of each class.
    pub fn counts(&self) -> ClassCounts {
        self.counts_of(|_| 1)
    }

    /// The value of a metric; NaN where it is undefined, and without a sample.
    pub fn value(&self, metric: ClassMetric) -> f64 {
        self.value_of(metric, None, |_| 1)
    }

    /// What it takes to compute these metrics often, for other choices of the same samples.
    pub fn resampling(&self, metrics: &[ClassMetric]) -> Resampling<'_> {
        let has_auc = metrics.contains(&ClassMetric::Auc);
        let rankings = || (0..self.classes).map(|class| self.ranking(class)).collect();
        Resampling { classification: self, rankings: has_auc.then(rankings).flatten() }
    }

    fn ranking(&self, class: usize) -> Option<ClassRanking> {
        let score = |sample| (self.probability(sample, class), self.labels[sample] == class);
        ClassRanking::new((0..self.len()).map(score))
    }

    pub(super) fn counts_of(&self, times: impl Fn(usize) -> u64) -> ClassCounts {
        let mut counts = ClassCounts::new(self.classes);
        for (sample, (&label, &prediction)) in self.labels.iter().zip(&self.predictions).enumerate() {
            counts.add(label, prediction, times(sample));
        }
        counts
    }

    fn value_of(
        &self,
        metric: ClassMetric,
        rankings: Option<&[ClassRanking]>,
        times: impl Fn(usize) -> u64 + Copy,
    ) -> f64 {
        let mean = |value: &dyn Fn(usize) -> f64| {
            let (mut sum, mut count) = (0.0, 0);
            for sample in (0..self.len()).filter(|sample| times(*sample) > 0) {
                sum += times(sample) as f64 * value(sample);
                count += times(sample);
            }
            sum / count as f64
        };
        let auc = |ranking: &ClassRanking| ranking.auc(|sample| [times(sample) as u32])[0];
        match metric {
            ClassMetric::Loss => mean(&|sample| self.losses[sample]),
            ClassMetric::Brier => mean(&|sample| self.brier[sample]),
            ClassMetric::Top(k) => mean(&|sample| f64::from(u8::from(self.ranks[sample] < k))),
            ClassMetric::Auc => match rankings {
                Some(rankings) => mean_of_defined(rankings.iter().map(auc)),
                // One after the other: together they take much memory.
                None => {
                    let aucs = (0..self.classes).map(|class| Some(auc(&self.ranking(class)?)));
                    aucs.collect::<Option<Vec<_>>>()
                        .map_or(f64::NAN, |aucs| mean_of_defined(aucs.into_iter()))
                }
            },
            of_counts => self.counts_of(times).value(of_counts).unwrap_or(f64::NAN),
        }
    }
}

impl Resampling<'_> {
    /// The value of a metric if each sample were there as many times as `times` says; as for
    /// [`Classification::value`].
    ///
    /// # Errors
    /// Another number of samples.
    pub fn value(&self, metric: ClassMetric, times: &[u32]) -> Result<f64> {
        let (given, samples) = (times.len(), self.classification.len());
        ensure!(given == samples, "there are {samples} samples, not {given}");
        let rankings = self.rankings.as_deref();
        Ok(self.classification.value_of(metric, rankings, |sample| times[sample].into()))
    }

    /// The areas under the ROC curve for several choices, whose `times` lie side by side.
    pub(super) fn aucs<const N: usize>(&self, times: &[[u32; N]]) -> [f64; N] {
        let rankings = self.rankings.as_deref().unwrap_or_default();
        let of_classes: Vec<[f64; N]> =
            rankings.iter().map(|ranking| ranking.auc(|sample| times[sample])).collect();
        std::array::from_fn(|lane| mean_of_defined(of_classes.iter().map(|aucs| aucs[lane])))
    }
}

/// The mean of those that are not NaN; NaN if there is none.
fn mean_of_defined(values: impl Iterator<Item = f64>) -> f64 {
    let values: Vec<f64> = values.filter(|value| !value.is_nan()).collect();
    values.iter().sum::<f64>() / values.len() as f64
}
