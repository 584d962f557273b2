//! `fitch data`: what sets are known, fetching them, and what a set is like.

use super::table::table;
use crate::cli::{DataCommand, FetchOptions, InspectOptions, ProgressOption, TrainOptions};
use crate::config;
use crate::exit::Exit;
use crate::failure::UsageError;
use crate::progress::DownloadProgress;
use crate::terminal::Terminal;
use anyhow::Result;
use fitch::data::catalogue::{self, KNOWN};
use fitch::data::{Dataset, Inspection, LoadOptions, Source, default_folder};
use fitch::files::write_whole;
use fitch::report::{SheetImage, picture_sheet};
use fitch::text::with_separators;
use std::path::Path;

/// How many images a sheet shows.
const SHEET_IMAGES: usize = 50;

pub fn run(command: DataCommand, terminal: &Terminal) -> Result<Exit> {
    match command {
        DataCommand::List { data_dir } => list(&reading(data_dir.as_deref()), terminal)?,
        DataCommand::Fetch(options) => fetch(&options, terminal)?,
        DataCommand::Inspect(options) => inspect(*options, terminal)?,
    }
    Ok(Exit::Success)
}

fn reading(data_dir: Option<&Path>) -> LoadOptions {
    LoadOptions::with_data_dir(data_dir.map(Path::to_path_buf).or_else(default_folder).unwrap_or_default())
}

fn list(reading: &LoadOptions, terminal: &Terminal) -> Result<()> {
    let mut rows = vec![["digits", "1,797", "8 x 8", "10", "built in"].map(str::to_string).to_vec()];
    for set in &KNOWN {
        let is_here = Source::Known(set).is_here(&reading.data_dir);
        let place = reading.data_dir.join(set.name).display().to_string();
        let [height, width] = catalogue::SHAPE;
        rows.push(vec![
            set.name.to_string(),
            "70,000".to_string(),
            format!("{height} x {width}"),
            set.classes.len().to_string(),
            if is_here { place } else { "not fetched yet".to_string() },
        ]);
    }
    terminal.result(&table(["data set", "images", "pixels", "classes", "where"], rows))
}

fn fetch(options: &FetchOptions, terminal: &Terminal) -> Result<()> {
    let source = Source::find(&options.name).ok().filter(|source| !matches!(source, Source::Path(_)));
    let source = source.ok_or_else(|| {
        let known = catalogue::names().join(", ");
        UsageError(vec![format!(
            "{}: is not a data set that can be fetched; there are {known}",
            options.name
        )])
    })?;
    let reading = reading(options.data_dir.as_deref());
    let mut progress = DownloadProgress::new(terminal, ProgressOption::Auto);
    let Source::Known(set) = source else { return terminal.result("digits are built in\n") };
    let folder = reading.data_dir.join(set.name);
    set.fetch_missing(&folder, &mut |event| progress.show(event))?;
    terminal.result(&format!("{}\n", folder.display()))
}

fn inspect(options: InspectOptions, terminal: &Terminal) -> Result<()> {
    let InspectOptions { dataset, to, reading } = options;
    let options = TrainOptions { dataset: Some(dataset), ..TrainOptions::default() };
    let (source, reading) = config::check_data(&config::with_reading(options, reading))?;
    let mut progress = DownloadProgress::new(terminal, ProgressOption::Auto);
    let dataset = source.load_with(&reading, &mut |event| progress.show(event))?;
    dataset.notes.iter().for_each(|note| terminal.say(note));
    terminal.result(&describe(&dataset, source.form(&reading)?, &dataset.inspect()?))?;
    if let Some(to) = to {
        write_whole(&to, &sheet(&dataset)?)?;
        terminal.result(&format!("\nwritten to {}\n", to.display()))?;
    }
    Ok(())
}

fn describe(dataset: &Dataset, format: &str, found: &Inspection) -> String {
    let count = |number: usize| with_separators(number as i64);
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
    let head = found.counts.iter().flat_map(|(side, _)| [*side, "share"]);
    let head: Vec<&str> = std::iter::once("class").chain(head).collect();
    let sizes = found.counts.iter().zip(&totals).map(|((side, _), total)| {
        let side = if *side == "train" { "training" } else { side };
        format!("{} {side} images", count(*total))
    });
    let repeated = found.also_in_train.iter().map(|(side, repeated)| {
        format!("; {} {side} images are among the training images", count(*repeated))
    });
    format!(
        "{}: {format}\n{}\n{} {kind} of type {}, from {} to {}; {} becomes 1\n\
         {} training images are repetitions{}\n\n{}",
        dataset.name,
        sizes.collect::<Vec<_>>().join(", "),
        shape.join(" x "),
        found.value_type,
        found.range.0,
        found.range.1,
        dataset.maximum,
        count(found.repeated),
        repeated.collect::<String>(),
        table(head, rows.collect())
    )
}

/// Training images of all classes in turn.
fn sheet(dataset: &Dataset) -> Result<Vec<u8>> {
    let mut by_class: Vec<Vec<usize>> = vec![Vec::new(); dataset.classes.len()];
    for (row, &label) in dataset.train.labels.iter().enumerate() {
        let rows = &mut by_class[label as usize];
        if rows.len() < SHEET_IMAGES {
            rows.push(row);
        }
    }
    let in_turn =
        (0..SHEET_IMAGES).flat_map(|number| by_class.iter().filter_map(move |rows| rows.get(number)));
    let mut images = Vec::new();
    for &row in in_turn.take(SHEET_IMAGES) {
        let Some(image) = dataset.shown(&dataset.train, row)? else {
            let fault = format!("--to: {} holds no pictures", dataset.name);
            return Err(UsageError(vec![fault]).into());
        };
        let class = dataset.classes[dataset.train.labels[row] as usize].clone();
        images.push(SheetImage { image, lines: vec![class, format!("image {row}")] });
    }
    let note = format!("{} of {} training images", images.len(), with_separators(dataset.train.len() as i64));
    picture_sheet(&dataset.name, &note, &images)
}
