//! The history as an Excel workbook with native charts.

use anyhow::Result;
use rust_xlsxwriter::{Chart, ChartLegendPosition, ChartLine, ChartMarker, ChartMarkerType, ChartType};
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, FormatAlign, Workbook, Worksheet};
use std::collections::BTreeMap;

/// A history as a table, and facts about its run.
#[derive(Clone, Debug, Default)]
pub struct WorkbookContent {
    /// The names of the columns, the first one `epoch`.
    pub columns: Vec<String>,
    /// A row for each epoch; `None` becomes an empty cell.
    pub rows: Vec<Vec<Option<f64>>>,
    /// Names and values of settings and results, in order.
    pub facts: Vec<(String, Fact)>,
}

/// The value of a fact.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A number, which stays one in the workbook.
    Number(f64),
    /// Yes or no, which Excel knows, too.
    Truth(bool),
    /// Anything else.
    Text(String),
}

/// The bytes of the workbook: a sheet with the history and a line chart for each metric that reads its
/// cells, and a sheet with the facts.
///
/// # Errors
/// More rows than Excel has.
pub fn workbook(content: &WorkbookContent) -> Result<Vec<u8>> {
    let mut book = Workbook::new();
    // A fixed date, so that the same content gives the same bytes.
    let created = ExcelDateTime::from_ymd(2000, 1, 1)?;
    book.set_properties(&DocProperties::new().set_creation_datetime(&created));
    write_history(book.add_worksheet(), content)?;
    write_facts(book.add_worksheet(), content)?;
    Ok(book.save_to_buffer()?)
}

const HISTORY: &str = "History";

const LEARNING_RATE: &str = "learning_rate";

fn write_history(sheet: &mut Worksheet, content: &WorkbookContent) -> Result<()> {
    sheet.set_name(HISTORY)?;
    // Above numbers, which are on the right.
    let head = Format::new().set_bold().set_align(FormatAlign::Right);
    for (column, name) in content.columns.iter().enumerate() {
        sheet.write_with_format(0, column as u16, name, &head)?;
        sheet.set_column_width(column as u16, name.len().max(8) as f64 + 2.0)?;
        let format = Format::new().set_num_format(number_format(name, values(content, column)));
        for (row, value) in content.rows.iter().enumerate() {
            if let Some(value) = value[column] {
                sheet.write_with_format(row as u32 + 1, column as u16, value, &format)?;
            }
        }
    }
    sheet.set_freeze_panes(1, 1)?;
    sheet.set_landscape().set_print_fit_to_pages(1, 0);

    // A chart for each metric, training and validation together; loss first. A learning rate that changes is
    // the last one.
    let mut pairs: BTreeMap<(u8, &str), Vec<usize>> = BTreeMap::new();
    for (column, name) in content.columns.iter().enumerate() {
        let is_drawn = match name.as_str() {
            "epoch" | "seconds" => false,
            LEARNING_RATE => {
                values(content, column).any(|value| Some(value) != values(content, column).next())
            }
            _ => values(content, column).next().is_some(),
        };
        if is_drawn {
            let metric = name.strip_prefix("val_").unwrap_or(name);
            let rank = match metric {
                "loss" => 0,
                LEARNING_RATE => 2,
                _ => 1,
            };
            pairs.entry((rank, metric)).or_default().push(column);
        }
    }
    for (index, ((_, metric), columns)) in pairs.into_iter().enumerate() {
        let chart = line_chart(content, metric, &columns);
        sheet.insert_chart(1 + 21 * index as u32, content.columns.len() as u16 + 1, &chart)?;
    }
    Ok(())
}

/// The values of a column that are there.
fn values(content: &WorkbookContent, column: usize) -> impl Iterator<Item = f64> {
    content.rows.iter().filter_map(move |row| row[column])
}

/// How a column shows its numbers: with an exponent where some are too small to be read otherwise.
fn number_format(name: &str, values: impl Iterator<Item = f64>) -> &'static str {
    let smallest = values.map(f64::abs).filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
    match name {
        "epoch" => "0",
        "seconds" => "0.00",
        LEARNING_RATE if smallest >= 1e-5 => "0.000000",
        _ if smallest < 1e-3 => "0.000E+00",
        _ => "0.0000",
    }
}

fn line_chart(content: &WorkbookContent, metric: &str, columns: &[usize]) -> Chart {
    let last = content.rows.len() as u32;
    let mut chart = Chart::new(ChartType::Line);
    chart.title().set_name(metric);
    chart.x_axis().set_name("epoch");
    chart.legend().set_position(ChartLegendPosition::Bottom);
    let values = || columns.iter().flat_map(|&column| values(content, column));
    if values().all(|value| (0.0..=1.0).contains(&value)) && values().any(|value| value > 0.5) {
        chart.y_axis().set_max(1.0); // a share; Excel would go on to 1.2
    }
    chart.set_width(640).set_height(400);
    for (&column, (color, marker)) in
        columns.iter().zip([("#0072B2", ChartMarkerType::Circle), ("#D55E00", ChartMarkerType::Square)])
    {
        let column = column as u16;
        chart
            .add_series()
            .set_name((HISTORY, 0, column))
            .set_categories((HISTORY, 1, 0, last, 0))
            .set_values((HISTORY, 1, column, last, column))
            .set_format(ChartLine::new().set_color(color).set_width(1.75))
            .set_marker(ChartMarker::new().set_type(marker).set_size(4));
    }
    chart
}

/// A text as a cell can hold it: Excel has no more letters in one, and no control characters.
fn cell_text(text: &str) -> String {
    const MAX_LENGTH: usize = 32_767;
    const END: &str = " ...";
    let plain = text.replace(|letter: char| letter.is_control() && letter != '\n', "\u{fffd}");
    if plain.encode_utf16().count() <= MAX_LENGTH {
        return plain;
    }
    let mut room = MAX_LENGTH - END.len();
    let kept = plain.chars().take_while(|letter| {
        let fits = room >= letter.len_utf16();
        room = room.saturating_sub(letter.len_utf16());
        fits
    });
    kept.collect::<String>() + END
}

fn write_facts(sheet: &mut Worksheet, content: &WorkbookContent) -> Result<()> {
    sheet.set_name("Run")?;
    let bold = Format::new().set_bold();
    // One under the other they are read as a list, not compared as numbers.
    let left = Format::new().set_align(FormatAlign::Left);
    sheet.write_with_format(0, 0, "name", &bold)?.write_with_format(0, 1, "value", &bold)?;
    for (row, (name, fact)) in content.facts.iter().enumerate() {
        let row = row as u32 + 1;
        sheet.write(row, 0, name)?;
        match fact {
            Fact::Number(number) => sheet.write_with_format(row, 1, *number, &left)?,
            Fact::Truth(truth) => sheet.write_with_format(row, 1, *truth, &left)?,
            Fact::Text(text) => sheet.write(row, 1, cell_text(text))?,
        };
    }
    let longest = content.facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    sheet.set_column_width(0, longest as f64 + 2.0)?;
    sheet.set_column_width(1, 60)?;
    sheet.set_freeze_panes(1, 1)?;
    sheet.set_print_fit_to_pages(1, 0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of 300 classes of 120 letters each were too long for a cell, and ended the run.
    #[test]
    fn what_is_too_long_for_a_cell_is_cut_and_control_characters_are_replaced() {
        assert_eq!(cell_text("c\u{1b}at, dog\n"), "c\u{fffd}at, dog\n");
        for letter in ["x", "é", "😀"] {
            let cut = cell_text(&letter.repeat(40_000));
            assert!(
                cut.ends_with(" ...") && (32_760..=32_767).contains(&cut.encode_utf16().count()),
                "{letter}"
            );
        }
        let facts = vec![("classes".to_string(), Fact::Text(format!("{}, c\u{1b}at", "x".repeat(40_000))))];
        let columns = vec!["epoch".to_string(), "loss".to_string()];
        workbook(&WorkbookContent { columns, rows: vec![vec![Some(1.0), Some(0.5)]], facts }).unwrap();
    }
}
