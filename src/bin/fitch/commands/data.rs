//! `fitch data`: lists the known sets and fetches them.

use super::inspect::inspect;
use super::table::table;
use crate::cli::{DataCommand, FetchOptions};
use crate::exit::Exit;
use crate::failure::UsageError;
use crate::progress::{DownloadProgress, ProgressKind};
use crate::suggestion::did_you_mean;
use crate::terminal::Terminal;
use anyhow::Result;
use fitch::data::catalogue::{self, KNOWN};
use fitch::data::{LoadOptions, Source};
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
