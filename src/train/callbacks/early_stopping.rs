//! Early stopping: ends training when a metric no longer improves, and restores the best weights.

use super::{BestWeights, EarlyStoppingSettings, PatienceRule, Verdict};
use crate::metrics::Better;
use crate::train::{Best, Callback, SavedState, StopReason, Stopping, Training};
use anyhow::Result;
use serde::{Deserialize, Serialize};

/// Watches a metric after each epoch, by the rule of [`EarlyStoppingSettings`]. The best weights are restored
/// when training ends for any reason, unless [`keep_last_weights`](EarlyStopping::keep_last_weights) says
/// otherwise.
#[derive(Debug)]
pub struct EarlyStopping {
    monitor: String,
    mode: Option<Better>,
    settings: EarlyStoppingSettings,
    rule: Option<PatienceRule>,
    weights: BestWeights,
}

impl EarlyStopping {
    /// Watches a metric by its name in the history, such as `val_loss`, with patience 0. The metric says
    /// whether lower or higher is better.
    pub fn new(monitor: impl Into<String>) -> EarlyStopping {
        EarlyStopping {
            monitor: monitor.into(),
            mode: None,
            settings: EarlyStoppingSettings::default(),
            rule: None,
            weights: BestWeights::new(true),
        }
    }

    /// The number of epochs without improvement that end training.
    pub fn patience(mut self, patience: usize) -> Self {
        self.settings.patience = patience;
        self
    }

    /// The least improvement that counts.
    pub fn min_delta(mut self, min_delta: f64) -> Self {
        self.settings.min_delta = min_delta;
        self
    }

    /// All settings of the rule at once.
    pub fn settings(self, settings: EarlyStoppingSettings) -> Self {
        EarlyStopping { settings, ..self }
    }

    /// Whether lower or higher is better, whatever the metric says.
    pub fn mode(self, mode: Better) -> Self {
        EarlyStopping { mode: Some(mode), ..self }
    }

    /// Keeps the weights of the last epoch instead of the best.
    pub fn keep_last_weights(self) -> Self {
        EarlyStopping { weights: BestWeights::new(false), ..self }
    }

    /// Whether the patience is used up, as after a stop.
    pub fn is_used_up(&self) -> bool {
        self.rule.as_ref().is_some_and(PatienceRule::is_used_up)
    }

    fn message(&self, verdict: Verdict, epoch: usize, value: f64) -> String {
        let EarlyStopping { monitor, settings, .. } = self;
        let reason = match (verdict, settings.stopping_threshold, settings.divergence_threshold) {
            (Verdict::GoodEnough, Some(threshold), _) => {
                format!("{monitor} {value:.6} is better than {threshold}")
            }
            (Verdict::Diverged, _, Some(threshold)) => {
                format!("{monitor} {value:.6} is worse than {threshold}")
            }
            (Verdict::NoImprovement { epochs: 1 }, ..) => format!("{monitor} has not improved for 1 epoch"),
            (Verdict::NoImprovement { epochs }, ..) => {
                format!("{monitor} has not improved for {epochs} epochs")
            }
            _ => format!("{monitor} is {value}"),
        };
        format!("early stopping after epoch {epoch}: {reason}; {}", self.sentence())
    }

    fn sentence(&self) -> String {
        self.weights.sentence(&self.monitor, self.best(), None)
    }
}

impl Stopping for EarlyStopping {
    fn best(&self) -> Option<Best> {
        self.rule.as_ref().and_then(|rule| rule.best)
    }

    fn restored_epoch(&self) -> Option<usize> {
        self.weights.restored_epoch(self.best())
    }
}

/// What has to survive a pause.
#[derive(Serialize, Deserialize)]
struct Progress {
    best: Option<Best>,
    wait: usize,
}

impl Callback for EarlyStopping {
    fn state_name(&self) -> Option<&'static str> {
        Some("early_stopping")
    }

    fn save(&self) -> Result<SavedState> {
        let progress = Progress { best: self.best(), wait: self.rule.as_ref().map_or(0, |rule| rule.wait) };
        Ok(SavedState::new(progress)?.with_tensors(self.weights.saved()))
    }

    fn load(&mut self, saved: SavedState) -> Result<()> {
        let Progress { best, wait } = saved.values()?;
        if let Some(rule) = &mut self.rule {
            (rule.best, rule.wait) = (best, wait);
        }
        self.weights.load(saved.tensors);
        Ok(())
    }

    fn train_begin(&mut self, training: &mut Training) -> Result<()> {
        let direction = training.direction_of(&self.monitor)?;
        self.rule = Some(PatienceRule::new(self.settings, self.mode.unwrap_or(direction)));
        Ok(())
    }

    fn epoch_end(&mut self, training: &mut Training) -> Result<()> {
        let value = training.monitored(&self.monitor);
        // An epoch that diverged before its end has no validation.
        let (Some(value), Some(rule)) = (value, self.rule.as_mut()) else { return Ok(()) };
        let verdict = rule.observe(training.epoch(), value);
        if rule.best.is_some_and(|best| best.epoch == training.epoch()) {
            self.weights.keep(training.weights())?;
        }
        if verdict != Verdict::Continue {
            training.stop(StopReason::EarlyStopping, self.message(verdict, training.epoch(), value));
        }
        Ok(())
    }

    fn train_end(&mut self, training: &mut Training) -> Result<()> {
        self.weights.end(training, self.sentence())
    }
}
