//! A run brought back from its folder: the record, the model and the weights.

use crate::cli::{OPTIONS, TrainOptions};
use crate::config;
use anyhow::{Context, Result};
use fitch::export::{InputCard, ModelCard};
use fitch::model::{Layers, Model, Network};
use fitch::run::{RunFolder, RunRecord, load_weights};
use std::path::Path;
use tch::Device;

/// A run's folder with its record and the options that it was trained with.
pub struct RecordedRun {
    pub folder: RunFolder,
    pub record: RunRecord,
    pub options: TrainOptions,
}

impl RecordedRun {
    pub fn open(path: &Path) -> Result<RecordedRun> {
        let folder = RunFolder::open(path)?;
        let record = RunRecord::load(&folder)?;
        let mut options = config::options_of_record(&record.config)
            .with_context(|| folder.record_file().display().to_string())?;
        // The recorded folder helps only on the machine that it was recorded on.
        options.data.data_dir = options.data.data_dir.filter(|dir| dir.is_dir());
        Ok(RecordedRun { folder, record, options })
    }

    /// The network with its trained weights.
    pub fn load(&self, device: Device) -> Result<Network> {
        let dataset = &self.record.dataset;
        let layers = self.options.layers.as_deref().unwrap_or_default();
        let hidden =
            Layers::parse(layers).with_context(|| self.folder.record_file().display().to_string())?;
        let model = Model::classifier(&dataset.shape, hidden, dataset.classes.len())?;
        let network = Network::new(model, device)?;
        load_weights(&self.folder.weights_file(), network.variables())?;
        Ok(network)
    }
}

/// What an exported model says about its run. Options of the machine are left out, so that the same training
/// gives the same file on any machine.
pub fn model_card(record: &RunRecord, model: &Model) -> ModelCard {
    let is_of_machine = |name: &str| OPTIONS.iter().any(|option| option.name == name && option.is_of_machine);
    let dataset = &record.dataset;
    let mut config = record.config.clone();
    if let Some(options) = config.as_object_mut() {
        options.retain(|name, value| !is_of_machine(name) && !value.is_null());
        options.insert("dataset".to_string(), dataset.name.clone().into());
    }
    let metrics = [
        ("test_accuracy", record.test_accuracy.into()),
        ("test_loss", record.test_loss.into()),
        (record.monitor.as_str(), record.best_value.into()),
        ("epoch", record.weights_epoch.into()),
    ];
    ModelCard {
        fitch_version: record.fitch_version.clone(),
        classes: dataset.classes.clone(),
        input: InputCard {
            shape: dataset.shape.clone(),
            maximum: dataset.maximum,
            border: dataset.border,
            table: dataset.table.clone(),
        },
        layers: model.hidden_layers(),
        metrics: metrics.into_iter().map(|(name, value)| (name.to_string(), value)).collect(),
        config,
    }
}
