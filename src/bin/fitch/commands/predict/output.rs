//! Predictions as text in each format, a batch at a time.

use super::layout::Layout;
use crate::cli::PredictFormat;
use crate::commands::table::shortened;
use anyhow::{Context, Result};
use console::{Alignment, pad_str};
use fitch::data::inputs::Input;
use fitch::text::printable;
use serde::{Serialize, Serializer};
use std::fmt::Write;

/// Formats predictions.
pub struct Output<'a> {
    format: PredictFormat,
    classes: &'a [String],
    top: usize,
    all_probabilities: bool,
    /// Of the table.
    layout: Layout,
    /// The number of rows formatted so far.
    rows: usize,
}

/// A prediction as JSON.
#[derive(Serialize)]
struct Prediction<'a> {
    input: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<usize>,
    class: &'a str,
    probability: f32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    top: Vec<Ranked<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probabilities: Option<ByClass<'a>>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    inverted: bool,
}

#[derive(Clone, Copy, Serialize)]
struct Ranked<'a> {
    class: &'a str,
    probability: f32,
}

/// Classes with their probabilities, in the order of the classes.
struct ByClass<'a>(&'a [String], &'a [f32]);

impl Serialize for ByClass<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().zip(self.1))
    }
}

impl<'a> Output<'a> {
    /// Tells the `top` most likely classes of each input, and on request the probabilities of all classes. A table
    /// is at most `columns` wide.
    pub fn new(
        format: PredictFormat,
        classes: &'a [String],
        top: usize,
        all_probabilities: bool,
        columns: Option<usize>,
    ) -> Output<'a> {
        let top = top.min(classes.len());
        let layout = Layout::new(classes, top, all_probabilities, columns);
        Output { format, classes, top, all_probabilities, layout, rows: 0 }
    }

    /// What comes before the first row.
    pub fn head(&self) -> Result<String> {
        match self.format {
            PredictFormat::Json => Ok("[".to_string()),
            PredictFormat::Jsonl => Ok(String::new()),
            PredictFormat::Table => {
                let mut text = String::new();
                for _ in 0..self.layout.ranks {
                    let _ = write!(text, "{:<width$}  probability  ", "class", width = self.layout.class);
                }
                for (class, width) in self.classes.iter().zip(&self.layout.probabilities) {
                    text += &pad_str(&shortened(class, *width), *width, Alignment::Right, None);
                    text += "  ";
                }
                Ok(text + "input\n")
            }
            PredictFormat::Auto | PredictFormat::Csv => {
                let mut head = ["input", "row", "class", "probability"].map(str::to_string).to_vec();
                for rank in 2..=self.top {
                    head.extend([format!("class_{rank}"), format!("probability_{rank}")]);
                }
                if self.all_probabilities {
                    head.extend(self.classes.iter().map(|class| format!("p({class})")));
                }
                csv_lines([head])
            }
        }
    }

    /// The rows of a batch: `probabilities` holds those of all classes for each input in turn.
    pub fn rows(&mut self, inputs: &[Input], probabilities: &[f32]) -> Result<String> {
        let all = inputs.iter().zip(probabilities.chunks_exact(self.classes.len()));
        let mut text = String::new();
        match self.format {
            PredictFormat::Auto | PredictFormat::Csv => {
                text = csv_lines(all.map(|(input, probabilities)| self.cells(input, probabilities)))?;
            }
            PredictFormat::Table => {
                for (input, probabilities) in all {
                    text += &self.line(input, probabilities);
                }
            }
            PredictFormat::Json => {
                for (input, probabilities) in all {
                    text += if self.rows == 0 { "\n" } else { ",\n" };
                    text += &serde_json::to_string(&self.prediction(input, probabilities))?;
                    self.rows += 1;
                }
            }
            PredictFormat::Jsonl => {
                for (input, probabilities) in all {
                    text += &serde_json::to_string(&self.prediction(input, probabilities))?;
                    text.push('\n');
                }
            }
        }
        Ok(text)
    }

    /// What comes after the last row.
    pub fn foot(&self) -> String {
        match self.format {
            PredictFormat::Json => "\n]\n".to_string(),
            PredictFormat::Table if self.layout.leaves_out => {
                "(no room for all columns; --format csv has them)\n".to_string()
            }
            _ => String::new(),
        }
    }

    /// The most likely classes, the first of equals first.
    fn ranked(&self, probabilities: &[f32]) -> Vec<Ranked<'a>> {
        let classes = self.classes.iter().zip(probabilities);
        let mut ranked: Vec<Ranked> =
            classes.map(|(class, &probability)| Ranked { class, probability }).collect();
        ranked.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        ranked.truncate(self.top);
        ranked
    }

    fn prediction<'b>(&'b self, input: &'b Input, probabilities: &'b [f32]) -> Prediction<'b> {
        let top = self.ranked(probabilities);
        Prediction {
            input: &input.file,
            row: input.row,
            class: top[0].class,
            probability: top[0].probability,
            top: if self.top > 1 { top } else { Vec::new() },
            probabilities: self.all_probabilities.then_some(ByClass(self.classes, probabilities)),
            inverted: input.is_inverted,
        }
    }

    fn cells(&self, input: &Input, probabilities: &[f32]) -> Vec<String> {
        let mut cells = vec![input.file.to_string(), input.row.map_or(String::new(), |row| row.to_string())];
        for Ranked { class, probability } in self.ranked(probabilities) {
            cells.extend([class.to_string(), probability.to_string()]);
        }
        cells.extend(probabilities.iter().filter(|_| self.all_probabilities).map(f32::to_string));
        cells
    }

    fn line(&self, input: &Input, probabilities: &[f32]) -> String {
        let mut line = String::new();
        let Layout { ranks, class: width, probabilities: widths, input: room, .. } = &self.layout;
        for Ranked { class, probability } in self.ranked(probabilities).into_iter().take(*ranks) {
            line += &pad_str(&shortened(class, *width), *width, Alignment::Left, None);
            let _ = write!(line, "  {probability:>11.4}  ");
        }
        for (probability, width) in probabilities.iter().zip(widths) {
            let _ = write!(line, "{probability:>width$.4}  ");
        }
        let mut name = printable(&input.file).to_string();
        if let Some(row) = input.row {
            let _ = write!(name, " row {row}");
        }
        if input.is_inverted {
            name += " (inverted)";
        }
        if let Some(room) = room {
            name = shortened(&name, *room);
        }
        line + &name + "\n"
    }
}

fn csv_lines(rows: impl IntoIterator<Item = Vec<String>>) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    rows.into_iter().try_for_each(|row| writer.write_record(row))?;
    String::from_utf8(writer.into_inner()?).context("a name is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(format: PredictFormat, top: usize, all: bool) -> String {
        let classes = ["cat".to_string(), "dog, wet".to_string(), "owl".to_string()];
        let input = |file: &str, row, is_inverted| Input {
            file: file.into(),
            row,
            values: vec![],
            is_inverted,
            note: None,
        };
        let mut output = Output::new(format, &classes, top, all, None);
        let first = output.rows(&[input("a.png", None, true)], &[0.25, 0.5, 0.25]).unwrap();
        let second = output.rows(&[input("b.csv", Some(7), false)], &[1.0, 0.0, 0.0]).unwrap();
        output.head().unwrap() + &first + &second + &output.foot()
    }

    #[test]
    fn csv_has_a_column_a_thing() {
        assert_eq!(
            shown(PredictFormat::Csv, 1, false),
            "input,row,class,probability\na.png,,\"dog, wet\",0.5\nb.csv,7,cat,1\n"
        );
        assert_eq!(
            shown(PredictFormat::Csv, 2, true).lines().take(2).collect::<Vec<_>>(),
            [
                "input,row,class,probability,class_2,probability_2,p(cat),\"p(dog, wet)\",p(owl)",
                "a.png,,\"dog, wet\",0.5,cat,0.25,0.25,0.5,0.25"
            ]
        );
    }

    #[test]
    fn json_is_one_array_and_json_lines_are_its_members() {
        let array: serde_json::Value = serde_json::from_str(&shown(PredictFormat::Json, 3, true)).unwrap();
        let lines = shown(PredictFormat::Jsonl, 3, true);
        let lines: Vec<serde_json::Value> =
            lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(array, serde_json::Value::Array(lines));
        assert_eq!(array[0]["top"][2]["class"], "owl", "the first of equals comes first");
        assert_eq!(array[0]["probabilities"]["dog, wet"], 0.5);
        assert_eq!((&array[0]["inverted"], &array[1]["row"]), (&true.into(), &7.into()));
        assert!(array[0].get("row").is_none());
        assert!(!shown(PredictFormat::Jsonl, 1, false).contains("top"));
    }

    #[test]
    fn the_table_is_aligned() {
        assert_eq!(
            shown(PredictFormat::Table, 1, true),
            "class     probability     cat  dog, wet     owl  input\n\
             dog, wet       0.5000  0.2500    0.5000  0.2500  a.png (inverted)\n\
             cat            1.0000  1.0000    0.0000  0.0000  b.csv row 7\n"
        );
    }
}
