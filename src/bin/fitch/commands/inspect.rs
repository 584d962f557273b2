//! `fitch data inspect`: describes a data set, and draws some of its images.

use super::copies::{self, SplitSizes, spoken};
use super::data_sheet::{augmented_sheet, sheet};
use super::ignored_options::ignored_options;
use super::json::json_text;
use super::near_copies;
use super::output_file::{check_different, check_kept, check_output};
use super::table::table;
use crate::cli::{InspectFormat, InspectOptions, TrainOptions};
use crate::config;
use crate::failure::UsageError;
use crate::progress::{DownloadProgress, ProgressKind};
use crate::terminal::Terminal;
use anyhow::Result;
use fitch::data::{Augmentation, Dataset, Inspection, NearCopies, ParseAugmentationError, Source};
use fitch::files::write_whole;
use fitch::text::with_separators;
use serde_json::{Map, Value, json};

pub fn inspect(options: InspectOptions, terminal: &Terminal) -> Result<()> {
    let InspectOptions { dataset, to, augment, seed, reading, near_copies: near_to, format: output } =
        options;
    let augmentation = augment.as_deref().map(str::parse::<Augmentation>).transpose();
    let augmentation = augmentation.map_err(|fault: ParseAugmentationError| {
        UsageError(vec![format!("--augment {}: {fault}", augment.unwrap_or_default())])
    })?;
    for (flag, to) in [("to", &to), ("near-copies", &near_to)] {
        to.as_deref().map_or(Ok(()), |to| check_output(flag, to, "png"))?;
    }
    let options = TrainOptions { dataset: Some(dataset), ..TrainOptions::default() };
    check_different(&[to.as_deref(), near_to.as_deref()])?;
    let (source, options) = config::check_data(&config::with_reading(options, reading))?;
    if let Source::Path { path, .. } = &source {
        check_kept(&[to.as_deref(), near_to.as_deref()], [path.as_path()])?;
    }
    let mut progress = DownloadProgress::new(terminal, ProgressKind::Auto);
    let source = source.located(&options, &mut |event| progress.show(event))?;
    let dataset = source.load_with(&options, &mut |event| progress.show(event))?;
    dataset.notes.iter().for_each(|note| terminal.say(note));
    ignored_options(&source, &options, &dataset).iter().for_each(|fault| terminal.warn(fault));
    if near_to.is_some() {
        near_copies::check(&dataset)?;
    }
    let looking = terminal.busy("looking for copies");
    let (_, digests) = dataset.fingerprint_and_digests()?;
    let found = dataset.inspect_with(&digests)?;
    let near = near_to.as_ref().map(|_| dataset.near_copies(&digests)).transpose()?;
    drop(looking);

    let format = source.format_name().unwrap_or_default();
    terminal.result(&match output {
        InspectFormat::Table => describe(&dataset, format, &found, near.as_ref(), terminal.result_columns()),
        InspectFormat::Json => json_text(&as_json(&dataset, format, &found, near.as_ref())),
    })?;
    let say_written = |to: &std::path::Path| match output {
        InspectFormat::Table => terminal.result(&format!("\nwritten to {}\n", to.display())),
        InspectFormat::Json => {
            terminal.say(&format!("written to {}", to.display()));
            Ok(())
        }
    };
    if let (Some(near), Some(to)) = (near, near_to) {
        match near_copies::draw(&dataset, &near)? {
            Some(drawn) => {
                write_whole(&to, &drawn)?;
                say_written(&to)?;
            }
            None => terminal.say(&format!("{} is not written: there is nothing to draw", to.display())),
        }
    }
    if let Some(to) = to {
        let drawn = match augmentation {
            Some(augmentation) => augmented_sheet(&dataset, &augmentation, seed)?,
            None => sheet(&dataset)?,
        };
        write_whole(&to, &drawn)?;
        say_written(&to)?;
    }
    Ok(())
}

fn describe(
    dataset: &Dataset,
    format: &str,
    found: &Inspection,
    near: Option<&NearCopies>,
    columns: Option<usize>,
) -> String {
    let count = |count: usize| with_separators(count as i64);
    let shape: Vec<String> = dataset.shape().iter().map(i64::to_string).collect();
    let kind = match shape.len() {
        1 => "values",
        2 => "grey pixels",
        _ => "pixels in colour",
    };
    let totals: Vec<usize> = found.counts.iter().map(|(_, counts)| counts.iter().sum()).collect();
    let rows = dataset.classes.iter().enumerate().map(|(class, name)| {
        let cells = found.counts.iter().zip(&totals).flat_map(|((_, counts), total)| {
            let share = 100.0 * counts[class] as f64 / *total as f64;
            [count(counts[class]), format!("{share:.1} %")]
        });
        std::iter::once(name.clone()).chain(cells).collect()
    });
    let head = found.counts.iter().flat_map(|(split, _)| [*split, "share"]);
    let head: Vec<&str> = std::iter::once("class").chain(head).collect();
    let sizes = found
        .counts
        .iter()
        .zip(&totals)
        .map(|((split, _), total)| format!("{} {} images", count(*total), spoken(split)));
    let mut copies = copies::lines(dataset, &found.copies, &SplitSizes::of(dataset));
    if copies.is_empty() {
        copies.push("no two images are identical".to_string());
    }
    copies.extend(near.map(|near| near_copies::describe(dataset, near)).unwrap_or_default());
    format!(
        "{}: {format}\n{}\n{} {kind} of type {}, from {} to {}; {} becomes 1\n{}\n\n{}",
        dataset.name,
        sizes.collect::<Vec<_>>().join(", "),
        shape.join(" x "),
        found.value_type,
        found.range.0,
        found.range.1,
        dataset.maximum,
        copies.join("\n"),
        table(head, rows.collect()).fit(columns)
    )
}

fn as_json(dataset: &Dataset, format: &str, found: &Inspection, near: Option<&NearCopies>) -> Value {
    let classes = dataset.classes.iter().enumerate().map(|(class, name)| {
        let counts = found.counts.iter().map(|(split, counts)| (split.to_string(), json!(counts[class])));
        let name = ("class".to_string(), json!(name));
        Value::Object(std::iter::once(name).chain(counts).collect())
    });
    let images =
        found.counts.iter().map(|(split, counts)| (split.to_string(), json!(counts.iter().sum::<usize>())));
    let mut object = json!({
        "dataset": dataset.name,
        "format": format,
        "images": images.collect::<Map<String, Value>>(),
        "shape": dataset.shape(),
        "value_type": found.value_type,
        "range": [found.range.0, found.range.1],
        "maximum": dataset.maximum,
        "classes": classes.collect::<Vec<Value>>(),
        "copies": found.copies,
    });
    if let Some(near) = near {
        object["near_copies"] = near_copies::as_json(dataset, near);
    }
    object
}
