//! CSV with a label and the pixels of an image in each row, raw or gzipped, as Kaggle and others have MNIST.

use super::reader::{FolderForm, Reader};
use crate::data::cache::{self, Key, Manifest, ValueKind, Writer};
use crate::data::csv_inputs::{pixel_value, records};
use crate::data::images::shape_of_row;
use crate::data::label_encoding::{LABEL_NAMES, LabelIndex};
use crate::data::load_options::{LoadOptions, OnProgress};
use crate::data::raw_dataset::{RawDataset, Split};
use crate::data::{Fault, Progress};
use anyhow::{Context, Result, ensure};
use csv::{StringRecord, StringRecordsIntoIter};
use std::fs;
use std::io::Read;
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

/// The files of a folder by their splits; none without one to train with.
fn find_files(folder: &Path) -> Option<Vec<(Split, PathBuf)>> {
    let entries = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    let find = |split: Split| {
        let fits = |path: &&PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            Split::of_name(&name) == Some(split) && (name.ends_with(".csv") || name.ends_with(".csv.gz"))
        };
        files.iter().find(fits).map(|path| (split, path.clone()))
    };
    let found: Vec<_> = Split::ALL.into_iter().filter_map(find).collect();
    found.first().is_some_and(|(split, _)| *split == Split::Train).then_some(found)
}

/// Loads a file, or a folder of `train.csv`, `test.csv` and `validation.csv`, from the cache if they were
/// read before.
///
/// # Errors
/// Rows that are not images of one size with a label, each with its file and line.
fn load(path: &Path, options: &LoadOptions, progress: OnProgress) -> Result<RawDataset> {
    let files = match path.is_dir() {
        true => find_files(path).with_context(|| format!("{}: has no train.csv", path.display()))?,
        false => vec![(Split::Train, path.to_path_buf())],
    };
    let column = options.label_column.as_deref();
    let mut key = Key::new(path, "csv", &[("label_column", column.unwrap_or_default().to_string())]);
    files.iter().try_for_each(|(_, path)| key.add(path))?;
    cache::load(&options.folder()?, key, progress, |writer, progress| {
        let manifest = read(&files, column, writer, progress);
        progress(Progress::Finished);
        manifest
    })
}

fn read(
    files: &[(Split, PathBuf)],
    label_column: Option<&str>,
    writer: &mut Writer,
    progress: OnProgress,
) -> Result<Manifest> {
    let mut notes = Vec::new();
    let mut words = LabelIndex::default();
    let mut done = 0;
    for (split, path) in files {
        let file = || path.display().to_string();
        let rows = Rows::open(path, label_column).with_context(file)?;
        let of_train = writer.shape().iter().product::<u32>() as usize;
        // Kaggle's test rows have no labels: nothing can be measured on them.
        if *split != Split::Train && rows.has_no_labels(of_train) {
            notes.push(format!("{} has no labels and is not used", path.display()));
            continue;
        }
        let rows = rows.with_labels(label_column).with_context(file)?;
        let width = rows.width;
        if *split == Split::Train {
            let shape: Vec<usize> = shape_of_row(width as i64).iter().map(|&size| size as usize).collect();
            writer.begin(&shape, ValueKind::Uint8);
        }
        ensure!(
            *split == Split::Train || width == of_train,
            "{}: has {width} pixels an image, but {} has {of_train}",
            path.display(),
            files[0].1.display()
        );
        let known = words.len() as i64;
        rows.read(&mut |label, pixels| {
            let index = words.of(label);
            ensure!(
                *split == Split::Train || index < known,
                "image {} (from 0) has the label '{label}', which no training image has",
                writer.count(*split)
            );
            done += 1;
            if done % REPORTED_EVERY == 0 {
                progress(Progress::Decoded { images: done, of: None });
            }
            writer.push(*split, pixels, index)
        })
        .with_context(file)?;
        ensure!(writer.count(*split) > 0, "{}: has no images", path.display());
    }
    let (classes, class_of) = words.classes();
    writer.relabel(&class_of);
    Ok(Manifest { classes, notes })
}

/// The rows of a file, the first of which has been read.
struct Rows {
    first: StringRecord,
    has_head: bool,
    rest: StringRecordsIntoIter<Box<dyn Read>>,
}

impl Rows {
    fn open(path: &Path, label_column: Option<&str>) -> Result<Rows> {
        let mut records = records(path)?;
        let first = records.next().context("is empty")?.context("is not CSV")?;
        let is_name =
            |name: &str| LABEL_NAMES.contains(&name.to_lowercase().as_str()) || Some(name) == label_column;
        let words: Vec<&str> =
            first.iter().map(str::trim).filter(|cell| cell.parse::<f64>().is_err()).collect();
        // A single word may be a label as well as the name of its column, the pixels' names being numbers.
        let has_head = words.len() > 1 || words.first().is_some_and(|word| is_name(word));
        Ok(Rows { first, has_head, rest: records })
    }

    /// Whether each row is as long as an image without its label.
    fn has_no_labels(&self, pixels: usize) -> bool {
        self.first.len() == pixels
    }

    fn with_labels(self, label_column: Option<&str>) -> Result<LabelledRows> {
        let values = self.first.len();
        ensure!(values > 1, "line 1 has {values} value; a label and pixels are needed");
        let label_column = find_label_column(&self.first, self.has_head, label_column)?;
        Ok(LabelledRows { rows: self, label_column, width: values - 1 })
    }
}

/// Rows with a column of labels.
struct LabelledRows {
    rows: Rows,
    label_column: usize,
    /// The number of pixels of an image.
    width: usize,
}

impl LabelledRows {
    /// Gives the label and the pixels of each row.
    fn read(self, take: &mut dyn FnMut(&str, &[u8]) -> Result<()>) -> Result<()> {
        let LabelledRows { rows: Rows { first, has_head, rest }, label_column, width } = self;
        let mut pixels = Vec::with_capacity(width);
        let first = (!has_head).then_some(Ok(first));
        for record in first.into_iter().chain(rest) {
            let record = record.context("is not CSV")?;
            let line = record.position().map_or(0, |position| position.line());
            ensure!(record.len() == width + 1, "line {line} has {} values, not {}", record.len(), width + 1);
            pixels.clear();
            for (column, text) in record.iter().enumerate().filter(|(column, _)| *column != label_column) {
                pixels.push(pixel_value(text, u8::MAX.into(), line, column)?);
            }
            let label = record[label_column].trim();
            ensure!(!label.is_empty(), "line {line} has no label");
            take(label, &pixels)?;
        }
        Ok(())
    }
}

/// The column asked for; else one that has the name of a label; else the first.
fn find_label_column(first: &StringRecord, has_head: bool, asked: Option<&str>) -> Result<usize> {
    if let Some(asked) = asked {
        let by_name = || first.iter().position(|name| has_head && name.trim() == asked);
        let by_index = || asked.parse().ok().filter(|index| *index < first.len());
        return Ok(by_name().or_else(by_index).ok_or_else(|| Fault::UnknownLabelColumn {
            column: asked.to_string(),
            expected: format!(
                "that is neither a name in the first line nor an index from 0 to {}",
                first.len() - 1
            ),
        })?);
    }
    if !has_head {
        return Ok(0);
    }
    let is_label = |name: &str| LABEL_NAMES.contains(&name.trim().to_lowercase().as_str());
    Ok(first.iter().position(is_label).ok_or(Fault::NoLabelColumn { columns: Vec::new() })?)
}

#[cfg(test)]
mod tests {
    use super::*;

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
            ("label,a,b\n1,2,256\n", "line 2, column 3: '256' is not a pixel value"),
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
}
