//! `run.json`: the record of a run.

use super::{RunFolder, WeightsRecord};
use crate::data::{Copies, TableForm};
use crate::files::write_whole;
use crate::metrics::Interval;
use crate::model::Normalization;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs;

/// The settings of a run and its results, which are null until it has ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunRecord {
    /// The version of fitch.
    pub fitch_version: String,
    /// The version of libtorch.
    pub libtorch_version: String,
    /// When the run began, in UTC (RFC 3339).
    pub started: String,
    /// Where it ran: `cpu`, `cuda:0`.
    pub device: String,
    /// The number of libtorch's threads.
    pub threads: usize,
    /// The seed of everything random.
    pub seed: u64,
    /// The data it was trained on.
    pub dataset: DatasetRecord,
    /// The number of values in the model, as its summary has it: running means of batchnorm included.
    pub parameters: i64,
    /// The SHA-256 of `network.pt`, if another program made the network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_sha256: Option<String>,
    /// The weights that training began with, if they were taken from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights: Option<WeightsRecord>,
    /// How the channels of images are normalised, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normalization: Option<Normalization>,
    /// Every option in force, by name; `none` where there is nothing that it could say.
    pub config: Value,
    /// Those of `config` that were not given, with the values that were found or that stand for nothing. Records of
    /// earlier versions have null in `config` instead.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub resolved: Map<String, Value>,
    /// Why training ended.
    pub stop_reason: Option<String>,
    /// The number of rows in the history.
    pub epochs_run: Option<usize>,
    /// The metric that decides which epoch was best.
    pub monitor: String,
    /// The best epoch, from 1.
    pub best_epoch: Option<usize>,
    /// The monitored value in that epoch.
    pub best_value: Option<f64>,
    /// The epoch whose weights were saved; null if training ended within it.
    pub weights_epoch: Option<usize>,
    /// The mean loss on the test set.
    pub test_loss: Option<f64>,
    /// The share of the test set that is classified correctly.
    pub test_accuracy: Option<f64>,
    /// The 95 % interval of that loss; none in the records of earlier versions, and of a loss that is not finite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_loss_interval: Option<Interval>,
    /// The 95 % interval of that share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_accuracy_interval: Option<Interval>,
    /// The metrics that were measured beside loss and accuracy, on the test set, by name: `f1`; those that are finite.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub test_metrics: BTreeMap<String, f64>,
    /// Their 95 % intervals.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub test_metric_intervals: BTreeMap<String, Interval>,
    /// The training time, in seconds.
    pub seconds: Option<f64>,
}

/// The sizes of a data set as it was used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetRecord {
    /// Its name.
    pub name: String,
    /// The number of training images.
    pub train: usize,
    /// The number of validation images.
    pub validation: usize,
    /// The number of test images.
    pub test: usize,
    /// The names of the classes.
    pub classes: Vec<String>,
    /// Height and width of an image, with 3 before them in colour; or a number of values.
    pub shape: Vec<i64>,
    /// The pixel value that becomes 1.0.
    pub maximum: f64,
    /// The format that they were read from: `csv`; none if they are built in or catalogued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// The number of training images of each class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_counts: Vec<usize>,
    /// What users should know about how they were read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// The type of the values as they are stored: `Uint8`.
    #[serde(default)]
    pub value_type: Option<String>,
    /// The minimum and the maximum of the training images.
    #[serde(default)]
    pub range: Option<[f64; 2]>,
    /// How bright the border of the training images is on average, from 0 to 1.
    pub border: f64,
    /// A digest that changes when the data do.
    pub fingerprint: String,
    /// How the rows of the training table became images, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<TableForm>,
    /// The groups that every split kept whole, if the data have some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<GroupsRecord>,
    /// The images that are identical to others, as they were found before any was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies: Option<Copies>,
    /// How many training images were left out because they are copies, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copies_dropped: Option<usize>,
}

/// The number of groups in each split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupsRecord {
    /// Of the training images.
    pub train: usize,
    /// Of the validation images; null if there are none, or if they have no groups.
    pub validation: Option<usize>,
    /// Of the test images, likewise.
    pub test: Option<usize>,
}

impl RunRecord {
    /// Writes the record into its folder.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn save(&self, folder: &RunFolder) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        write_whole(&folder.record_file(), text.as_bytes())
    }

    /// The options as they were asked for: `config` without the values that the run found. What was changed in the file
    /// afterwards stays.
    pub fn asked_config(&self) -> Value {
        let mut config = self.config.clone();
        if let Some(options) = config.as_object_mut() {
            options.retain(|name, value| self.resolved.get(name) != Some(value));
        }
        config
    }

    /// Reads the record of a run.
    ///
    /// # Errors
    /// A file that cannot be read, or is not a record.
    pub fn load(folder: &RunFolder) -> Result<RunRecord> {
        let path = folder.record_file();
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not the record of a run", path.display()))
    }
}
