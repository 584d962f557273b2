//! The tables in Parquet files. Labels are read first, images a few rows at a time while they are decoded.

use crate::data::cache::{self, Key, Manifest};
use crate::data::columns::{SplitColumn, label_among};
use crate::data::conversion::quoted;
use crate::data::decoding::{EncodedImage, Entry, decode_all};
use crate::data::groups::{GroupBy, GroupIndex};
use crate::data::label_encoding::{LabelEncoding, RawLabels};
use crate::data::load_options::{LoadOptions, OnProgress};
use crate::data::raw_dataset::{RawDataset, Split};
use crate::data::{Fault, label_array};
use crate::text::listed;
use anyhow::{Context, Error, Result, anyhow, bail, ensure};
use parquet::basic::{Compression, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, ByteArrayType, DataType};
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::ColumnDescPtr;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::Tensor;

/// What a column of images is called, the likelier names first; one that holds the bytes themselves must be
/// called so.
const IMAGE_NAMES: [&str; 8] = ["image", "img", "picture", "images", "photo", "jpg", "bytes", "png"];
/// Labels that are read in one go.
const LABEL_ROWS: usize = 1024;
/// Images that are read in one go: they are in memory together; and the bytes of large ones.
pub(super) const IMAGE_ROWS: usize = 32;
const IMAGE_BYTES: usize = 8 << 20;

pub fn load(
    path: &Path,
    files: &[(Split, PathBuf)],
    options: &LoadOptions,
    encoding: Option<LabelEncoding>,
    progress: OnProgress,
) -> Result<RawDataset> {
    let column = options.label_column.as_deref();
    let [size, skips] = options.decoding_key();
    let known = encoding.as_ref().map_or(String::new(), LabelEncoding::key);
    let label_column = ("label_column", column.unwrap_or_default().to_string());
    let group = options.group_by.as_ref().and_then(GroupBy::column);
    let mut settings = vec![size, skips, label_column, ("encoding", known)];
    settings.extend(group.map(|group| ("group_column", group.to_string())));
    let mut key = Key::new(path, "parquet", &settings);
    files.iter().try_for_each(|(_, path)| key.add(path))?;
    cache::load(&options.folder()?, key, progress, |writer, progress| {
        let mut tables = Vec::new();
        let mut notes = Vec::new();
        for (split, path) in files {
            let table = without_panic(|| Table::open(path, *split, column, group));
            match table.with_context(|| path.display().to_string()) {
                Ok(table) => tables.push((*split, table)),
                Err(fault) if *split != Split::Train && has_no_labels(&fault) => {
                    notes.push(format!("{} has no labels and is not used", path.display()));
                }
                Err(fault) => return Err(fault),
            }
        }
        let (mut tables, classes, of_labels) = labelled(tables, encoding)?;
        let mut index = GroupIndex::default();
        for table in &mut tables {
            table.group_numbers =
                std::mem::take(&mut table.groups).iter().map(|group| index.of(group)).collect();
        }
        writer.group_names = index.names;
        notes.extend(of_labels);
        let count = tables.iter().map(|table| table.labels.len()).sum();
        let entries = || Ok(tables.iter().flat_map(LabelledTable::entries));
        notes.extend(decode_all(count, entries, options, writer, progress)?);
        Ok(Manifest { classes, notes })
    })
}

fn has_no_labels(fault: &Error) -> bool {
    matches!(fault.downcast_ref(), Some(Fault::NoLabelColumn { .. }))
}

/// The reader may panic at a damaged file.
fn without_panic<T>(read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(anyhow!("is damaged")))
}

/// A file's labels, and where its images are.
struct Table {
    name: Arc<str>,
    path: PathBuf,
    image_column: usize,
    labels: RawLabels,
    /// If the file holds them.
    class_names: Option<Vec<String>>,
    /// Of each row, if a column says it.
    splits: Option<Vec<Split>>,
    /// Likewise.
    groups: Option<Vec<String>>,
    notes: Vec<String>,
}

/// A file whose labels have become classes.
struct LabelledTable {
    name: Arc<str>,
    path: PathBuf,
    image_column: usize,
    /// Of each row.
    splits: Vec<Split>,
    labels: Vec<i64>,
    /// Of each row, by their names, and then by their numbers in all files; empty without groups.
    groups: Vec<String>,
    group_numbers: Vec<u32>,
}

/// The files with the classes of their rows, the names of the classes, and what users should know.
fn labelled(
    tables: Vec<(Split, Table)>,
    encoding: Option<LabelEncoding>,
) -> Result<(Vec<LabelledTable>, Vec<String>, Vec<String>)> {
    let names = tables.iter().find_map(|(_, table)| table.class_names.clone());
    let known = names.clone().map(|names| LabelEncoding::new(0, names)).or(encoding);
    let of_train = tables.iter().filter(|(split, _)| *split == Split::Train).map(|(_, table)| &table.labels);
    let encoding = LabelEncoding::of(of_train, known).with_context(|| tables[0].1.name.to_string())?;
    let mut notes = Vec::from_iter(encoding.note());
    notes.extend(tables.first().map_or(Vec::new(), |(_, table)| table.notes.clone()));
    let mut with_classes = Vec::new();
    for (split, Table { name, path, image_column, labels, class_names, splits, groups, .. }) in tables {
        if split != Split::Train && labels.are_secret() {
            notes.push(format!("{name} has no labels and is not used"));
            continue;
        }
        // Another file may number the classes otherwise.
        let own = class_names.filter(|own| names.as_ref().is_some_and(|names| names != own));
        let labels = match own.zip(names.as_ref()) {
            Some((own, names)) => renumbered(labels, &own, names).with_context(|| name.to_string())?,
            None => labels,
        };
        let labels = encoding.classes_of(&labels).with_context(|| name.to_string())?;
        let splits = splits.unwrap_or_else(|| vec![split; labels.len()]);
        let (groups, group_numbers) = (groups.unwrap_or_default(), Vec::new());
        with_classes.push(LabelledTable { name, path, image_column, splits, labels, groups, group_numbers });
    }
    Ok((with_classes, encoding.names, notes))
}

/// Numbers of one list of names as those of another.
fn renumbered(labels: RawLabels, own: &[String], names: &[String]) -> Result<RawLabels> {
    let RawLabels::Numbers(numbers) = labels else { return Ok(labels) };
    let number = |number: &i64| {
        let name = usize::try_from(*number).ok().and_then(|number| own.get(number));
        let place = name.and_then(|name| names.iter().position(|other| other == name));
        place.map(|place| place as i64).with_context(|| match name {
            Some(name) => format!("has the class '{name}', which the training images do not have"),
            None => format!("has the label {number}, but names {} classes", own.len()),
        })
    };
    Ok(RawLabels::Numbers(numbers.iter().map(number).collect::<Result<_>>()?))
}

impl Table {
    fn open(
        path: &Path,
        split: Split,
        label_column: Option<&str>,
        group_column: Option<&str>,
    ) -> Result<Table> {
        let reader = open(path)?;
        let mut chunks = reader.metadata().row_groups().iter().flat_map(|group| group.columns());
        if chunks.any(|chunk| matches!(chunk.compression(), Compression::BROTLI(_) | Compression::LZO)) {
            let name = quoted(path);
            bail!(
                "is compressed in a way that fitch cannot read; this line of Python packs it anew: \
                 import pandas as pd; pd.read_parquet({name}).to_parquet({name})"
            );
        }
        let schema = reader.metadata().file_metadata().schema_descr();
        let columns = schema.columns();
        let (image_column, note) = find_images(columns, path)?;
        let label = find_labels(columns, label_column)?;
        let group = group_column.map(|column| find_groups(columns, column, label)).transpose();
        // Only the training images must have groups.
        let group = if split == Split::Train { group? } else { group.ok().flatten() };
        let groups = group.map(|group| cells_in(&reader, columns, group, "a group")).transpose()?;
        let (split_name, splits) = splits_in(&reader, columns, &[Some(label), group])?.unzip();
        let class_names = class_names(&reader, &columns[label].path().string());
        let is_word = columns[label].physical_type() == Type::BYTE_ARRAY;
        let (mut numbers, mut words) = (Vec::new(), Vec::new());
        for index in 0..reader.num_row_groups() {
            let group = reader.get_row_group(index).context("cannot be read")?;
            if is_word {
                words.extend(words_in(&*group, label, &columns[label], "a label")?);
            } else {
                numbers.extend(numbers_in(&*group, label, &columns[label], "a label")?);
            }
        }
        let labels = if is_word { RawLabels::Words(words) } else { RawLabels::Numbers(numbers) };
        ensure!(labels.len() > 0, "holds no images");
        ensure!(
            splits.as_ref().is_none_or(|splits| splits.len() == labels.len()),
            "has another number of splits than labels"
        );
        ensure!(
            groups.as_ref().is_none_or(|groups| groups.len() == labels.len()),
            "has another number of groups than labels"
        );
        let mut notes = Vec::from_iter(note);
        notes.extend(split_name.map(|name| format!("splits from the column {name}")));
        let name = path.display().to_string().into();
        Ok(Table { name, path: path.to_path_buf(), image_column, labels, class_names, splits, groups, notes })
    }
}

impl LabelledTable {
    /// The images with their classes, read as they are asked for.
    fn entries(&self) -> impl Iterator<Item = Result<Entry>> + '_ {
        let mut images = ImageRows::new(self);
        (0..=self.labels.len()).map_while(move |row| {
            let entry = |bytes| Entry {
                image: EncodedImage::Row { file: self.name.clone(), row, bytes },
                label: self.labels[row],
                split: self.splits[row],
                group: self.group_numbers.get(row).copied(),
                is_needed: true,
            };
            let count = self.labels.len();
            match (images.next_row(), row < count) {
                (Ok(Some(bytes)), true) => Some(Ok(entry(bytes))),
                (Ok(None), false) => None,
                (Ok(_), _) => {
                    Some(Err(anyhow!("{}: has another number of images than labels, {count}", self.name)))
                }
                (Err(fault), _) => Some(Err(fault.context(self.name.to_string()))),
            }
        })
    }
}

fn open(path: &Path) -> Result<SerializedFileReader<File>> {
    let file = File::open(path).context("cannot be opened")?;
    SerializedFileReader::new(file).context("is not a Parquet file")
}

/// Reads the column of images, a few rows at a time: of many files, one is open.
struct ImageRows<'a> {
    table: &'a LabelledTable,
    reader: Option<SerializedFileReader<File>>,
    group: usize,
    column: Option<ColumnReaderImpl<ByteArrayType>>,
    /// Read and not yet given, the next one last.
    waiting: Vec<Option<ByteArray>>,
    /// How many are read next.
    rows: usize,
}

impl ImageRows<'_> {
    fn new(table: &LabelledTable) -> ImageRows<'_> {
        ImageRows { table, reader: None, group: 0, column: None, waiting: Vec::new(), rows: 1 }
    }

    /// The bytes of the next row's image, if it has one; nothing after the last row.
    fn next_row(&mut self) -> Result<Option<Option<Vec<u8>>>> {
        while self.waiting.is_empty() {
            let reader = match &mut self.reader {
                Some(reader) => reader,
                none => none.insert(without_panic(|| open(&self.table.path))?),
            };
            let Some(column) = &mut self.column else {
                if self.group == reader.num_row_groups() {
                    return Ok(None);
                }
                self.column =
                    Some(without_panic(|| open_column(reader, self.group, self.table.image_column))?);
                self.group += 1;
                continue;
            };
            let schema = reader.metadata().file_metadata().schema_descr();
            ensure!(self.table.image_column < schema.num_columns(), "was changed meanwhile");
            let levels = schema.column(self.table.image_column).max_def_level();
            let rows = without_panic(|| read_rows(column, self.rows, levels))?;
            let bytes: usize = rows.iter().flatten().map(ByteArray::len).sum();
            self.rows = (IMAGE_BYTES / (bytes / rows.len().max(1)).max(1)).clamp(1, IMAGE_ROWS);
            match rows.is_empty() {
                true => self.column = None,
                false => self.waiting = rows.into_iter().rev().collect(),
            }
        }
        Ok(self.waiting.pop().map(|bytes| bytes.map(|bytes| bytes.data().to_vec())))
    }
}

fn open_column(
    reader: &SerializedFileReader<File>,
    group: usize,
    column: usize,
) -> Result<ColumnReaderImpl<ByteArrayType>> {
    let group = reader.get_row_group(group).context("cannot be read")?;
    match group.get_column_reader(column).context("cannot be read")? {
        ColumnReader::ByteArrayColumnReader(column) => Ok(column),
        _ => bail!("the column of images does not hold bytes"),
    }
}

/// The column of images, and what users should know if there are several.
fn find_images(columns: &[ColumnDescPtr], path: &Path) -> Result<(usize, Option<String>)> {
    // By the place of their name among those that images have.
    let place = |column: &ColumnDescPtr| {
        let name = column.path().parts().first()?.to_lowercase();
        let place = IMAGE_NAMES.iter().position(|known| *known == name);
        let is_struct = match column.path().parts() {
            [_, last] if last == "bytes" => true,
            [_] => false,
            _ => return None,
        };
        let holds_bytes = column.physical_type() == Type::BYTE_ARRAY && column.max_rep_level() == 0;
        (holds_bytes && (is_struct || place.is_some())).then_some(place.unwrap_or(IMAGE_NAMES.len()))
    };
    let mut found: Vec<(usize, usize)> =
        columns.iter().enumerate().filter_map(|(index, column)| Some((place(column)?, index))).collect();
    found.sort_unstable();
    let name = |index: usize| columns[index].path().parts().first().cloned().unwrap_or_default();
    let Some(((_, index), others)) = found.split_first() else {
        bail!(
            "has no column of images (image); there are {}; this line of Python makes a table of it: \
             import pandas as pd; pd.read_parquet({}).to_csv({}, index=False)",
            names(columns),
            quoted(path),
            quoted(&path.with_extension("csv"))
        )
    };
    let others: Vec<String> = others.iter().map(|(_, other)| name(*other)).collect();
    let note = (!others.is_empty()).then(|| {
        format!("the images are those of the column {}, not of {}", name(*index), others.join(", "))
    });
    Ok((*index, note))
}

/// The column that says which split a row is of, and what it says of each.
fn splits_in(
    reader: &SerializedFileReader<File>,
    columns: &[ColumnDescPtr],
    others: &[Option<usize>],
) -> Result<Option<(String, Vec<Split>)>> {
    for (index, column) in columns.iter().enumerate().filter(|(index, _)| !others.contains(&Some(*index))) {
        let name = column.path().string();
        let is_flat = column.path().parts().len() == 1 && column.max_rep_level() == 0;
        if !is_flat || !SplitColumn::is_named_like_one(&name) {
            continue;
        }
        let cells = cells_in(reader, columns, index, "a label")?;
        if let Some(column) = SplitColumn::of(index, &name, cells.iter().map(String::as_str)) {
            let split = |(row, cell): (usize, &String)| {
                let fault = || format!("row {row} (from 0): {name} '{cell}' is {}", column.expected());
                column.split(cell).with_context(fault)
            };
            let splits = cells.iter().enumerate().map(split).collect::<Result<_>>()?;
            return Ok(Some((name, splits)));
        }
    }
    Ok(None)
}

/// The cells of a column of words or whole numbers; `what` each of them holds, for people.
fn cells_in(
    reader: &SerializedFileReader<File>,
    columns: &[ColumnDescPtr],
    index: usize,
    what: &str,
) -> Result<Vec<String>> {
    let column = &columns[index];
    let mut cells: Vec<String> = Vec::new();
    for group in 0..reader.num_row_groups() {
        let group = reader.get_row_group(group).context("cannot be read")?;
        match column.physical_type() {
            Type::BYTE_ARRAY => cells.extend(words_in(&*group, index, column, what)?),
            _ => cells.extend(numbers_in(&*group, index, column, what)?.iter().map(i64::to_string)),
        }
    }
    Ok(cells)
}

/// The column of groups.
fn find_groups(columns: &[ColumnDescPtr], asked: &str, label: usize) -> Result<usize> {
    let by_name = columns.iter().position(|column| column.path().string() == asked);
    let by_index = || asked.parse().ok().filter(|index| *index < columns.len());
    let index = by_name.or_else(by_index).ok_or_else(|| Fault::UnknownGroupColumn {
        column: asked.to_string(),
        columns: columns.iter().map(|column| column.path().string()).collect(),
    })?;
    ensure!(index != label, "the column '{asked}' holds the labels: it cannot be the one of the groups, too");
    ensure!(columns[index].max_rep_level() == 0, "{asked}: groups must be whole numbers or words");
    Ok(index)
}

fn find_labels(columns: &[ColumnDescPtr], asked: Option<&str>) -> Result<usize> {
    let found = match asked {
        Some(asked) => {
            let by_name = columns.iter().position(|column| column.path().string() == asked);
            let by_index = || asked.parse().ok().filter(|index| *index < columns.len());
            by_name.or_else(by_index).ok_or_else(|| Fault::UnknownLabelColumn {
                column: asked.to_string(),
                expected: format!("the columns are {}", names(columns)),
            })
        }
        None => {
            let names: Vec<String> = columns.iter().map(|column| column.path().string()).collect();
            label_among(names.iter().map(String::as_str)).ok_or(Fault::NoLabelColumn { columns: names })
        }
    };
    let index = found?;
    let column = &columns[index];
    let is_label = matches!(
        column.physical_type(),
        Type::INT32 | Type::INT64 | Type::BYTE_ARRAY | Type::FLOAT | Type::DOUBLE | Type::BOOLEAN
    );
    ensure!(
        is_label && column.max_rep_level() == 0,
        "{}: labels must be whole numbers or words",
        column.path().string()
    );
    Ok(index)
}

/// For people, the first of many.
fn names(columns: &[ColumnDescPtr]) -> String {
    const MOST: usize = 12;
    listed(&columns.iter().map(|column| column.path().string()).collect::<Vec<_>>(), MOST)
}

/// The names of the classes as Hugging Face's `datasets` notes them: a JSON of features beside the schema.
fn class_names(reader: &SerializedFileReader<File>, label: &str) -> Option<Vec<String>> {
    let entries = reader.metadata().file_metadata().key_value_metadata()?;
    let text = entries.iter().find(|entry| entry.key == "huggingface")?.value.as_deref()?;
    let features: serde_json::Value = serde_json::from_str(text).ok()?;
    let names = features.get("info")?.get("features")?.get(label)?.get("names")?;
    let names: Vec<String> = serde_json::from_value(names.clone()).ok()?;
    (names.len() > 1).then_some(names)
}

fn words_in(
    group: &dyn RowGroupReader,
    index: usize,
    column: &ColumnDescPtr,
    what: &str,
) -> Result<Vec<String>> {
    let ColumnReader::ByteArrayColumnReader(reader) =
        group.get_column_reader(index).context("cannot be read")?
    else {
        bail!("{}: is not a column of bytes", column.path().string())
    };
    let word = |bytes: Option<ByteArray>| {
        let bytes = bytes.with_context(|| format!("has a row without {what}"))?;
        String::from_utf8(bytes.data().to_vec()).ok().with_context(|| format!("has {what} that is not UTF-8"))
    };
    values_in(reader, column)?.into_iter().map(word).collect()
}

fn numbers_in(
    group: &dyn RowGroupReader,
    index: usize,
    column: &ColumnDescPtr,
    what: &str,
) -> Result<Vec<i64>> {
    let numbers: Vec<Option<i64>> = match group.get_column_reader(index).context("cannot be read")? {
        ColumnReader::Int64ColumnReader(reader) => values_in(reader, column)?,
        ColumnReader::Int32ColumnReader(reader) => {
            values_in(reader, column)?.into_iter().map(|value| value.map(i64::from)).collect()
        }
        ColumnReader::BoolColumnReader(reader) => {
            values_in(reader, column)?.into_iter().map(|value| value.map(i64::from)).collect()
        }
        ColumnReader::FloatColumnReader(reader) => {
            whole(values_in(reader, column)?.into_iter().map(|value| value.map(f64::from)), what)?
        }
        ColumnReader::DoubleColumnReader(reader) => whole(values_in(reader, column)?.into_iter(), what)?,
        _ => bail!("{}: is not a column of numbers", column.path().string()),
    };
    numbers.into_iter().collect::<Option<_>>().with_context(|| format!("has a row without {what}"))
}

/// Floats that are whole numbers.
fn whole(values: impl Iterator<Item = Option<f64>>, what: &str) -> Result<Vec<Option<i64>>> {
    let values: Vec<Option<f64>> = values.collect();
    let values: Option<Vec<f64>> = values.into_iter().collect();
    let values = values.with_context(|| format!("has a row without {what}"))?;
    let numbers = label_array::numbers(&Tensor::f_from_slice(&values)?)?;
    Ok(numbers.into_iter().map(Some).collect())
}

/// The values of a column, none for a row without one.
fn values_in<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    column: &ColumnDescPtr,
) -> Result<Vec<Option<T::T>>> {
    let mut all = Vec::new();
    loop {
        let rows = read_rows(&mut reader, LABEL_ROWS, column.max_def_level())?;
        if rows.is_empty() {
            return Ok(all);
        }
        all.extend(rows);
    }
}

/// The next values of a column, none for a row without one; nothing after the last row.
fn read_rows<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    max_level: i16,
) -> Result<Vec<Option<T::T>>> {
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    reader.read_records(rows, Some(&mut levels), None, &mut values).context("cannot be read")?;
    let mut values = values.into_iter();
    Ok(if max_level == 0 {
        values.map(Some).collect()
    } else {
        levels.iter().map(|&level| if level == max_level { values.next() } else { None }).collect()
    })
}
