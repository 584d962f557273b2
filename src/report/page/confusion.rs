//! The confusion matrix as a table whose cells lead to their mistakes.

use super::html::{scrolling, text};
use crate::metrics::ConfusionMatrix;
use crate::report::drawing::INK;
use crate::report::font::Font;
use crate::report::labels::labels;
use crate::text::{counted, with_separators};
use std::cmp::Reverse;
use std::fmt::Write;

/// Of more classes than this, those with the most mistakes are shown.
const MAX_CLASSES: usize = 60;
const MAX_PAIRS: usize = 12;
/// Of more classes than this, the scores of those in the matrix are shown.
const MAX_SCORES: usize = 1_000;

/// How often each class was predicted as each.
pub struct Confusion<'a> {
    /// The counts.
    pub matrix: &'a ConfusionMatrix,
    /// The names of the classes.
    pub classes: &'a [String],
}

impl Confusion<'_> {
    /// The pairs of a true and another predicted class with their counts, the most frequent first.
    pub(super) fn pairs(&self) -> Vec<(usize, usize, u64)> {
        let rows = self.matrix.counts.iter().enumerate();
        let cells = rows.flat_map(|(truth, counts)| {
            counts.iter().enumerate().map(move |(predicted, &count)| (truth, predicted, count))
        });
        let mut pairs: Vec<_> =
            cells.filter(|&(truth, predicted, count)| truth != predicted && count > 0).collect();
        pairs.sort_by_key(|&(truth, predicted, count)| (Reverse(count), truth, predicted));
        pairs
    }

    /// The matrix, the most frequent mistakes and the scores of each class.
    pub(super) fn html(&self) -> String {
        let all = self.classes.len();
        let shown = match all > MAX_CLASSES {
            true => self.matrix.worst_classes(MAX_CLASSES),
            false => (0..all).collect(),
        };
        let part = match shown.len() == all {
            true => String::new(),
            false => format!(
                " of the {} classes with the most mistakes, of {}",
                shown.len(),
                with_separators(all as i64)
            ),
        };
        let matrix = self.table(&shown, &part);
        let how = "<p>A row for each true class, a column for each predicted one. A count of mistakes is a button \
                   that shows them.</p>\n";
        format!(
            "{how}{}{}{}",
            scrolling("Confusion matrix", &matrix),
            self.most_frequent(),
            self.scores(&shown)
        )
    }

    fn table(&self, shown: &[usize], part: &str) -> String {
        let is_dense = shown.len() > 24;
        let numbers = if is_dense { " dense" } else { "" };
        let names: Vec<String> = shown.iter().map(|&class| self.classes[class].clone()).collect();
        let row_names = headings(&names, ROW_WIDTH);
        let column_names = headings(&names, if is_dense { DENSE_COLUMN_WIDTH } else { COLUMN_WIDTH });
        let mut table = format!(
            "<table class=\"confusion{numbers}\"><caption>Test images{part}</caption>\n<thead><tr>\
             <th scope=\"col\">true \\ predicted</th>"
        );
        for name in &column_names {
            let _ = write!(table, "<th scope=\"col\"><span>{name}</span></th>");
        }
        table += "</tr></thead>\n<tbody>\n";
        for (&truth, name) in shown.iter().zip(&row_names) {
            let counts = &self.matrix.counts[truth];
            let total: u64 = counts.iter().sum();
            let _ = write!(table, "<tr><th scope=\"row\">{name}</th>");
            for &predicted in shown {
                let count = counts[predicted];
                // The root of the share, so that a single mistake among thousands can still be seen; not so dark
                // that one cannot read the number.
                let shade = (20.0 + 55.0 * (count as f64 / total.max(1) as f64).sqrt()).round();
                match count {
                    0 => table += "<td></td>",
                    _ if truth == predicted => {
                        let _ = write!(table, "<td class=\"right\">{count}</td>");
                    }
                    _ => {
                        let _ = write!(
                            table,
                            "<td class=\"wrong\" style=\"--s:{shade}%\">{}</td>",
                            self.button(truth, predicted, &count.to_string())
                        );
                    }
                }
            }
            table += "</tr>\n";
        }
        table + "</tbody></table>\n"
    }

    fn button(&self, truth: usize, predicted: usize, shown: &str) -> String {
        let count = self.matrix.counts[truth][predicted];
        let [of_class, prediction] = [truth, predicted].map(|class| shortened(&self.classes[class]));
        let label =
            text(&format!("{of_class} predicted as {prediction}: {}", counted(count as usize, "mistake")));
        format!("<button data-cell=\"{truth},{predicted}\" aria-label=\"{label}\">{shown}</button>")
    }

    fn most_frequent(&self) -> String {
        let pairs = self.pairs();
        if pairs.is_empty() {
            return "<p>No test image was classified wrongly.</p>\n".to_string();
        }
        let mut list = "<h3>Most frequent mistakes</h3>\n<ol class=\"pairs\">\n".to_string();
        for &(truth, predicted, count) in pairs.iter().take(MAX_PAIRS) {
            let [of_class, prediction] =
                [truth, predicted].map(|class| text(&shortened(&self.classes[class])));
            let shown = format!("{of_class} &rarr; {prediction}");
            let times = counted(count as usize, "time");
            let _ = writeln!(list, "<li>{} {times}</li>", self.button(truth, predicted, &shown));
        }
        list + "</ol>\n"
    }

    fn scores(&self, worst: &[usize]) -> String {
        let scores = self.matrix.scores();
        let all: Vec<usize> = (0..scores.len()).collect();
        let shown = if all.len() > MAX_SCORES { worst } else { &all };
        let names: Vec<String> = shown.iter().map(|&class| self.classes[class].clone()).collect();
        let mut table =
            "<table class=\"sortable\"><caption>Each class on the test set</caption>\n<thead><tr>"
                .to_string();
        for name in ["class", "images", "precision", "recall", "F1"] {
            let _ = write!(table, "<th scope=\"col\">{name}</th>");
        }
        table += "</tr></thead>\n<tbody>\n";
        for (name, scores) in headings(&names, ROW_WIDTH).iter().zip(shown.iter().map(|&class| scores[class]))
        {
            let _ = write!(table, "<tr><th scope=\"row\">{name}</th><td>{}</td>", scores.samples);
            for score in [scores.precision, scores.recall, scores.f1] {
                match score.is_nan() {
                    true => table += "<td></td>",
                    false => _ = write!(table, "<td data-value=\"{score}\">{score:.4}</td>"),
                }
            }
            table += "</tr>\n";
        }
        table += "</tbody></table>\n";
        scrolling("Scores of each class", &table)
    }
}

/// In pixels: less than the page leaves, as the fonts of browsers differ.
const ROW_WIDTH: f64 = 140.0;
const COLUMN_WIDTH: f64 = 54.0;
/// Turned upright.
const DENSE_COLUMN_WIDTH: f64 = 90.0;

/// Names for the head of a table, shortened so that they can be told apart; a pointer shows the whole name.
fn headings(names: &[String], width: f64) -> Vec<String> {
    const FONT: Font = Font::new(12.0, INK);
    let shown = labels(FONT, names, width);
    let heading = |(shown, name): (&String, &String)| match shown == name {
        true => text(name),
        false => format!("<abbr title=\"{}\">{}</abbr>", text(name), text(shown)),
    };
    shown.iter().zip(names).map(heading).collect()
}

/// A name without its middle if it is long.
fn shortened(name: &str) -> String {
    const KEPT: usize = 12;
    let letters: Vec<char> = name.chars().collect();
    match letters.len() > 2 * KEPT + 1 {
        true => letters[..KEPT].iter().chain(&['…']).chain(&letters[letters.len() - KEPT..]).collect(),
        false => name.to_string(),
    }
}
