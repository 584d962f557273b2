//! The history as an Excel workbook with native charts.

use anyhow::Result;
use rust_xlsxwriter::{Chart, ChartLegendPosition, ChartLine, ChartMarker, ChartMarkerType, ChartType};
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Format, Workbook, Worksheet};
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
    let bold = Format::new().set_bold();
    write_history(book.add_worksheet(), content, &bold)?;
    write_facts(book.add_worksheet(), content, &bold)?;
    Ok(book.save_to_buffer()?)
}

const HISTORY: &str = "History";

fn write_history(sheet: &mut Worksheet, content: &WorkbookContent, bold: &Format) -> Result<()> {
    sheet.set_name(HISTORY)?;
    for (column, name) in content.columns.iter().enumerate() {
        sheet.write_with_format(0, column as u16, name, bold)?;
        sheet.set_column_width(column as u16, name.len().max(10) as f64 + 2.0)?;
    }
    for (row, values) in content.rows.iter().enumerate() {
        for (column, value) in values.iter().enumerate() {
            if let Some(value) = value {
                sheet.write(row as u32 + 1, column as u16, *value)?;
            }
        }
    }
    sheet.set_freeze_panes(1, 1)?;
    sheet.set_landscape().set_print_fit_to_pages(1, 0);

    // A chart for each metric, training and validation together; loss first.
    let mut pairs: BTreeMap<(bool, &str), Vec<usize>> = BTreeMap::new();
    for (column, name) in content.columns.iter().enumerate() {
        let has_values = content.rows.iter().any(|row| row.get(column).is_some_and(Option::is_some));
        if !["epoch", "learning_rate", "seconds"].contains(&name.as_str()) && has_values {
            let metric = name.strip_prefix("val_").unwrap_or(name);
            pairs.entry((metric != "loss", metric)).or_default().push(column);
        }
    }
    for (index, ((_, metric), columns)) in pairs.into_iter().enumerate() {
        let chart = line_chart(content, metric, &columns);
        sheet.insert_chart(1 + 21 * index as u32, content.columns.len() as u16 + 1, &chart)?;
    }
    Ok(())
}

fn line_chart(content: &WorkbookContent, metric: &str, columns: &[usize]) -> Chart {
    let last = content.rows.len() as u32;
    let mut chart = Chart::new(ChartType::Line);
    chart.title().set_name(metric);
    chart.x_axis().set_name("epoch");
    chart.legend().set_position(ChartLegendPosition::Bottom);
    let values = || columns.iter().flat_map(|&column| content.rows.iter().filter_map(move |row| row[column]));
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

fn write_facts(sheet: &mut Worksheet, content: &WorkbookContent, bold: &Format) -> Result<()> {
    sheet.set_name("Run")?;
    for (row, (name, fact)) in content.facts.iter().enumerate() {
        let row = row as u32;
        sheet.write_with_format(row, 0, name, bold)?;
        match fact {
            Fact::Number(number) => sheet.write(row, 1, *number)?,
            Fact::Text(text) => sheet.write(row, 1, cell_text(text))?,
        };
    }
    sheet.set_column_width(0, 24)?;
    sheet.set_column_width(1, 60)?;
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
