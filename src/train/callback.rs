//! The protocol between the loop and what steers it. The loop knows no callback, a callback knows only
//! [`Training`].

use super::Training;
use anyhow::Result;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use tch::Tensor;

/// Something that watches and steers a training. Every method may be left out; an error ends the
/// training at once.
pub trait Callback: fmt::Debug {
    /// Before the first epoch, or the first one after a pause.
    fn train_begin(&mut self, _training: &mut Training) -> Result<()> {
        Ok(())
    }

    /// Before the first step of an epoch.
    fn epoch_begin(&mut self, _training: &mut Training) -> Result<()> {
        Ok(())
    }

    /// After each step. Reading a value here makes the host wait for the device.
    fn step_end(&mut self, _training: &mut Training) -> Result<()> {
        Ok(())
    }

    /// After an epoch's validation; its record is the history's last.
    fn epoch_end(&mut self, _training: &mut Training) -> Result<()> {
        Ok(())
    }

    /// When training ends, however it ended, errors aside.
    fn train_end(&mut self, _training: &mut Training) -> Result<()> {
        Ok(())
    }

    /// The name under which a checkpoint keeps the state; none for a callback without any.
    fn state_name(&self) -> Option<&'static str> {
        None
    }

    /// What has to survive a pause; not the settings.
    fn save(&self) -> Result<SavedState> {
        Ok(SavedState::default())
    }

    /// Goes on from what [`Callback::save`] gave; called after `train_begin`.
    fn load(&mut self, _saved: SavedState) -> Result<()> {
        Ok(())
    }
}

/// What a callback carries over a pause.
#[derive(Debug, Default)]
pub struct SavedState {
    /// Numbers and texts.
    pub values: toml::Table,
    /// Tensors by name; copied when they are written, so they may be the live ones.
    pub tensors: BTreeMap<String, Tensor>,
}

/// Why a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// All epochs were run.
    Completed,
    /// The monitored metric no longer improved, or passed a threshold.
    EarlyStopping,
    /// Somebody asked for it.
    Interrupted,
    /// The time was used up.
    TimeLimit,
    /// The loss became NaN or infinite.
    NonFinite,
}

impl StopReason {
    /// The word for files.
    pub fn name(self) -> &'static str {
        match self {
            StopReason::Completed => "completed",
            StopReason::EarlyStopping => "early_stopping",
            StopReason::Interrupted => "interrupted",
            StopReason::TimeLimit => "time_limit",
            StopReason::NonFinite => "non_finite",
        }
    }
}

/// The end of a training: the reason, and the story for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stop {
    /// Why.
    pub reason: StopReason,
    /// In a sentence.
    pub message: String,
}
