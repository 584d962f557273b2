//! Which metrics are measured, and which of them is watched.

use super::Checker;
use crate::cli::TrainOptions;
use crate::suggestion::did_you_mean;
use fitch::metrics::{Better, ClassMetric};

/// What is better in a metric, of training or with `val_`.
pub fn direction_of(metric: &str) -> Better {
    let name = metric.strip_prefix("val_").unwrap_or(metric);
    match name.parse::<ClassMetric>() {
        Ok(known) => known.direction(),
        // Of a history that another program wrote.
        Err(_) if name.ends_with("accuracy") => Better::Higher,
        Err(_) => Better::Lower,
    }
}

/// The metrics beside loss and accuracy, which are always measured. One that is watched is measured, too.
pub fn check(options: &TrainOptions, checker: &mut Checker) -> Option<Vec<ClassMetric>> {
    let mut metrics = Vec::new();
    let text = options.metrics.as_deref();
    for given in text.iter().flat_map(|text| text.split(',')) {
        // Options have dashes where their names in files have underscores.
        let name = given.trim().replace('-', "_");
        let known = ClassMetric::names();
        let Ok(metric) = name.parse() else {
            let rule = match name.strip_prefix("val_") {
                Some(of_both) if of_both.parse::<ClassMetric>().is_ok() => {
                    format!("{of_both} measures the validation images, too, as {name}")
                }
                _ => format!(
                    "'{}' is none of {}, or another top K{}",
                    given.trim(),
                    known.join(", "),
                    meant(&name, &known)
                ),
            };
            return checker.fault_in("metrics", rule);
        };
        if metrics.contains(&metric) {
            return checker.fault_in("metrics", format!("{metric} is named twice"));
        }
        metrics.push(metric);
    }
    if metrics.contains(&ClassMetric::Auc) && options.validation_split == Some(0.0) {
        let rule = "auc needs validation images, but --validation-split is 0";
        return checker.fault_in("metrics", rule);
    }
    metrics.extend(options.monitor.as_deref().and_then(watched).filter(|metric| !metrics.contains(metric)));
    metrics.retain(|metric| ![ClassMetric::Loss, ClassMetric::Accuracy].contains(metric));
    Some(metrics)
}

/// A suggestion: the name that begins so, else the one that is most alike.
fn meant(typed: &str, names: &[String]) -> String {
    let begun = names.iter().find(|name| !typed.is_empty() && name.starts_with(typed));
    match begun {
        Some(name) => format!("; did you mean {name}?"),
        None => did_you_mean(typed, names.iter().map(String::as_str)),
    }
}

/// The metric behind the name of one that is watched.
fn watched(monitor: &str) -> Option<ClassMetric> {
    monitor.strip_prefix("val_").unwrap_or(monitor).parse().ok()
}

pub fn check_monitor(options: &TrainOptions, checker: &mut Checker) -> Option<String> {
    let monitor = options.monitor.as_deref()?;
    let of_validation = monitor.starts_with("val_");
    match watched(monitor) {
        None => {
            let names = ClassMetric::names();
            let columns = names.iter().flat_map(|name| [name.clone(), format!("val_{name}")]);
            let columns: Vec<String> = columns.collect();
            let rule = format!(
                "must be one of accuracy, loss, val_accuracy, val_loss, or another metric in the same way: {}, or \
                 another top K{}",
                names[2..].join(", "),
                meant(monitor, &columns)
            );
            checker.fault("monitor", monitor, &rule)
        }
        Some(_) if of_validation && options.validation_split == Some(0.0) => {
            let rule = "needs validation images, but --validation-split is 0";
            checker.fault("monitor", monitor, rule)
        }
        Some(metric) if !of_validation && !metric.is_running() => {
            let rule = format!("is measured of the validation images only, as val_{metric}");
            checker.fault("monitor", monitor, &rule)
        }
        Some(_) => Some(monitor.to_string()),
    }
}
