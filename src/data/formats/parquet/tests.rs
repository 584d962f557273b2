use super::*;
use crate::data::{Fault, GroupBy};
use image::{GrayImage, Luma, Rgb, RgbImage};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use std::fs::{self, File};
use std::io::Cursor;
use std::sync::Arc;
use tempfile::TempDir;

fn png(grey: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    GrayImage::from_pixel(3, 2, Luma([grey])).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn png_in_colour() -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_pixel(3, 2, Rgb([1, 2, 3])).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

enum Column<'a> {
    Numbers(&'a [i64]),
    Words(&'a [&'a str]),
}

/// A table as `datasets` writes it: a struct of bytes and path, and a label.
fn write(path: &Path, images: &[Option<Vec<u8>>], labels: Column, names: Option<&str>) {
    write_with(path, images, labels, names, None);
}

/// The same with a column that says which split each row is of.
fn write_with(
    path: &Path,
    images: &[Option<Vec<u8>>],
    labels: Column,
    names: Option<&str>,
    splits: Option<&[&str]>,
) {
    let label = if matches!(labels, Column::Words(_)) { "BYTE_ARRAY label (UTF8)" } else { "INT64 label" };
    let schema = format!(
        "message schema {{ OPTIONAL GROUP image {{ OPTIONAL BYTE_ARRAY bytes; OPTIONAL BYTE_ARRAY path (UTF8); }} \
         OPTIONAL {label}; {} }}",
        splits.map_or("", |_| "OPTIONAL BYTE_ARRAY split (UTF8);")
    );
    let notes = names.map(|names| {
        let text = format!(
            r#"{{"info": {{"features": {{"label": {{"names": {names}, "_type": "ClassLabel"}}}}}}}}"#
        );
        vec![KeyValue::new("huggingface".to_string(), text)]
    });
    let compression = parquet::basic::Compression::GZIP(Default::default());
    let properties =
        WriterProperties::builder().set_key_value_metadata(notes).set_compression(compression).build();
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let mut writer =
        SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let there: Vec<ByteArray> = images.iter().flatten().map(|bytes| bytes.clone().into()).collect();
    let levels: Vec<i16> = images.iter().map(|bytes| if bytes.is_some() { 2 } else { 1 }).collect();
    for (bytes, levels) in [(there, levels), (Vec::new(), vec![1; images.len()])] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&bytes, Some(&levels), None).unwrap();
        column.close().unwrap();
    }
    let mut column = group.next_column().unwrap().unwrap();
    match labels {
        Column::Numbers(numbers) => {
            column.typed::<Int64Type>().write_batch(numbers, Some(&vec![1; numbers.len()]), None).unwrap();
        }
        Column::Words(words) => {
            let bytes: Vec<ByteArray> = words.iter().map(|word| ByteArray::from(*word)).collect();
            column.typed::<ByteArrayType>().write_batch(&bytes, Some(&vec![1; words.len()]), None).unwrap();
        }
    }
    column.close().unwrap();
    if let Some(splits) = splits {
        let mut column = group.next_column().unwrap().unwrap();
        let bytes: Vec<ByteArray> = splits.iter().map(|split| ByteArray::from(*split)).collect();
        column.typed::<ByteArrayType>().write_batch(&bytes, Some(&vec![1; splits.len()]), None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

fn load_from(path: &Path, options: LoadOptions) -> Result<RawDataset> {
    let kept = TempDir::new().unwrap();
    load(path, &LoadOptions { data_dir: Some(kept.path().into()), ..options }, None, &mut |_| ())
}

fn fault(path: &Path) -> String {
    format!("{:#}", load_from(path, LoadOptions::default()).err().unwrap())
}

#[test]
fn shards_are_read_in_their_order_with_the_names_of_their_classes() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    let file = |name: &str| folder.path().join("data").join(name);
    let names = Some(r#"["cat", "dog", "owl"]"#);
    let images = |greys: &[u8]| greys.iter().map(|&grey| Some(png(grey))).collect::<Vec<_>>();
    write(&file("train-00001-of-00002.parquet"), &images(&[3]), Column::Numbers(&[2]), names);
    write(&file("train-00000-of-00002.parquet"), &images(&[1, 2]), Column::Numbers(&[1, 0]), names);
    write(&file("validation-00000-of-00001.parquet"), &images(&[9]), Column::Numbers(&[2]), names);
    write(&file("test-00000-of-00001.parquet"), &images(&[8, 7]), Column::Numbers(&[0, 1]), names);
    let loaded = load_from(folder.path(), LoadOptions::default()).unwrap();
    assert_eq!(loaded.classes, ["cat", "dog", "owl"]);
    assert_eq!(
        (loaded.train.pixels().unwrap().size(), loaded.train.labels()),
        (vec![3, 2, 3], &[1, 0, 2][..])
    );
    let first: Vec<u8> =
        Vec::try_from(loaded.train.pixels().unwrap().select(1, 0).select(1, 0).contiguous()).unwrap();
    assert_eq!(first, [1, 2, 3]);
    assert_eq!((loaded.validation.unwrap().labels(), loaded.test.unwrap().labels()), (&[2][..], &[0, 1][..]));
    // As Hugging Face marks that labels are kept secret.
    write(&file("test-00000-of-00001.parquet"), &images(&[8]), Column::Numbers(&[-1]), names);
    let loaded = load_from(folder.path(), LoadOptions::default()).unwrap();
    assert!(loaded.test.is_none() && loaded.notes[0].contains("has no labels and is not used"));
    write(&file("test-00000-of-00001.parquet"), &images(&[8]), Column::Numbers(&[3]), names);
    assert!(
        fault(folder.path())
            .contains("parquet: label 3 (of image 0, counted from 0) is beyond the 3 classes")
    );
}

#[test]
fn files_may_number_the_same_classes_otherwise() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name);
    let images = [Some(png(1)), Some(png(2))];
    write(&file("train.parquet"), &images, Column::Numbers(&[0, 1]), Some(r#"["cat", "dog"]"#));
    write(&file("test.parquet"), &images, Column::Numbers(&[0, 1]), Some(r#"["dog", "cat"]"#));
    let loaded = load_from(folder.path(), LoadOptions::default()).unwrap();
    assert_eq!((loaded.train.labels(), loaded.test.unwrap().labels()), (&[0, 1][..], &[1, 0][..]));
    write(&file("test.parquet"), &images, Column::Numbers(&[0, 1]), Some(r#"["dog", "owl"]"#));
    assert!(fault(folder.path()).contains("test.parquet: has the class 'owl', which the training images"));
}

#[test]
fn a_column_may_say_which_group_a_row_is_of() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    let images: Vec<Option<Vec<u8>>> = vec![Some(png(1)), Some(vec![1, 2]), Some(png(3)), Some(png(4))];
    write_with(&path, &images, Column::Numbers(&[0, 1, 0, 1]), None, Some(&["x", "x", "x", "y"]));
    let by = |column: &str| LoadOptions::default().group_by(GroupBy::Column(column.to_string())).skip_bad();
    let loaded = load_from(&path, by("split")).unwrap();
    // The image that cannot be read takes its group with it.
    assert_eq!((loaded.train.len(), loaded.train.groups()), (3, Some(vec![0, 0, 1])));
    assert_eq!(loaded.train.group_name(1), Some("y"));
    let fault = |column| format!("{:#}", load_from(&path, by(column)).err().unwrap());
    assert!(
        fault("who").contains("has no column of groups 'who'; there are image.bytes, "),
        "{}",
        fault("who")
    );
    assert!(fault("label").contains("holds the labels"), "{}", fault("label"));
}

#[test]
fn a_column_may_say_which_split_a_row_is_of() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    let images: Vec<Option<Vec<u8>>> = (1..5).map(|grey| Some(png(grey))).collect();
    let write = |splits| write_with(&path, &images, Column::Numbers(&[0, 1, 0, 1]), None, Some(splits));
    write(&["train", "train", "test", "validation"]);
    let loaded = load_from(&path, LoadOptions::default()).unwrap();
    assert_eq!(
        [loaded.train.labels(), loaded.validation.unwrap().labels(), loaded.test.unwrap().labels()],
        [&[0, 1][..], &[1], &[0]]
    );
    assert!(loaded.notes.contains(&"splits from the column split".to_string()), "{:?}", loaded.notes);
    // A column of something else.
    write(&["a", "b", "test", "c"]);
    assert_eq!(load_from(&path, LoadOptions::default()).unwrap().train.len(), 4);
}

#[test]
fn labels_may_be_words_or_numbers_without_names_and_images_in_colour() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &[Some(png(1)), Some(png_in_colour())], Column::Words(&["dog", "cat"]), None);
    let loaded = load_from(&path, LoadOptions::default()).unwrap();
    assert_eq!((loaded.train.labels(), loaded.classes), (&[1, 0][..], vec!["cat".into(), "dog".to_string()]));
    assert_eq!(loaded.train.pixels().unwrap().size(), [2, 3, 2, 3]);
    assert_eq!(
        [0, 1, 2].map(|channel| loaded.train.pixels().unwrap().int64_value(&[1, channel, 0, 0])),
        [1, 2, 3]
    );
    write(&path, &[Some(png(1)), Some(png(2))], Column::Numbers(&[1, 2]), None);
    assert_eq!(load_from(&path, LoadOptions::default()).unwrap().classes, ["1", "2"]);
}

#[test]
fn images_that_cannot_be_used_are_errors_or_left_out() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    let images = [Some(png(1)), None, Some(png(2)), Some(b"no picture".to_vec())];
    write(&path, &images, Column::Numbers(&[0, 1, 1, 0]), None);
    assert!(
        fault(&path).contains("a.parquet: row 1 (from 0): cannot be used: holds no image"),
        "{}",
        fault(&path)
    );
    let loaded = load_from(&path, LoadOptions { skips_bad: true, ..LoadOptions::default() }).unwrap();
    let row = |row: usize| format!("{}: row {row} (from 0)", path.display());
    let note = format!("2 of 4 images could not be read and are left out: {}, {}", row(1), row(3));
    assert_eq!((loaded.train.labels(), &loaded.notes[0]), (&[0, 1][..], &note));
    assert_eq!(loaded.left_out[0], format!("{}: holds no image", row(1)));
    let other_column = LoadOptions { label_column: Some("what".into()), ..LoadOptions::default() };
    let message = format!("{:#}", load_from(&path, other_column).err().unwrap());
    assert!(
        message.contains("has no label column 'what': the columns are image.bytes, image.path, label"),
        "{message}"
    );
    let not_images = LoadOptions { label_column: Some("image.path".into()), ..LoadOptions::default() };
    assert!(format!("{:#}", load_from(&path, not_images).err().unwrap()).contains("a row without a label"));
    let whole = fs::read(&path).unwrap();
    for length in [0, 3, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(fault(&path).contains("a.parquet: "), "{}", fault(&path));
    }
}

/// Once, the encoded images of all files were in memory at once.
#[test]
fn images_are_read_a_few_rows_at_a_time_in_their_order() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    let count = 100u8;
    let images: Vec<_> = (0..count).map(|grey| Some(png(grey))).collect();
    let labels: Vec<i64> = (0..count).map(|row| i64::from(row % 2)).collect();
    write(&path, &images, Column::Numbers(&labels), None);
    let loaded = load_from(&path, LoadOptions::default()).unwrap();
    assert_eq!(loaded.train.labels(), labels);
    let first: Vec<u8> = Vec::try_from(loaded.train.pixels().unwrap().select(1, 0).select(1, 0)).unwrap();
    assert_eq!(first, (0..count).collect::<Vec<u8>>());
    assert!(tables::IMAGE_ROWS < count.into());
}

#[test]
fn a_missing_label_column_is_a_fault_that_a_caller_can_act_on() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.parquet");
    write(&path, &[Some(png(1))], Column::Numbers(&[0]), None);
    let options = LoadOptions::default().label_column("what");
    let fault = load_from(&path, options).err().unwrap();
    assert!(
        matches!(fault.downcast_ref(), Some(Fault::UnknownLabelColumn { column, .. }) if column == "what")
    );
}
