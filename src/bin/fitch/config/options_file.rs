//! Options of `train` in a table of TOML or JSON: a `--config` file, the plan of a sweep, the record of a
//! run.

use crate::cli::{OPTIONS, OptionFacts, TrainOptions, is_off, same_as};
use crate::failure::UsageError;
use crate::suggestion::nearest;
use anyhow::{Context, Result};
use std::path::Path;
use toml::{Table, Value};

/// Reads a `--config` file.
///
/// # Errors
/// A file that cannot be read, or a [`UsageError`] with one line for each bad option.
pub fn read(path: &Path) -> Result<TrainOptions> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("--config: cannot read {}", path.display()))?;
    let wrong = |what: &str| format!("--config: {}: {what}", path.display());
    let table =
        text.parse::<Table>().map_err(|fault| UsageError(vec![wrong(fault.to_string().trim_end())]))?;
    options_of(table).map_err(|faults| UsageError(faults.iter().map(|fault| wrong(fault)).collect()).into())
}

/// The options in a table; `batch-size` and `batch_size` are the same.
///
/// # Errors
/// One line for each unknown option, each that is given twice and each value of the wrong type.
pub fn options_of(table: Table) -> Result<TrainOptions, Vec<String>> {
    let mut options = Table::new();
    let mut faults = Vec::new();
    for (key, value) in table {
        match find(&key) {
            Some(option) if options.contains_key(option.name) => {
                faults.push(format!("{}: is given twice, as {key} too", option.flag()));
            }
            Some(option) if value.as_str().is_some_and(|value| is_off(option.name, value)) => {}
            Some(option) => _ = options.insert(option.name.to_string(), as_typed(option.name, value)),
            None => faults.push(unknown(&key)),
        }
    }
    let typed = options.clone().try_into::<TrainOptions>();
    if let Err(whole) = &typed {
        // The fault does not name the option, nor is it the only one: each option alone tells.
        let fault_of = |(name, value): (String, Value)| {
            let key = name.replace('_', "-");
            let alone = Table::from_iter([(name, value)]).try_into::<TrainOptions>();
            alone.err().map(|fault| format!("{key}: {}", plain(fault.message())))
        };
        let before = faults.len();
        faults.extend(options.into_iter().filter_map(fault_of));
        if faults.len() == before {
            faults.push(plain(whole.message()));
        }
    }
    if faults.is_empty() { typed.map_err(|_| faults) } else { Err(faults) }
}

/// The value of an option that is a text on the command line, where a number or a list stands in the file.
fn as_typed(name: &str, value: Value) -> Value {
    let is_taken = |value: &Value| {
        Table::from_iter([(name.to_string(), value.clone())]).try_into::<TrainOptions>().is_ok()
    };
    let text = match &value {
        Value::Integer(_) | Value::Float(_) => value.to_string(),
        Value::Array(parts) => {
            let part = |part: &Value| part.as_str().map_or(part.to_string(), str::to_string);
            let parts: Vec<String> = parts.iter().map(part).collect();
            if is_taken(&parts.clone().into()) {
                // An option that has lists says itself what they hold.
                return value;
            }
            parts.join(",")
        }
        _ => return value,
    };
    let text = Value::String(text);
    if !is_taken(&value) && is_taken(&text) { text } else { value }
}

/// The option that a key in a file names.
pub fn find(key: &str) -> Option<&'static OptionFacts> {
    let name = key.replace('-', "_");
    OPTIONS.iter().find(|option| option.name == name)
}

fn unknown(key: &str) -> String {
    let flags: Vec<String> = OPTIONS.iter().map(OptionFacts::flag).collect();
    let typed = key.replace('_', "-");
    match same_as(&typed).or_else(|| nearest(&typed, flags.iter().map(String::as_str)).map(str::to_string)) {
        Some(name) => format!("unknown option '{key}'; did you mean {name}?"),
        None => format!("unknown option '{key}'; there are {}", flags.join(", ")),
    }
}

/// A message of serde's in the words of users.
pub fn plain(message: &str) -> String {
    let words = [
        ("expected i64", "expected a whole number"),
        ("expected f64", "expected a number"),
        ("unknown variant", "unknown value"),
    ];
    words.iter().fold(message.to_string(), |message, (from, to)| message.replace(from, to))
}
