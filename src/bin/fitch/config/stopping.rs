//! When training ends before its last epoch.

use super::Checker;
use crate::cli::{ModeOption, StoppingOption, TrainOptions};
use fitch::metrics::Better;
use fitch::train::callbacks::EarlyStoppingSettings;

/// When training ends before its last epoch.
#[derive(Debug)]
pub enum Stopping {
    Never,
    Patience(EarlyStoppingSettings),
    /// The initial number of steps.
    Theano(usize),
}

impl Stopping {
    /// How long early stopping waits, in epochs or, for Theano's rule, steps; 0 without early stopping.
    pub fn patience(&self) -> usize {
        match self {
            Stopping::Never => 0,
            Stopping::Patience(settings) => settings.patience,
            Stopping::Theano(steps) => *steps,
        }
    }
}

/// What `--mode` says is better; none if that depends on the metric.
pub fn better(mode: ModeOption) -> Option<Better> {
    match mode {
        ModeOption::Auto => None,
        ModeOption::Min => Some(Better::Lower),
        ModeOption::Max => Some(Better::Higher),
    }
}

pub fn check(options: &TrainOptions, checker: &mut Checker) -> Option<Stopping> {
    let theano = options.stopping == Some(StoppingOption::Theano);
    let patience = checker.count("patience", options.patience, i64::from(theano));
    let min_delta = checker.not_negative("min-delta", options.min_delta);
    let baseline = checker.finite("baseline", options.baseline);
    let start_from_epoch = checker.count("start-from-epoch", options.start_from_epoch, 0);
    let stopping_threshold = checker.finite("stopping-threshold", options.stopping_threshold);
    let divergence_threshold = checker.finite("divergence-threshold", options.divergence_threshold);

    if options.no_early_stopping? {
        return Some(Stopping::Never);
    }
    if theano {
        let monitor = options.monitor.as_deref()?;
        if monitor != "val_loss" {
            return checker.fault("monitor", monitor, "--stopping theano watches val_loss only");
        }
        return patience.map(Stopping::Theano);
    }
    Some(Stopping::Patience(EarlyStoppingSettings {
        patience: patience?,
        min_delta: min_delta?,
        baseline,
        start_from_epoch: start_from_epoch?,
        stopping_threshold,
        divergence_threshold,
        check_finite: options.check_finite?,
    }))
}
