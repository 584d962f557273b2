//! `fitch plot`: the curves of runs and of other programs' logs.

use super::plots::{DrawingFormat, draw_curves, drawn_metrics, with_marks};
use crate::cli::PlotOptions;
use crate::config;
use crate::exit::Exit;
use crate::failure::UsageError;
use crate::suggestion::did_you_mean;
use crate::terminal::Terminal;
use anyhow::{Result, ensure};
use fitch::files::write_whole;
use fitch::report::{ChartOptions, HistoryCurves, Scale, chart, metric_names, read_curves, terminal_chart};
use fitch::run::{RunFolder, RunRecord};
use std::path::{Path, PathBuf};

/// The height of a chart in the terminal.
const TERMINAL_ROWS: usize = 14;

pub fn run(options: &PlotOptions, terminal: &Terminal) -> Result<Exit> {
    let format = options.to.as_deref().map(|to| DrawingFormat::asked_for("to", to)).transpose()?;
    let mut runs: Vec<HistoryCurves> =
        options.runs.iter().map(|path| read_run(path)).collect::<Result<_>>()?;
    tell_apart(&mut runs, &options.runs);
    let scale = match (options.log, options.linear) {
        (true, _) => Scale::Logarithmic,
        (_, true) => Scale::Linear,
        _ => Scale::Auto,
    };
    let how = ChartOptions { scale, compares_training: options.training };
    let metrics = chosen_metrics(&options.metrics, &runs)?;

    if options.terminal {
        for run in &runs {
            for metric in &metrics {
                let columns = terminal.result_columns().unwrap_or(80);
                let drawn = terminal_chart(run, metric, scale, columns, TERMINAL_ROWS);
                terminal.result(&format!("{}\n{drawn}\n", run.name))?;
            }
        }
        return Ok(Exit::Success);
    }
    match (&options.to, format, &options.runs[..]) {
        (Some(to), Some(format), _) => {
            let bytes = format.bytes(&chart(&runs, &metrics, how))?;
            write_whole(to, &bytes)?;
            terminal.result(&format!("written to {}\n", to.display()))?;
        }
        (_, _, [folder]) if folder.is_dir() && options.metrics.is_empty() => {
            draw_curves(&RunFolder::open(folder)?, &runs[0], how)?;
            let files =
                drawn_metrics(&runs[0]).into_iter().map(|metric| format!("{metric}.svg, {metric}.png"));
            let written = files.collect::<Vec<_>>().join(", ");
            terminal.result(&format!("written to {}: {written}\n", folder.display()))?;
        }
        _ => {
            let fault = "--to FILE or --terminal is needed: without them fitch redraws the plots of a single \
                         run folder";
            return Err(UsageError(vec![fault.to_string()]).into());
        }
    }
    Ok(Exit::Success)
}

fn read_run(path: &Path) -> Result<HistoryCurves> {
    if !path.is_dir() {
        let curves = read_curves(path)?;
        return Ok(HistoryCurves { best: best_of(&curves), ..curves });
    }
    let folder = RunFolder::open(path)?;
    let file = folder.history_file();
    ensure!(file.exists(), "{} has no history.csv, so there is nothing to draw", path.display());
    Ok(with_marks(read_curves(&file)?, &folder, &RunRecord::load(&folder)?))
}

/// Runs of the same name are called by their paths.
fn tell_apart(runs: &mut [HistoryCurves], paths: &[PathBuf]) {
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    for (run, path) in runs.iter_mut().zip(paths) {
        if names.iter().filter(|name| **name == run.name).count() > 1 {
            run.name = path.display().to_string();
        }
    }
}

/// The best epoch of a history without a record, by the usual monitor.
fn best_of(curves: &HistoryCurves) -> Option<(f64, String)> {
    let (monitor, values) = ["val_loss", "val_accuracy", "loss", "accuracy"]
        .into_iter()
        .find_map(|name| Some((name, curves.values(name)?)))?;
    let direction = config::direction_of(monitor);
    let mut best: Option<(f64, f64)> = None;
    for (&epoch, &value) in curves.epochs.iter().zip(values) {
        let Some(value) = value else { continue };
        if best.is_none_or(|(_, known)| direction.is_better(value, known)) {
            best = Some((epoch, value));
        }
    }
    best.map(|(epoch, _)| (epoch, monitor.to_string()))
}

/// The metrics that were asked for; by default loss and accuracy, or whatever there is.
fn chosen_metrics(given: &[String], runs: &[HistoryCurves]) -> Result<Vec<String>> {
    let known = metric_names(runs);
    ensure!(!known.is_empty(), "{}: has no finite value of any metric", runs[0].name);
    if given.is_empty() {
        let usual: Vec<String> =
            known.iter().filter(|name| ["loss", "accuracy"].contains(&name.as_str())).cloned().collect();
        return Ok(if usual.is_empty() { known } else { usual });
    }
    for metric in given {
        if !known.contains(metric) {
            let suggestion = did_you_mean(metric, known.iter().map(String::as_str));
            let fault = format!("--metric {metric}: must be one of {}{suggestion}", known.join(", "));
            return Err(UsageError(vec![fault]).into());
        }
    }
    Ok(given.to_vec())
}
