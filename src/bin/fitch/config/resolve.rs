//! Which options are in force: flags over the `--config` file over the defaults, or over those of a run that
//! is resumed.

use super::model::{is_network_file, layers_of};
use super::options_file;
use super::without_effect::without_effect;
use crate::cli::{OPTIONS, RateOption, StoppingOption, TrainOptions};
use crate::failure::UsageError;
use anyhow::{Context, Error, Result, anyhow, ensure};
use fitch::data::Source;
use fitch::model::Layers;
use serde_json::{Map, Value as Json};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The patience of `--stopping theano`, in steps.
const THEANO_PATIENCE: i64 = 10_000;

/// `--adam fused` (the default) or `reference`, which was tch's own optimizer, to compare with.
const RETIRED: &str = "adam";

/// The flags over the options of the `--config` file.
fn given(flags: &TrainOptions) -> Result<TrainOptions> {
    match &flags.config {
        Some(path) => over(&options_file::read(path)?, flags),
        None => Ok(flags.clone()),
    }
}

/// The folder that flags or the `--config` file name for the run.
pub fn given_out(flags: &TrainOptions) -> Result<Option<PathBuf>> {
    Ok(given(flags)?.out)
}

/// The options of `base`, with those that are `given` in their place, and without those that are given as off.
pub(super) fn over(base: &TrainOptions, given: &TrainOptions) -> Result<TrainOptions> {
    let mut whole = Table::try_from(base)?;
    whole.extend(Table::try_from(given)?);
    whole.retain(|name, _| !given.off.iter().any(|off| off == name));
    Ok(TrainOptions { off: given.off.clone(), ..whole.try_into()? })
}

/// The options in the record of a run. A record of an earlier version may lack an option or hold null for a
/// default.
///
/// # Errors
/// Options that this version does not have.
pub fn options_of_record(config: &serde_json::Value) -> Result<TrainOptions> {
    let mut options = config.as_object().context("config is not an object")?.clone();
    options.remove(RETIRED);
    for name in options.keys() {
        ensure!(
            options_file::find(name).is_some(),
            "config has '{name}', which is not an option of this version"
        );
    }
    let recorded: TrainOptions = serde_json::from_value(options.clone().into())
        .map_err(|fault| name_option(&options, fault.into()))?;
    let is_of_file = recorded.model.is_some() && recorded.layers.is_none();
    let whole = over(&TrainOptions::defaults(), &recorded)?;
    Ok(if is_of_file { TrainOptions { layers: None, ..whole } } else { whole })
}

/// A fault in the values of recorded options, with the option that has it.
fn name_option(options: &Map<String, Json>, fault: Error) -> Error {
    let alone = |(name, value): (&String, &Json)| {
        let alone = Json::Object(Map::from_iter([(name.clone(), value.clone())]));
        let fault = serde_json::from_value::<TrainOptions>(alone).err()?;
        Some(anyhow!("config has a value of '{name}' that this version does not take: {fault}"))
    };
    options.iter().find_map(alone).unwrap_or(fault)
}

/// Whether a run was trained with an optimizer that earlier versions had and whose state cannot be saved.
pub fn had_reference_adam(config: &serde_json::Value) -> bool {
    config[RETIRED] == "reference"
}

/// The options of a run with those that are given now. `had_rate_test` is whether a test found its learning rate, so
/// that `auto` means that one.
///
/// # Errors
/// An option that cannot change when a run is resumed, with both values.
pub fn resolve_resumed(
    flags: &TrainOptions,
    recorded: &TrainOptions,
    had_rate_test: bool,
) -> Result<TrainOptions> {
    let mut given = given(flags)?;
    given.dataset = given.dataset.map(|dataset| match Source::named(&dataset) {
        Some(_) => dataset,
        None => as_recorded(dataset),
    });
    given.validation = given.validation.map(as_recorded);
    if recorded.layers.is_none() {
        given.model = given.model.map(as_recorded);
    }
    // The data may have asked for a layer before those that were given.
    let with_first_layer = |layers: &str| {
        let layers = Layers::parse(layers).ok()?;
        Some([layers.clone().standardized(), layers.normalized()].map(|layers| layers.to_string()))
    };
    given.weights = given.weights.map(as_recorded);
    if flags.resume_if_any {
        // It named this run, in whatever spelling.
        given.out = recorded.out.clone();
    }
    if given.learning_rate == Some(RateOption::Auto) && had_rate_test {
        given.learning_rate = recorded.learning_rate;
    }
    let possible = given.layers.as_deref().and_then(with_first_layer).unwrap_or_default();
    if recorded.layers.as_ref().is_some_and(|layers| possible.contains(layers)) {
        given.layers = recorded.layers.clone();
    }
    let (before, mut now) = (Table::try_from(recorded)?, Table::try_from(&given)?);
    for name in given.off.iter().filter(|name| before.contains_key(*name)) {
        now.insert(name.clone(), "none".into());
    }
    let mut faults = Vec::new();
    for option in OPTIONS.iter().filter(|option| !option.may_change) {
        let is_moved = |value: &Value| {
            // Whether the data in another place are the same is for their fingerprint to say.
            ["dataset", "validation"].contains(&option.name)
                && is_path(value)
                && before.get(option.name).is_some_and(is_path)
        };
        let is_other = |value: &&Value| before.get(option.name) != Some(value) && !is_moved(value);
        if let Some(value) = now.get(option.name).filter(is_other) {
            let before = before.get(option.name).map_or("not given".to_string(), Value::to_string);
            faults.push(format!(
                "--{} {value}: cannot change when a run is resumed; it was {before}",
                option.flag()
            ));
        }
    }
    if faults.is_empty() { over(recorded, &given) } else { Err(UsageError(faults).into()) }
}

/// Whether the value of an option is a path, not the name of a data set.
fn is_path(value: &Value) -> bool {
    value.as_str().is_some_and(|text| Source::named(text).is_none())
}

/// A path as it is recorded: whole, whether or not it is there.
pub(super) fn as_recorded(path: String) -> String {
    let whole = Path::new(&path).canonicalize().or_else(|_| std::path::absolute(&path));
    whole.map_or(path, |whole| whole.display().to_string())
}

/// Puts what is given over the defaults; also returns warnings for the user.
pub fn resolve(flags: &TrainOptions) -> Result<(TrainOptions, Vec<String>)> {
    let mut given = given(flags)?;
    let asked = given.clone();
    let mut warnings: Vec<String> = add_consequences(&mut given).into_iter().collect();
    check_held_out(&given)?;
    let has_layers = !take_layers_of_model(&mut given)?;
    let whole = over(&TrainOptions::defaults(), &given)?;
    warnings.extend(without_effect(&asked, &whole)?);
    Ok((if has_layers { whole } else { TrainOptions { layers: None, ..whole } }, warnings))
}

/// Adds what follows from options that are given, if it is not given as well; returns what is to be said of it.
pub(super) fn add_consequences(given: &mut TrainOptions) -> Option<String> {
    if given.stopping == Some(StoppingOption::Theano) {
        given.patience = given.patience.or(Some(THEANO_PATIENCE));
    }
    if given.validation_split != Some(0.0) || given.monitor.is_some() {
        return None;
    }
    given.monitor = Some("loss".to_string());
    (given.no_early_stopping.replace(true) != Some(true)).then(|| {
        "early stopping is off: without validation images there is no val_loss to watch (--monitor loss watches \
         the training loss)"
            .to_string()
    })
}

/// # Errors
/// Options that say in two ways what is held out.
pub(super) fn check_held_out(given: &TrainOptions) -> Result<()> {
    if let (Some(path), Some(_)) = (&given.validation, given.validation_split) {
        return wrong(format!("--validation {path}: cannot be used with --validation-split"));
    }
    let Some(fold) = &given.fold else { return Ok(()) };
    let others =
        [("validation-split", given.validation_split.is_some()), ("validation", given.validation.is_some())];
    match others.iter().find(|(_, is_given)| *is_given) {
        Some((other, _)) => {
            wrong(format!("--fold {fold}: cannot be used with --{other}: the fold is what is held out"))
        }
        None => Ok(()),
    }
}

/// Sets the layers that `--model` stands for. Returns whether it is the file of a network instead, which has none.
pub(super) fn take_layers_of_model(given: &mut TrainOptions) -> Result<bool> {
    let Some(model) = &given.model else { return Ok(false) };
    if given.layers.is_some() {
        return wrong(format!("--model {model}: cannot be used with --layers"));
    }
    // A run records the layers, because the file may change.
    let is_network = is_network_file(model);
    if !is_network {
        given.layers = Some(layers_of(model)?);
    }
    Ok(is_network)
}

fn wrong<T>(fault: String) -> Result<T> {
    Err(UsageError(vec![fault]).into())
}
