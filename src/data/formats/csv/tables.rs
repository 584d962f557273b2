//! The tables of a data set, which fit one another, and how their rows get into the cache.

use super::cell::Cell;
use super::table_file::{Flow, Refusal, TableFile};
use crate::data::cache::{Manifest, Writer};
use crate::data::columns::{Columns, Pairs, list, shape_of_columns, short};
use crate::data::groups::{GroupBy, GroupIndex};
use crate::data::images::shape_of_row;
use crate::data::label_encoding::{LabelIndex, is_missing};
use crate::data::load_options::{LoadOptions, OnProgress};
use crate::data::raw_dataset::Split;
use crate::data::table::{Table, line_of};
use crate::data::value_kind::ValueKind;
use crate::data::{Fault, Missing, PixelOrder, Progress, TableForm};
use anyhow::{Context, Result, bail, ensure};
use csv::StringRecord;
use std::path::{Path, PathBuf};

/// Progress is reported once every this many images.
const REPORTED_EVERY: usize = 1_000;
/// The files of a data set, those to train with first.
pub(super) struct Tables {
    pub files: Vec<TableFile>,
    /// The number of values of an image.
    pub values: usize,
    pub names: Option<Vec<String>>,
    pub notes: Vec<String>,
}

impl Tables {
    pub fn open(files: &[(Split, PathBuf)], options: &LoadOptions, notes: Vec<String>) -> Result<Tables> {
        let mut tables = Tables { files: Vec::new(), values: 0, names: None, notes };
        for (split, path) in files {
            tables.add(*split, path, options).with_context(|| path.display().to_string())?;
        }
        Ok(tables)
    }

    pub fn add(&mut self, split: Split, path: &Path, options: &LoadOptions) -> Result<()> {
        let mut table = Table::open(path)?;
        let first = self.files.first();
        // By its name rather than its index, which may be another one here.
        let of_first = first.and_then(|first| first.columns.label_text());
        let earlier = of_first.or_else(|| options.table.as_ref()?.label.clone());
        let head = table.sample().first();
        let is_in_head = |name: &&str| {
            head.is_some_and(|head| head.iter().any(|cell| cell.trim().eq_ignore_ascii_case(name)))
        };
        let given = options.label_column.as_deref();
        let asked = earlier.as_deref().filter(is_in_head).or(given).or(earlier.as_deref());
        let group_of_first = first.and_then(|first| first.columns.group_text());
        let group = options.group_by.as_ref().and_then(GroupBy::column);
        let group = group.map(str::to_string).or_else(|| options.table.as_ref()?.group.clone());
        let group = group_of_first.or(group);
        let group = group.as_deref();
        let known = options.table.as_ref().and_then(TableForm::names);
        let decimal = table.form.decimal;
        let mut columns = match (first, known) {
            (None, None) => Columns::find(&mut table, asked, group)?,
            (None, Some(names)) => Columns::find_like(&mut table, Some(&names), names.len(), asked, group)?,
            (Some(first), _) => {
                let count = first.columns.values.len();
                Columns::find_like(&mut table, self.names.as_deref(), count, asked, group)?
            }
        };
        if let (Some(group), None, Split::Train) =
            (first.and_then(|first| first.columns.group_text()), columns.group, split)
        {
            let columns = columns.names.unwrap_or_default();
            return Err(Fault::UnknownGroupColumn { column: group, columns }.into());
        }
        if !columns.twins.is_empty() {
            columns = part_twins(TableFile { split, path: path.to_path_buf(), columns, decimal })?;
        }
        if columns.label.is_none() {
            if split == Split::Train {
                return Err(Fault::NoLabelColumn { columns: columns.names.unwrap_or_default() }.into());
            }
            // Kaggle's test rows have no labels: nothing can be measured on them.
            self.notes.push(format!("{} has no labels and is not used", path.display()));
            return Ok(());
        }
        let value_count = |row: &StringRecord| match columns.has_lists {
            true => row.get(columns.values[0]).map_or(0, |cell| list(cell).count()),
            false => columns.values.len(),
        };
        // A cell that is empty is an error of its row.
        let of_image = table.sample().iter().map(value_count).find(|&count| count > 0);
        let of_image = of_image.unwrap_or(columns.values.len());
        match first {
            None => {
                ensure!(of_image > 0, "has no values");
                self.values = of_image;
                self.names = columns.value_names();
            }
            Some(first) => {
                columns.surplus.retain(|&index| !first.columns.leaves_out(columns.names.as_deref(), index));
                let (found, expected) = (of_image + columns.surplus.len(), self.values);
                ensure!(
                    found == expected && columns.has_lists == first.columns.has_lists,
                    "has {found} pixels an image, but {} has {expected}",
                    first.name()
                );
            }
        }
        if !columns.surplus.is_empty() {
            self.notes.push(format!(
                "{} columns that the training table does not have are left out",
                columns.surplus.len()
            ));
        }
        // The name of a file for testing says what its rows are for.
        if split != Split::Train {
            columns.splits.clear();
        }
        for note in table.notes.drain(..).chain(columns.notes.drain(..)) {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        self.files.push(TableFile { split, path: path.to_path_buf(), columns, decimal });
        Ok(())
    }

    pub fn read(
        mut self,
        options: &LoadOptions,
        writer: &mut Writer,
        progress: OnProgress,
    ) -> Result<Manifest> {
        self.leave_out_unlabelled()?;
        let known = options.table.as_ref();
        let mut reading = Reading {
            kind: known.map_or(ValueKind::Uint8, |form| form.kind),
            means: known.and_then(|form| form.means.clone()),
            shape: Vec::new(),
            note: None,
            are_pixels: options.pixel_order.is_some() || self.files[0].columns.has_lists,
            order: known.map(|form| form.pixel_order).or(options.pixel_order).unwrap_or_default(),
            labels: LabelIndex::default(),
            strangers: Vec::new(),
            replaced: 0,
            groups: GroupIndex::default(),
        };
        loop {
            reading.begin(&self, known, writer);
            let flow = match reading.kind {
                ValueKind::Uint8 => reading.write::<u8>(&self, writer, progress)?,
                ValueKind::Int32 => reading.write::<i32>(&self, writer, progress)?,
                ValueKind::Float => reading.write::<f32>(&self, writer, progress)?,
            };
            match flow {
                Flow::On => break,
                Flow::Refused(Refusal::Wider(kind)) => reading.kind = kind,
                Flow::Refused(Refusal::Missing) if options.missing == Missing::Mean => {
                    (reading.kind, reading.means) = (ValueKind::Float, Some(self.means()?));
                }
                Flow::Refused(Refusal::Missing) => return Err(self.count_missing()?.into()),
            }
        }
        let Reading { labels, kind, means, shape, note, order, replaced, groups, .. } = reading;
        let mut notes = self.notes;
        if let Some(guess) = &self.files[0].columns.guess {
            notes.push(format!("labels are taken from {guess}: {} classes", labels.len()));
        }
        let splits = &self.files[0].columns.splits;
        if !splits.is_empty() {
            let counts = Split::ALL.map(|split| format!("{} {}", writer.count(split), split.name()));
            let places: Vec<String> =
                splits.iter().map(|split| self.files[0].columns.place(split.index)).collect();
            let (places, say) = (places.join(" and "), if splits.len() > 1 { "say" } else { "says" });
            notes.push(format!("{places} {say} what rows are for: {}", counts.join(", ")));
        }
        notes.extend(note);
        if let ([3, height, width], None, None) = (&shape[..], known, options.pixel_order) {
            notes.push(format!(
                "rows of {} values are taken as {width} x {height} pixels in colour, red, green and blue of each \
                 pixel in turn",
                self.values
            ));
        }
        if replaced > 0 {
            notes.push(format!("{replaced} missing values are replaced by the mean of their column"));
        }
        notes.extend(labels.notes());
        let TableForm { columns, .. } = TableForm::new(self.names.as_deref());
        let (label, group) = (self.files[0].columns.label_text(), self.files[0].columns.group_text());
        writer.table = Some(TableForm { columns, label, group, pixel_order: order, shape, kind, means });
        writer.group_names = groups.names;
        let (classes, class_of) = labels.classes();
        writer.relabel(&class_of);
        Ok(Manifest { classes, notes })
    }

    /// The mean of each column in the training rows.
    pub fn means(&self) -> Result<Vec<f32>> {
        let mut sums = vec![(0.0, 0u64); self.values];
        for file in self.files.iter().filter(|file| file.split == Split::Train) {
            file.for_each_row(&mut |row| {
                if file.split_of(row)? != Split::Train {
                    return Ok(Flow::On);
                }
                let mut sums = sums.iter_mut();
                file.for_each_cell(row, |cell, column| {
                    let number = file.decimal.number(cell);
                    ensure!(number.is_some() || is_missing(cell), file.not_a_number(row, column, cell));
                    if let (Some((sum, count)), Some(number)) = (sums.next(), number) {
                        (*sum, *count) = (*sum + number, *count + 1);
                    }
                    Ok(Flow::On)
                })
            })?;
        }
        let mean = |(index, (sum, count)): (usize, (f64, u64))| {
            let column =
                || self.files[0].columns.place(self.files[0].columns.values.get(index).copied().unwrap_or(0));
            ensure!(count > 0, "{}: {} has no value in any training row", self.files[0].name(), column());
            let mean = (sum / count as f64) as f32;
            ensure!(mean.is_finite(), "{}: {} has values that are too large", self.files[0].name(), column());
            Ok(mean)
        };
        sums.into_iter().enumerate().map(mean).collect()
    }

    pub fn count_missing(&self) -> Result<Fault> {
        let (mut count, mut first) = (0, String::new());
        for file in &self.files {
            file.for_each_row(&mut |row| {
                file.for_each_cell(row, |cell, column| {
                    if is_missing(cell) {
                        if count == 0 {
                            let (line, place) = (line_of(row), file.columns.place(column));
                            first = format!("{}, line {line}, {place}", file.name());
                        }
                        count += 1;
                    }
                    Ok(Flow::On)
                })
            })?;
        }
        Ok(Fault::MissingValues { count, first })
    }
}

/// The columns of a file without those that say the same as its labels in every row.
fn part_twins(mut file: TableFile) -> Result<Columns> {
    let mut twins: Vec<(usize, Pairs, bool)> =
        file.columns.twins.iter().map(|twin| (twin.index, Pairs::default(), true)).collect();
    let mut each = |row: &StringRecord| {
        let label = file.label(row);
        for (index, pairs, fits) in twins.iter_mut().filter(|(.., fits)| *fits) {
            *fits = pairs.fit(&label, row[*index].trim());
        }
        Ok(if twins.iter().any(|(.., fits)| *fits) { Flow::On } else { Flow::Refused(Refusal::Missing) })
    };
    file.for_each_row(&mut each)?;
    let are_same: Vec<bool> = twins.iter().map(|(_, pairs, fits)| *fits && pairs.are_many()).collect();
    file.columns.part_twins(&are_same)?;
    Ok(file.columns)
}

/// How values are read, and what has been met.
struct Reading {
    kind: ValueKind,
    /// What stands for a missing value in each column.
    means: Option<Vec<f32>>,
    shape: Vec<i64>,
    /// What users should know about the shape.
    note: Option<String>,
    /// Whether somebody said so.
    are_pixels: bool,
    order: PixelOrder,
    labels: LabelIndex,
    /// Labels outside the training rows, each with its first place: they must occur in these as well.
    strangers: Vec<(i64, String)>,
    /// Missing values that were replaced.
    replaced: usize,
    groups: GroupIndex,
}

impl Reading {
    fn begin(&mut self, tables: &Tables, known: Option<&TableForm>, writer: &mut Writer) {
        let values = tables.values as i64;
        let of_model = known.map(|form| &form.shape).filter(|shape| shape.iter().product::<i64>() == values);
        (self.shape, self.note) = match of_model {
            Some(shape) => (shape.clone(), None),
            None if self.are_pixels => (shape_of_row(values), None),
            None => {
                let names = tables.files[0].columns.names_of_values();
                shape_of_columns(names.as_deref(), tables.values, self.kind == ValueKind::Uint8)
            }
        };
        (self.labels, self.replaced, self.groups) = (LabelIndex::default(), 0, GroupIndex::default());
        self.strangers.clear();
        writer.begin(&self.shape.iter().map(|&size| size as usize).collect::<Vec<_>>(), self.kind);
    }

    /// Writes all rows, with values of that type if they have it.
    fn write<T: Cell>(&mut self, tables: &Tables, writer: &mut Writer, progress: OnProgress) -> Result<Flow> {
        let mut in_train: Vec<bool> = Vec::new();
        let mut done = 0;
        let mut values: Vec<T> = Vec::with_capacity(tables.values);
        for file in &tables.files {
            let before = done;
            let flow = file.for_each_row(&mut |row| {
                values.clear();
                if let Flow::Refused(refusal) = self.take_values(file, row, &mut values)? {
                    return Ok(Flow::Refused(refusal));
                }
                let found = values.len();
                let (line, expected) = (line_of(row), tables.values);
                if file.columns.has_lists && found == 0 {
                    bail!("line {line}, {}: is empty", file.columns.place(file.columns.values[0]));
                }
                ensure!(found == expected, "line {line} has {found} pixels, not {expected}");
                self.order.to_channels(&self.shape, &mut values);
                let label = file.label(row);
                ensure!(!label.is_empty(), "line {line} has no label");
                let (split, index) = (file.split_of(row)?, self.labels.of(&label));
                in_train.resize(self.labels.len(), false);
                match split {
                    Split::Train => in_train[index as usize] = true,
                    _ if self.strangers.iter().all(|(known, _)| *known != index) => {
                        let image = writer.count(split);
                        let place =
                            format!("{}: image {image} (from 0) has the label '{label}'", file.name());
                        self.strangers.push((index, place));
                    }
                    _ => {}
                }
                done += 1;
                if done % REPORTED_EVERY == 0 {
                    progress(Progress::Decoded { images: done, of: None });
                }
                writer.push(split, &values, index)?;
                if let Some(group) = file.group(row)? {
                    writer.push_group(split, self.groups.of(group));
                }
                Ok(Flow::On)
            })?;
            if let Flow::Refused(refusal) = flow {
                return Ok(Flow::Refused(refusal));
            }
            ensure!(done > before, "{}: has no images", file.name());
        }
        ensure!(writer.count(Split::Train) > 0, "{}: has no rows to train with", tables.files[0].name());
        if let Some((_, place)) = self.strangers.iter().find(|(label, _)| !in_train[*label as usize]) {
            bail!("{place}, which no training image has");
        }
        Ok(Flow::On)
    }

    fn take_values<T: Cell>(
        &mut self,
        file: &TableFile,
        row: &StringRecord,
        values: &mut Vec<T>,
    ) -> Result<Flow> {
        file.for_each_cell(row, |cell, column| {
            if let Some(value) = T::quick(cell) {
                values.push(value);
                return Ok(Flow::On);
            }
            let number = match file.decimal.number(cell) {
                Some(number) => number,
                None if is_missing(cell) => {
                    let mean = self.means.as_ref().and_then(|means| means.get(values.len()));
                    let Some(mean) = mean else { return Ok(Flow::Refused(Refusal::Missing)) };
                    self.replaced += 1;
                    f64::from(*mean)
                }
                None => return Err(file.not_a_number(row, column, cell)),
            };
            match T::of(number) {
                Ok(value) => values.push(value),
                Err(kind) if kind == T::KIND => {
                    let (line, place) = (line_of(row), file.columns.place(column));
                    bail!("line {line}, {place}: '{}' is too large a number", short(cell));
                }
                Err(kind) => return Ok(Flow::Refused(Refusal::Wider(kind))),
            }
            Ok(Flow::On)
        })
    }
}
