//! The results of several models on the same images, and the tests of each two of them.

use super::test_images::TestImages;
use anyhow::Result;
use fitch::metrics::{Interval, McNemar, holm};
use fitch::train::Evaluation;

/// Differences with a p-value below this count as evidence.
const SIGNIFICANCE: f64 = 0.05;

/// A model and its predictions, whose classes have names: models may number them differently.
pub struct Candidate {
    /// As it was given.
    pub name: String,
    pub predictions: Vec<String>,
    pub confidences: Vec<f64>,
    pub accuracy: f64,
    /// For each image, whether it is classified correctly.
    pub is_right: Vec<bool>,
}

impl Candidate {
    pub fn of(name: &str, images: &TestImages, test: &Evaluation) -> Candidate {
        let is_right =
            test.predictions.iter().zip(&images.labels).map(|(prediction, label)| prediction == label);
        Candidate {
            name: name.to_string(),
            predictions: test.predictions.iter().map(|&class| images.class(class).to_string()).collect(),
            confidences: test.confidences.clone(),
            accuracy: test.accuracy,
            is_right: is_right.collect(),
        }
    }

    /// The number of images that it classifies correctly.
    pub fn right(&self) -> usize {
        self.is_right.iter().filter(|is_right| **is_right).count()
    }

    pub fn accuracy_interval(&self) -> Option<Interval> {
        Interval::wilson(self.right(), self.is_right.len())
    }
}

/// Two models, by their places among all, and how they did on the same images.
pub struct Pair {
    pub a: usize,
    pub b: usize,
    pub test: McNemar,
    pub p_value: f64,
    /// Corrected for the number of pairs.
    pub corrected: f64,
}

impl Pair {
    /// The better one, if there is evidence that there is one.
    pub fn better(&self) -> Option<usize> {
        let better = if self.test.a_only > self.test.b_only { self.a } else { self.b };
        (self.corrected < SIGNIFICANCE).then_some(better)
    }
}

pub struct Comparison {
    pub candidates: Vec<Candidate>,
    /// The true class of each image.
    pub truths: Vec<String>,
    /// All pairs of candidates.
    pub pairs: Vec<Pair>,
}

impl Comparison {
    pub fn of(images: &TestImages, candidates: Vec<Candidate>) -> Result<Comparison> {
        let mut pairs = Vec::new();
        for b in 1..candidates.len() {
            for a in 0..b {
                let test = McNemar::of(&candidates[a].is_right, &candidates[b].is_right)?;
                pairs.push(Pair { a, b, test, p_value: test.p_value(), corrected: 1.0 });
            }
        }
        pairs.sort_by_key(|pair| (pair.a, pair.b));
        let corrected = holm(&pairs.iter().map(|pair| pair.p_value).collect::<Vec<_>>());
        pairs.iter_mut().zip(corrected).for_each(|(pair, corrected)| pair.corrected = corrected);
        let truths = images.labels.iter().map(|&label| images.class(label).to_string()).collect();
        Ok(Comparison { candidates, truths, pairs })
    }

    /// The images that some classify correctly and others do not, in their order.
    pub fn differences(&self) -> Vec<usize> {
        let right = |index: usize| self.candidates.iter().filter(|model| model.is_right[index]).count();
        (0..self.truths.len()).filter(|&index| (1..self.candidates.len()).contains(&right(index))).collect()
    }
}
