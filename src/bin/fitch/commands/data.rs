//! `fitch data`: lists the known sets, fetches them, and describes a set.

use super::copies::{self, SplitSizes};
use super::data_sheet::{augmented_sheet, sheet};
use super::ignored_options::ignored_options;
use super::table::table;
use crate::cli::{DataCommand, FetchOptions, InspectOptions, TrainOptions};
use crate::config;
use crate::exit::Exit;
use crate::failure::UsageError;
use crate::progress::{DownloadProgress, ProgressKind};
use crate::suggestion::did_you_mean;
use crate::terminal::Terminal;
use anyhow::Result;
use fitch::data::catalogue::{self, KNOWN};
use fitch::data::{Augmentation, Dataset, Inspection, LoadOptions, ParseAugmentationError, Source};
use fitch::files::write_whole;
use fitch::text::with_separators;
use std::path::{Path, PathBuf};

pub fn run(command: DataCommand, terminal: &Terminal) -> Result<Exit> {
    match command {
        DataCommand::List { data_dir } => list(&folder(data_dir)?, terminal)?,
        DataCommand::Fetch(options) => fetch(&options, terminal)?,
        DataCommand::Inspect(options) => inspect(*options, terminal)?,
    }
    Ok(Exit::Success)
}

/// Where data sets are kept.
fn folder(data_dir: Option<PathBuf>) -> Result<PathBuf> {
    LoadOptions { data_dir, ..LoadOptions::default() }.folder()
}

fn list(folder: &Path, terminal: &Terminal) -> Result<()> {
    let mut rows = vec![["digits", "1,797", "8 x 8", "10", "built in"].map(str::to_string).to_vec()];
    for set in &KNOWN {
        let is_here = Source::Known(set).is_here(&LoadOptions::with_data_dir(folder));
        let place = folder.join(set.name).display().to_string();
        let [height, width] = catalogue::SHAPE;
        rows.push(vec![
            set.name.to_string(),
            "70,000".to_string(),
            format!("{height} x {width}"),
            set.classes.len().to_string(),
            if is_here { place } else { "not fetched yet".to_string() },
        ]);
    }
    let table = table(["data set", "images", "pixels", "classes", "where"], rows);
    terminal.result(&table.first(&["data set", "where"]).fit(terminal.result_columns()))
}

fn fetch(options: &FetchOptions, terminal: &Terminal) -> Result<()> {
    let source = Source::find(&options.name).ok().filter(|source| !matches!(source, Source::Path { .. }));
    let source = source.ok_or_else(|| {
        let (name, known) = (&options.name, catalogue::names());
        let suggestion = did_you_mean(name, known.iter().copied());
        let known = known.join(", ");
        UsageError(vec![format!(
            "{name}: is not a data set that can be fetched; there are {known}{suggestion}"
        )])
    })?;
    let mut progress = DownloadProgress::new(terminal, ProgressKind::Auto);
    let Source::Known(set) = source else { return terminal.result("digits are built in\n") };
    let folder = folder(options.data_dir.clone())?.join(set.name);
    set.fetch_missing(&folder, &mut |event| progress.show(event))?;
    terminal.result(&format!("{}\n", folder.display()))
}

fn inspect(options: InspectOptions, terminal: &Terminal) -> Result<()> {
    let InspectOptions { dataset, to, augment, seed, reading } = options;
    let augmentation = augment.as_deref().map(str::parse::<Augmentation>).transpose();
    let augmentation = augmentation.map_err(|fault: ParseAugmentationError| {
        UsageError(vec![format!("--augment {}: {fault}", augment.unwrap_or_default())])
    })?;
    let options = TrainOptions { dataset: Some(dataset), ..TrainOptions::default() };
    let (source, options) = config::check_data(&config::with_reading(options, reading))?;
    let mut progress = DownloadProgress::new(terminal, ProgressKind::Auto);
    let source = source.located(&options, &mut |event| progress.show(event))?;
    let dataset = source.load_with(&options, &mut |event| progress.show(event))?;
    dataset.notes.iter().for_each(|note| terminal.say(note));
    ignored_options(&source, &options, &dataset).iter().for_each(|fault| terminal.warn(fault));
    let format = source.format_name().unwrap_or_default();
    terminal.result(&describe(&dataset, format, &dataset.inspect()?, terminal.result_columns()))?;
    if let Some(to) = to {
        let drawn = match augmentation {
            Some(augmentation) => augmented_sheet(&dataset, &augmentation, seed)?,
            None => sheet(&dataset)?,
        };
        write_whole(&to, &drawn)?;
        terminal.result(&format!("\nwritten to {}\n", to.display()))?;
    }
    Ok(())
}

fn describe(dataset: &Dataset, format: &str, found: &Inspection, columns: Option<usize>) -> String {
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
    let sizes = found.counts.iter().zip(&totals).map(|((split, _), total)| {
        let split = if *split == "train" { "training" } else { split };
        format!("{} {split} images", count(*total))
    });
    let total = |split: &str| {
        found.counts.iter().zip(&totals).find(|((name, _), _)| *name == split).map_or(0, |(_, total)| *total)
    };
    let sizes_of_splits =
        SplitSizes { train: total("train"), validation: total("validation"), test: total("test") };
    let mut copies = copies::lines(dataset, &found.copies, &sizes_of_splits);
    if copies.is_empty() {
        copies.push("no two images are identical".to_string());
    }
    format!(
        "{}: {format}\n{}\n{} {kind} of type {}, from {} to {}; {} becomes 1\n\
         {}\n\n{}",
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
