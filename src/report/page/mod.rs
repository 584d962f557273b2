//! A run as one page of HTML, which needs nothing but itself: no network, no other file. The page says
//! everything without its script; the script draws the curves, sorts tables and picks mistakes.

mod confusion;
mod content;
mod html;
mod mistakes;
mod numbers;
mod rows;
mod words;

pub use confusion::Confusion;
pub use content::PageContent;
pub use mistakes::{Mistake, Picture};

use crate::metrics::History;
use crate::run::RunRecord;
use anyhow::Result;
use html::{facts, json, scrolling, section, text};
use numbers::{duration, number};
use serde_json::{Value, json};
use std::fmt::Write;

/// How a page looks, light and dark, on a screen and on paper.
pub const STYLE: &str = include_str!("page.css");
/// Draws curves into an element.
pub const CURVES_SCRIPT: &str = include_str!("curves.js");
/// Sorts tables.
pub const TABLES_SCRIPT: &str = include_str!("tables.js");
const PAGE_SCRIPT: &str = include_str!("page.js");

/// The page of a run. The same content gives the same bytes.
///
/// # Errors
/// Those of `picture`; too little memory.
pub fn page(content: &PageContent) -> Result<String> {
    let name = text(content.name);
    let (sections, data) =
        (sections(content)?, json(&curves(content.name, content.record, content.history))?);
    Ok(format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{name}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n{sections}\
         <script type=\"application/json\" id=\"data\">{data}</script>\n\
         <script>\n{CURVES_SCRIPT}{TABLES_SCRIPT}{PAGE_SCRIPT}{}</script>\n</body>\n</html>\n",
        content.script
    ))
}

fn sections(content: &PageContent) -> Result<String> {
    let record = content.record;
    let mut parts = vec![("summary", "Summary", summary(content))];
    if !content.history.epochs.is_empty() {
        let curves = "<div id=\"curves\"></div>\n<noscript><p>The curves are drawn by JavaScript; the files \
                      loss.svg and accuracy.svg of the run show them, too.</p></noscript>\n";
        parts.push(("training", "Training", curves.to_string()));
    }
    if let Some(confusion) = &content.confusion {
        parts.push(("confusion", "Confusion matrix", confusion.html()));
    }
    if !content.mistakes.is_empty() {
        let list = mistakes::html(content.mistakes, &record.dataset.classes, content.picture)?;
        parts.push(("mistakes", "Mistakes", list));
    }
    if !content.history.epochs.is_empty() {
        let table = rows::table(content.history, &shown_rows(record, content.history), record.best_epoch);
        parts.push(("history", "History", table));
    }
    if !content.model.is_empty() {
        let model = format!("<pre>{}</pre>\n", text_of_lines(content.model));
        parts.push(("model", "Model", scrolling("Layers of the model", &model)));
    }
    parts.push(("settings", "Settings", facts("Options in force", &leaves(&record.config))));
    parts.push(("machine", "Machine and versions", facts("Where and with what it ran", &machine(record))));

    let mut page = format!(
        "<header>\n<p class=\"kind\">Run</p>\n<h1>{}</h1>\n<nav aria-label=\"Sections\"><ul>\n",
        text(content.name)
    );
    for (id, title, _) in &parts {
        let _ = writeln!(page, "<li><a href=\"#{id}\">{title}</a></li>");
    }
    page += "</ul></nav>\n</header>\n<main>\n";
    parts.iter().for_each(|(id, title, content)| page += &section(id, title, content));
    Ok(page + "</main>\n")
}

/// The results, large, and what happened in words.
fn summary(content: &PageContent) -> String {
    let record = content.record;
    let mut results: Vec<(&str, String)> = Vec::new();
    if let Some(accuracy) = record.test_accuracy {
        results.push(("test accuracy", format!("{:.2} %", 100.0 * accuracy)));
    }
    results.extend(record.test_loss.map(|loss| ("test loss", number(loss))));
    results.extend(record.best_value.map(|best| (record.monitor.as_str(), number(best))));
    results.push(("epochs", content.history.epochs.len().to_string()));
    results.extend(record.seconds.map(|seconds| ("training time", duration(seconds))));
    let mut html = "<dl class=\"results\">\n".to_string();
    for (index, (name, value)) in results.iter().enumerate() {
        let best = if *name == record.monitor && index > 0 { "best " } else { "" };
        let _ = writeln!(html, "<div><dt>{best}{}</dt><dd>{}</dd></div>", text(name), text(value));
    }
    html += "</dl>\n<p>";
    html += &words::summary(content).iter().map(|sentence| text(sentence)).collect::<Vec<_>>().join(" ");
    html + "</p>\n"
}

/// Lines as they are, each one safe.
fn text_of_lines(lines: &str) -> String {
    lines.lines().map(|line| text(line) + "\n").collect()
}

/// The indices of the epochs that the page shows.
fn shown_rows(record: &RunRecord, history: &History) -> Vec<usize> {
    let best = history.epochs.iter().position(|row| Some(row.epoch) == record.best_epoch);
    rows::shown(history, best.as_slice())
}

/// What scripts draw the curves from.
pub fn curves(name: &str, record: &RunRecord, history: &History) -> Value {
    let rows = shown_rows(record, history);
    let column = |value: &dyn Fn(usize) -> Option<f64>| -> Vec<Option<f64>> {
        rows.iter().map(|&row| value(row).filter(|value| value.is_finite())).collect()
    };
    let metrics = history
        .metric_names
        .iter()
        .map(|name| (name.clone(), json!(column(&|row| history.epochs[row].metrics.get(name).copied()))));
    let epochs: Vec<usize> = rows.iter().map(|&row| history.epochs[row].epoch).collect();
    json!({
        "name": name,
        "epochs": epochs,
        "metrics": metrics.collect::<serde_json::Map<_, _>>(),
        "learning_rate": column(&|row| Some(history.epochs[row].learning_rate)),
        "monitor": record.monitor,
        "best": record.best_epoch,
        "stopped_early": record.stop_reason.as_deref() == Some("early_stopping"),
    })
}

/// Every option with a value.
fn leaves(config: &Value) -> Vec<(String, String)> {
    let options = config.as_object().into_iter().flatten();
    let shown = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(truth) => Some(if *truth { "yes" } else { "no" }.to_string()),
        other => Some(other.to_string()),
    };
    options.filter_map(|(name, value)| Some((name.replace('_', "-"), shown(value)?))).collect()
}

fn machine(record: &RunRecord) -> Vec<(String, String)> {
    let mut rows = vec![
        ("started", record.started.clone()),
        ("device", record.device.clone()),
        ("CPU threads", record.threads.to_string()),
        ("fitch", record.fitch_version.clone()),
        ("libtorch", record.libtorch_version.clone()),
        ("seed", record.seed.to_string()),
        ("fingerprint of the data", record.dataset.fingerprint.clone()),
    ];
    rows.extend(record.dataset.format.clone().map(|format| ("format of the data", format)));
    rows.extend(record.dataset.notes.iter().map(|note| ("note on the data", note.clone())));
    rows.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}
