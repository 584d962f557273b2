//! Counts of each class, and the metrics that follow from them.

use super::ClassMetric;

/// How often each class was right, predicted, and there: less than a confusion matrix, and all that its metrics
/// need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassCounts {
    /// The samples of each class.
    pub samples: Vec<u64>,
    /// How often each class was predicted.
    pub predicted: Vec<u64>,
    /// How often it was rightly predicted.
    pub correct: Vec<u64>,
}

/// What the counts say about one class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClassScores {
    /// The number of samples of this class.
    pub samples: u64,
    /// Of the samples predicted as this class, the share that is of it; NaN if there are none.
    pub precision: f64,
    /// Of the samples of this class, the share that was predicted as it; NaN if there are none.
    pub recall: f64,
    /// The harmonic mean of both, computed from the counts: 2 TP / (2 TP + FP + FN).
    pub f1: f64,
}

impl ClassCounts {
    /// Zeros for a number of classes.
    pub fn new(classes: usize) -> ClassCounts {
        let zeros = vec![0; classes];
        ClassCounts { samples: zeros.clone(), predicted: zeros.clone(), correct: zeros }
    }

    /// Counts a sample of a class and its prediction, or as many as there are. Both must be below the number of
    /// classes.
    pub fn add(&mut self, label: usize, prediction: usize, times: u64) {
        self.samples[label] += times;
        self.predicted[prediction] += times;
        self.correct[label] += if label == prediction { times } else { 0 };
    }

    /// From sums as a training keeps them: of all classes their samples, then the predicted, then the right ones.
    pub(super) fn from_sums(sums: &[f64]) -> ClassCounts {
        let classes = sums.len() / 3;
        let part = |index: usize| {
            sums[index * classes..(index + 1) * classes].iter().map(|sum| *sum as u64).collect()
        };
        ClassCounts { samples: part(0), predicted: part(1), correct: part(2) }
    }

    /// The scores of each class.
    pub fn scores(&self) -> Vec<ClassScores> {
        let counts = self.samples.iter().zip(&self.predicted).zip(&self.correct);
        let scores = counts.map(|((&samples, &predicted), &correct)| ClassScores {
            samples,
            precision: correct as f64 / predicted as f64,
            recall: correct as f64 / samples as f64,
            f1: 2.0 * correct as f64 / (samples + predicted) as f64,
        });
        scores.collect()
    }

    /// The mean of the scores of all classes that occur, as a true class or as a predicted one. A score that is
    /// undefined, such as the precision of a class that was never predicted, counts as 0, as in scikit-learn.
    pub fn macro_average(&self) -> ClassScores {
        self.average(|_| 1.0)
    }

    /// The mean of the scores of the classes, each weighted by its samples; as in [`Self::macro_average`], what
    /// is undefined counts as 0.
    pub fn weighted_average(&self) -> ClassScores {
        self.average(|scores| scores.samples as f64)
    }

    fn average(&self, weight: impl Fn(&ClassScores) -> f64) -> ClassScores {
        let scores: Vec<ClassScores> =
            self.scores().into_iter().filter(|scores| !scores.f1.is_nan()).collect();
        let total: f64 = scores.iter().map(&weight).sum();
        let mean = |score: fn(&ClassScores) -> f64| {
            let of_class = |scores: &ClassScores| {
                let score = score(scores);
                if score.is_nan() { 0.0 } else { weight(scores) * score }
            };
            scores.iter().map(of_class).sum::<f64>() / total
        };
        ClassScores {
            samples: scores.iter().map(|scores| scores.samples).sum(),
            precision: mean(|scores| scores.precision),
            recall: mean(|scores| scores.recall),
            f1: mean(|scores| scores.f1),
        }
    }

    /// The value of a metric; none if it takes more than counts.
    pub fn value(&self, metric: ClassMetric) -> Option<f64> {
        Some(match metric {
            ClassMetric::Accuracy | ClassMetric::Top(1) => self.right() / self.total(),
            ClassMetric::BalancedAccuracy => {
                let recalls = self.scores().into_iter().map(|scores| scores.recall);
                let recalls: Vec<f64> = recalls.filter(|recall| !recall.is_nan()).collect();
                recalls.iter().sum::<f64>() / recalls.len() as f64
            }
            ClassMetric::Precision => self.macro_average().precision,
            ClassMetric::Recall => self.macro_average().recall,
            ClassMetric::F1 => self.macro_average().f1,
            ClassMetric::Mcc => {
                let squared = |counts: &[u64]| self.total().powi(2) - products(counts, counts);
                let spread = (squared(&self.samples) * squared(&self.predicted)).sqrt();
                if spread == 0.0 { 0.0 } else { self.above_chance() / spread }
            }
            ClassMetric::Kappa => {
                self.above_chance() / (self.total().powi(2) - products(&self.samples, &self.predicted))
            }
            ClassMetric::Loss | ClassMetric::Auc | ClassMetric::Brier | ClassMetric::Top(_) => return None,
        })
    }

    fn total(&self) -> f64 {
        self.samples.iter().sum::<u64>() as f64
    }

    fn right(&self) -> f64 {
        self.correct.iter().sum::<u64>() as f64
    }

    /// The right predictions beyond those of chance, times the number of samples.
    fn above_chance(&self) -> f64 {
        self.right() * self.total() - products(&self.samples, &self.predicted)
    }
}

fn products(one: &[u64], other: &[u64]) -> f64 {
    one.iter().zip(other).map(|(&one, &other)| one as f64 * other as f64).sum()
}
