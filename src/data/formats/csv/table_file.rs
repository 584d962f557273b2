//! A file of a table whose columns are known, read row by row.

use crate::data::columns::{Columns, SplitColumn, joined, list, short};
use crate::data::label_encoding::is_missing;
use crate::data::number::Decimal;
use crate::data::raw_dataset::Split;
use crate::data::table::{Table, line_of};
use crate::data::value_kind::ValueKind;
use anyhow::{Context, Result, ensure};
use csv::StringRecord;
use std::borrow::Cow;
use std::path::PathBuf;

/// A file whose columns are known.
pub(super) struct TableFile {
    pub split: Split,
    pub path: PathBuf,
    pub columns: Columns,
    pub decimal: Decimal,
}

impl TableFile {
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Gives each row; nothing is kept of those before.
    pub fn for_each_row(&self, take: &mut dyn FnMut(&StringRecord) -> Result<Flow>) -> Result<Flow> {
        let mut each = || -> Result<Flow> {
            let mut table = Table::open(&self.path)?;
            if self.columns.names.is_some() {
                table.take_head();
            }
            while let Some(row) = table.next_row()? {
                let (line, values, width) = (line_of(&row), row.len(), self.columns.width);
                ensure!(values == width, "line {line} has {values} values, not {width}");
                if let Flow::Refused(refusal) = take(&row)? {
                    return Ok(Flow::Refused(refusal));
                }
            }
            Ok(Flow::On)
        };
        each().with_context(|| self.name())
    }

    /// Gives the cells of a row's values, each with its column.
    pub fn for_each_cell<'a>(
        &self,
        row: &'a StringRecord,
        mut take: impl FnMut(&'a str, usize) -> Result<Flow>,
    ) -> Result<Flow> {
        if self.columns.has_lists {
            let column = self.columns.values[0];
            for cell in list(&row[column]) {
                if let Flow::Refused(refusal) = take(cell, column)? {
                    return Ok(Flow::Refused(refusal));
                }
            }
            return Ok(Flow::On);
        }
        for &column in &self.columns.values {
            if let Flow::Refused(refusal) = take(row[column].trim(), column)? {
                return Ok(Flow::Refused(refusal));
            }
        }
        Ok(Flow::On)
    }

    /// The split of a row.
    pub fn split_of(&self, row: &StringRecord) -> Result<Split> {
        if self.columns.splits.is_empty() {
            return Ok(self.split);
        }
        let of_column = |column: &SplitColumn| {
            let cell = row[column.index].trim();
            column.split(cell).with_context(|| {
                let (line, place) = (line_of(row), self.columns.place(column.index));
                match cell.is_empty() {
                    true => format!("line {line}, {place}: is empty, and says no split"),
                    false => format!("line {line}, {place}: '{}' is {}", short(cell), column.expected()),
                }
            })
        };
        let splits = self.columns.splits.iter().map(of_column).collect::<Result<Vec<Split>>>()?;
        Ok(joined(splits.into_iter()))
    }

    /// The label of a row, as it is without decimal commas.
    pub fn label<'a>(&self, row: &'a StringRecord) -> Cow<'a, str> {
        let label = self.columns.label.map_or("", |label| row[label].trim());
        match self.decimal {
            Decimal::Comma => self.decimal.with_point(label).map_or(Cow::Borrowed(label), Cow::Owned),
            Decimal::Point => Cow::Borrowed(label),
        }
    }

    /// The group of a row, if the table has groups.
    pub fn group<'a>(&self, row: &'a StringRecord) -> Result<Option<&'a str>> {
        let Some(column) = self.columns.group else { return Ok(None) };
        let group = row[column].trim();
        let (line, place) = (line_of(row), || self.columns.place(column));
        ensure!(!group.is_empty(), "line {line}, {}: is empty, and names no group", place());
        ensure!(!is_missing(group), "line {line}, {}: '{group}' names no group", place());
        Ok(Some(group))
    }

    pub fn not_a_number(&self, row: &StringRecord, column: usize, cell: &str) -> anyhow::Error {
        let (line, place) = (line_of(row), self.columns.place(column));
        anyhow::anyhow!("line {line}, {place}: '{}' is not a number", short(cell))
    }
}

/// Whether reading goes on.
pub(super) enum Flow {
    On,
    Refused(Refusal),
}

/// Why values cannot be read as they are asked for.
pub(super) enum Refusal {
    /// They need another type.
    Wider(ValueKind),
    Missing,
}
