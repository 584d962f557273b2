//! Which options are in force: flags over the `--config` file over the defaults, or over a run that goes
//! on. It must not know which values make sense.

use super::network::layers_of;
use crate::cli::{
    AdamOption, ModeOption, PrecisionOption, ProgressOption, SplitOption, StoppingOption, TrainOptions,
};
use crate::failure::UsageError;
use anyhow::{Context, Result};
use fitch::data::Source;
use fitch::model::presets::PRESETS;
use std::path::Path;
use toml::{Table, Value};

const THEANO_PATIENCE: i64 = 10_000;
/// The defaults of `train`; what is none has no default or one that has to be found out.
pub fn defaults() -> TrainOptions {
    TrainOptions {
        dataset: Some("digits".to_string()),
        validation_split: Some(0.1),
        split: Some(SplitOption::Stratified),
        layers: Some(PRESETS[0].layers.to_string()),
        epochs: Some(100),
        batch_size: Some(128),
        learning_rate: Some(0.001),
        adam: Some(AdamOption::Fused),
        precision: Some(PrecisionOption::Float32),
        keep: Some(2),
        seed: Some(0),
        stopping: Some(StoppingOption::Patience),
        monitor: Some("val_loss".to_string()),
        patience: Some(5),
        min_delta: Some(0.0),
        start_from_epoch: Some(0),
        mode: Some(ModeOption::Auto),
        check_finite: Some(false),
        keep_last_weights: Some(false),
        no_early_stopping: Some(false),
        plateau_factor: Some(0.1),
        plateau_min_delta: Some(0.0001),
        plateau_cooldown: Some(0),
        min_learning_rate: Some(0.0),
        device: Some("auto".to_string()),
        progress: Some(ProgressOption::Auto),
        csv_separator: Some(",".to_string()),
        csv_decimal: Some(".".to_string()),
        ..TrainOptions::default()
    }
}

/// Flags over the values of the `--config` file. TOML carries the values, NaN and infinity included, so
/// that the checks see what was written.
fn given(flags: &TrainOptions) -> Result<Table> {
    let mut given = match &flags.config {
        Some(path) => read_file(path)?,
        None => Table::new(),
    };
    given.extend(Table::try_from(flags)?);
    Ok(given)
}

/// The options of a run with those that are given anew.
///
/// # Errors
/// An option that a run cannot change on its way, with both values.
pub fn resolve_resumed(flags: &TrainOptions, recorded: &TrainOptions) -> Result<TrainOptions> {
    const MAY_CHANGE: [&str; 9] = [
        "epochs",
        "patience",
        "time_limit",
        "device",
        "threads",
        "progress",
        "data_dir",
        "checkpoint_every",
        "keep",
    ];
    let mut whole = Table::try_from(recorded)?;
    let mut faults = Vec::new();
    for (name, mut value) in given(flags)? {
        if matches!(name.as_str(), "dataset" | "validation") {
            // A folder is recorded by its whole path.
            let path = value.as_str().and_then(|path| Path::new(path).canonicalize().ok());
            let is_known = value.as_str().is_some_and(|name| Source::named(name).is_some());
            value = path.filter(|_| !is_known).map_or(value, |path| path.display().to_string().into());
        }
        if !MAY_CHANGE.contains(&name.as_str()) && whole.get(&name) != Some(&value) {
            let before = whole.get(&name).map_or("not given".to_string(), Value::to_string);
            let flag = name.replace('_', "-");
            faults.push(format!("--{flag} {value}: cannot change when a run goes on; it was {before}"));
        }
        whole.insert(name, value);
    }
    if faults.is_empty() { Ok(whole.try_into()?) } else { Err(UsageError(faults).into()) }
}

/// Puts what is given over the defaults; also gives what the user should be told.
pub fn resolve(flags: &TrainOptions) -> Result<(TrainOptions, Vec<String>)> {
    let mut given = given(flags)?;
    let mut warnings = Vec::new();
    let no_validation = given.get("validation_split").and_then(Value::as_float) == Some(0.0);
    if no_validation && !given.contains_key("monitor") {
        given.insert("monitor".to_string(), "loss".into());
        if given.get("no_early_stopping") != Some(&Value::Boolean(true)) {
            given.insert("no_early_stopping".to_string(), true.into());
            warnings.push(
                "without a validation set there is no val_loss to watch: early stopping is off \
                 (--monitor loss would watch the training loss)"
                    .to_string(),
            );
        }
    }
    if let (Some(path), true) = (given.get("validation"), given.contains_key("validation_split")) {
        let fault =
            format!("--validation {path}: are the images to validate with; give it or --validation-split");
        return Err(UsageError(vec![fault]).into());
    }
    if let Some(model) = given.get("model").and_then(Value::as_str) {
        if given.contains_key("layers") {
            let fault = format!("--model {model}: is a network already; give it or --layers");
            return Err(UsageError(vec![fault]).into());
        }
        // What is recorded of a run are the layers, which a file may no longer hold later.
        let layers = layers_of(model)?;
        given.insert("layers".to_string(), layers.into());
    }
    if given.get("stopping") == Some(&Value::from("theano")) {
        given.entry("patience").or_insert(THEANO_PATIENCE.into());
    }
    let mut whole = Table::try_from(defaults())?;
    whole.extend(given);
    Ok((whole.try_into()?, warnings))
}

/// Reads a TOML file of options; `batch-size` and `batch_size` are the same.
fn read_file(path: &Path) -> Result<Table> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("--config: cannot read {}", path.display()))?;
    let wrong = |fault: toml::de::Error| {
        UsageError(vec![format!("--config: {}: {}", path.display(), fault.to_string().trim_end())])
    };
    // Once more through the options' own type, so that a whole number is a float where one is wanted.
    let typed = text.parse::<Table>().and_then(options_of).map_err(wrong)?;
    Ok(Table::try_from(typed)?)
}

/// The options in a TOML table.
///
/// # Errors
/// A name that is no option's, or a value of the wrong type.
pub fn options_of(table: Table) -> Result<TrainOptions, toml::de::Error> {
    let options: Table = table.into_iter().map(|(key, value)| (key.replace('-', "_"), value)).collect();
    options.try_into()
}
