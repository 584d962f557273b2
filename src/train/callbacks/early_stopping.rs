//! Early stopping: ends a training when a metric no longer improves, and brings the best weights back.

use super::{Best, BestWeights, EarlyStoppingSettings, PatienceRule, Verdict};
use crate::metrics::Better;
use crate::train::{Callback, SavedState, StopReason, Training};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use toml::Table;

/// Watches one metric an epoch by the rule of [`Patience`]. The best weights come back when training
/// ends, however it ended, unless [`keep_last_weights`](EarlyStopping::keep_last_weights) says otherwise.
#[derive(Debug)]
pub struct EarlyStopping {
    monitor: String,
    mode: Option<Better>,
    settings: EarlyStoppingSettings,
    rule: Option<PatienceRule>,
    weights: BestWeights,
}

impl EarlyStopping {
    /// Watches a metric by its name in the history (`val_loss`), with patience 0. What is better follows
    /// from the metric itself.
    pub fn new(monitor: impl Into<String>) -> EarlyStopping {
        EarlyStopping {
            monitor: monitor.into(),
            mode: None,
            settings: EarlyStoppingSettings::default(),
            rule: None,
            weights: BestWeights::new(true),
        }
    }

    /// How many epochs without improvement end the training.
    pub fn patience(mut self, patience: usize) -> Self {
        self.settings.patience = patience;
        self
    }

    /// All settings of the rule at once.
    pub fn settings(self, settings: EarlyStoppingSettings) -> Self {
        EarlyStopping { settings, ..self }
    }

    /// What is better, against the metric's own word.
    pub fn mode(self, mode: Better) -> Self {
        EarlyStopping { mode: Some(mode), ..self }
    }

    /// Leaves the weights of the last epoch in place.
    pub fn keep_last_weights(self) -> Self {
        EarlyStopping { weights: BestWeights::new(false), ..self }
    }

    /// The best epoch so far, and its value.
    pub fn best(&self) -> Option<Best> {
        self.rule.as_ref().and_then(|rule| rule.best)
    }

    /// Whether the patience is used up already, as after a stop.
    pub fn is_used_up(&self) -> bool {
        self.rule.as_ref().is_some_and(PatienceRule::is_used_up)
    }

    /// The epoch whose weights are brought back when training ends.
    pub fn restores(&self) -> Option<usize> {
        self.best().filter(|_| self.weights.are_wanted()).map(|best| best.epoch)
    }

    fn story(&self, verdict: Verdict, epoch: usize, value: f64) -> String {
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
        format!("early stopping after epoch {epoch}: {reason}; {}", self.best_story())
    }

    fn best_story(&self) -> String {
        match self.best() {
            Some(Best { epoch, value }) => {
                format!("its best is {value:.6} in epoch {epoch}; {}", self.weights.fate(epoch))
            }
            None => "no epoch had a finite value".to_string(),
        }
    }
}

/// What survives a pause.
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
        Ok(SavedState { values: Table::try_from(progress)?, tensors: self.weights.saved() })
    }

    fn load(&mut self, saved: SavedState) -> Result<()> {
        let Progress { best, wait } = saved.values.try_into()?;
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
        let value = training.record().and_then(|record| record.metrics.get(&self.monitor)).copied();
        // The record of an epoch that diverged half-way has no validation.
        let (Some(value), Some(rule)) = (value, self.rule.as_mut()) else { return Ok(()) };
        let verdict = rule.observe(training.epoch, value);
        if rule.best.is_some_and(|best| best.epoch == training.epoch) {
            self.weights.keep(training.variables)?;
        }
        if verdict != Verdict::Continue {
            training.stop(StopReason::EarlyStopping, self.story(verdict, training.epoch, value));
        }
        Ok(())
    }

    fn train_end(&mut self, training: &mut Training) -> Result<()> {
        self.weights.restore(training.variables)?;
        // An early stop has told it already.
        if training.stop_reason() != Some(StopReason::EarlyStopping) {
            training.note(format!("{}: {}", self.monitor, self.best_story()));
        }
        Ok(())
    }
}
