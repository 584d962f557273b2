//! Plain tables for results: aligned columns without borders, easy to read and to parse.

use crate::wrap::wrap;
use console::{Alignment, measure_text_width, pad_str};

/// Between two columns.
const GAP: usize = 2;
/// A name in the first column is shortened to this, but not further.
const SHORT_NAME: usize = 20;
/// The decimals of numbers where there is little room.
const FEW_DECIMALS: usize = 3;

/// A table with a header; the first column is text, the others are numbers, aligned to the right.
#[derive(Clone, Debug)]
pub struct Table {
    /// The header first. Every row has as many cells as the header.
    rows: Vec<Vec<String>>,
    /// Of each column: what goes first when there is no room has the highest rank. The first column stays.
    ranks: Vec<usize>,
}

pub fn table<'a>(head: impl IntoIterator<Item = &'a str>, rows: Vec<Vec<String>>) -> Table {
    let head: Vec<String> = head.into_iter().map(str::to_string).collect();
    let columns = head.len();
    let whole = |mut row: Vec<String>| {
        row.resize(columns, String::new());
        row
    };
    let rows = std::iter::once(head).chain(rows.into_iter().map(whole)).collect();
    Table { rows, ranks: (0..columns).collect() }
}

impl Table {
    /// With these columns, the first ones first, as long as there is room; unnamed ones come after them.
    pub fn first(mut self, names: &[&str]) -> Table {
        let head = &self.rows[0];
        let rank = |(index, name): (usize, &String)| {
            let place = names.iter().position(|first| first == name);
            place.unwrap_or(names.len() + index)
        };
        self.ranks = head.iter().enumerate().map(rank).collect();
        self
    }

    /// The table in `columns` columns, if there is a limit: with fewer decimals, shorter names, fewer columns, in this
    /// order. A last line names the columns that are left out.
    pub fn fit(self, columns: Option<usize>) -> String {
        let Some(room) = columns else { return self.text() };
        let (mut exact, mut table, mut left_out) = (self.clone(), self, Vec::new());
        if table.width() > room {
            table.shorten_numbers();
        }
        while table.least_width() > room && table.ranks.len() > 1 {
            exact.remove_last_ranked();
            left_out.insert(0, table.remove_last_ranked());
        }
        if exact.least_width() <= room {
            table = exact;
        }
        table.shorten_names(room);
        match left_out.is_empty() {
            true => table.text(),
            false => {
                let note = wrap(&format!("(no room for {})", left_out.join(", ")), room);
                format!("{}{note}\n", table.text())
            }
        }
    }

    /// The table in `columns` columns, if there is a limit: in parts below one another, each with the first column.
    pub fn fold(self, columns: Option<usize>) -> String {
        let Some(room) = columns else { return self.text() };
        let mut table = self;
        table.shorten_names(room / 2);
        let first = table.widths().first().copied().unwrap_or(0);
        for head in table.rows.iter_mut().take(1).flat_map(|row| row.iter_mut().skip(1)) {
            *head = shortened(head, room.saturating_sub(first + GAP).max(SHORT_NAME / 2));
        }
        let widths = table.widths();
        let (first, rest) = widths.split_first().map_or((0, &[][..]), |(first, rest)| (*first, rest));
        let mut parts: Vec<Vec<usize>> = vec![vec![0]];
        let mut width = first;
        for (index, next) in rest.iter().enumerate() {
            width += GAP + next;
            if width > room && parts.last().is_some_and(|part| part.len() > 1) {
                parts.push(vec![0]);
                width = first + GAP + next;
            }
            parts.iter_mut().last().into_iter().for_each(|part| part.push(index + 1));
        }
        let text = |part: &Vec<usize>| {
            let row = |row: &Vec<String>| part.iter().map(|&index| row[index].clone()).collect();
            Table { rows: table.rows.iter().map(row).collect(), ranks: Vec::new() }.text()
        };
        parts.iter().map(text).collect::<Vec<_>>().join("\n")
    }

    /// The table in its whole width.
    pub fn text(&self) -> String {
        let widths = self.widths();
        let line = |row: &Vec<String>| {
            let cell = |(column, (text, &width)): (usize, (&String, &usize))| {
                let alignment = if column == 0 { Alignment::Left } else { Alignment::Right };
                pad_str(text, width, alignment, None).into_owned()
            };
            let cells: Vec<String> = row.iter().zip(&widths).enumerate().map(cell).collect();
            cells.join(&" ".repeat(GAP)).trim_end().to_string() + "\n"
        };
        self.rows.iter().map(line).collect()
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width =
            |column: usize| self.rows.iter().map(|row| measure_text_width(&row[column])).max().unwrap_or(0);
        (0..columns).map(width).collect()
    }

    fn width(&self) -> usize {
        let widths = self.widths();
        widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
    }

    /// With the shortest names.
    fn least_width(&self) -> usize {
        let first = self.widths().first().copied().unwrap_or(0);
        self.width() - first.saturating_sub(SHORT_NAME)
    }

    fn shorten_numbers(&mut self) {
        for cell in self.rows.iter_mut().skip(1).flat_map(|row| row.iter_mut().skip(1)) {
            *cell = with_few_decimals(cell);
        }
    }

    /// Shortens the first column in the middle of its names, down to the least length of names at most.
    fn shorten_names(&mut self, room: usize) {
        let first = self.widths().first().copied().unwrap_or(0);
        let width = (first + room).saturating_sub(self.width()).max(SHORT_NAME);
        for row in self.rows.iter_mut().skip(1) {
            row[0] = shortened(&row[0], width);
        }
    }

    /// Removes the column of the highest rank; its name.
    fn remove_last_ranked(&mut self) -> String {
        let last = (1..self.ranks.len()).max_by_key(|&index| self.ranks[index]).unwrap_or_default();
        self.ranks.remove(last);
        let mut cells = self.rows.iter_mut().map(|row| row.remove(last)).collect::<Vec<_>>().into_iter();
        cells.next().unwrap_or_default()
    }
}

/// A cell whose numbers of many decimals have fewer of them.
fn with_few_decimals(cell: &str) -> String {
    let shorter = |word: &str| {
        let decimals = word.split_once('.').map_or(0, |(_, decimals)| decimals.len());
        match word.parse::<f64>() {
            // Zero would be less than is known of a small number.
            Ok(value) if decimals > FEW_DECIMALS && value.abs() >= 0.5 * 0.1f64.powi(FEW_DECIMALS as i32) => {
                format!("{value:.FEW_DECIMALS$}")
            }
            _ => word.to_string(),
        }
    };
    cell.split(' ').map(shorter).collect::<Vec<_>>().join(" ")
}

/// A name that fits the columns: a longer one loses its middle.
pub fn shortened(name: &str, columns: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    let mut kept = letters.len();
    let mut text = name.to_string();
    while measure_text_width(&text) > columns && kept > 1 {
        kept -= 1;
        let (start, end) = (kept.div_ceil(2), kept / 2);
        text = letters[..start].iter().chain(&['…']).chain(&letters[letters.len() - end..]).collect();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| cell.to_string()).collect()
    }

    fn runs() -> Table {
        let head = ["run", "started", "ended", "epochs", "best", "test accuracy"];
        let name = "runs/digits-2026-11-26T13-31-44Z";
        let time = "2026-11-26 13:31:44";
        let rows = vec![
            row(&[name, time, "early_stopping", "39", "0.067385 in 34", "0.9780"]),
            row(&["runs/a", time, "completed", "3", "0.00001 in 2", "0.1234"]),
        ];
        table(head, rows).first(&["run", "best", "test accuracy", "epochs", "ended"])
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let drawn = table(["class", "images", "f1"], vec![row(&["é", "5", "0.25"]), row(&["日本", "12"])]);
        assert_eq!(drawn.text(), "class  images    f1\né           5  0.25\n日本       12\n");
    }

    #[test]
    fn a_table_fits_by_fewer_digits_then_shorter_names_then_fewer_columns() {
        assert!(runs().fit(None).starts_with("run                                           started "));
        assert!(runs().fit(Some(200)).contains("0.067385 in 34"));
        let lines = |columns| runs().fit(Some(columns)).lines().map(str::to_string).collect::<Vec<_>>();
        assert_eq!(
            lines(80),
            [
                "run                                 ended  epochs            best  test accuracy",
                "runs/digits-…26T13-31-44Z  early_stopping      39  0.067385 in 34         0.9780",
                "runs/a                          completed       3    0.00001 in 2         0.1234",
                "(no room for started)",
            ]
        );
        assert_eq!(
            lines(44),
            [
                "run                                     best",
                "runs/digits-20…-26T13-31-44Z  0.067385 in 34",
                "runs/a                          0.00001 in 2",
                "(no room for test accuracy, epochs, ended,",
                "started)",
            ]
        );
    }

    #[test]
    fn no_table_is_wider_than_the_terminal() {
        for columns in 42..200 {
            let text = runs().fit(Some(columns));
            assert!(text.lines().all(|line| measure_text_width(line) <= columns), "{columns}:\n{text}");
        }
    }

    #[test]
    fn both_ends_of_an_interval_lose_digits() {
        let runs = table(["run", "95 % interval"], vec![row(&["a", "0.9572 to 0.9888"])]);
        assert_eq!(runs.fit(Some(20)), "run   95 % interval\na    0.957 to 0.989\n");
    }

    #[test]
    fn a_wide_matrix_is_continued_below() {
        let head = ["true", "cat", "dog", "bird"];
        let matrix = table(head, vec![row(&["cat", "10", ".", "1"]), row(&["bird", ".", "3", "7"])]);
        assert_eq!(
            matrix.clone().fold(Some(14)),
            "true  cat  dog\ncat    10    .\nbird    .    3\n\ntrue  bird\ncat      1\nbird     7\n"
        );
        assert_eq!(matrix.clone().fold(Some(20)), matrix.text());
        let long = "a name that no terminal has room for, and that ends in its number 1";
        let matrix = table(["true", long], vec![row(&[long, "10"])]);
        assert!(matrix.fold(Some(40)).lines().all(|line| line.chars().count() <= 40));
    }
}
