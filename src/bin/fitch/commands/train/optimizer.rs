//! From settings to an optimizer and a loss. It must not know the loop.

use super::splits::Splits;
use crate::cli::{AdamOption, OptimizerOption};
use crate::config::{ClassWeights, Configuration, Optimization};
use crate::failure::UsageError;
use anyhow::Result;
use fitch::metrics::Loss;
use fitch::optim::{KERAS_EPSILON, Optimizer, keras_adam};
use tch::Tensor;
use tch::nn::{AdamW, RmsProp, Sgd, VarStore};

/// The optimizer that was asked for.
pub fn optimizer(configuration: &Configuration, variables: &VarStore) -> Result<Optimizer> {
    let Optimization { weight_decay: decay, momentum, clip_norm, .. } = configuration.optimization;
    let rate = configuration.learning_rate;
    let optimizer = match (configuration.optimization.optimizer, configuration.optimization.adam) {
        (OptimizerOption::Adam, AdamOption::Reference) => Optimizer::opaque(variables, keras_adam(), rate)?,
        (OptimizerOption::Adam, AdamOption::Fused) => {
            Optimizer::new(variables, keras_adam().wd(decay), rate)?
        }
        (OptimizerOption::AdamW, _) => {
            let settings = AdamW { wd: decay, eps: KERAS_EPSILON, ..AdamW::default() };
            Optimizer::new(variables, settings, rate)?
        }
        (OptimizerOption::Sgd, _) => {
            Optimizer::new(variables, Sgd { momentum, wd: decay, ..Sgd::default() }, rate)?
        }
        (OptimizerOption::RmsProp, _) => {
            Optimizer::new(variables, RmsProp { momentum, wd: decay, ..RmsProp::default() }, rate)?
        }
    };
    Ok(match clip_norm {
        Some(greatest) => optimizer.clip_norm(greatest),
        None => optimizer,
    })
}

/// The training loss, if it is another than that of validation and test.
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
            let fault = format!("--class-weights: are {given} numbers, but there are {needed} classes");
            return Err(UsageError(vec![fault]).into());
        }
    };
    if weights.is_none() && optimization.label_smoothing == 0.0 {
        return Ok(None);
    }
    let weights = weights.map(|weights| Tensor::from_slice(&weights));
    Ok(Some(Loss::cross_entropy_with(optimization.label_smoothing, weights)))
}

/// In inverse proportion to the number of images, 1 for a class of the mean number: n / (classes * count), as
/// scikit-learn has it.
fn balanced(counts: &[usize]) -> Vec<f32> {
    let all: usize = counts.iter().sum();
    // A class without a training image is in no batch.
    counts.iter().map(|&count| all as f32 / (counts.len() * count.max(1)) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_classes_count_more() {
        assert_eq!(balanced(&[10, 30]), [2.0, 2.0 / 3.0]);
    }
}
