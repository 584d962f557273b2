//! CSV with a label and the pixels of an image in each row, raw or gzipped, as Kaggle and others have MNIST. It
//! must not know other forms of data.

use super::pixel_rows::records;
use super::source::{Loaded, Reading};
use super::{Images, count_classes, shape_of_row};
use anyhow::{Context, Result, bail, ensure};
use csv::StringRecord;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tch::Tensor;

/// What a column of labels is called.
const LABEL_NAMES: [&str; 5] = ["label", "class", "target", "y", "digit"];

/// The training file and, if there is one, the test file of a folder.
pub(super) fn find_files(folder: &Path) -> Option<(PathBuf, Option<PathBuf>)> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let find = |side: &str| {
        let fits = |path: &&PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
            name.contains(side) && (name.ends_with(".csv") || name.ends_with(".csv.gz"))
        };
        files.iter().find(fits).cloned()
    };
    Some((find("train")?, find("test")))
}

/// Loads a file, or a folder of `train.csv` and `test.csv`.
///
/// # Errors
/// Rows that are no images of one size with a label, each with its file and line.
pub(super) fn load(path: &Path, reading: &Reading) -> Result<Loaded> {
    let (train_path, test_path) = match path.is_dir() {
        true => find_files(path).context("has no train.csv")?,
        false => (path.to_path_buf(), None),
    };
    let read = |path: &Path| {
        Rows::read(path, reading.label_column.as_deref()).with_context(|| path.display().to_string())
    };
    let train = read(&train_path)?;
    let mut notes = Vec::new();
    // As Kaggle has them, test rows are without labels: nothing can be measured on them.
    let test_path = match test_path {
        Some(path) if columns(&path)? == train.width => {
            notes.push(format!("{} has no labels and is not used", path.display()));
            None
        }
        other => other,
    };
    let test = test_path.as_deref().map(read).transpose()?;
    let classes = class_names(&train.labels);
    let number = |rows: Rows, path: &Path| -> Result<Images> {
        let labels = rows.labels.iter().enumerate().map(|(row, label)| {
            let class = classes.get(label).copied();
            class.with_context(|| {
                format!(
                    "{}: image {row} (from 0) has the label '{label}', which no training image has",
                    path.display()
                )
            })
        });
        let labels: Vec<i64> = labels.collect::<Result<_>>()?;
        let shape = [&[labels.len() as i64][..], &shape_of_row(rows.width as i64)].concat();
        Ok(Images { pixels: Tensor::f_from_slice(&rows.pixels)?.f_view(shape.as_slice())?, labels })
    };
    if let (Some(test), Some(path)) = (&test, &test_path) {
        ensure!(
            test.width == train.width,
            "{}: has {} pixels an image, but {} has {}",
            path.display(),
            test.width,
            train_path.display(),
            train.width
        );
    }
    let test = match test.zip(test_path) {
        Some((rows, path)) => Some(number(rows, &path)?),
        None => None,
    };
    let train = number(train, &train_path)?;
    debug_assert_eq!(count_classes(&train.labels), classes.len());
    let mut names: Vec<(i64, String)> = classes.into_iter().map(|(name, class)| (class, name)).collect();
    names.sort();
    let classes = names.into_iter().map(|(_, name)| name).collect();
    Ok(Loaded { train, test, classes, maximum: u8::MAX.into(), notes })
}

/// The number of columns of a file.
fn columns(path: &Path) -> Result<usize> {
    let first = records(path).and_then(|mut records| records.next().context("is empty"));
    let first = first.with_context(|| path.display().to_string())?;
    Ok(first.with_context(|| format!("{}: is not CSV", path.display()))?.len())
}

/// A number for each label: in the order of numbers where all are such, else of the alphabet.
fn class_names(labels: &[String]) -> BTreeMap<String, i64> {
    let mut names: Vec<&String> = labels.iter().collect();
    names.sort_unstable();
    names.dedup();
    let numbers: Option<Vec<i64>> = names.iter().map(|name| name.parse().ok()).collect();
    if let Some(numbers) = numbers {
        let mut numbered: Vec<_> = numbers.into_iter().zip(names).collect();
        numbered.sort_unstable();
        names = numbered.into_iter().map(|(_, name)| name).collect();
    }
    names.into_iter().enumerate().map(|(class, name)| (name.clone(), class as i64)).collect()
}

struct Rows {
    pixels: Vec<u8>,
    /// The number of pixels of an image.
    width: usize,
    labels: Vec<String>,
}

impl Rows {
    fn read(path: &Path, label_column: Option<&str>) -> Result<Rows> {
        let mut records = records(path)?;
        let first = records.next().context("is empty")?.context("is not CSV")?;
        ensure!(first.len() > 1, "line 1 has {} value; a label and pixels are needed", first.len());
        let is_name =
            |name: &str| LABEL_NAMES.contains(&name.to_lowercase().as_str()) || Some(name) == label_column;
        let words: Vec<&str> =
            first.iter().map(str::trim).filter(|cell| cell.parse::<f64>().is_err()).collect();
        // A single word may be a label as well as the name of its column, the pixels' names being numbers.
        let has_head = words.len() > 1 || words.first().is_some_and(|word| is_name(word));
        let label = find_label_column(&first, has_head, label_column)?;
        let width = first.len() - 1;
        let mut rows = Rows { pixels: Vec::new(), width, labels: Vec::new() };
        if !has_head {
            rows.push(&first, label)?;
        }
        for record in records {
            rows.push(&record.context("is not CSV")?, label)?;
        }
        ensure!(!rows.labels.is_empty(), "has no images");
        Ok(rows)
    }

    fn push(&mut self, record: &StringRecord, label_column: usize) -> Result<()> {
        let line = record.position().map_or(0, |position| position.line());
        let width = self.width;
        ensure!(record.len() == width + 1, "line {line} has {} values, not {}", record.len(), width + 1);
        for (column, text) in record.iter().enumerate() {
            let text = text.trim();
            if column == label_column {
                ensure!(!text.is_empty(), "line {line} has no label");
                self.labels.push(text.to_string());
                continue;
            }
            let Ok(value) = text.parse::<u8>() else {
                bail!(
                    "line {line}, column {}: '{}' is not a pixel value, a whole number from 0 to 255",
                    column + 1,
                    text.chars().take(40).collect::<String>()
                )
            };
            self.pixels.push(value);
        }
        Ok(())
    }
}

/// The column asked for; else one that has the name of a label; else the first, or a last one called so.
fn find_label_column(first: &StringRecord, has_head: bool, wanted: Option<&str>) -> Result<usize> {
    if let Some(wanted) = wanted {
        let by_name = || first.iter().position(|name| has_head && name.trim() == wanted);
        let by_number = || wanted.parse().ok().filter(|number| *number < first.len());
        return by_name().or_else(by_number).with_context(|| {
            format!(
                "--label-column {wanted}: is neither a name in the first line nor a number from 0 to {}",
                first.len() - 1
            )
        });
    }
    if !has_head {
        return Ok(0);
    }
    let is_label = |name: &str| LABEL_NAMES.contains(&name.trim().to_lowercase().as_str());
    let named = first.iter().position(is_label);
    named.context("has no column called label or class; --label-column tells which one has the labels")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(text: &str, label_column: Option<&str>) -> Result<Loaded> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        fs::write(&path, text).unwrap();
        load(&path, &Reading { label_column: label_column.map(str::to_string), ..Reading::default() })
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
                (loaded.train.labels, loaded.classes),
                (vec![1, 0], vec!["5".into(), "7".to_string()])
            );
            assert_eq!(loaded.train.pixels.size(), [2, 2, 2]);
            assert_eq!(
                Vec::<u8>::try_from(loaded.train.pixels.view([-1])).unwrap(),
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
        assert_eq!(load_text(&pixels(12), None).unwrap().train.pixels.size(), [1, 3, 2, 2]);
        assert_eq!(load_text(&pixels(5), None).unwrap().train.pixels.size(), [1, 5]);
    }

    #[test]
    fn wrong_rows_are_told_by_file_and_line() {
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
        assert!(fault("1,2,3\n", Some("3")).contains("--label-column 3: is neither"));
    }

    #[test]
    fn a_folder_has_a_file_for_training_and_one_for_the_test() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mnist_train.csv"), "label,a\nx,1\ny,2\n").unwrap();
        let write_test = |text: &str| fs::write(folder.path().join("mnist_test.csv"), text).unwrap();
        write_test("label,a\ny,3\n");
        let loaded = load(folder.path(), &Reading::default()).unwrap();
        assert_eq!(loaded.test.unwrap().labels, [1]);
        let fault = || format!("{:#}", load(folder.path(), &Reading::default()).err().unwrap());
        write_test("label,a\nz,3\n");
        assert!(
            fault()
                .contains("mnist_test.csv: image 0 (from 0) has the label 'z', which no training image has")
        );
        write_test("a\n3\n4\n");
        let loaded = load(folder.path(), &Reading::default()).unwrap();
        assert!(loaded.test.is_none() && loaded.notes[0].contains("has no labels and is not used"));
        write_test("label,a,b\nx,3,4\n");
        assert!(fault().contains("has 2 pixels an image, but"));
    }
}
