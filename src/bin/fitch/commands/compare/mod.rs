//! `fitch compare`: whether models that are tested on the same images differ.

mod comparison;
mod differences;
mod output;
mod test_images;

use super::output_file::{self, check_kept, check_output};
use super::tested_model::{TestedModel, TestedOptions};
use crate::cli::{CompareFormat, CompareOptions};
use crate::exit::Exit;
use crate::failure::UsageError;
use crate::terminal::Terminal;
use anyhow::Result;
use comparison::{Candidate, Comparison};
use fitch::files::write_whole;
use fitch::text::counted;
use std::path::{Path, PathBuf};
use test_images::TestImages;

pub fn run(options: &CompareOptions, terminal: &Terminal) -> Result<Exit> {
    check_different(&options.models)?;
    options.differences.as_deref().map_or(Ok(()), |table| check_output("differences", table, "csv"))?;
    options.sheet.as_deref().map_or(Ok(()), |sheet| check_output("sheet", sheet, "png"))?;
    let name = |model: &Path| model.display().to_string();
    let models = options.models.iter().map(|model| name(model)).collect::<Vec<_>>();
    let command = format!("fitch compare {}", models.join(" "));
    // All of them before the first test, which may take long.
    let open = |model: &PathBuf| {
        let opened = TestedModel::open(TestedOptions {
            command: command.clone(),
            model: model.clone(),
            dataset: options.dataset.clone(),
            reading: options.reading.clone(),
            reads_validation: false,
            device: options.device.clone(),
            threads: options.threads,
        });
        Ok((name(model), opened?))
    };
    let models: Vec<(String, TestedModel)> = options.models.iter().map(open).collect::<Result<_>>()?;
    let written = [&options.differences, &options.sheet].map(Option::as_deref);
    output_file::check_different(&written)?;
    check_kept(&written, models.iter().flat_map(|(_, model)| model.files_read()))?;
    let (first_name, first) = &models[0];
    for (name, model) in &models[1..] {
        TestedModel::check_same_classes([(first_name, first), (name, model)])?;
    }

    let dataset = first.load_data(terminal)?;
    let images = TestImages::of(&dataset, first)?;
    let mut candidates = vec![Candidate::of(first_name, &images, &first.evaluate(&dataset, terminal)?)];
    for (name, model) in &models[1..] {
        let own = model.load_data(terminal)?;
        let own_images = TestImages::of(&own, model)?;
        images.check_same(&own_images, [first_name.as_str(), name], options.dataset.is_some())?;
        candidates.push(Candidate::of(name, &own_images, &model.evaluate(&own, terminal)?));
    }
    let comparison = Comparison::of(&images, candidates)?;

    let differences = comparison.differences();
    if let Some(to) = &options.differences {
        write_whole(to, &differences::as_csv(&comparison, &dataset, &differences)?)?;
        let count = counted(differences.len(), "image");
        terminal.say(&format!("{count} that only some classify correctly: written to {}", to.display()));
    }
    if let Some(to) = &options.sheet {
        match differences::sheet(&comparison, &dataset, &differences)? {
            Some(sheet) => {
                write_whole(to, &sheet)?;
                terminal.say(&format!("the sheet is written to {}", to.display()));
            }
            None => terminal.warn(&format!(
                "{} is not written: there is no image that only some classify correctly",
                to.display()
            )),
        }
    }
    match options.format {
        CompareFormat::Table => {
            terminal.result(&output::as_table(&comparison, &dataset.name, terminal.result_columns()))
        }
        CompareFormat::Csv => terminal.result(&output::as_csv(&comparison)?),
        CompareFormat::Json => terminal.result(&output::as_json(&comparison, &dataset.name)),
    }?;
    Ok(Exit::Success)
}

/// Fails if a model is given twice: it does not differ from itself.
fn check_different(models: &[PathBuf]) -> Result<()> {
    let place = |model: &PathBuf| model.canonicalize().unwrap_or_else(|_| model.clone());
    let places: Vec<PathBuf> = models.iter().map(place).collect();
    for (index, model) in models.iter().enumerate() {
        if places[..index].contains(&places[index]) {
            return Err(UsageError(vec![format!("{} is given twice", model.display())]).into());
        }
    }
    Ok(())
}
