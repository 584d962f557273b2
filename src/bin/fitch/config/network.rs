//! What `--model` names: a preset, or a file with layers. It must not know what layers are.

use crate::failure::UsageError;
use anyhow::{Context, Result};
use fitch::model::presets::{PRESETS, preset};
use serde::Deserialize;
use std::path::Path;

/// A network in TOML. Long ones are easier to read as a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkFile {
    layers: Layers,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Layers {
    Text(String),
    List(Vec<String>),
}

/// The hidden layers that a name or file stands for, as `--layers` takes them.
///
/// # Errors
/// No preset of that name and no such file, or a file of something else.
pub fn layers_of(model: &str) -> Result<String> {
    if let Some(preset) = preset(model) {
        return Ok(preset.layers.to_string());
    }
    let wrong = |what: String| UsageError(vec![format!("--model {model}: {what}")]);
    let path = Path::new(model);
    if !path.exists() {
        let names: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
        return Err(wrong(format!("is neither {} nor a TOML file of layers", names.join(" nor "))).into());
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("--model: cannot read {model}"))?;
    let file: NetworkFile = toml::from_str(&text).map_err(|fault| {
        let fault = fault.to_string();
        wrong(format!("must be TOML with layers = [\"dense 512\", \"relu\", ...]: {}", fault.trim_end()))
    })?;
    Ok(match file.layers {
        Layers::Text(text) => text,
        Layers::List(list) => list.join(", "),
    })
}
