//! The options of `--repeat`: those of a run, with those that are given now in their place.

use super::resolve::{
    add_consequences, as_recorded, check_held_out, options_of_record, over, take_layers_of_model,
};
use crate::cli::{DataOptions, OPTIONS, StoppingOption, TrainOptions};
use anyhow::Result;
use fitch::data::Source;
use fitch::run::RunRecord;
use toml::Table;

/// What stands in a record for an option that is off.
const OFF: [&str; 3] = ["none", "all", "own"];

/// The options that make the same training, from its record. Defaults of later versions do not matter, because it has
/// those that were in force. What was found in the data, such as the size of the images, is found there again.
pub fn options_to_repeat(record: &RunRecord) -> Result<TrainOptions> {
    let of_data = serde_json::to_value(DataOptions::default())?;
    let is_of_training = |name: &str| {
        of_data.get(name).is_none()
            && OPTIONS.iter().any(|option| option.name == name && !option.is_of_machine)
    };
    let mut config = record.asked_config();
    for (name, value) in &record.resolved {
        let is_off = value.as_str().is_some_and(|word| OFF.contains(&word));
        if is_of_training(name) && !is_off && record.config.get(name) == Some(value) {
            config[name] = value.clone();
        }
    }
    // Any of its GPUs will do.
    let device = if record.device == "cpu" { "cpu" } else { "auto" };
    Ok(TrainOptions {
        device: Some(device.to_string()),
        threads: Some(record.threads as i64),
        out: None,
        ..options_of_record(&config)?
    })
}

/// The options of a run with those that are given now, and which of these are other values, in words.
pub fn resolve_repeated(
    flags: &TrainOptions,
    recorded: &TrainOptions,
) -> Result<(TrainOptions, Vec<String>)> {
    let mut given = flags.clone();
    check_held_out(&given)?;
    add_consequences(&mut given);
    let is_network = take_layers_of_model(&mut given)?;
    let mut base = recorded.clone();
    if given.stopping == Some(StoppingOption::Patience) && recorded.stopping != given.stopping {
        base.patience = TrainOptions::defaults().patience;
    }
    if let (Some(processes), Some(shards), None) = (given.processes, recorded.shards, given.shards)
        && (processes < 1 || shards % processes != 0)
    {
        base.shards = None;
    }
    if given.layers.is_some() || is_network {
        (base.model, base.layers) = (None, None);
    }
    if given.validation_split.is_some() {
        (base.validation, base.fold) = (None, None);
    }
    if given.fold.is_some() {
        base.validation = None;
    }
    if given.validation.is_some() {
        base.fold = None;
    }
    let whole_path = |path: String| if Source::named(&path).is_some() { path } else { as_recorded(path) };
    given.dataset = given.dataset.map(whole_path);
    given.validation = given.validation.map(as_recorded);
    given.weights = given.weights.map(as_recorded);
    let (before, options) = (Table::try_from(recorded)?, over(&base, &given)?);
    let now = Table::try_from(&options)?;
    // What follows from those that are given, too.
    let differs = |name: &str| name != "out" && before.get(name) != now.get(name);
    let changes = OPTIONS.iter().filter(|option| differs(option.name)).map(|option| {
        let shown = |value: Option<&toml::Value>| value.map_or("none".to_string(), toml::Value::to_string);
        format!(
            "--{} {} (it had {})",
            option.flag(),
            shown(now.get(option.name)),
            shown(before.get(option.name))
        )
    });
    Ok((options, changes.collect()))
}
