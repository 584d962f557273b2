//! The options that decide what a model becomes: every checkpoint has them, so that a record that was edited
//! meanwhile is noticed.

use super::options_of_record;
use crate::cli::{OPTIONS, TrainOptions};
use anyhow::Result;
use toml::Table;

/// The options that cannot change when a run is resumed. Where the data lie is none of them: their fingerprint
/// counts.
pub fn settings(options: &TrainOptions) -> Result<Table> {
    let mut table = Table::try_from(options)?;
    let is_setting = |name: &str| {
        OPTIONS.iter().any(|option| option.name == name && !option.may_change && !option.is_of_machine)
    };
    table.retain(|name, _| is_setting(name));
    Ok(table)
}

/// The options that processes which train together must share.
pub fn common(options: &TrainOptions) -> Result<Table> {
    let mut table = Table::try_from(options)?;
    table.retain(|name, _| OPTIONS.iter().any(|option| option.name == name && !option.is_of_machine));
    Ok(table)
}

/// The first option that is not what it was in a checkpoint, in a sentence.
///
/// # Errors
/// Options that this version does not have.
pub fn change_since(before: &Table, now: &TrainOptions) -> Result<Option<String>> {
    // As the record is read, so that what this version has anew has its default in both.
    let before = settings(&options_of_record(&serde_json::to_value(before)?)?)?;
    let now = settings(now)?;
    let shown = |value: Option<&toml::Value>| value.map_or("not given".to_string(), toml::Value::to_string);
    Ok(OPTIONS.iter().find_map(|option| {
        let (was, is) = (before.get(option.name), now.get(option.name));
        (was != is).then(|| format!("{} was {} and is {} there", option.flag(), shown(was), shown(is)))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_option_is_named_with_both_values() {
        let options = TrainOptions { augment: Some("shift".to_string()), ..TrainOptions::defaults() };
        let kept = settings(&options).unwrap();
        assert!(
            kept.contains_key("optimizer") && !kept.contains_key("epochs") && !kept.contains_key("dataset")
        );
        assert_eq!(change_since(&kept, &options).unwrap(), None);
        let longer =
            TrainOptions { epochs: Some(7), dataset: Some("/elsewhere".to_string()), ..options.clone() };
        assert_eq!(change_since(&kept, &longer).unwrap(), None);
        let other = TrainOptions { seed: Some(7), ..options.clone() };
        assert_eq!(change_since(&kept, &other).unwrap().unwrap(), "seed was 0 and is 7 there");
        let without = TrainOptions { augment: None, ..options };
        assert_eq!(
            change_since(&kept, &without).unwrap().unwrap(),
            "augment was \"shift\" and is not given there"
        );
    }
}
