//! The rule of early stopping with patience, as a pure state machine over the values of one metric.
//!
//! It follows Keras 3.15.1 (`EarlyStopping`) and Lightning 2.6.6 (its thresholds and its check for finite
//! values), with two corrections: a value that is not finite is never the best, and a value that passes the
//! stopping threshold can be the best.

use crate::metrics::Better;
use crate::train::Best;

/// The settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EarlyStoppingSettings {
    /// The number of epochs without improvement that end training; 0 and 1 are the same.
    pub patience: usize,
    /// An improvement must exceed this.
    pub min_delta: f64,
    /// Until a value is better than this, an improvement does not reset the count of epochs.
    pub baseline: Option<f64>,
    /// The first epochs up to this one are ignored.
    pub start_from_epoch: usize,
    /// A value better than this ends training at once: it is good enough.
    pub stopping_threshold: Option<f64>,
    /// A value worse than this ends training at once: it has diverged.
    pub divergence_threshold: Option<f64>,
    /// Whether a value that is NaN or infinite ends training at once.
    pub check_finite: bool,
}

impl Default for EarlyStoppingSettings {
    fn default() -> EarlyStoppingSettings {
        EarlyStoppingSettings {
            patience: 0,
            min_delta: 0.0,
            baseline: None,
            start_from_epoch: 0,
            stopping_threshold: None,
            divergence_threshold: None,
            check_finite: false,
        }
    }
}

/// What an epoch's value means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Continue.
    Continue,
    /// Stop: no improvement for some epochs.
    NoImprovement {
        /// Their number.
        epochs: usize,
    },
    /// Stop: the value is beyond the stopping threshold.
    GoodEnough,
    /// Stop: the value is beyond the divergence threshold.
    Diverged,
    /// Stop: the value is not finite.
    NotFinite,
}

/// The state machine.
#[derive(Clone, Debug, PartialEq)]
pub struct PatienceRule {
    /// The settings.
    pub settings: EarlyStoppingSettings,
    /// Whether lower or higher is better.
    pub direction: Better,
    /// The best value so far.
    pub best: Option<Best>,
    /// The epochs without improvement since.
    pub wait: usize,
}

impl PatienceRule {
    /// A rule that has seen no value yet.
    pub fn new(settings: EarlyStoppingSettings, direction: Better) -> PatienceRule {
        PatienceRule { settings, direction, best: None, wait: 0 }
    }

    /// Whether the patience is used up, as after a stop.
    pub fn is_used_up(&self) -> bool {
        self.wait > 0 && self.wait >= self.settings.patience
    }

    /// Takes the value of an epoch (from 1); `best.epoch` then says whether it was the best.
    pub fn observe(&mut self, epoch: usize, value: f64) -> Verdict {
        let EarlyStoppingSettings {
            patience,
            baseline,
            stopping_threshold,
            divergence_threshold,
            check_finite,
            ..
        } = self.settings;
        if epoch <= self.settings.start_from_epoch {
            return Verdict::Continue;
        }
        if check_finite && !value.is_finite() {
            return Verdict::NotFinite;
        }
        self.wait += 1;
        let min_delta = self.settings.min_delta.abs();
        let improved = self.direction.improves(value, self.best.map(|best| best.value), min_delta);
        if improved {
            self.best = Some(Best { epoch, value });
        }
        if stopping_threshold.is_some_and(|threshold| self.direction.is_better(value, threshold)) {
            return Verdict::GoodEnough;
        }
        if divergence_threshold.is_some_and(|threshold| self.direction.is_better(threshold, value)) {
            return Verdict::Diverged;
        }
        if improved {
            if baseline.is_none_or(|baseline| self.direction.is_better(value, baseline)) {
                self.wait = 0;
            }
            return Verdict::Continue;
        }
        // The first epoch never ends training.
        if self.wait >= patience && epoch > 1 {
            return Verdict::NoImprovement { epochs: self.wait };
        }
        Verdict::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Better::{Higher, Lower};

    /// Runs the rule over one value an epoch and gives, counted from 0 as in the source of the vectors:
    /// (epochs run, stopping epoch, best epoch).
    fn run(
        values: &[f64],
        settings: EarlyStoppingSettings,
        direction: Better,
    ) -> (usize, Option<usize>, Option<usize>) {
        let mut rule = PatienceRule::new(settings, direction);
        for (epoch, &value) in values.iter().enumerate() {
            if rule.observe(epoch + 1, value) != Verdict::Continue {
                return (epoch + 1, Some(epoch), rule.best.map(|best| best.epoch - 1));
            }
        }
        (values.len(), None, rule.best.map(|best| best.epoch - 1))
    }

    fn patience(patience: usize) -> EarlyStoppingSettings {
        EarlyStoppingSettings { patience, ..EarlyStoppingSettings::default() }
    }

    #[test]
    fn keras_vectors() {
        // Each row was run on keras.callbacks.EarlyStopping of Keras 3.15.1.
        let slow = [10.0, 9.0, 8.0, 9.0, 8.9, 8.8, 8.7, 8.6, 8.5];
        let rising = [0.2, 0.15, 0.1, 0.11, 0.12];
        let above_baseline = [0.9, 0.8, 0.7, 0.71, 0.72, 0.73];
        let with_baseline = EarlyStoppingSettings { baseline: Some(0.5), ..patience(5) };
        for (why, values, settings, direction, expected) in [
            ("patience 0 stops at the first rise", &slow[..], patience(0), Lower, (4, Some(3), Some(2))),
            ("patience 1 is the same", &slow, patience(1), Lower, (4, Some(3), Some(2))),
            ("patience 2", &slow, patience(2), Lower, (5, Some(4), Some(2))),
            ("patience 3", &slow, patience(3), Lower, (6, Some(5), Some(2))),
            ("two rises", &rising, patience(2), Lower, (5, Some(4), Some(2))),
            ("the baseline is never beaten", &above_baseline, with_baseline, Lower, (5, Some(4), Some(2))),
            ("something else ends it first", &above_baseline[..4], with_baseline, Lower, (4, None, Some(2))),
            (
                "the first is the best",
                &[0.0860, 0.1096, 0.1040, 0.1019],
                patience(2),
                Lower,
                (3, Some(2), Some(0)),
            ),
            (
                "a beaten baseline sets the count back",
                &[0.55, 0.76, 0.81, 0.81],
                EarlyStoppingSettings { baseline: Some(0.75), ..patience(2) },
                Higher,
                (4, None, Some(2)),
            ),
            (
                "the first epochs are not looked at",
                &[1.0, 2.0, 3.0, 4.0, 5.0],
                EarlyStoppingSettings { start_from_epoch: 2, ..patience(0) },
                Lower,
                (4, Some(3), Some(2)),
            ),
            ("equal is no improvement", &[0.5, 0.5, 0.5], patience(0), Lower, (2, Some(1), Some(0))),
        ] {
            assert_eq!(run(values, settings, direction), expected, "{why}");
        }
    }

    #[test]
    fn lightning_vectors() {
        // From the tests of Lightning 2.6.6's EarlyStopping; with patience 3 unless stated otherwise.
        let stopping_threshold = EarlyStoppingSettings { stopping_threshold: Some(2.9), ..patience(3) };
        let divergence_threshold = EarlyStoppingSettings { divergence_threshold: Some(15.9), ..patience(3) };
        let check_finite = EarlyStoppingSettings { check_finite: true, ..patience(3) };
        for (values, settings, stopped) in [
            (&[6.0, 5.0, 5.0, 5.0, 5.0, 5.0][..], patience(3), 4),
            (&[6.0, 5.0, 4.0, 4.0, 3.0, 3.0], patience(1), 3),
            (&[6.0, 5.0, 6.0, 5.0, 5.0, 5.0], patience(3), 4),
            (&[9.0, 8.0, 7.0, 6.0, 5.0, 6.0, 4.0, 3.0, 2.0, 1.0], stopping_threshold, 8),
            (&[9.0, 4.0, 2.0, 16.0, 32.0, 64.0], divergence_threshold, 3),
            (&[4.0, 3.0, f64::NAN, 2.0, 1.0], check_finite, 2),
        ] {
            assert_eq!(run(values, settings, Lower).1, Some(stopped), "{values:?}");
        }
    }

    #[test]
    fn a_value_that_is_not_finite_is_never_the_best() {
        // Keras keeps a NaN of the first epoch as the best for ever.
        assert_eq!(run(&[f64::NAN, 0.5, 0.4, 0.6], patience(1), Lower), (4, Some(3), Some(2)));
        assert_eq!(run(&[0.5, f64::NEG_INFINITY], patience(1), Lower), (2, Some(1), Some(0)));
        assert_eq!(run(&[f64::NAN; 3], patience(2), Lower), (2, Some(1), None));
    }

    #[test]
    fn an_improvement_must_be_greater_than_min_delta_and_slow_ones_add_up() {
        let settings = EarlyStoppingSettings { min_delta: 0.25, ..patience(2) };
        assert_eq!(
            run(&[1.0, 0.75, 0.75], settings, Lower),
            (3, Some(2), Some(0)),
            "exactly min_delta is none"
        );
        let slow = [1.0, 0.8, 0.7, 0.6, 0.5, 0.4];
        let patient = EarlyStoppingSettings { patience: 3, ..settings };
        assert_eq!(run(&slow, patient, Lower), (6, None, Some(5)));
        assert_eq!(
            run(&[0.0, 0.2, 0.3], EarlyStoppingSettings { min_delta: -0.25, ..patience(3) }, Higher).2,
            Some(2)
        );
    }

    #[test]
    fn a_value_good_enough_to_stop_is_also_the_best() {
        let settings = EarlyStoppingSettings { stopping_threshold: Some(0.95), ..patience(3) };
        assert_eq!(run(&[0.9, 0.96], settings, Higher), (2, Some(1), Some(1)));
    }

    #[test]
    fn the_verdict_tells_the_reason() {
        let verdict = |settings, values: &[f64]| {
            let mut rule = PatienceRule::new(settings, Lower);
            values.iter().enumerate().map(|(epoch, &value)| rule.observe(epoch + 1, value)).last().unwrap()
        };
        assert_eq!(verdict(patience(2), &[1.0, 1.0, 1.0]), Verdict::NoImprovement { epochs: 2 });
        let thresholds = EarlyStoppingSettings {
            stopping_threshold: Some(0.1),
            divergence_threshold: Some(5.0),
            check_finite: true,
            ..patience(9)
        };
        assert_eq!(verdict(thresholds, &[0.05]), Verdict::GoodEnough);
        assert_eq!(verdict(thresholds, &[6.0]), Verdict::Diverged);
        assert_eq!(verdict(thresholds, &[f64::INFINITY]), Verdict::NotFinite);
    }
}
