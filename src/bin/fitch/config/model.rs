//! The hidden layers: those of `--layers`, or of a preset or a file that `--model` names.

use super::Checker;
use crate::cli::TrainOptions;
use crate::failure::UsageError;
use crate::suggestion::did_you_mean;
use anyhow::{Context, Result};
use fitch::model::Layers;
use fitch::model::presets::{PRESETS, preset};
use serde::Deserialize;
use std::path::Path;

/// A network in TOML, as a text or as a list, which is easier to read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkFile {
    layers: LayersInFile,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum LayersInFile {
    Text(String),
    List(Vec<String>),
}

/// The hidden layers that a name or file stands for, as `--layers` takes them.
///
/// # Errors
/// No preset of that name and no such file, or a file with anything but layers.
pub fn layers_of(model: &str) -> Result<String> {
    if let Some(preset) = preset(model) {
        return Ok(preset.layers.to_string());
    }
    let wrong = |what: String| UsageError(vec![format!("--model {model}: {what}")]);
    let path = Path::new(model);
    if !path.exists() {
        let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        let suggestion = did_you_mean(model, names.iter().copied());
        let names = names.join(" nor ");
        return Err(wrong(format!("is neither {names} nor a TOML file of layers{suggestion}")).into());
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("--model: cannot read {model}"))?;
    let file: NetworkFile = toml::from_str(&text).map_err(|fault| {
        let fault = fault.to_string();
        wrong(format!("must be TOML with layers = [\"dense 512\", \"relu\", ...]: {}", fault.trim_end()))
    })?;
    Ok(match file.layers {
        LayersInFile::Text(text) => text,
        LayersInFile::List(list) => list.join(", "),
    })
}

/// The hidden layers.
pub fn check_layers(options: &TrainOptions, checker: &mut Checker) -> Option<Layers> {
    match Layers::parse(options.layers.as_deref()?) {
        Ok(layers) => Some(layers),
        Err(fault) => checker.fault_in("layers", fault),
    }
}
