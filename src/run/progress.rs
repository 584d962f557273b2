//! How far a run is: what the process that trains it tells those who look on.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a run is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The steps of an epoch.
    #[default]
    Training,
    /// The validation at the end of an epoch.
    Validating,
    /// Training is over: the model is tested, and the files of the run are written.
    Finishing,
}

/// How far a run is, as of the last step or so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunProgress {
    /// What it is doing.
    pub phase: Phase,
    /// The current epoch, from 1.
    pub epoch: usize,
    /// The epoch that it ends with at the latest.
    pub epochs: usize,
    /// The steps done in this epoch.
    pub step: usize,
    /// The steps of an epoch.
    pub steps: usize,
    /// The part of the run that is done, from 0 to 1.
    pub run_part: f64,
    /// The seconds that are left of the epoch; none before its first step.
    pub epoch_left: Option<f64>,
    /// The seconds that are left of the run, if nothing ends it early; none before its first step.
    pub run_left: Option<f64>,
    /// The seconds of a step.
    pub step_seconds: Option<f64>,
    /// Whether an epoch takes less than a second.
    pub epochs_are_short: bool,
    /// The means of loss and metrics over the steps so far, those that are finite.
    pub metrics: BTreeMap<String, f64>,
}
