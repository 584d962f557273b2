//! Plain tables for results: aligned columns without borders, easy to read and to parse.

use console::{Alignment, measure_text_width, pad_str};

/// A table with a header; the first column is text, the others are numbers, aligned to the right.
pub fn table<'a>(head: impl IntoIterator<Item = &'a str>, rows: Vec<Vec<String>>) -> String {
    let head = head.into_iter().map(str::to_string).collect();
    let rows: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|text| measure_text_width(text)).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cell = |(column, (text, &width)): (usize, (&String, &usize))| {
            let alignment = if column == 0 { Alignment::Left } else { Alignment::Right };
            pad_str(text, width, alignment, None).into_owned()
        };
        let cells: Vec<String> = row.iter().zip(&widths).enumerate().map(cell).collect();
        cells.join("  ").trim_end().to_string() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 3]| cells.map(str::to_string).to_vec();
        let drawn = table(["class", "images", "f1"], vec![row(["é", "5", "0.25"]), row(["日本", "12", ""])]);
        assert_eq!(drawn, "class  images    f1\né           5  0.25\n日本       12\n");
    }
}
