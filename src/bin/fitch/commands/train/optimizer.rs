//! From the configuration to an optimizer and a training loss.

use super::splits::Splits;
use crate::config::{ClassWeights, Configuration, Optimization};
use crate::failure::UsageError;
use crate::suggestion::did_you_mean;
use anyhow::Result;
use fitch::metrics::Loss;
use fitch::optim::Optimizer;
use tch::Tensor;
use tch::nn::VarStore;

/// The optimizer of the configuration, with a learning rate.
pub fn optimizer(
    configuration: &Configuration,
    learning_rate: f64,
    variables: &VarStore,
) -> Result<Optimizer> {
    let Optimization { optimizer, clip_norm, .. } = configuration.optimization;
    let optimizer = optimizer.build(variables, learning_rate)?;
    Ok(match clip_norm {
        Some(norm) => optimizer.clip_norm(norm),
        None => optimizer,
    })
}

/// The weight of each class in the training loss; none if all are equal.
pub fn class_weights(
    weights: &ClassWeights,
    splits: &Splits,
    classes: &[String],
) -> Result<Option<Vec<f32>>> {
    let wrong = |fault: String| Err(UsageError(vec![format!("--class-weights: {fault}")]).into());
    match weights {
        ClassWeights::Equal => Ok(None),
        ClassWeights::Balanced => Ok(Some(balanced(&splits.class_counts))),
        ClassWeights::Each(weights) if weights.len() == classes.len() => Ok(Some(weights.clone())),
        ClassWeights::Each(weights) => {
            wrong(format!("{} numbers were given for {} classes", weights.len(), classes.len()))
        }
        ClassWeights::Named(named) => {
            let mut weights = vec![None; classes.len()];
            for (name, weight) in named {
                let Some(class) = classes.iter().position(|class| class == name) else {
                    let known = classes.iter().map(String::as_str);
                    return wrong(format!("there is no class '{name}'{}", did_you_mean(name, known)));
                };
                if weights[class].replace(*weight).is_some() {
                    return wrong(format!("the class '{name}' is given twice"));
                }
            }
            Ok(Some(weights.into_iter().map(|weight| weight.unwrap_or(1.0)).collect()))
        }
    }
}

/// The training loss, if it differs from the loss of validation and test.
pub fn training_loss(optimization: &Optimization, class_weights: Option<&[f32]>) -> Option<Loss> {
    let is_plain = class_weights.is_none() && optimization.label_smoothing == 0.0;
    let weights = class_weights.map(Tensor::from_slice);
    (!is_plain).then(|| Loss::cross_entropy_with(optimization.label_smoothing, weights))
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
