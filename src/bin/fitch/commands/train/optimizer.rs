//! From the configuration to an optimizer and a training loss.

use super::splits::Splits;
use crate::config::{ClassWeights, Configuration, Optimization, OptimizerChoice};
use crate::failure::UsageError;
use anyhow::Result;
use fitch::metrics::Loss;
use fitch::optim::Optimizer;
use tch::Tensor;
use tch::nn::VarStore;

/// The optimizer of the configuration.
pub fn optimizer(configuration: &Configuration, variables: &VarStore) -> Result<Optimizer> {
    let Optimization { optimizer, learning_rate: rate, clip_norm, .. } = configuration.optimization;
    let optimizer = match optimizer {
        OptimizerChoice::Adam(settings) => Optimizer::new(variables, settings, rate)?,
        OptimizerChoice::AdamW(settings) => Optimizer::new(variables, settings, rate)?,
        OptimizerChoice::Sgd(settings) => Optimizer::new(variables, settings, rate)?,
        OptimizerChoice::RmsProp(settings) => Optimizer::new(variables, settings, rate)?,
    };
    Ok(match clip_norm {
        Some(norm) => optimizer.clip_norm(norm),
        None => optimizer,
    })
}

/// The training loss, if it differs from the loss of validation and test.
pub fn training_loss(
    optimization: &Optimization,
    splits: &Splits,
    classes: &[String],
) -> Result<Option<Loss>> {
    let weights = match &optimization.class_weights {
        ClassWeights::Equal => None,
        ClassWeights::Balanced => Some(balanced(&splits.class_counts)),
        ClassWeights::Of(weights) if weights.len() == classes.len() => Some(weights.clone()),
        ClassWeights::Of(weights) => {
            let (given, needed) = (weights.len(), classes.len());
            let fault = format!("--class-weights: {given} numbers were given for {needed} classes");
            return Err(UsageError(vec![fault]).into());
        }
    };
    if weights.is_none() && optimization.label_smoothing == 0.0 {
        return Ok(None);
    }
    let weights = weights.map(|weights| Tensor::from_slice(&weights));
    Ok(Some(Loss::cross_entropy_with(optimization.label_smoothing, weights)))
}

/// Weights in inverse proportion to the image counts: n / (classes * count), as in scikit-learn
/// (`compute_class_weight`). A class with the mean count has weight 1.
fn balanced(counts: &[usize]) -> Vec<f32> {
    let all: usize = counts.iter().sum();
    // A class without a training image is in no batch.
    counts.iter().map(|&count| all as f32 / (counts.len() * count.max(1)) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_classes_have_larger_weights() {
        assert_eq!(balanced(&[10, 30]), [2.0, 2.0 / 3.0]);
    }
}
