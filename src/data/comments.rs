//! Lines of tables that are comments: they begin with `#`. Heads and words may begin so as well.

use super::number::Decimal;
use csv::StringRecord;
use std::collections::HashMap;

const SIGN: char = '#';

/// What tells comments from rows.
#[derive(Default)]
pub(super) struct Comments {
    /// The number of values of most rows; 0 if nothing is a comment.
    width: usize,
    /// Whether the first column holds numbers, so that no value begins with the sign.
    has_numbers_first: bool,
}

impl Comments {
    /// By the first rows of a table, out of which its comments are taken; also whether there were some.
    pub fn take_from(rows: &mut Vec<StringRecord>, decimal: Decimal) -> (Comments, bool) {
        let comments = Comments::of(rows, decimal);
        let leading = rows.iter().take_while(|row| may_be(row)).count();
        let below = rows.get(leading).filter(|_| leading > 0);
        // What stands above a head is none.
        let is_above_head = below.is_some_and(|row| row.iter().all(|cell| may_be_name(cell, decimal)));
        let last = leading.checked_sub(1).filter(|_| !is_above_head);
        let head = last.and_then(|last| Some((last, comments.head(&rows[last], decimal)?)));
        let all = rows.len();
        if let Some((last, head)) = head {
            rows[last] = head;
        } else if is_above_head {
            rows.drain(..leading);
        }
        rows.retain(|row| !comments.has(row));
        let are_comments = rows.len() < all;
        (comments, are_comments)
    }

    fn of(rows: &[StringRecord], decimal: Decimal) -> Comments {
        let others = || rows.iter().filter(|row| !may_be(row));
        let mut widths: HashMap<usize, usize> = HashMap::new();
        others().for_each(|row| *widths.entry(row.len()).or_default() += 1);
        let width = widths.into_iter().max_by_key(|(width, count)| (*count, *width));
        let numbers = others().filter(|row| decimal.number(first(row)).is_some()).count();
        Comments {
            width: width.map_or(0, |(width, _)| width),
            has_numbers_first: 2 * numbers > others().count(),
        }
    }

    /// Whether a row is a comment.
    pub fn has(&self, row: &StringRecord) -> bool {
        self.width > 0 && may_be(row) && (row.len() != self.width || self.has_numbers_first)
    }

    /// The head that a row is without its sign, as NumPy writes them, if it has a name for each column.
    fn head(&self, row: &StringRecord, decimal: Decimal) -> Option<StringRecord> {
        let is_sign = first(row) == SIGN.to_string();
        let cells: Vec<&str> = match row.len() {
            count if count == self.width => std::iter::once(first(row).trim_start_matches(SIGN).trim())
                .chain(row.iter().skip(1))
                .collect(),
            count if count == self.width + 1 && is_sign => row.iter().skip(1).collect(),
            _ => return None,
        };
        let is_word = |cell: &&str| !cell.trim().is_empty() && decimal.number(cell).is_none();
        let has_words = self.width > 1 && cells.iter().skip(1).any(is_word);
        let mut head: StringRecord = cells.iter().copied().collect();
        head.set_position(row.position().cloned());
        has_words.then_some(head)
    }
}

/// Whether a cell may be the name of a column rather than one of its values or a list of them.
fn may_be_name(cell: &str, decimal: Decimal) -> bool {
    let is_of_list = |letter: char| letter.is_ascii_digit() || letter == '[';
    !cell.is_empty() && decimal.number(cell).is_none() && !cell.trim().starts_with(is_of_list)
}

/// Whether a line of text may be a comment.
pub(super) fn may_be_line(line: &str) -> bool {
    line.trim_start().starts_with(SIGN)
}

fn may_be(row: &StringRecord) -> bool {
    first(row).starts_with(SIGN)
}

fn first(row: &StringRecord) -> &str {
    row.get(0).unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(lines: &[&str]) -> (Vec<String>, bool) {
        let mut rows: Vec<StringRecord> = lines.iter().map(|line| line.split(',').collect()).collect();
        let (_, are_comments) = Comments::take_from(&mut rows, Decimal::Point);
        (rows.iter().map(|row| row.iter().collect::<Vec<_>>().join(",")).collect(), are_comments)
    }

    #[test]
    fn comments_are_told_from_heads_and_words() {
        for (lines, expected, are_comments) in [
            (
                &["# by A. Author", "label,a,b", "1,2,3", "#1,2,4", "0,2,4"][..],
                &["label,a,b", "1,2,3", "0,2,4"][..],
                true,
            ),
            (&["#label,a,b", "1,2,3"], &["label,a,b", "1,2,3"], false),
            (&["# made, by, me", "label,a,b", "1,2,3"], &["label,a,b", "1,2,3"], true),
            (&["# a table", "# label,a,b", "1,2,3"], &["label,a,b", "1,2,3"], true),
            (&["#,label,a,b", "1,2,3", "1,2,4"], &["label,a,b", "1,2,3", "1,2,4"], false),
            (&["#,label,a", "1,x,3", "2,y,4"], &[",label,a", "1,x,3", "2,y,4"], false),
            (
                &["colour,a,b", "#ff0000,1,2", "#00ff00,3,4"],
                &["colour,a,b", "#ff0000,1,2", "#00ff00,3,4"],
                false,
            ),
            (&["cat,1", "#,2", "# more", "dog,3"], &["cat,1", "#,2", "dog,3"], true),
            (&["#a,1", "#b,2"], &["#a,1", "#b,2"], false),
        ] {
            assert_eq!(
                rows(lines),
                (expected.iter().map(|line| line.to_string()).collect(), are_comments),
                "{lines:?}"
            );
        }
    }
}
