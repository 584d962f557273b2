//! `fitch summary`: the layers of a model as a table.

use crate::cli::{StyleOption, SummaryOptions};
use crate::failure::UsageError;
use crate::terminal::Terminal;
use anyhow::Result;
use fitch::data::Source;
use fitch::model::{Model, SummaryStyle, specification, summary};
use std::process::ExitCode;

pub fn run(options: &SummaryOptions, terminal: &Terminal) -> Result<ExitCode> {
    let wrong = |flag: &str, fault: String| UsageError(vec![format!("--{flag}{fault}")]);
    let hidden =
        specification::parse(&options.layers).map_err(|fault| wrong("layers", format!(": {fault}")))?;
    let source = Source::find(&options.dataset)
        .map_err(|fault| wrong("dataset", format!(" {}: {fault}", options.dataset)))?;
    let (shape, classes) = source.shape_and_classes()?;
    let model = Model::classifier(&shape, hidden, classes)?;
    let style = match options.style {
        StyleOption::Keras3 => SummaryStyle::Keras3 { columns: terminal.result_columns() },
        StyleOption::Keras1 => SummaryStyle::Keras1,
    };
    terminal.result(&summary(&model, style))?;
    Ok(ExitCode::SUCCESS)
}
