//! Samples whose labels are probably wrong.

use super::Classification;

/// A sample whose label is probably wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Suspect {
    /// Its index among the samples.
    pub index: usize,
    /// The class that it has been given.
    pub label: usize,
    /// The class that the model takes it for.
    pub prediction: usize,
    /// The probability that the model gives to that class.
    pub confidence: f64,
    /// The probability that the model gives to the label.
    pub label_probability: f64,
}

impl Suspect {
    /// The cross-entropy of the sample, in nats.
    pub fn loss(&self) -> f64 {
        -self.label_probability.ln()
    }

    /// How suspicious it is, up to 1: by how much the model prefers the other class.
    pub fn suspicion(&self) -> f64 {
        self.confidence - self.label_probability
    }
}

impl Classification {
    /// The samples whose labels are probably wrong, the most suspicious first: those that the classifier takes for
    /// another class and is at least as sure of it as it is, on average, of the samples with that label. So confident
    /// learning (Northcutt and others, 2021) finds them. A model that was trained on the samples may have learned wrong
    /// labels: then there are few.
    pub fn suspects(&self) -> Vec<Suspect> {
        let judged = self.labels().iter().zip(self.predictions()).enumerate();
        let judged = judged.map(|(index, (&label, &prediction))| Suspect {
            index,
            label,
            prediction,
            confidence: self.probability(index, prediction),
            label_probability: self.probability(index, label),
        });
        let judged: Vec<Suspect> = judged.collect();
        let mut sums = vec![(0.0, 0usize); self.classes()];
        for sample in &judged {
            let (sum, count) = &mut sums[sample.label];
            (*sum, *count) = (*sum + sample.label_probability, *count + 1);
        }
        // Of a class that no sample has, nothing is expected.
        let usual = |class: usize| match sums[class] {
            (_, 0) => 0.0,
            (sum, count) => sum / count as f64,
        };
        let is_suspect = |sample: &Suspect| {
            sample.prediction != sample.label && sample.confidence >= usual(sample.prediction)
        };
        let mut suspects: Vec<Suspect> = judged.into_iter().filter(is_suspect).collect();
        suspects.sort_by(|a, b| b.suspicion().total_cmp(&a.suspicion()).then(b.loss().total_cmp(&a.loss())));
        suspects
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Tensor;

    #[test]
    fn those_are_found_of_which_the_model_is_surer_than_usual() {
        let rows = [
            ([4.0f32, 0.0, 0.0], 0i64),
            ([3.0, 0.0, 0.0], 0),
            ([0.0, 5.0, 0.0], 1),
            // Surer than of the others of class 0.
            ([6.0, 0.0, 0.0], 1),
            ([5.0, 0.0, 0.0], 2),
            // Wrong, but not sure.
            ([0.2, 0.0, 0.1], 2),
        ];
        let logits: Vec<f32> = rows.iter().flat_map(|(logits, _)| *logits).collect();
        let labels: Vec<i64> = rows.iter().map(|(_, label)| *label).collect();
        let logits = Tensor::from_slice(&logits).view([-1, 3]);
        let found = Classification::new(&logits, &Tensor::from_slice(&labels)).unwrap().suspects();
        assert_eq!(found.iter().map(|suspect| suspect.index).collect::<Vec<_>>(), [3, 4]);
        let first = found[0];
        assert_eq!((first.label, first.prediction), (1, 0));
        // exp(6) / (exp(6) + 2) and 1 / (exp(6) + 2).
        assert!((first.confidence - 0.9950669).abs() < 1e-6, "{first:?}");
        assert!((first.loss() - 6.0049453).abs() < 1e-6, "{first:?}");
    }
}
