//! CSV with a label and the values of an image or other features in each row, raw or gzipped, as programs
//! write it and as Kaggle and others have MNIST.

use super::reader::{FolderForm, Reader};
use crate::data::cache::{self, Key, Manifest, Writer};
use crate::data::columns::{Columns, list, short, split_of};
use crate::data::images::shape_of_row;
use crate::data::label_encoding::{LabelIndex, is_missing};
use crate::data::load_options::{LoadOptions, OnProgress};
use crate::data::number::Decimal;
use crate::data::passed_over::PassedOver;
use crate::data::ranges;
use crate::data::raw_dataset::{RawDataset, Split};
use crate::data::table::{Table, line_of};
use crate::data::value_kind::{Value, ValueKind};
use crate::data::{Fault, Missing, PixelOrder, Progress, TableForm};
use anyhow::{Context, Result, bail, ensure};
use csv::StringRecord;
use std::path::{Path, PathBuf};

pub(super) const READER: Reader = Reader {
    name: "CSV",
    keyword: "csv",
    folder: Some(FolderForm { needs: "train.csv", is_there: |folder| find_files(folder).is_some() }),
    endings: &[".csv", ".csv.gz"],
    load: |path, options, _, progress| load(path, options, progress),
    shape_and_classes: None,
};

/// Progress is reported once every this many images.
const REPORTED_EVERY: usize = 1_000;
/// Rows of fewer numbers beyond a byte are features rather than an image.
const FEWEST_PIXELS: usize = 64;
/// Rows that are looked at to tell images from features.
const SAMPLE_ROWS: usize = 1_000;

/// Files by their splits, and what users should know about others.
type FoundFiles = (Vec<(Split, PathBuf)>, Vec<String>);

/// The files of a folder; none without one to train with.
fn find_files(folder: &Path) -> Option<FoundFiles> {
    let mut passed_over = PassedOver::default();
    let (mut found, mut unused, mut stems) = (Vec::new(), Vec::new(), Vec::new());
    for path in passed_over.entries(folder).ok()?.into_iter().filter(|path| path.is_file()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let lower = name.to_lowercase();
        let Some(stem) = lower.strip_suffix(".csv").or_else(|| lower.strip_suffix(".csv.gz")) else {
            continue;
        };
        match Split::of_name(&name) {
            // The same file, packed.
            Some(_) if stems.contains(&stem.to_string()) => {}
            Some(split) => {
                stems.push(stem.to_string());
                found.push((split, path));
            }
            None => unused.push(name),
        }
    }
    found.sort_by_key(|(split, _)| *split as usize);
    let is_whole = found.first().is_some_and(|(split, _)| *split == Split::Train);
    let unused = (!unused.is_empty())
        .then(|| format!("not used, because their names speak of no split: {}", unused.join(", ")));
    is_whole.then(|| (found, passed_over.note().into_iter().chain(unused).collect()))
}

/// Loads a file, or a folder of `train.csv`, `test.csv` and `validation.csv`, from the cache if they were
/// read before.
///
/// # Errors
/// Rows that are not images of one size with a label, each with its file and line.
fn load(path: &Path, options: &LoadOptions, progress: OnProgress) -> Result<RawDataset> {
    let (files, notes) = match path.is_dir() {
        true => find_files(path).with_context(|| format!("{}: has no train.csv", path.display()))?,
        false => (vec![(Split::Train, path.to_path_buf())], Vec::new()),
    };
    let settings = [
        ("label_column", options.label_column.clone().unwrap_or_default()),
        ("pixel_order", options.pixel_order.map_or("", PixelOrder::keyword).to_string()),
        ("missing", options.missing.keyword().to_string()),
        ("table", serde_json::to_string(&options.table)?),
    ];
    let mut key = Key::new(path, "csv", &settings);
    files.iter().try_for_each(|(_, path)| key.add(path))?;
    cache::load(&options.folder()?, key, progress, |writer, progress| {
        let manifest = Tables::open(&files, options, notes)?.read(options, writer, progress);
        progress(Progress::Finished);
        manifest
    })
}

/// A file whose columns are known.
struct TableFile {
    split: Split,
    path: PathBuf,
    columns: Columns,
    decimal: Decimal,
}

impl TableFile {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Gives each row; nothing is kept of those before.
    fn for_each_row(&self, take: &mut dyn FnMut(&StringRecord) -> Result<Flow>) -> Result<Flow> {
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
    fn for_each_cell<'a>(
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
    fn split_of(&self, row: &StringRecord) -> Result<Split> {
        let Some(column) = self.columns.split else { return Ok(self.split) };
        split_of(&row[column]).with_context(|| {
            let (line, place) = (line_of(row), self.columns.place(column));
            format!("line {line}, {place}: '{}' is no split ({})", short(&row[column]), Split::all_words())
        })
    }

    fn not_a_number(&self, row: &StringRecord, column: usize, cell: &str) -> anyhow::Error {
        let (line, place) = (line_of(row), self.columns.place(column));
        anyhow::anyhow!("line {line}, {place}: '{}' is not a number", short(cell))
    }
}

/// Whether reading goes on.
enum Flow {
    On,
    Refused(Refusal),
}

/// Why values cannot be read as they are asked for.
enum Refusal {
    /// They need another type.
    Wider(ValueKind),
    Missing,
}

/// A type that values are read as.
trait Cell: Value {
    /// The value in most cells, quickly.
    fn quick(cell: &str) -> Option<Self>;

    /// The value of a number, or the type that can hold it.
    fn of(number: f64) -> Result<Self, ValueKind>;
}

impl Cell for u8 {
    fn quick(cell: &str) -> Option<u8> {
        cell.parse().ok()
    }

    fn of(number: f64) -> Result<u8, ValueKind> {
        let is_byte = number.fract() == 0.0 && (0.0..=255.0).contains(&number);
        if is_byte {
            Ok(number as u8)
        } else {
            Err(i32::of(number).map_or_else(|kind| kind, |_| ValueKind::Int32))
        }
    }
}

impl Cell for i32 {
    fn quick(cell: &str) -> Option<i32> {
        cell.parse().ok()
    }

    fn of(number: f64) -> Result<i32, ValueKind> {
        let is_whole = number.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number);
        if is_whole { Ok(number as i32) } else { Err(ValueKind::Float) }
    }
}

impl Cell for f32 {
    fn quick(_: &str) -> Option<f32> {
        None
    }

    fn of(number: f64) -> Result<f32, ValueKind> {
        let value = number as f32;
        if value.is_finite() { Ok(value) } else { Err(ValueKind::Float) }
    }
}

/// The files of a data set, those to train with first.
struct Tables {
    files: Vec<TableFile>,
    /// The number of values of an image.
    values: usize,
    names: Option<Vec<String>>,
    notes: Vec<String>,
}

impl Tables {
    fn open(files: &[(Split, PathBuf)], options: &LoadOptions, notes: Vec<String>) -> Result<Tables> {
        let mut tables = Tables { files: Vec::new(), values: 0, names: None, notes };
        for (split, path) in files {
            tables.add(*split, path, options).with_context(|| path.display().to_string())?;
        }
        Ok(tables)
    }

    fn add(&mut self, split: Split, path: &Path, options: &LoadOptions) -> Result<()> {
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
        let known = options.table.as_ref().and_then(TableForm::names);
        let mut columns = match (first, known) {
            (None, None) => Columns::find(&mut table, asked)?,
            (None, Some(names)) => Columns::find_like(&mut table, Some(&names), names.len(), asked)?,
            (Some(first), _) => {
                let count = first.columns.values.len();
                Columns::find_like(&mut table, self.names.as_deref(), count, asked)?
            }
        };
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
        let of_image = table.sample().first().map_or(columns.values.len(), value_count);
        match first {
            None => {
                ensure!(of_image > 0, "has no values");
                self.values = of_image;
                self.names = columns.value_names();
            }
            Some(first) => {
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
        // A folder says with the names of its files what is for what.
        if !self.files.is_empty() || split != Split::Train {
            columns.split = None;
        }
        for note in table.notes.drain(..).chain(columns.notes.drain(..)) {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        let decimal = table.form.decimal;
        self.files.push(TableFile { split, path: path.to_path_buf(), columns, decimal });
        Ok(())
    }

    fn read(mut self, options: &LoadOptions, writer: &mut Writer, progress: OnProgress) -> Result<Manifest> {
        if self.files.len() > 1 {
            self.files.iter_mut().for_each(|file| file.columns.split = None);
        }
        let known = options.table.as_ref();
        let mut reading = Reading {
            kind: known.map_or(ValueKind::Uint8, |form| form.kind),
            means: known.and_then(|form| form.means.clone()),
            shape: Vec::new(),
            order: known.map(|form| form.pixel_order).or(options.pixel_order).unwrap_or_default(),
            labels: LabelIndex::default(),
            strangers: Vec::new(),
            replaced: 0,
        };
        loop {
            reading.begin(&self, known, writer)?;
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
        let Reading { labels, kind, means, shape, order, replaced, .. } = reading;
        let mut notes = self.notes;
        if let Some(guess) = &self.files[0].columns.guess {
            notes.push(format!("labels are taken from {guess}: {} classes", labels.len()));
        }
        if let Some(split) = self.files[0].columns.split {
            let counts = Split::ALL.map(|split| format!("{} {}", writer.count(split), split.name()));
            let place = self.files[0].columns.place(split);
            notes.push(format!("{place} says what rows are for: {}", counts.join(", ")));
        }
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
        let label = self.files[0].columns.label_text();
        writer.table = Some(TableForm { columns, label, pixel_order: order, shape, kind, means });
        let (classes, class_of) = labels.classes();
        writer.relabel(&class_of);
        Ok(Manifest { classes, notes })
    }

    /// Whether rows of numbers beyond a byte have a range in common, as pixels do, by the first of them.
    fn share_a_range(&self) -> Result<bool> {
        let file = &self.files[0];
        let mut found = vec![(f64::INFINITY, f64::NEG_INFINITY); self.values];
        let mut rows = 0;
        file.for_each_row(&mut |row| {
            let mut ranges = found.iter_mut();
            file.for_each_cell(row, |cell, _| {
                if let (Some((min, max)), Some(number)) = (ranges.next(), file.decimal.number(cell)) {
                    (*min, *max) = (min.min(number), max.max(number));
                }
                Ok(Flow::On)
            })?;
            rows += 1;
            Ok(if rows < SAMPLE_ROWS { Flow::On } else { Flow::Refused(Refusal::Missing) })
        })?;
        Ok(ranges::are_shared(&found))
    }

    /// The mean of each column in the training rows.
    fn means(&self) -> Result<Vec<f32>> {
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

    fn count_missing(&self) -> Result<Fault> {
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

/// How values are read, and what has been met.
struct Reading {
    kind: ValueKind,
    /// What stands for a missing value in each column.
    means: Option<Vec<f32>>,
    shape: Vec<i64>,
    order: PixelOrder,
    labels: LabelIndex,
    /// Labels outside the training rows, each with its first place: they must occur in these as well.
    strangers: Vec<(i64, String)>,
    /// Missing values that were replaced.
    replaced: usize,
}

impl Reading {
    fn begin(&mut self, tables: &Tables, known: Option<&TableForm>, writer: &mut Writer) -> Result<()> {
        let values = tables.values as i64;
        let of_model = known.map(|form| &form.shape).filter(|shape| shape.iter().product::<i64>() == values);
        self.shape = match (of_model, self.kind) {
            (Some(shape), _) => shape.clone(),
            (None, ValueKind::Uint8) => shape_of_row(values),
            (None, _) => {
                let may_be_image = shape_of_row(values).len() > 1 && tables.values >= FEWEST_PIXELS;
                if may_be_image && tables.share_a_range()? { shape_of_row(values) } else { vec![values] }
            }
        };
        (self.labels, self.replaced) = (LabelIndex::default(), 0);
        self.strangers.clear();
        writer.begin(&self.shape.iter().map(|&size| size as usize).collect::<Vec<_>>(), self.kind);
        Ok(())
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
                ensure!(
                    found == tables.values,
                    "line {} has {found} pixels, not {}",
                    line_of(row),
                    tables.values
                );
                self.order.to_channels(&self.shape, &mut values);
                let label = file.columns.label.map_or("", |label| row[label].trim());
                ensure!(!label.is_empty(), "line {} has no label", line_of(row));
                let (split, index) = (file.split_of(row)?, self.labels.of(label));
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn load_text(text: &str, label_column: Option<&str>) -> Result<RawDataset> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        fs::write(&path, text).unwrap();
        let options = LoadOptions::with_data_dir(folder.path().join("kept"));
        load(&path, &LoadOptions { label_column: label_column.map(str::to_string), ..options }, &mut |_| ())
    }

    #[test]
    fn labels_are_found_in_the_common_layouts() {
        for (text, column) in [
            ("label,p0,p1,p2,p3\n7,1,2,3,4\n5,5,6,7,255\n", None),
            ("p0,p1,p2,p3,class\n1,2,3,4,7\n5,6,7,255,5\n", None),
            ("7,1,2,3,4\n5,5,6,7,255\n", None),
            ("label,0,1,2,3\n7,1,2,3,4\n5,5,6,7,255\n", None),
            ("0,1,2,3,what\n1,2,3,4,7\n5,6,7,255,5\n", Some("what")),
            ("1,2,7,3,4\n5,6,5,7,255\n", Some("2")),
            ("p0,p1,p2,p3,what\n1,2,3,4,7\n5,6,7,255,5\n", Some("what")),
        ] {
            let loaded = load_text(text, column).unwrap();
            assert_eq!(
                (loaded.train.labels(), &loaded.classes),
                (&[1, 0][..], &vec!["5".into(), "7".to_string()])
            );
            assert_eq!(loaded.train.pixels().unwrap().size(), [2, 2, 2]);
            assert_eq!(
                Vec::<u8>::try_from(loaded.train.pixels().unwrap().view([-1])).unwrap(),
                [1, 2, 3, 4, 5, 6, 7, 255]
            );
        }
    }

    #[test]
    fn labels_may_be_words_and_numbers_are_in_their_order() {
        assert_eq!(load_text("label,a\ndog,1\ncat,2\n", None).unwrap().classes, ["cat", "dog"]);
        assert_eq!(load_text("label,a\n10,1\n9,2\n", None).unwrap().classes, ["9", "10"]);
        // 12 pixels are 2 x 2 of three colours, 3 are a row.
        let pixels = |count: usize| format!("label{}\n1{}\n", ",p".repeat(count), ",0".repeat(count));
        assert_eq!(load_text(&pixels(12), None).unwrap().train.pixels().unwrap().size(), [1, 3, 2, 2]);
        assert_eq!(load_text(&pixels(5), None).unwrap().train.pixels().unwrap().size(), [1, 5]);
    }

    #[test]
    fn errors_name_the_file_and_the_line_of_a_wrong_row() {
        let fault = |text: &str, column| format!("{:#}", load_text(text, column).err().unwrap());
        for (text, expected) in [
            ("", "rows.csv: is empty"),
            ("label,a,b\n", "has no images"),
            ("label,a,b\n1,2\n", "line 2 has 2 values, not 3"),
            ("label,a,b\n1,2,3\n1,2,3\n1,2,x\n", "line 4, column 3 (b): 'x' is not a number"),
            ("label,a,b\n1,2,3\n1,2,1e99\n", "line 3, column 3 (b): '1e99' is too large a number"),
            (
                "label,a,name\n1,2,Ann\n",
                "the column 'name' holds words, such as 'Ann', neither numbers nor labels",
            ),
            ("label,a,b\n1,,3\n1,4,NA\n1,?,5\n", "3 values are missing, the first in "),
            ("label,a,b\n,2,3\n", "line 2 has no label"),
            ("what,a,b\n1,2,3\n", "has no column called label or class"),
            ("1\n2\n", "line 1 has 1 value"),
        ] {
            let fault = fault(text, None);
            assert!(fault.contains(expected), "{fault}");
        }
        assert!(fault("1,2,3\n", Some("3")).contains("has no label column '3': that is neither"));
    }

    #[test]
    fn a_folder_has_a_file_for_training_and_one_for_the_test() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mnist_train.csv"), "label,a\nx,1\ny,2\n").unwrap();
        let write_test = |text: &str| fs::write(folder.path().join("mnist_test.csv"), text).unwrap();
        write_test("label,a\ny,3\n");
        let kept = tempfile::tempdir().unwrap();
        let load = || load(folder.path(), &LoadOptions::with_data_dir(kept.path()), &mut |_| ());
        let loaded = load().unwrap();
        assert_eq!(loaded.test.unwrap().labels(), [1]);
        let fault = || format!("{:#}", load().err().unwrap());
        write_test("label,a\nzz,3\n");
        assert!(
            fault()
                .contains("mnist_test.csv: image 0 (from 0) has the label 'zz', which no training image has")
        );
        write_test("a\n3\n4\n");
        let loaded = load().unwrap();
        assert!(loaded.test.is_none() && loaded.notes[0].contains("has no labels and is not used"));
        write_test("label,a,b\nx,3,4\n");
        assert!(fault().contains("has 2 pixels an image, but"));
    }

    fn values(images: &crate::data::Images) -> Vec<f32> {
        Vec::try_from(images.pixels().unwrap().to_kind(tch::Kind::Float).view([-1])).unwrap()
    }

    /// Rows of tables as people have them.
    #[test]
    fn tables_are_read_as_programs_write_them() {
        let table = |head: &str, row: &dyn Fn(usize) -> String| {
            let rows: Vec<String> = (0..40).map(row).collect();
            format!("{head}{}\n", rows.join("\n"))
        };
        let mangled: String = (1..17).map(|mark| format!(",0.{mark}")).collect();
        let mangled = table(&format!("0{mangled}\n"), &|i| format!("{}{}", i % 3, ",0".repeat(16)));
        for (case, text, column, width) in [
            // UCI's optdigits: no head, the label last, the first pixel always 0.
            ("label last", table("", &|i| format!("0,{},9,{}", i % 17, i % 3)), None, 3),
            ("few labels last", table("", &|i| format!("{},5,{},9,{}", i % 13, i % 7, i % 3)), None, 4),
            ("index", table(",label,a,b\n", &|i| format!("{i},{},{},9", i % 3, i % 200)), None, 2),
            ("unnamed", table("Unnamed: 0,a,label\n", &|i| format!("{i},{},{}", i % 200, i % 3)), None, 1),
            ("id", table("a,ID,Species\n", &|i| format!("{}.5,{i},s{}", i % 7, i % 3)), None, 1),
            ("counter", table("no,a,b,class\n", &|i| format!("{},{},1.5,{}", i + 1, i % 9, i % 3)), None, 2),
            ("numbers as head", table("0,1,2,3\n", &|i| format!("{},7,7,{}", i % 3, i % 30)), None, 3),
            (
                "index and numbers",
                table(",0,1,2,3\n", &|i| format!("{i},{},7,7,{}", i % 3, i % 30)),
                Some("0"),
                3,
            ),
            ("semicolons", table("a;b;quality\n", &|i| format!("1,{i};2,5;{}", i % 3)), None, 2),
            ("tabs", table("a\tb\ttarget\n", &|i| format!("{i}.5\t2\t{}", i % 3)), None, 2),
            ("blanks", table("", &|i| format!("  {i}.5   2 {}", i % 3)), None, 2),
            ("words last", table("", &|i| format!("{i}.5,3,Iris-{}", i % 3)), None, 2),
            ("words within", table("", &|i| format!("{},s{},{i}.5,3.5", 842_300 + 7 * i, i % 3)), None, 2),
            (
                "sorted",
                table("", &|i| format!("{i}.5,{},{}", i % 7, i / 40)) + &table("", &|_| "3.5,1,1".into()),
                None,
                2,
            ),
            ("mangled head", mangled.clone(), None, 16),
            (
                "large ids",
                table("", &|i| format!("{},5,{},{}", 1_000_025 + 9 * i, i % 10, 2 + 2 * (i % 3))),
                None,
                2,
            ),
            ("unusual name", table("a,b,kind of thing\n", &|i| format!("{i}.5,3,s{}", i % 3)), None, 2),
            ("two words", table("a,b,Wine Class\n", &|i| format!("{i},3,{}", i % 3)), None, 2),
            ("trailing comma", table("a,label,\n", &|i| format!("{i},{}", i % 3)), None, 1),
            ("row names", table("a label\n", &|i| format!("\"{i}\" {i}.5 {}", i % 3)), None, 1),
            ("floats as labels", table("label,a\n", &|i| format!("{}.0,{i}", i % 3)), None, 1),
            ("truth", table("a,b,y\n", &|i| format!("True,{i},{}", i % 3)), None, 2),
        ] {
            let loaded = load_text(&text, column).unwrap_or_else(|fault| panic!("{case}: {fault:#}"));
            let expected = |row: i64| if case == "sorted" { row / 40 } else { row % 3 };
            let expected: Vec<i64> = (0..loaded.train.len() as i64).map(expected).collect();
            assert_eq!(loaded.train.labels(), expected, "{case}: {:?} {:?}", loaded.classes, loaded.notes);
            assert_eq!(loaded.train.shape().iter().product::<i64>(), width, "{case}: {:?}", loaded.notes);
        }
    }

    #[test]
    fn heads_of_numbers_name_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("train.csv", "0,1,2,3,4\n0,7,7,7,7\n1,9,9,9,9\n0,7,7,7,7\n1,9,9,9,9\n");
        let kept = tempfile::tempdir().unwrap();
        let load = || load(folder.path(), &LoadOptions::with_data_dir(kept.path()), &mut |_| ()).unwrap();
        write("test.csv", "1,1,2,3,4\n");
        assert_eq!(values(&load().test.unwrap()), [1.0, 2.0, 3.0, 4.0]);
        write("test.csv", "0,1,2,3\n1,2,3,4\n");
        let loaded = load();
        assert_eq!((loaded.train.len(), loaded.table.unwrap().names()), (4, None));
        assert!(loaded.test.is_none() && loaded.notes[0].contains("has no labels"), "{:?}", loaded.notes);
    }

    #[test]
    fn guesses_and_what_is_left_out_are_noted() {
        let rows: String = (0..20).map(|row| format!("{row},{},{}\n", row % 2, row % 7)).collect();
        let notes = load_text(&format!(",label,a\n{rows}"), None).unwrap().notes;
        assert_eq!(notes, ["the column number 1 has no name and is left out"]);
        let rows: String = (0..20).map(|row| format!("9,{},{}\n", row % 7, row % 2)).collect();
        assert_eq!(
            load_text(&rows, None).unwrap().notes,
            ["labels are taken from the last column: 2 classes"]
        );
        // A head that names no label, and no end that looks like labels.
        let rows: String = (0..20).map(|row| format!("{},{},{}\n", row % 3, row % 7, row % 2)).collect();
        let fault = format!("{:#}", load_text(&format!("a,b,c\n{rows}"), None).err().unwrap());
        assert!(fault.contains("has no column called label or class, only a, b, c"), "{fault}");
    }

    #[test]
    fn values_beyond_a_byte_keep_their_type() {
        for (cells, kind, expected) in [
            (["12.0", "255"], tch::Kind::Uint8, [12.0, 255.0]),
            (["256", "-3"], tch::Kind::Int, [256.0, -3.0]),
            (["0.5", "1e3"], tch::Kind::Float, [0.5, 1000.0]),
        ] {
            let loaded = load_text(&format!("label,a,b\n1,{},{}\n", cells[0], cells[1]), None).unwrap();
            assert_eq!((loaded.train.kind(), values(&loaded.train)), (kind, expected.to_vec()));
            assert_eq!(loaded.train.shape(), [2]);
        }
        // Four floats are features, 64 of one range are an image.
        let row =
            |count: usize| (0..count).map(|index| format!(",{}", index as f64 / 64.0)).collect::<String>();
        assert_eq!(load_text(&format!("1{}\n", row(4)), Some("0")).unwrap().train.shape(), [4]);
        let rows = format!("1{}\n1{}\n", ",0".repeat(64), ",0.5".repeat(64));
        assert_eq!(load_text(&rows, Some("0")).unwrap().train.shape(), [8, 8]);
    }

    #[test]
    fn missing_values_are_counted_or_replaced_by_means() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        fs::write(&path, "label,a,b\n1,1,\n0,nan,4\n1,3,5\n").unwrap();
        let options = LoadOptions::with_data_dir(folder.path().join("kept"));
        let fault = load(&path, &options, &mut |_| ()).err().unwrap();
        let fault: &Fault = fault.downcast_ref().unwrap();
        let first = format!("{}, line 2, column 3 (b)", path.display());
        assert_eq!(*fault, Fault::MissingValues { count: 2, first });
        let loaded = load(&path, &options.missing(Missing::Mean), &mut |_| ()).unwrap();
        assert_eq!(values(&loaded.train), [1.0, 4.5, 2.0, 4.0, 3.0, 5.0]);
        assert_eq!(loaded.table.unwrap().means, Some(vec![2.0, 4.5]));
        assert!(loaded.notes[0].starts_with("2 missing values are replaced"), "{:?}", loaded.notes);
    }

    #[test]
    fn pixels_in_one_column_and_a_column_of_splits_are_read() {
        let rows = ["Training", "PublicTest", "PrivateTest"]
            .map(|usage| format!("0,1 2 3 4,{usage}\n1,9 9 9 255,{usage}\n"));
        let loaded = load_text(&format!("emotion,pixels,Usage\n{}", rows.concat()), None).unwrap();
        assert_eq!(
            (loaded.train.shape(), values(&loaded.train)),
            (vec![2, 2], vec![1.0, 2.0, 3.0, 4.0, 9.0, 9.0, 9.0, 255.0])
        );
        assert_eq!((loaded.validation.unwrap().len(), loaded.test.unwrap().labels()), (2, &[0, 1][..]));
        let short = load_text("emotion,pixels\n0,1 2 3 4\n1,1 2 3 4 5\n", None).err().unwrap();
        assert!(format!("{short:#}").contains("line 3 has 5 pixels, not 4"), "{short:#}");
        let unknown =
            load_text(&format!("emotion,pixels,Usage\n{}0,1 2 3 4,Spare\n", rows.concat().repeat(200)), None);
        let unknown = format!("{:#}", unknown.err().unwrap());
        assert!(unknown.contains("line 1202, column 3 (Usage): 'Spare' is no split (train, "), "{unknown}");
    }

    #[test]
    fn colour_is_pixel_by_pixel_unless_asked_otherwise() {
        let text = "label,r,g,b,r2,g2,b2,r3,g3,b3,r4,g4,b4\n0,1,2,3,4,5,6,7,8,9,10,11,12\n";
        let loaded = load_text(text, None).unwrap();
        assert_eq!(values(&loaded.train), [1.0, 4.0, 7.0, 10.0, 2.0, 5.0, 8.0, 11.0, 3.0, 6.0, 9.0, 12.0]);
        assert!(
            loaded.notes[0].contains("2 x 2 pixels in colour, red, green and blue of each"),
            "{:?}",
            loaded.notes
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        fs::write(&path, text).unwrap();
        let options = LoadOptions::with_data_dir(folder.path().join("kept")).pixel_order(PixelOrder::Chw);
        let loaded = load(&path, &options, &mut |_| ()).unwrap();
        assert_eq!((values(&loaded.train)[1], loaded.notes.len()), (2.0, 0));
    }

    #[test]
    fn files_of_a_split_are_joined_and_columns_matched_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("train_1.csv", "label,a,b\nx,1,2\ny,3,4\n");
        write("train_2.csv", "b,label,a\n6,x,5\n");
        write("test.csv", "Id,B,A,LABEL\n1,8,7,y\n2,10,9,x\n");
        write("strain.csv", "label,a,b\nz,0,0\n");
        write("._train.csv", "\0\u{5}");
        let kept = tempfile::tempdir().unwrap();
        let load = || load(folder.path(), &LoadOptions::with_data_dir(kept.path()), &mut |_| ());
        let loaded = load().unwrap();
        assert_eq!(values(&loaded.train), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let test = loaded.test.unwrap();
        assert_eq!((values(&test), test.labels()), (vec![7.0, 8.0, 9.0, 10.0], &[1, 0][..]));
        assert!(
            loaded.notes.iter().any(|note| note.contains("speak of no split: strain.csv")),
            "{:?}",
            loaded.notes
        );
        write("train_2.csv", "label,a,c\nx,1,2\n");
        assert!(format!("{:#}", load().err().unwrap()).contains("train_2.csv: has no column 'b'"));
    }
}
