//! The options of a run as its record has them: each with the value that was in force.

use super::Work;
use crate::cli::{OPTIONS, TrainOptions};
use crate::config::{Architecture, Configuration};
use anyhow::{Context, Result};
use fitch::data::Source;
use fitch::device;
use fitch::run::{RunFolder, RunRecord};
use serde_json::{Map, Value, json};
use std::path::Path;

/// The options in force, and those among them that were not given: the run has found their values.
pub struct RecordedOptions {
    pub config: Value,
    pub resolved: Map<String, Value>,
}

impl RecordedOptions {
    /// Of a run in a folder. `repeated` is the run that it repeats, if it does: what that one had found was not given
    /// here, either.
    pub fn of(
        options: TrainOptions,
        work: &Work,
        folder: &RunFolder,
        repeated: Option<&RunRecord>,
    ) -> Result<RecordedOptions> {
        let asked = serde_json::to_value(asked_for(options, &work.configuration)?)?;
        let mut config = asked.as_object().context("options are not an object")?.clone();
        config.retain(|_, value| !value.is_null());
        let mut resolved = found(work, folder)?;
        // Only what was left to the program.
        let is_open = |name: &str| config.get(name).is_none_or(|value| name == "device" && value == "auto");
        resolved.retain(|name, _| is_open(name));
        for option in OPTIONS {
            // Either of these says what the other one is.
            let is_needless = ["model", "layers"].contains(&option.name);
            if !is_needless && !config.contains_key(option.name) {
                resolved.entry(option.name).or_insert("none".into());
            }
        }
        config.extend(resolved.clone());
        let of_repeated = repeated.into_iter().flat_map(|record| &record.resolved);
        let same = of_repeated.filter(|(name, value)| config.get(*name) == Some(*value));
        resolved.extend(same.map(|(name, value)| (name.clone(), value.clone())));
        Ok(RecordedOptions { config: config.into(), resolved })
    }
}

/// What the options stand for that have no default of their own, and the device of `auto`. What is missing here, too,
/// is off.
fn found(work: &Work, folder: &RunFolder) -> Result<Map<String, Value>> {
    let Work { configuration, dataset, source, splits, .. } = work;
    let reading = &configuration.reading;
    let image_size = match dataset.shape()[..] {
        [.., height, width] if source.is_of_pictures() => Some(format!("{height}x{width}")),
        _ => None,
    };
    let format = if let Source::Path { format, .. } = source { *format } else { None };
    let found = [
        ("data_dir", json!(reading.data_dir)),
        ("data_format", json!(format.map(|format| format.keyword()))),
        ("image_size", json!(image_size)),
        ("fit", json!(reading.image_fit.keyword())),
        ("label_column", json!(dataset.table.as_ref().and_then(|table| table.label.clone()))),
        ("pixel_order", json!(dataset.table.as_ref().map(|table| table.pixel_order.keyword()))),
        ("classes", json!("all")),
        ("maximum", json!(dataset.maximum)),
        ("transpose", json!(source.transposes(reading))),
        ("validation", json!(splits.has_own_validation.then_some("own"))),
        ("limit", json!("all")),
        ("accumulate", json!(configuration.accumulate)),
        ("device", json!(device::device_name(work.device))),
        ("out", json!(folder.path())),
    ];
    let found = found.into_iter().filter(|(_, value)| !value.is_null());
    Ok(found.map(|(name, value)| (name.to_string(), value)).collect())
}

/// The options with whole paths, so that a later evaluation finds the same data, and with what is fixed when a run
/// begins.
fn asked_for(mut options: TrainOptions, configuration: &Configuration) -> Result<TrainOptions> {
    if let Source::Path { path, .. } = &configuration.source {
        options.dataset = Some(path.canonicalize()?.display().to_string());
    }
    if let Some(path) = &configuration.reading.validation {
        options.validation = Some(path.canonicalize()?.display().to_string());
    }
    if let Some(path) = &configuration.weights {
        // A run that is resumed does not need it any more.
        let whole = path.canonicalize().or_else(|_| std::path::absolute(path))?;
        options.weights = Some(whole.display().to_string());
    }
    if let Source::Known(_) = &configuration.source {
        options.data.data_dir = Some(configuration.reading.folder()?.canonicalize()?);
    }
    match &configuration.architecture {
        // The data may have asked for the first layer.
        Architecture::Layers(layers) if layers.are_standardized() => {
            options.layers = Some(layers.to_string());
        }
        Architecture::Layers(_) => {}
        Architecture::File(_) => {
            // The file may be gone when a run is resumed, which has a copy.
            let whole = |given: String| {
                Path::new(&given).canonicalize().map_or(given, |path| path.display().to_string())
            };
            options.model = options.model.map(whole);
        }
    }
    if options.fold.is_some() {
        // The fold says what is held out.
        options.validation_split = None;
    }
    options.threads = Some(configuration.machine.threads as i64);
    options.shards = configuration.shards.map(|shards| shards as i64);
    Ok(options)
}
