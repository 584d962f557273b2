//! What the first rows of a table hold, column by column.

use super::head::{counts_on, has_head};
use super::names::{folded, has_label_word, is_of_index, is_of_rows, is_pixel_name, label_among};
use super::pairs::Pairs;
use super::splits::{SplitColumn, numbers_parts};
use super::{NAMED, list, short};
use crate::data::Fault;
use crate::data::label_encoding::is_missing;
use crate::data::number::Decimal;
use crate::data::raw_dataset::words;
use crate::data::table::Table;
use anyhow::Result;
use csv::StringRecord;
use std::collections::{BTreeSet, HashSet};

/// Fewer rows do not tell a counter from values.
const COUNTED_ROWS: usize = 5;

/// What the cells of a column are.
#[derive(Clone, Debug, Default)]
pub struct Content {
    numbers: usize,
    words: usize,
    missing: usize,
    has_fractions: bool,
    pub first_word: Option<String>,
}

impl Content {
    pub fn is_text(&self) -> bool {
        self.words > self.numbers
    }

    pub fn is_empty(&self) -> bool {
        self.missing > 0 && self.numbers + self.words == 0
    }
}

/// A table's head, and what its first rows hold.
pub struct Sketch<'a> {
    pub names: Option<Vec<String>>,
    rows: Vec<&'a StringRecord>,
    decimal: Decimal,
    pub width: usize,
    pub contents: Vec<Content>,
}

impl Sketch<'_> {
    /// Takes the head of a table, if it has one; `is_head` recognises some.
    pub fn take<'a>(table: &'a mut Table, is_head: impl Fn(&[&str]) -> bool) -> Sketch<'a> {
        let decimal = table.form.decimal;
        let sample = table.sample();
        let first: Vec<&str> = sample[0].iter().map(str::trim).collect();
        let has_head = is_head(&first) || has_head(&first, &sample[1..], decimal);
        let head = if has_head { table.take_head() } else { None };
        let rows: Vec<&StringRecord> = table.sample().iter().collect();
        let mut names: Option<Vec<String>> =
            head.map(|head| head.iter().map(|name| name.trim().to_string()).collect());
        let row_width = rows.first().map_or(0, |row| row.len());
        let is_even = rows.iter().all(|row| row.len() == row_width);
        if let Some(names) = names.as_mut().filter(|_| is_even && row_width > 0) {
            if names.len() == row_width + 1 && names.last().is_some_and(String::is_empty) {
                names.pop();
            } else if names.len() + 1 == row_width {
                // As R writes tables whose rows have names.
                names.insert(0, String::new());
            }
        }
        let width = names.as_ref().map_or(row_width, Vec::len);
        let contents = contents(&rows, width, decimal);
        Sketch { names, rows, decimal, width, contents }
    }

    pub fn name(&self, index: usize) -> Option<&str> {
        Some(self.names.as_ref()?.get(index)?.as_str())
    }

    /// For messages.
    pub fn shown(&self, index: usize) -> String {
        match self.name(index) {
            Some("") | None => format!("number {}", index + 1),
            Some(name) => format!("'{}'", short(name)),
        }
    }

    fn cells(&self, index: usize) -> impl Iterator<Item = &str> + Clone {
        self.rows.iter().filter_map(move |row| row.get(index)).map(str::trim)
    }

    /// The column of that name, or of that index.
    pub fn position(&self, asked: &str) -> Option<usize> {
        let names = || self.names.iter().flatten();
        let by_name = names().position(|name| name == asked);
        let by_name = by_name.or_else(|| names().position(|name| folded(name) == folded(asked)));
        by_name.or_else(|| asked.parse().ok().filter(|index| *index < self.width))
    }

    /// The fault of a column of groups that is not there.
    pub fn unknown_group(&self, asked: &str) -> Fault {
        let numbered = || format!("those numbered from 0 to {}", self.width.saturating_sub(1));
        let columns = self.names.clone().unwrap_or_else(|| vec![numbered()]);
        Fault::UnknownGroupColumn { column: asked.to_string(), columns }
    }

    /// The column of labels asked for.
    pub fn asked(&self, asked: &str) -> Result<usize> {
        let index = self.position(asked).ok_or_else(|| Fault::UnknownLabelColumn {
            column: asked.to_string(),
            expected: format!(
                "that is neither a name in the first line nor an index from 0 to {}",
                self.width.saturating_sub(1)
            ),
        })?;
        // Classes come again and again.
        const MANY: usize = 20;
        let distinct = self.distinct(index);
        if self.contents[index].has_fractions && distinct > MANY && 2 * distinct > self.rows.len() {
            return Err(self.no_classes(index));
        }
        Ok(index)
    }

    /// A column that has the name of a label, and no fractions.
    pub fn named_label(&self) -> Option<usize> {
        let of_column = |(index, name): (usize, &String)| {
            if self.contents[index].has_fractions { String::new() } else { name.clone() }
        };
        let names: Vec<String> = self.names.as_ref()?.iter().enumerate().map(of_column).collect();
        label_among(names.iter().map(String::as_str))
    }

    /// The column of labels: one that has the name of a label, or the likelier of the first and the last; and
    /// how it was chosen, if another could have been.
    pub fn label(&self, splits: &[SplitColumn], group: Option<usize>) -> Result<(usize, Option<String>)> {
        if let Some(named) = self.named_label() {
            let is_other = |index: &usize| {
                let name = self.name(*index).unwrap_or_default();
                *index != named && label_among(std::iter::once(name)).is_some()
            };
            let has_others = (0..self.width).any(|index| is_other(&index));
            return Ok((named, has_others.then(|| format!("the column {}", self.shown(named)))));
        }
        let ends: Vec<usize> = (0..self.width)
            .filter(|&index| Some(index) != group && splits.iter().all(|split| split.index != index))
            .filter(|&index| self.numbers_rows(index, None).is_none())
            .collect();
        let texts: Vec<usize> = ends.iter().copied().filter(|&index| self.rating(index) == 4).collect();
        if let [only] = texts[..] {
            let is_end = Some(&only) == ends.first() || Some(&only) == ends.last();
            if is_end || self.names.is_none() {
                return Ok((only, Some(self.called(only))));
            }
        }
        let (Some(&first), Some(&last)) = (ends.first(), ends.last()) else { return Err(self.no_label()) };
        let (of_first, of_last) = (self.rating(first), self.rating(last));
        let is_last = match of_first.cmp(&of_last) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Greater => false,
            std::cmp::Ordering::Equal => self.has_far_fewer(last, first) && !self.is_like_neighbour(last),
        };
        let (chosen, is_clear) =
            if is_last { (last, of_last > of_first) } else { (first, of_first > of_last) };
        // What is called a label would be a feature otherwise.
        let is_called_label = |index: usize| self.name(index).is_some_and(has_label_word);
        if let Some(index) = self.fractional_label().filter(|&index| is_called_label(index))
            && self.rating(chosen) < 4
        {
            return Err(self.no_classes(index));
        }
        // Among columns with names, being the first is no sign.
        let has_names = self.names.iter().flatten().any(|name| name.parse::<f64>().is_err());
        if has_names && !(is_clear && self.rating(chosen) >= 3) {
            return Err(self.no_label());
        }
        Ok((chosen, Some(self.called(chosen))))
    }

    /// For notes: `the first column`, `the column 'what'`.
    pub fn called(&self, index: usize) -> String {
        match (self.name(index), index) {
            (Some(name), _) if !name.is_empty() => format!("the column '{}'", short(name)),
            (_, 0) => "the first column".to_string(),
            (_, last) if last + 1 == self.width => "the last column".to_string(),
            _ => format!("column {}", index + 1),
        }
    }

    /// A column that has the name of a label, but fractions.
    fn fractional_label(&self) -> Option<usize> {
        let names: Vec<&str> = self.names.as_ref()?.iter().map(String::as_str).collect();
        label_among(names.into_iter()).filter(|&index| self.contents[index].has_fractions)
    }

    fn no_classes(&self, index: usize) -> anyhow::Error {
        let is_fraction = |cell: &&str| self.decimal.number(cell).is_some_and(|number| number.fract() != 0.0);
        let example = self.cells(index).find(is_fraction).unwrap_or_default();
        anyhow::anyhow!(
            "the column {} holds numbers such as {}, which are no classes; classes can be learned, numbers \
             (regression) cannot",
            self.shown(index),
            short(example)
        )
    }

    fn no_label(&self) -> anyhow::Error {
        if let Some(index) = self.fractional_label() {
            return self.no_classes(index);
        }
        let columns = self.names.clone().unwrap_or_default();
        let columns = if columns.len() > NAMED { Vec::new() } else { columns };
        Fault::NoLabelColumn { columns }.into()
    }

    /// How likely a column is to hold labels, from 0 to 4: few words, or few whole numbers, best from 0 or 1
    /// without a gap.
    pub fn rating(&self, index: usize) -> u8 {
        const FEW: usize = 1_000;
        let content = &self.contents[index];
        if content.has_fractions || content.numbers.max(content.words) == 0 {
            return 0;
        }
        let few = (self.rows.len() / 2).clamp(2, FEW);
        let distinct: HashSet<&str> = self.cells(index).take(4 * FEW).collect();
        if content.is_text() {
            // The rows may be sorted, so that the first have one label alone.
            return match distinct.len() {
                _ if self.has_lists(index) => 0,
                1 => 1,
                count if count <= few => 4,
                _ => 0,
            };
        }
        let numbers: BTreeSet<i64> = distinct
            .iter()
            .filter_map(|cell| self.decimal.number(cell))
            .map(|number| number as i64)
            .collect();
        let (Some(min), Some(max)) = (numbers.first(), numbers.last()) else { return 0 };
        let count = numbers.len();
        let has_no_gap = (*min == 0 || *min == 1) && max.saturating_sub(*min) == count as i64 - 1;
        match count {
            0 | 1 => 1,
            _ if has_no_gap && count <= few => 3,
            2 if *min == -1 && *max == 1 => 3,
            _ if count <= few => 2,
            _ => 0,
        }
    }

    fn has_few_numbers(&self, index: usize) -> bool {
        const PARTS: usize = 20;
        let content = &self.contents[index];
        !content.is_text() && !content.has_fractions && self.distinct(index) <= PARTS
    }

    fn distinct(&self, index: usize) -> usize {
        self.cells(index).collect::<HashSet<_>>().len()
    }

    /// Whether a column has so much fewer values that it is labels rather than the other.
    fn has_far_fewer(&self, index: usize, other: usize) -> bool {
        const FACTOR: usize = 4;
        self.rating(index) >= 2 && FACTOR * self.distinct(index) <= self.distinct(other)
    }

    /// Whether the column before has values in the same range, as the last two pixels do.
    fn is_like_neighbour(&self, index: usize) -> bool {
        let range = |index: usize| {
            let numbers = self.cells(index).filter_map(|cell| self.decimal.number(cell));
            numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), number| {
                (min.min(number), max.max(number))
            })
        };
        index > 0 && range(index) == range(index - 1)
    }

    /// The columns that say which rows are for what.
    pub fn splits(&self) -> Vec<SplitColumn> {
        let of = |index: usize| SplitColumn::of(index, self.name(index)?, self.cells(index));
        (0..self.width).filter_map(of).collect()
    }

    /// Whether a column may say the same as the labels, in other words or numbers: its name speaks of labels,
    /// and each of its values belongs to one label. Any other column that does so is a good feature.
    pub fn may_be_twin(&self, index: usize, label: usize) -> bool {
        let Some(name) = self.name(index).filter(|name| name.parse::<f64>().is_err()) else { return false };
        let of_label = words(self.name(label).unwrap_or_default());
        let speaks_of_label = label_among(std::iter::once(name)).is_some()
            || words(name).iter().any(|word| of_label.contains(word) || word == "encoded");
        if !speaks_of_label || self.has_lists(index) {
            return false;
        }
        let mut pairs = Pairs::default();
        self.cells(label).zip(self.cells(index)).all(|(label, cell)| pairs.fit(label, cell))
    }

    /// Why a column numbers or names the rows, to go on from its name; none if it holds values.
    pub fn numbers_rows(&self, index: usize, label: Option<usize>) -> Option<&'static str> {
        let content = &self.contents[index];
        let counts = || {
            let mut cells = self.cells(index);
            counts_on(&mut cells).is_some_and(|first| first == 0 || first == 1)
        };
        let is_unique = || 10 * self.distinct(index) >= 9 * self.rows.len();
        if let Some(name) = self.name(index) {
            let name = folded(name);
            if content.is_empty() {
                return Some("is empty");
            }
            if name.is_empty() || is_of_index(&name) {
                return Some("has no name");
            }
            let has_word = words(self.name(index).unwrap_or_default()).iter().any(|word| word == "id");
            let is_path = name.ends_with("_name") && content.is_text();
            if is_of_rows(&name) || ((has_word || is_path) && is_unique()) {
                return Some("names the rows");
            }
            if numbers_parts(&name) && label != Some(index) && self.has_few_numbers(index) {
                return Some("numbers parts of the rows, such as folds,");
            }
            let is_end = index == 0 || index + 1 == self.width;
            let counts = is_end && self.rows.len() >= COUNTED_ROWS && !is_pixel_name(&name) && counts();
            return counts.then_some("counts the rows");
        }
        if content.is_empty() {
            return Some("is empty");
        }
        // Without a head, a pixel could count as well: not beyond a byte, nor beside fractions.
        let has_fractions = self.contents.iter().any(|content| content.has_fractions);
        if index != 0 || label == Some(0) || self.rows.len() < COUNTED_ROWS {
            return None;
        }
        if (self.rows.len() > 256 || has_fractions) && counts() {
            return Some("counts the rows");
        }
        const LARGE: f64 = 65_535.0;
        let is_large = |index: usize| {
            let mut numbers = self.cells(index).filter_map(|cell| cell.parse::<f64>().ok());
            numbers.any(|number| number > LARGE)
        };
        let is_number = !content.has_fractions && !content.is_text() && is_unique() && is_large(0);
        (is_number && (has_fractions || !(1..self.width).any(is_large))).then_some("names the rows")
    }

    /// Whether the cells of a column hold all of an image each.
    pub fn has_lists(&self, index: usize) -> bool {
        const LEAST: usize = 4;
        const ROWS: usize = 10;
        let is_list = |cell: &str| {
            let mut values = list(cell);
            let count = values.by_ref().take(LEAST).filter(|value| value.parse::<f64>().is_ok()).count();
            count == LEAST && values.all(|value| value.parse::<f64>().is_ok())
        };
        // A cell that is empty is an error of its row.
        let mut cells = self.cells(index).filter(|cell| !is_missing(cell)).take(ROWS).peekable();
        self.contents[index].is_text() && cells.peek().is_some() && cells.all(is_list)
    }
}

fn contents(rows: &[&StringRecord], width: usize, decimal: Decimal) -> Vec<Content> {
    let mut contents = vec![Content::default(); width];
    for cells in rows.iter().filter(|row| row.len() == width) {
        for (content, cell) in contents.iter_mut().zip(cells.iter()) {
            let cell = cell.trim();
            if cell.parse::<u8>().is_ok() {
                content.numbers += 1;
            } else if is_missing(cell) {
                content.missing += 1;
            } else if let Some(number) = decimal.number(cell) {
                content.numbers += 1;
                content.has_fractions |= number.fract() != 0.0;
            } else {
                content.words += 1;
                content.first_word.get_or_insert_with(|| cell.to_string());
            }
        }
    }
    contents
}
