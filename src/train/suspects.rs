//! Samples whose labels are probably wrong.

use super::evaluate::within_memory;
use super::{evaluation_batch_size, fault, first_batch};
use crate::data::BatchSource;
use anyhow::{Result, ensure};
use tch::nn::ModuleT;
use tch::{Device, Kind, Tensor};

/// A sample whose label is probably wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Suspect {
    /// Its index among the samples.
    pub index: usize,
    /// The class that it has been given.
    pub label: i64,
    /// The class that the model takes it for.
    pub prediction: i64,
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

/// The samples whose labels are probably wrong, the most suspicious first: those that a classifier takes for another
/// class and is at least as sure of it as it is, on average, of the samples with that label. So confident learning
/// (Northcutt and others, 2021) finds them. A model that was trained on the samples may have learned wrong labels: then
/// it finds few.
///
/// # Errors
/// As [`evaluate`](super::evaluate).
pub fn suspects(model: &dyn ModuleT, source: &dyn BatchSource, batch_size: usize) -> Result<Vec<Suspect>> {
    let judged = fault::catch(|| judged(model, source, batch_size))?;
    let classes =
        judged.iter().map(|sample| sample.label.max(sample.prediction) + 1).max().unwrap_or_default();
    let mut sums = vec![(0.0, 0usize); classes as usize];
    for sample in &judged {
        let (sum, count) = &mut sums[sample.label as usize];
        (*sum, *count) = (*sum + sample.label_probability, *count + 1);
    }
    // Of a class that no sample has, nothing is expected.
    let usual = |class: i64| match sums[class as usize] {
        (_, 0) => 0.0,
        (sum, count) => sum / count as f64,
    };
    let is_suspect =
        |sample: &Suspect| sample.prediction != sample.label && sample.confidence >= usual(sample.prediction);
    let mut suspects: Vec<Suspect> = judged.iter().filter(|sample| is_suspect(sample)).copied().collect();
    suspects.sort_by(|a, b| b.suspicion().total_cmp(&a.suspicion()).then(b.loss().total_cmp(&a.loss())));
    Ok(suspects)
}

/// What the model makes of each sample.
fn judged(model: &dyn ModuleT, source: &dyn BatchSource, batch_size: usize) -> Result<Vec<Suspect>> {
    ensure!(!source.is_empty(), "there are no samples to look at");
    let _no_gradient = tch::no_grad_guard();
    let mut judged = Vec::with_capacity(source.len());
    for batch in source.batches(within_memory(source, evaluation_batch_size(batch_size))?)? {
        let batch = batch?;
        let probabilities = first_batch::outputs(model, &batch.inputs)?.f_softmax(-1, Kind::Double)?;
        let (confidences, predictions) = probabilities.f_max_dim(-1, false)?;
        let of_labels = probabilities.f_gather(1, &batch.targets.f_unsqueeze(1)?, false)?.f_squeeze_dim(1)?;
        let on_cpu = |tensor: &Tensor| tensor.f_to_device(Device::Cpu);
        let confidences: Vec<f64> = Vec::try_from(on_cpu(&confidences)?)?;
        let predictions: Vec<i64> = Vec::try_from(on_cpu(&predictions)?)?;
        let of_labels: Vec<f64> = Vec::try_from(on_cpu(&of_labels)?)?;
        let labels: Vec<i64> = Vec::try_from(on_cpu(&batch.targets)?)?;
        for (row, &label) in labels.iter().enumerate() {
            judged.push(Suspect {
                index: judged.len(),
                label,
                prediction: predictions[row],
                confidence: confidences[row],
                label_probability: of_labels[row],
            });
        }
    }
    Ok(judged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Samples;

    /// The inputs are the logits.
    #[derive(Debug)]
    struct AsTheyAre;

    impl ModuleT for AsTheyAre {
        fn forward_t(&self, inputs: &Tensor, _: bool) -> Tensor {
            inputs.shallow_clone()
        }
    }

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
        let inputs: Vec<f32> = rows.iter().flat_map(|(logits, _)| *logits).collect();
        let labels: Vec<i64> = rows.iter().map(|(_, label)| *label).collect();
        let samples =
            Samples::new(&Tensor::from_slice(&inputs).view([-1, 3]), &Tensor::from_slice(&labels)).unwrap();
        let found = suspects(&AsTheyAre, &samples, 2).unwrap();
        assert_eq!(found.iter().map(|suspect| suspect.index).collect::<Vec<_>>(), [3, 4]);
        let first = found[0];
        assert_eq!((first.label, first.prediction), (1, 0));
        // exp(6) / (exp(6) + 2) and 1 / (exp(6) + 2).
        assert!((first.confidence - 0.9950669).abs() < 1e-6, "{first:?}");
        assert!((first.loss() - 6.0049453).abs() < 1e-6, "{first:?}");
    }
}
