//! The confusion matrix, and what it says about each class.

use super::{ClassCounts, ClassScores};
use anyhow::{Result, ensure};
use std::cmp::Reverse;
use std::fmt;

/// How often samples of each true class were predicted as each class. Its text is a table of the counts, a
/// row for each true class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionMatrix {
    /// `counts[truth][prediction]`.
    pub counts: Vec<Vec<u64>>,
}

impl ConfusionMatrix {
    /// Counts pairs of true and predicted class.
    ///
    /// # Errors
    /// Slices of two lengths; a class that is not from 0 to below `classes`.
    pub fn count(truths: &[i64], predictions: &[i64], classes: usize) -> Result<ConfusionMatrix> {
        let (labels, predicted) = (truths.len(), predictions.len());
        ensure!(labels == predicted, "there are {labels} labels, but {predicted} predictions");
        let mut counts = vec![vec![0; classes]; classes];
        for (&truth, &prediction) in truths.iter().zip(predictions) {
            for class in [truth, prediction] {
                ensure!(
                    (0..classes as i64).contains(&class),
                    "there is a class {class}, but {classes} classes"
                );
            }
            counts[truth as usize][prediction as usize] += 1;
        }
        Ok(ConfusionMatrix { counts })
    }

    /// The classes with the most mistakes, at most `count` of them, whether they were taken for others or others
    /// for them, in the order of the classes.
    pub fn worst_classes(&self, count: usize) -> Vec<usize> {
        let mut mistakes = vec![0u64; self.counts.len()];
        for (truth, counts) in self.counts.iter().enumerate() {
            for (prediction, &count) in counts.iter().enumerate().filter(|(class, _)| *class != truth) {
                mistakes[truth] += count;
                mistakes[prediction] += count;
            }
        }
        let mut worst: Vec<usize> = (0..mistakes.len()).collect();
        worst.sort_by_key(|&class| (Reverse(mistakes[class]), class));
        worst.truncate(count);
        worst.sort_unstable();
        worst
    }

    /// What is left of it without which classes were taken for which.
    pub fn class_counts(&self) -> ClassCounts {
        let classes = 0..self.counts.len();
        ClassCounts {
            samples: self.counts.iter().map(|counts| counts.iter().sum()).collect(),
            predicted: classes.clone().map(|class| self.counts.iter().map(|of| of[class]).sum()).collect(),
            correct: classes.map(|class| self.counts[class][class]).collect(),
        }
    }

    /// The scores of each class.
    pub fn scores(&self) -> Vec<ClassScores> {
        self.class_counts().scores()
    }

    /// As [`ClassCounts::macro_average`].
    pub fn macro_average(&self) -> ClassScores {
        self.class_counts().macro_average()
    }

    /// As [`ClassCounts::weighted_average`].
    pub fn weighted_average(&self) -> ClassScores {
        self.class_counts().weighted_average()
    }
}

impl fmt::Display for ConfusionMatrix {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let max = self.counts.iter().flatten().max().copied().unwrap_or_default();
        let width = max.to_string().len();
        for row in &self.counts {
            let cells: Vec<String> = row.iter().map(|count| format!("{count:>width$}")).collect();
            writeln!(out, "{}", cells.join(" "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_follow_from_the_confusion_matrix() {
        // Class 0: 2 right, 1 predicted as 1; class 1: 1 right; class 2: never seen, never predicted.
        let matrix = ConfusionMatrix::count(&[0, 0, 0, 1], &[0, 0, 1, 1], 3).unwrap();
        assert_eq!(matrix.counts, [[2, 1, 0], [0, 1, 0], [0, 0, 0]]);
        let scores = matrix.scores();
        assert_eq!(scores[0], ClassScores { samples: 3, precision: 1.0, recall: 2.0 / 3.0, f1: 0.8 });
        assert_eq!(scores[1], ClassScores { samples: 1, precision: 0.5, recall: 1.0, f1: 2.0 / 3.0 });
        assert!(scores[2].precision.is_nan() && scores[2].recall.is_nan() && scores[2].f1.is_nan());
    }

    /// The numbers are those of scikit-learn 1.9: `precision_recall_fscore_support(y_true, y_pred,
    /// average="macro")` and `"weighted"`.
    #[test]
    fn averages_leave_out_classes_that_do_not_occur_and_count_what_is_undefined_as_0() {
        let rounded = |scores: ClassScores| {
            [scores.precision, scores.recall, scores.f1].map(|score| (score * 1e6).round() / 1e6)
        };
        let matrix = ConfusionMatrix::count(&[0, 0, 0, 1, 2], &[0, 0, 1, 1, 1], 4).unwrap();
        assert_eq!(rounded(matrix.macro_average()), [0.444444, 0.555556, 0.433333]);
        assert_eq!(rounded(matrix.weighted_average()), [0.666667, 0.6, 0.58]);
        assert_eq!(matrix.macro_average().samples, 5);
    }

    #[test]
    fn the_worst_classes_are_those_in_most_mistakes() {
        let matrix = ConfusionMatrix { counts: vec![vec![9, 0, 1], vec![0, 5, 0], vec![3, 0, 2]] };
        assert_eq!([1, 2, 5].map(|count| matrix.worst_classes(count)), [vec![0], vec![0, 2], vec![0, 1, 2]]);
    }

    #[test]
    fn its_text_is_a_table() {
        let matrix = ConfusionMatrix { counts: vec![vec![12, 0], vec![3, 4]] };
        assert_eq!(matrix.to_string(), "12  0\n 3  4\n");
    }

    #[test]
    fn classes_out_of_range_and_a_missing_prediction_are_errors() {
        for (truths, predictions) in [(&[0, 3][..], &[0, 0][..]), (&[0], &[-1]), (&[0, 1], &[0])] {
            assert!(ConfusionMatrix::count(truths, predictions, 3).is_err(), "{truths:?} {predictions:?}");
        }
    }
}
