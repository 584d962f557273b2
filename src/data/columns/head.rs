//! Whether a table has a head.

use super::names::is_label;
use crate::data::label_encoding::is_missing;
use crate::data::number::Decimal;
use csv::StringRecord;
use std::collections::HashSet;

/// Whether the first row names the columns: words above numbers, or words that do not come again; or numbers
/// that count the columns.
pub fn has_head(first: &[&str], rest: &[StringRecord], decimal: Decimal) -> bool {
    let is_word = |cell: &str| !is_missing(cell) && decimal.number(cell).is_none();
    let words = first.iter().filter(|cell| is_word(cell)).count();
    if rest.is_empty() {
        return words > 1 || first.iter().any(|cell| is_word(cell) && is_label(cell));
    }
    if words == 0 {
        return is_run(first, rest) || is_mangled(first, rest);
    }
    let column = |index: usize| rest.iter().filter_map(move |row| row.get(index)).map(str::trim);
    let mut all_new = true;
    for (index, cell) in first.iter().enumerate().filter(|(_, cell)| is_word(cell)) {
        let (mut numbers, mut others, mut comes_again) = (0, 0, false);
        for below in column(index) {
            match is_word(below) {
                true => others += 1,
                false => numbers += usize::from(!is_missing(below)),
            }
            comes_again |= below == *cell;
        }
        if numbers > others {
            return true;
        }
        all_new &= !comes_again;
    }
    // Words above words: names, if all are new and there are no values beside them.
    let are_names = words == first.iter().filter(|cell| !cell.is_empty()).count() && first.len() > 1;
    all_new && (are_names || first.iter().any(|cell| is_label(cell)))
}

/// Where cells begin to count, if each is one more than the one before.
pub fn counts_on(cells: &mut dyn Iterator<Item = &str>) -> Option<i64> {
    let mut numbers = cells.map(|cell| cell.trim().parse::<i64>().ok());
    let first = numbers.next()??;
    let mut last = first;
    let is_next = |number: Option<i64>| {
        let is_next = number.is_some() && number == last.checked_add(1);
        last = number.unwrap_or_default();
        is_next
    };
    numbers.all(is_next).then_some(first)
}

/// Whether the first row counts the columns from 0, and no other row counts. From 1, more columns are needed:
/// 1, 2, 3 may well be values.
fn is_run(first: &[&str], rest: &[StringRecord]) -> bool {
    const FROM_0: usize = 3;
    const FROM_1: usize = 16;
    // The first name is empty above an index.
    let cells = if first.first() == Some(&"") { &first[1..] } else { first };
    let is_counter = match counts_on(&mut cells.iter().copied()) {
        Some(0) => cells.len() >= FROM_0,
        Some(1) => cells.len() >= FROM_1,
        _ => false,
    };
    is_counter && !rest.iter().any(|row| counts_on(&mut row.iter()).is_some())
}

/// Whether the first row was made a head by a program that changes equal names, and stored again: `0, 0.1,
/// 0.2` above whole numbers.
fn is_mangled(first: &[&str], rest: &[StringRecord]) -> bool {
    const COLUMNS: usize = 16;
    let different: HashSet<&str> = first.iter().copied().collect();
    let has_mark = |cell: &&&str| cell.rsplit_once('.').is_some_and(|(_, mark)| mark.parse::<u32>().is_ok());
    let marked = first.iter().filter(has_mark).count();
    let is_whole = |row: &StringRecord| row.iter().all(|cell| cell.trim().parse::<i64>().is_ok());
    first.len() >= COLUMNS
        && different.len() == first.len()
        && 2 * marked > first.len()
        && rest.iter().all(is_whole)
}
