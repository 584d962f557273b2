//! A run brought back from its folder: the record, the model and the weights.

use super::checkpoints::resume_command;
use crate::cli::{OPTIONS, TrainOptions};
use crate::config;
use crate::failure::Hint;
use anyhow::{Context, Error, Result, ensure};
use fitch::data::{ImageFit, Source};
use fitch::export::{InputCard, ModelCard, NetworkCard};
use fitch::model::{Layers, Model, Network};
use fitch::run::{RunFolder, RunRecord, load_weights};
use serde::Deserialize;
use std::path::Path;
use tch::Device;

/// A run's folder with its record and the options that it was trained with.
pub struct RecordedRun {
    pub folder: RunFolder,
    pub record: RunRecord,
    pub options: TrainOptions,
}

impl RecordedRun {
    /// Where its data and its validation images lie, of those that are files or folders.
    pub fn data_paths(&self) -> impl Iterator<Item = &Path> {
        let recorded = [&self.options.dataset, &self.options.validation];
        recorded.into_iter().flatten().map(Path::new).filter(|path| path.is_absolute())
    }

    pub fn open(path: &Path) -> Result<RecordedRun> {
        let folder = RunFolder::open(path)?;
        let record = RunRecord::load(&folder)?;
        let mut options = config::options_of_record(&record.asked_config()).with_context(|| {
            format!("{}, of fitch {}", folder.record_file().display(), record.fitch_version)
        })?;
        // The recorded folder helps only on the machine that it was recorded on.
        options.data.data_dir = options.data.data_dir.filter(|dir| dir.is_dir());
        Ok(RecordedRun { folder, record, options })
    }

    /// The network with its trained weights.
    pub fn load(&self, device: Device) -> Result<Network> {
        let weights = self.folder.weights_file();
        if !weights.exists() {
            return Err(without_weights(&self.folder).into());
        }
        let network = self.network(device)?;
        load_weights(&weights, network.variables()).map_err(|fault| made_again(&fault, &self.folder))?;
        Ok(network)
    }

    /// Fails if a network that another program made is not the one that the run began with.
    pub fn check_network(&self, network: &Network) -> Result<()> {
        ensure!(
            network.file_digest() == self.record.network_sha256.as_deref(),
            "{} is another network than the one that the run began with",
            self.folder.network_file().display()
        );
        Ok(())
    }

    /// Fails if the recorded place of the data, or of their validation images, is not there any more.
    /// `command` is the one that would take another place.
    pub fn check_data_is_there(
        &self,
        dataset: Option<&str>,
        validation: Option<&str>,
        command: &str,
    ) -> Result<()> {
        for (flag, path) in [("dataset", dataset), ("validation", validation)] {
            let Some(path) = path.filter(|path| Source::named(path).is_none()) else { continue };
            if !Path::new(path).exists() {
                let what = if flag == "dataset" { "trained on" } else { "validated on" };
                return Err(Hint {
                    message: format!(
                        "{} was {what} {path}, which is not there any more",
                        self.folder.path().display()
                    ),
                    hint: format!("{command} --{flag} PATH takes the same data from another place"),
                }
                .into());
            }
        }
        Ok(())
    }

    /// The network, not trained.
    pub fn network(&self, device: Device) -> Result<Network> {
        let dataset = &self.record.dataset;
        let in_record = || self.folder.record_file().display().to_string();
        if self.record.network_sha256.is_some() {
            let file = self.folder.network_file();
            let mut network = Network::scripted(&file, &dataset.shape, dataset.classes.len(), device)?;
            self.check_network(&network)?;
            if let Some(patterns) = &self.options.freeze {
                network.freeze(patterns).with_context(in_record)?;
            }
            if let Some(normalization) = &self.record.normalization {
                network.set_normalization(normalization.clone()).with_context(in_record)?;
            }
            return Ok(network);
        }
        let layers = self.options.layers.as_deref().unwrap_or_default();
        let hidden = Layers::parse(layers).with_context(in_record)?;
        let mut model = Model::classifier(&dataset.shape, hidden, dataset.classes.len())?;
        if let Some(patterns) = &self.options.freeze {
            model.freeze(patterns).with_context(in_record)?;
        }
        Network::new(model, device)
    }
}

/// What to say of a run that has no weights: it was killed, is still running, or somebody has removed them.
pub fn without_weights(folder: &RunFolder) -> Hint {
    let shown = folder.path().display();
    let resume = resume_command(folder.path());
    let weights = folder.weights_file();
    let has_ended = RunRecord::load(folder).is_ok_and(|record| record.stop_reason.is_some());
    let message = match has_ended {
        true => format!("cannot read {}: No such file", weights.display()),
        false => format!("{shown} is not finished: {} is not there yet", weights.display()),
    };
    let hint = match (folder.checkpoints().is_empty(), has_ended) {
        (Ok(false), false) => {
            format!("{resume} goes on; fitch report {shown} makes its files with the best weights so far")
        }
        (Ok(false), true) => format!("fitch report {shown} makes it from the last checkpoint"),
        (_, false) => format!("it has no checkpoint yet; {resume} begins it anew"),
        (_, true) => "there is no checkpoint to make it from".to_string(),
    };
    Hint { message, hint }
}

/// A fault of a file of a run that can be made again.
pub fn made_again(fault: &Error, folder: &RunFolder) -> Hint {
    let hint = format!("fitch report {} makes it again", folder.path().display());
    Hint { message: format!("{fault:#}"), hint }
}

/// What an exported model says about its run. Options of the machine are left out, so that the same training
/// gives the same file on any machine.
pub fn model_card(record: &RunRecord, network: &Network) -> ModelCard {
    let is_of_machine = |name: &str| OPTIONS.iter().any(|option| option.name == name && option.is_of_machine);
    let dataset = &record.dataset;
    let mut config = record.asked_config();
    if let Some(options) = config.as_object_mut() {
        options.retain(|name, value| !is_of_machine(name) && !value.is_null());
        options.insert("dataset".to_string(), dataset.name.clone().into());
        if let Some(class) = network.class_name() {
            // Its file may lie anywhere.
            options.insert("model".to_string(), class.into());
        }
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
            fit: ImageFit::deserialize(&record.config["fit"]).unwrap_or_default(),
            normalization: record.normalization.clone(),
        },
        layers: network.model().map(Model::hidden_layers).unwrap_or_default(),
        network: NetworkCard::of(network),
        temperature: None,
        metrics: metrics.into_iter().map(|(name, value)| (name.to_string(), value)).collect(),
        config,
    }
}
