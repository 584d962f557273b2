//! The tables in Parquet files. It must not know how files are found.

use crate::data::cache::{self, Card, Key};
use crate::data::decoding::{Encoded, Entry, decode_all};
use crate::data::formats::csv::LABEL_NAMES;
use crate::data::label_encoding::{LabelEncoding, Labels};
use crate::data::progress::Progress;
use crate::data::{
    load_options::LoadOptions,
    raw_dataset::{RawDataset, Split},
};
use anyhow::{Context, Result, anyhow, bail, ensure};
use parquet::basic::Type;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::file::reader::{FileReader, RowGroupReader, SerializedFileReader};
use parquet::schema::types::ColumnDescPtr;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a column of pictures is called where it holds the bytes themselves.
const IMAGE_NAMES: [&str; 5] = ["image", "img", "picture", "bytes", "png"];
/// Rows that are read in one go.
const ROWS: usize = 1024;

pub fn load(
    path: &Path,
    files: &[(Split, PathBuf)],
    reading: &LoadOptions,
    numbering: Option<LabelEncoding>,
    progress: &mut dyn FnMut(Progress),
) -> Result<RawDataset> {
    let LoadOptions { image_size, skips_bad, label_column, .. } = reading;
    let mut key = Key::new(path, ("tables", image_size, skips_bad, label_column, numbering.as_ref()));
    files.iter().try_for_each(|(_, path)| key.add(path))?;
    cache::load(&reading.data_dir, key, |writer| {
        let mut tables = Vec::new();
        for (split, path) in files {
            // The reader may panic at a damaged file.
            let table = catch_unwind(AssertUnwindSafe(|| Table::read(path, label_column.as_deref())));
            let table = table.unwrap_or_else(|_| Err(anyhow!("is damaged")));
            tables.push((*split, table.with_context(|| path.display().to_string())?));
        }
        let (entries, classes, mut notes) = entries(tables, numbering)?;
        notes.extend(decode_all(&entries, reading, writer, progress)?);
        Ok(Card { classes, notes })
    })
}

/// A file's pictures and labels.
struct Table {
    file: Arc<str>,
    pictures: Vec<Option<Vec<u8>>>,
    labels: Labels,
    /// Where the file tells them.
    class_names: Option<Vec<String>>,
}

/// The pictures of all files with their classes, and what users should be told.
fn entries(
    tables: Vec<(Split, Table)>,
    numbering: Option<LabelEncoding>,
) -> Result<(Vec<Entry>, Vec<String>, Vec<String>)> {
    let names = tables.iter().find_map(|(_, table)| table.class_names.clone());
    let known = names.map(|names| LabelEncoding::from(0, names)).or(numbering);
    let of_train = tables.iter().filter(|(split, _)| *split == Split::Train).map(|(_, table)| &table.labels);
    let numbering = LabelEncoding::of(of_train, known).with_context(|| tables[0].1.file.to_string())?;
    let (mut entries, mut notes) = (Vec::new(), Vec::new());
    for (split, table) in tables {
        let Table { file, pictures, labels, .. } = table;
        // As Hugging Face marks what is not told.
        let are_secret = match &labels {
            Labels::Numbers(numbers) => numbers.iter().all(|&label| label == -1),
            Labels::Words(_) => false,
        };
        if split != Split::Train && are_secret {
            notes.push(format!("{file} has no labels and is not used"));
            continue;
        }
        let labels = numbering.classes_of(&labels).with_context(|| file.to_string())?;
        for (row, (bytes, label)) in pictures.into_iter().zip(labels).enumerate() {
            entries.push(Entry { picture: Encoded::Row { file: file.clone(), row, bytes }, label, split });
        }
    }
    Ok((entries, numbering.names, notes))
}

impl Table {
    fn read(path: &Path, label_column: Option<&str>) -> Result<Table> {
        let file = File::open(path).context("cannot be opened")?;
        let reader = SerializedFileReader::new(file).context("is no Parquet file")?;
        let schema = reader.metadata().file_metadata().schema_descr();
        let columns = schema.columns();
        let image = find_images(columns)?;
        let label = find_labels(columns, label_column)?;
        let class_names = class_names(&reader, &columns[label].path().string());
        let is_word = columns[label].physical_type() == Type::BYTE_ARRAY;
        let (mut pictures, mut numbers, mut words) = (Vec::new(), Vec::new(), Vec::new());
        for number in 0..reader.num_row_groups() {
            let group = reader.get_row_group(number).context("cannot be read")?;
            pictures.extend(bytes_in(&*group, image, &columns[image])?);
            if is_word {
                let found = bytes_in(&*group, label, &columns[label])?;
                words.extend(found.into_iter().map(word).collect::<Result<Vec<_>>>()?);
            } else {
                numbers.extend(numbers_in(&*group, label, &columns[label])?);
            }
        }
        let labels = if is_word { Labels::Words(words) } else { Labels::Numbers(numbers) };
        let count = labels.len();
        ensure!(count == pictures.len(), "has {} pictures, but {count} labels", pictures.len());
        ensure!(count > 0, "holds no pictures");
        Ok(Table { file: path.display().to_string().into(), pictures, labels, class_names })
    }
}

fn word(bytes: Option<Vec<u8>>) -> Result<String> {
    let bytes = bytes.context("has a row without a label")?;
    String::from_utf8(bytes).ok().context("has a label that is not UTF-8")
}

fn find_images(columns: &[ColumnDescPtr]) -> Result<usize> {
    let holds_pictures = |column: &ColumnDescPtr| {
        let parts = column.path().parts();
        let is_named = match parts {
            [_, last] => last == "bytes",
            [only] => IMAGE_NAMES.contains(&only.to_lowercase().as_str()),
            _ => false,
        };
        is_named && column.physical_type() == Type::BYTE_ARRAY && column.max_rep_level() == 0
    };
    let found = columns.iter().position(holds_pictures);
    found.with_context(|| format!("has no column of pictures (image); there are {}", names(columns)))
}

fn find_labels(columns: &[ColumnDescPtr], wanted: Option<&str>) -> Result<usize> {
    let index = match wanted {
        Some(wanted) => {
            let by_name = columns.iter().position(|column| column.path().string() == wanted);
            let by_number = || wanted.parse().ok().filter(|number| *number < columns.len());
            by_name.or_else(by_number).with_context(|| {
                format!("--label-column {wanted}: is none of the columns, {}", names(columns))
            })?
        }
        None => {
            let is_label = |column: &ColumnDescPtr| {
                let name = column.path().string().to_lowercase();
                LABEL_NAMES.contains(&name.as_str()) || ["labels", "fine_label"].contains(&name.as_str())
            };
            columns.iter().position(is_label).with_context(|| {
                let names = names(columns);
                format!(
                    "has no column called label or class; --label-column tells which one has them: {names}"
                )
            })?
        }
    };
    let column = &columns[index];
    let is_label = matches!(column.physical_type(), Type::INT32 | Type::INT64 | Type::BYTE_ARRAY);
    ensure!(
        is_label && column.max_rep_level() == 0,
        "{}: labels must be whole numbers or words",
        column.path().string()
    );
    Ok(index)
}

fn names(columns: &[ColumnDescPtr]) -> String {
    columns.iter().map(|column| column.path().string()).collect::<Vec<_>>().join(", ")
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

fn bytes_in(
    group: &dyn RowGroupReader,
    index: usize,
    column: &ColumnDescPtr,
) -> Result<Vec<Option<Vec<u8>>>> {
    match group.get_column_reader(index).context("cannot be read")? {
        ColumnReader::ByteArrayColumnReader(reader) => {
            let values = values_in(reader, column)?;
            Ok(values.into_iter().map(|value| value.map(|bytes| bytes.data().to_vec())).collect())
        }
        _ => bail!("{}: is no column of bytes", column.path().string()),
    }
}

fn numbers_in(group: &dyn RowGroupReader, index: usize, column: &ColumnDescPtr) -> Result<Vec<i64>> {
    let numbers: Vec<Option<i64>> = match group.get_column_reader(index).context("cannot be read")? {
        ColumnReader::Int64ColumnReader(reader) => values_in(reader, column)?,
        ColumnReader::Int32ColumnReader(reader) => {
            values_in(reader, column)?.into_iter().map(|value| value.map(i64::from)).collect()
        }
        _ => bail!("{}: is no column of numbers", column.path().string()),
    };
    numbers.into_iter().collect::<Option<_>>().context("has a row without a label")
}

/// The values of a column, none where a row has none.
fn values_in<T: DataType>(
    mut reader: ColumnReaderImpl<T>,
    column: &ColumnDescPtr,
) -> Result<Vec<Option<T::T>>> {
    let greatest = column.max_def_level();
    let mut all = Vec::new();
    loop {
        let (mut levels, mut values) = (Vec::new(), Vec::new());
        let (rows, ..) =
            reader.read_records(ROWS, Some(&mut levels), None, &mut values).context("cannot be read")?;
        if rows == 0 {
            return Ok(all);
        }
        let mut values = values.into_iter();
        if greatest == 0 {
            all.extend(values.map(Some));
        } else {
            all.extend(levels.iter().map(|&level| if level == greatest { values.next() } else { None }));
        }
    }
}
