//! The network: the hidden layers of `--layers`, or what `--model` names, a preset, a file of layers or a
//! TorchScript file.

use super::Checker;
use crate::cli::TrainOptions;
use crate::failure::UsageError;
use crate::suggestion::did_you_mean;
use anyhow::{Context, Result};
use fitch::model::presets::{PRESETS, preset};
use fitch::model::{Layers, ParseError};
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What is trained.
#[derive(Clone, Debug)]
pub enum Architecture {
    /// Hidden layers.
    Layers(Layers),
    /// A TorchScript file.
    File(PathBuf),
}

/// Whether `--model` names a file that is to be TorchScript: a zip archive, whatever its name.
pub fn is_network_file(model: &str) -> bool {
    let mut start = [0; 4];
    let read = File::open(model).and_then(|mut file| file.read_exact(&mut start));
    preset(model).is_none() && read.is_ok() && start == *b"PK\x03\x04"
}

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

/// No network in TOML is longer.
const MAX_TOML: u64 = 1 << 20;

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
        return Err(wrong(format!("is neither {names} nor a file that is there{suggestion}")).into());
    }
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_TOML + 1).read_to_end(&mut bytes));
    read.with_context(|| format!("--model: cannot read {model}"))?;
    let is_short = bytes.len() as u64 <= MAX_TOML;
    let Some(text) = String::from_utf8(bytes).ok().filter(|text| is_short && !text.contains('\0')) else {
        return Err(wrong(
            "is neither TOML with layers nor TorchScript, the archive that torch.jit.script(...).save writes; \
             --weights takes files of weights, .safetensors or PyTorch's"
                .to_string(),
        )
        .into());
    };
    if text.trim().is_empty() {
        return Err(wrong("is empty".to_string()).into());
    }
    let file: NetworkFile = toml::from_str(&text).map_err(|fault| {
        // With the line, unless that is none that anybody wrote.
        let shown = fault.to_string();
        let shown = if shown.len() > 1000 { fault.message() } else { shown.trim_end() };
        wrong(format!("must be TOML with layers = [\"dense 512\", \"relu\", ...]: {shown}"))
    })?;
    Ok(match file.layers {
        LayersInFile::Text(text) => text,
        LayersInFile::List(list) => list.join(", "),
    })
}

/// The layers, or the file of a network that has none.
pub fn check_architecture(options: &TrainOptions, checker: &mut Checker) -> Option<Architecture> {
    let Some(layers) = &options.layers else {
        return options.model.as_ref().map(|file| Architecture::File(file.into()));
    };
    match parse_layers(layers) {
        Ok(layers) => Some(Architecture::Layers(layers)),
        Err(fault) => checker.fault_in("layers", fault),
    }
}

/// Reads layers; a fault names the layer that was probably meant.
pub fn parse_layers(text: &str) -> Result<Layers, ParseError> {
    Layers::parse(text).map_err(with_suggestion)
}

/// What other libraries call a layer, and its name here.
const LAYERS_ELSEWHERE: [(&str, &str); 8] = [
    ("linear", "dense"),
    ("fc", "dense"),
    ("conv", "conv2d"),
    ("convolution", "conv2d"),
    ("maxpooling2d", "maxpool2d"),
    ("averagepooling2d", "avgpool2d"),
    ("batchnormalization", "batchnorm"),
    ("layernormalization", "layernorm"),
];

fn with_suggestion(fault: ParseError) -> ParseError {
    let typed = fault.text.get(fault.place.clone()).unwrap_or_default();
    let known: Vec<&str> = Layers::examples().filter_map(|example| example.split(' ').next()).collect();
    if known.contains(&typed) {
        return fault;
    }
    let elsewhere =
        LAYERS_ELSEWHERE.iter().find(|(name, _)| name.eq_ignore_ascii_case(typed)).map(|(_, name)| *name);
    let suggestion = elsewhere
        .map_or_else(|| did_you_mean(typed, known.iter().copied()), |name| format!("; did you mean {name}?"));
    ParseError { message: fault.message + &suggestion, ..fault }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_that_is_not_known_is_suggested_by_its_name_here() {
        let fault = |text: &str| parse_layers(text).unwrap_err().message;
        for (text, name) in [("dens 5", "dense"), ("dense 5, Relu", "relu"), ("batch_norm", "batchnorm")] {
            assert!(fault(text).ends_with(&format!("; did you mean {name}?")), "{}", fault(text));
        }
        for (elsewhere, name) in LAYERS_ELSEWHERE {
            assert!(fault(elsewhere).ends_with(&format!("; did you mean {name}?")), "{}", fault(elsewhere));
            assert!(!parse_layers(name).is_err_and(|fault| fault.message.contains("did you mean")), "{name}");
        }
        assert!(!fault("dense").contains("did you mean"), "{}", fault("dense"));
        assert!(!fault("lstm 5").contains("did you mean"), "{}", fault("lstm 5"));
    }
}
