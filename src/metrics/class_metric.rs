//! The metrics of classifiers by their names, as `f1` or `top3`.

use super::Better;
use anyhow::{Result, bail, ensure};
use std::fmt;
use std::str::FromStr;

/// A metric of classifiers. All are computed as scikit-learn does, which gives the name of its function; means
/// over classes are macro means. [`Classification::value`](super::Classification::value) computes any of them, and
/// [`Metric::of_classes`](super::Metric::of_classes) makes what a training records.
///
/// ```
/// use fitch::metrics::{Better, ClassMetric};
///
/// assert_eq!("top3".parse::<ClassMetric>()?, ClassMetric::Top(3));
/// assert_eq!(ClassMetric::Auc.to_string(), "auc");
/// assert_eq!(ClassMetric::Brier.direction(), Better::Lower);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ClassMetric {
    /// `loss`: the mean cross-entropy, in nats (`log_loss`).
    Loss,
    /// `accuracy`: the share of samples whose largest logit is that of their label (`accuracy_score`).
    Accuracy,
    /// `balanced_accuracy`: the mean recall of the classes that have samples (`balanced_accuracy_score`).
    BalancedAccuracy,
    /// `precision`: the mean over the classes that occur, as a label or as a prediction; 0 for a class that was
    /// never predicted (`precision_score`, `average="macro"`).
    Precision,
    /// `recall`: the mean over the classes that occur, as a label or as a prediction; 0 for a class without samples
    /// (`recall_score`, `average="macro"`).
    Recall,
    /// `f1`: the mean over the classes that occur, as a label or as a prediction (`f1_score`, `average="macro"`).
    F1,
    /// `auc`: the area under the ROC curve of each class against the rest, by its probability; the mean over the
    /// classes that have samples and do not have all (`roc_auc_score`, `multi_class="ovr"`). NaN if there is no such
    /// class, and if a probability is NaN.
    Auc,
    /// `mcc`: Matthews' correlation coefficient; 0 where it is undefined (`matthews_corrcoef`).
    Mcc,
    /// `kappa`: Cohen's kappa; NaN if there is one class only, as a label and as a prediction
    /// (`cohen_kappa_score`).
    Kappa,
    /// `brier`: the mean over the samples of the squared errors of their probabilities, added over the classes; half
    /// of it if there are two classes (`brier_score_loss`).
    Brier,
    /// `top3`, for any number: the share of samples whose label is among the 3 largest logits. Of equal ones the
    /// first count, as for accuracy, so that `top1` is the accuracy; scikit-learn's `top_k_accuracy_score` takes
    /// the last ones.
    Top(usize),
}

impl ClassMetric {
    /// All but the top K.
    const NAMED: [(ClassMetric, &str); 10] = [
        (ClassMetric::Loss, "loss"),
        (ClassMetric::Accuracy, "accuracy"),
        (ClassMetric::BalancedAccuracy, "balanced_accuracy"),
        (ClassMetric::Precision, "precision"),
        (ClassMetric::Recall, "recall"),
        (ClassMetric::F1, "f1"),
        (ClassMetric::Auc, "auc"),
        (ClassMetric::Mcc, "mcc"),
        (ClassMetric::Kappa, "kappa"),
        (ClassMetric::Brier, "brier"),
    ];

    /// The metrics that say something of a classifier of that number of classes: all, with the top 3 of more than 3
    /// classes and the top 5 of more than 5.
    pub fn all(classes: usize) -> Vec<ClassMetric> {
        let named = ClassMetric::NAMED.iter().map(|(metric, _)| *metric);
        named.chain([3, 5].into_iter().filter(|k| *k < classes).map(ClassMetric::Top)).collect()
    }

    /// The names of all, with `top3` and `top5` for those of the top K.
    pub fn names() -> Vec<String> {
        ClassMetric::all(usize::MAX).iter().map(ToString::to_string).collect()
    }

    /// Whether smaller or larger values are better.
    pub fn direction(self) -> Better {
        match self {
            ClassMetric::Loss | ClassMetric::Brier => Better::Lower,
            _ => Better::Higher,
        }
    }

    /// Whether it follows from sums over batches, so that it is known of a training as well; otherwise it needs all
    /// outputs at once.
    pub fn is_running(self) -> bool {
        self != ClassMetric::Auc
    }

    /// Refuses what makes no sense for that number of classes.
    ///
    /// # Errors
    /// The top K of K classes or fewer.
    pub fn check(self, classes: usize) -> Result<()> {
        if let ClassMetric::Top(k) = self {
            ensure!(k < classes, "{self}: there are {classes} classes only");
        }
        Ok(())
    }
}

impl fmt::Display for ClassMetric {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            ClassMetric::Top(k) => write!(out, "top{k}"),
            named => {
                let name = ClassMetric::NAMED.iter().find(|(metric, _)| metric == named);
                out.write_str(name.map_or("", |(_, name)| name))
            }
        }
    }
}

impl FromStr for ClassMetric {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<ClassMetric> {
        if let Some((metric, _)) = ClassMetric::NAMED.iter().find(|(_, known)| *known == name) {
            return Ok(*metric);
        }
        // As it is written: neither top03 nor top+3.
        let k = name.strip_prefix("top").and_then(|k| k.parse().ok());
        match k.map(ClassMetric::Top) {
            Some(metric) if metric.to_string() == name && metric != ClassMetric::Top(0) => Ok(metric),
            _ => bail!("there is no metric {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_and_written_the_same() {
        let names = ClassMetric::names();
        assert_eq!(names.len(), 12);
        for name in names.iter().map(String::as_str).chain(["top1", "top100"]) {
            assert_eq!(name.parse::<ClassMetric>().unwrap().to_string(), name);
        }
        for wrong in
            ["", "top", "top0", "top03", "top+3", "top-3", "top3 ", "F1", "val_f1", "top99999999999999999999"]
        {
            assert!(wrong.parse::<ClassMetric>().is_err(), "{wrong}");
        }
        assert_eq!(ClassMetric::all(4).len(), 11);
        assert!(ClassMetric::Top(3).check(3).is_err() && ClassMetric::Top(3).check(4).is_ok());
    }
}
