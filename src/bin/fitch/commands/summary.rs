//! `fitch summary`: the layers of a model as a table.

use super::plots::DrawingFormat;
use crate::cli::{DiagramFlags, StyleOption, SummaryOptions, TrainOptions};
use crate::config::{self, is_network_file, layers_of, parse_layers};
use crate::exit::Exit;
use crate::failure::UsageError;
use crate::terminal::Terminal;
use anyhow::Result;
use fitch::files::write_whole;
use fitch::model::presets::PRESETS;
use fitch::model::{Model, Network, Outline, SummaryStyle, summary};
use fitch::report::{self, DiagramOptions};
use std::path::Path;
use tch::Device;

pub fn run(options: SummaryOptions, terminal: &Terminal) -> Result<Exit> {
    let wrong = |flag: &str, fault: String| UsageError(vec![format!("--{flag}{fault}")]);
    let file = options.model.as_deref().filter(|model| is_network_file(model));
    let layers = match (&options.layers, file) {
        (Some(layers), _) => layers.clone(),
        (None, Some(_)) => String::new(),
        (None, None) => layers_of(options.model.as_deref().unwrap_or(PRESETS[0].name))?,
    };
    let hidden = parse_layers(&layers).map_err(|fault| wrong("layers", format!(": {fault}")));
    let dataset = config::one_dataset(options.data_argument, options.dataset)?;
    let data =
        TrainOptions { dataset: dataset.or(TrainOptions::defaults().dataset), ..TrainOptions::default() };
    let (source, reading) = config::check_data(&config::with_reading(data, options.reading))?;
    let (shape, classes) = source.shape_and_classes(&reading)?;
    let freeze = |fault: anyhow::Error| wrong("freeze", format!(": {fault}"));
    let outline = match file {
        Some(file) => {
            let mut network = Network::scripted(Path::new(file), &shape, classes, Device::Cpu)?;
            options.freeze.iter().try_for_each(|patterns| network.freeze(patterns)).map_err(freeze)?;
            Outline::from(&network)
        }
        None => {
            let mut model = Model::classifier(&shape, hidden?, classes)?;
            options.freeze.iter().try_for_each(|patterns| model.freeze(patterns)).map_err(freeze)?;
            Outline::from(&model)
        }
    };
    if let Some(to) = &options.to {
        draw(&outline, &options.diagram, to)?;
        terminal.result(&format!("written to {}\n", to.display()))?;
        return Ok(Exit::Success);
    }
    let style = match options.style {
        StyleOption::Keras3 => SummaryStyle::Keras3 { columns: terminal.result_columns().unwrap_or(80) },
        StyleOption::Keras1 => SummaryStyle::Keras1,
    };
    terminal.result(&summary(&outline, style))?;
    Ok(Exit::Success)
}

fn draw(outline: &Outline, options: &DiagramFlags, to: &Path) -> Result<()> {
    let shown = DiagramOptions {
        names: !options.no_names,
        shapes: !options.no_shapes,
        parameters: !options.no_parameters,
        direction: options.direction.0,
    };
    let bytes = match DrawingFormat::of(to) {
        Some(form) => form.bytes(&report::diagram(outline, shown))?,
        None if to.extension().is_some_and(|extension| extension == "dot") => {
            report::dot(outline, shown).into_bytes()
        }
        None => {
            let fault = format!("--to {}: the name must end in .svg, .png or .dot", to.display());
            return Err(UsageError(vec![fault]).into());
        }
    };
    write_whole(to, &bytes)
}
