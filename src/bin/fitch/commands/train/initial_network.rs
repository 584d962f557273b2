//! The network as training finds it: built, its inputs standardised, its weights fresh or taken from elsewhere.

use super::splits::Splits;
use crate::commands::built_model::{RecordedRun, without_weights};
use crate::config::{Architecture, Configuration, Normalize};
use crate::failure::{Hint, UsageError};
use crate::terminal::Terminal;
use anyhow::{Context, Error, Result, anyhow};
use fitch::data::Dataset;
use fitch::distributed::Group;
use fitch::model::{Model, Network};
use fitch::run::{Pretrained, RunFolder, WeightsRecord};
use fitch::train::{normalize, standardize};
use std::fmt::Display;
use std::path::Path;
use tch::Device;

/// Refuses a normalisation that does not fit the data.
pub fn check_normalization(configuration: &Configuration, dataset: &Dataset) -> Result<()> {
    if configuration.normalization.is_none() {
        return Ok(());
    }
    if let Architecture::Layers(layers) = &configuration.architecture
        && layers.are_standardized()
        && !layers.are_normalized()
    {
        let fault = "the layer standardize does the same for each value; use one of them";
        return Err(wrong("normalize", fault));
    }
    match dataset.shape()[..] {
        [_, _] | [_, _, _] => Ok(()),
        _ => Err(wrong("normalize", "is for images; the layer standardize does the same for tables")),
    }
}

fn wrong(flag: &str, fault: impl Display) -> Error {
    UsageError(vec![format!("--{flag}: {fault}")]).into()
}

/// The network with the weights that it begins with, if none are taken from elsewhere. What users should know of one
/// that another program made is said.
pub fn build(
    configuration: &Configuration,
    dataset: &Dataset,
    splits: &Splits,
    device: Device,
    terminal: &Terminal,
) -> Result<Network> {
    tch::manual_seed(configuration.seed as i64);
    let (shape, classes) = (dataset.shape(), dataset.classes.len());
    let mut network = match &configuration.architecture {
        Architecture::Layers(layers) => {
            Network::new(Model::classifier(&shape, layers.clone(), classes)?, device)?
        }
        Architecture::File(file) => {
            let network = Network::scripted(file, &shape, classes, device)?;
            network.notes().iter().for_each(|note| terminal.say(note));
            network.warnings().iter().for_each(|warning| terminal.warn(warning));
            network
        }
    };
    if let Some(patterns) = &configuration.freeze {
        network.freeze(patterns).map_err(|fault| wrong("freeze", fault))?;
    }
    // Every network has gradients in float32.
    let mut network = network.with_precision(configuration.precision.kind()).context("--precision bf16")?;
    match &configuration.normalization {
        None => standardize(&network, &splits.train)?,
        Some(Normalize::Auto) => normalize(&mut network, &splits.train)?,
        Some(Normalize::Given(given)) => {
            if given.mean.iter().any(|mean| mean.abs() > 1.0) {
                terminal.warn(&format!(
                    "--normalize: pixels are from 0 to 1 when the mean is subtracted ({:.3} is 127 of 255)",
                    127.0 / 255.0
                ));
            }
            let channels = network.image_channels().unwrap_or(1);
            network
                .set_normalization(given.for_channels(channels))
                .map_err(|fault| wrong("normalize", fault))?;
        }
    }
    Ok(network)
}

/// Gives the network the weights to start from, unless a checkpoint will. The first of several processes does it for
/// all.
pub fn take_weights(
    configuration: &Configuration,
    network: &Network,
    group: &Group,
    resumed: Option<&RecordedRun>,
    terminal: &Terminal,
) -> Result<Option<WeightsRecord>> {
    let Some(path) = configuration.weights.as_ref().filter(|_| group.is_first()) else {
        match &configuration.architecture {
            Architecture::File(file) => check_finite(network, "model", file)?,
            Architecture::Layers(_)
                if resumed.is_none() && configuration.freeze.is_some() && group.is_first() =>
            {
                terminal.warn(
                    "--freeze without --weights: the frozen layers stay as they are initialised, at random",
                );
            }
            Architecture::Layers(_) => {}
        }
        return Ok(None);
    };
    if let Some(run) = resumed
        && !run.folder.checkpoints().is_empty()?
    {
        return Ok(run.record.weights.clone());
    }
    let file = read(path).context("--weights")?;
    if let Some(before) = resumed.and_then(|run| run.record.weights.as_ref())
        && before.sha256 != file.digest()
    {
        return Err(Hint {
            message: format!(
                "--weights: {} is not the file any more that the run began with",
                path.display()
            ),
            hint: "put it back, or begin a new run".to_string(),
        }
        .into());
    }
    let taken =
        file.give_to(network.variables(), |name| network.is_of_standardization(name)).context("--weights")?;
    taken.lines(&path.display().to_string()).iter().for_each(|line| terminal.say(line));
    check_finite(network, "weights", path)?;
    if let Some(model) = network.model() {
        let initial: Vec<&str> =
            model.frozen().filter(|name| taken.missing.iter().any(|of| of == name)).collect();
        if !initial.is_empty() {
            terminal.warn(&format!("--freeze: frozen as initialised, at random: {}", initial.join(", ")));
        }
    }
    Ok(Some(file.record(&taken)))
}

/// Refuses weights from elsewhere that nothing can be computed with.
fn check_finite(network: &Network, flag: &str, file: &Path) -> Result<()> {
    match network.infinite()? {
        None => Ok(()),
        Some(name) => Err(anyhow!("--{flag} {}: {name} holds NaN or infinite values", file.display())),
    }
}

fn read(path: &Path) -> Result<Pretrained> {
    if path.is_dir()
        && let Ok(folder) = RunFolder::open(path)
        && !folder.weights_file().exists()
    {
        return Err(without_weights(&folder).into());
    }
    Pretrained::read(path)
}
