//! NumPy's `.npz` with `x_train`, `y_train` and, if there are such, `x_val`, `y_val` and `x_test`, `y_test`,
//! as Keras keeps MNIST.
//!
//! The format of an array: numpy.lib.format, version 1 to 3.

use super::reader::Reader;
use crate::data::images::max_value;
use crate::data::label_encoding::{LabelEncoding, RawLabels};
use crate::data::raw_dataset::{RawDataset, Split};
use crate::data::{Images, idx_file};
use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use tch::{Kind, Tensor};
use zip::ZipArchive;

/// A longer header, in bytes, does not describe an array of images.
const MAX_HEADER: usize = 1 << 16;

/// The name of a class is shorter.
const MAX_LETTERS: u64 = 4096;

pub(super) const READER: Reader = Reader {
    name: "NumPy archive",
    keyword: "npz",
    folder: None,
    endings: &[".npz"],
    load: |path, _, encoding, _| load(path, encoding).with_context(|| path.display().to_string()),
    shape_and_classes: None,
};

/// Loads an archive. Without an encoding, the labels say how they are counted.
///
/// # Errors
/// Arrays that are missing, damaged, of another type, or do not fit each other.
fn load(path: &Path, encoding: Option<LabelEncoding>) -> Result<RawDataset> {
    let file = File::open(path).context("cannot be opened")?;
    let mut archive = ZipArchive::new(BufReader::new(file)).context("is not a NumPy archive")?;
    let names: Vec<String> = archive.file_names().map(str::to_string).collect();
    let has = |name: &str| names.contains(&format!("{name}.npy"));
    for name in ["x_train", "y_train"] {
        ensure!(has(name), "has no array {name}; there are {}", names.join(", ").replace(".npy", ""));
    }
    let mut splits = Vec::new();
    for split in Split::ALL {
        let name = split.words().iter().find(|name| has(&format!("x_{name}")) || has(&format!("y_{name}")));
        let Some(name) = name else { continue };
        let (x, y) = (format!("x_{name}"), format!("y_{name}"));
        ensure!(has(&x) && has(&y), "has only one of {x} and {y}");
        splits.push((
            split,
            images(array(&mut archive, &x)?, &x)?,
            labels(array(&mut archive, &y)?, &y)?,
            x,
            y,
        ));
    }
    let (_, train, train_labels, ..) = &splits[0];
    let (of_train, kind) = (train.size().split_off(1), train.kind());
    let encoding = LabelEncoding::of([train_labels], encoding).context("y_train")?;
    let [mut train, mut validation, mut test] = [const { None }; 3];
    for (split, pixels, labels, x, y) in splits {
        let (shape, other) = (pixels.size().split_off(1), pixels.kind());
        ensure!(other == kind, "{x} is of type {other:?}, but x_train of {kind:?}");
        ensure!(shape == of_train, "{x} has images of {shape:?}, but x_train has {of_train:?}");
        let (count, of_labels) = (pixels.size()[0], labels.len());
        ensure!(of_labels as i64 == count, "{y} has {of_labels} labels, but {x} has {count} images");
        let images = Images::new(pixels, encoding.classes_of(&labels).context(y)?)?;
        match split {
            Split::Train => train = Some(images),
            Split::Validation => validation = Some(images),
            Split::Test => test = Some(images),
        }
    }
    let train = train.context("has no images")?;
    let maximum = max_value(&train.pixels()?)?;
    Ok(RawDataset {
        train,
        validation,
        test,
        classes: encoding.names,
        maximum,
        notes: Vec::new(),
        left_out: Vec::new(),
        table: None,
    })
}

fn images(array: Array, name: &str) -> Result<Tensor> {
    let Array::Numbers(numbers) = array else { bail!("{name} holds words, not images") };
    let pixels = idx_file::usual_axes(numbers)?;
    let shape = pixels.size();
    ensure!(
        matches!(shape.len(), 2 | 3) || (shape.len() == 4 && shape[1] == 3),
        "{name} has the shape {shape:?}; images are [n, height, width], in colour [n, height, width, 3]"
    );
    let is_finite = match pixels.kind() {
        Kind::Float | Kind::Double => pixels.f_isfinite()?.f_all()?.int64_value(&[]) != 0,
        _ => true,
    };
    ensure!(is_finite, "{name} has a value that is not a finite number");
    ensure!(pixels.numel() > 0, "{name} holds no images");
    Ok(pixels)
}

fn labels(array: Array, name: &str) -> Result<RawLabels> {
    match array {
        Array::Words(words) => Ok(RawLabels::Words(words)),
        Array::Numbers(numbers) => {
            let is_whole = !matches!(numbers.kind(), Kind::Float | Kind::Double);
            ensure!(is_whole, "{name}: labels must be whole numbers or words");
            Ok(RawLabels::Numbers(Vec::try_from(&numbers.f_reshape([-1])?.f_to_kind(Kind::Int64)?)?))
        }
    }
}

/// An array of an archive.
enum Array {
    Numbers(Tensor),
    Words(Vec<String>),
}

fn array(archive: &mut ZipArchive<BufReader<File>>, name: &str) -> Result<Array> {
    let entry = archive.by_name(&format!("{name}.npy")).context("is a damaged archive")?;
    let stated = entry.size();
    read_array(entry, stated).with_context(|| format!("array {name}"))
}

/// An array from its bytes; the archive states how many there are.
///
/// Written by hand: it trusts no header with memory and reads words, both of which tch's `read_npz` does not,
/// and the few lines of header parsing spare a dependency.
fn read_array(mut bytes: impl Read, stated: u64) -> Result<Array> {
    let mut start = [0; 8];
    bytes.read_exact(&mut start).context("is cut short")?;
    ensure!(start.starts_with(b"\x93NUMPY"), "is not in NumPy's format");
    let length = match start[6] {
        1 => {
            let mut length = [0; 2];
            bytes.read_exact(&mut length).context("is cut short")?;
            u16::from_le_bytes(length) as usize
        }
        _ => {
            let mut length = [0; 4];
            bytes.read_exact(&mut length).context("is cut short")?;
            u32::from_le_bytes(length) as usize
        }
    };
    ensure!(length <= MAX_HEADER, "has a header of {length} bytes");
    let mut header = vec![0; length];
    bytes.read_exact(&mut header).context("is cut short")?;
    let header = String::from_utf8_lossy(&header).into_owned();
    let (kind, size) = kind_of(value_of(&header, "descr")?)?;
    let is_transposed = value_of(&header, "fortran_order")?.starts_with("True");
    let mut shape = shape_of(value_of(&header, "shape")?)?;
    let count = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size as u64));
    let expected = count.and_then(|count| count.checked_mul(size)).filter(|&bytes| bytes <= stated);
    let expected =
        expected.with_context(|| format!("states the shape {shape:?}, more than the file holds"))?;
    let mut values = Vec::new();
    bytes.take(expected + 1).read_to_end(&mut values).context("is damaged")?;
    ensure!(values.len() as u64 == expected, "has {} bytes of values, not {expected}", values.len());
    let Some(kind) = kind else { return Ok(Array::Words(words(&values, size as usize)?)) };
    if !is_transposed {
        return Ok(Array::Numbers(Tensor::f_from_data_size(&values, &shape, kind)?));
    }
    shape.reverse();
    let axes: Vec<i64> = (0..shape.len() as i64).rev().collect();
    Ok(Array::Numbers(Tensor::f_from_data_size(&values, &shape, kind)?.f_permute(axes)?.f_contiguous()?))
}

/// Words of `size` bytes each, four to a letter.
fn words(bytes: &[u8], size: usize) -> Result<Vec<String>> {
    let letter = |bytes: &[u8; 4]| char::from_u32(u32::from_le_bytes(*bytes));
    let word = |bytes: &[u8]| bytes.as_chunks().0.iter().map(letter).collect::<Option<String>>();
    let words: Option<Vec<String>> = bytes.chunks(size).map(word).collect();
    let words = words.context("has a letter that is not Unicode")?;
    Ok(words.iter().map(|word| word.trim_end_matches('\0').to_string()).collect())
}

/// What follows a name in the header, a Python dictionary.
fn value_of<'a>(header: &'a str, name: &str) -> Result<&'a str> {
    let behind = header.split_once(&format!("'{name}':")).map(|(_, behind)| behind.trim_start());
    behind.with_context(|| format!("has no {name} in its header"))
}

/// The type of the values, none for words, and their size in bytes.
fn kind_of(descr: &str) -> Result<(Option<Kind>, u64)> {
    let name = descr.trim_start_matches('\'').split('\'').next().unwrap_or_default();
    let (kind, size) = match name {
        "|u1" | "u1" => (Kind::Uint8, 1),
        "|i1" | "i1" => (Kind::Int8, 1),
        "<i2" => (Kind::Int16, 2),
        "<i4" => (Kind::Int, 4),
        "<i8" => (Kind::Int64, 8),
        "<f4" => (Kind::Float, 4),
        "<f8" => (Kind::Double, 8),
        _ => {
            let letters = name.strip_prefix("<U").and_then(|letters| letters.parse::<u64>().ok());
            let letters = letters.filter(|letters| (1..=MAX_LETTERS).contains(letters));
            let letters = letters.with_context(|| {
                format!(
                    "has values of the type {name:.20}; those of u1, i1, i2, i4, i8, f4, f8 and U are read"
                )
            })?;
            return Ok((None, 4 * letters));
        }
    };
    Ok((Some(kind), size))
}

fn shape_of(text: &str) -> Result<Vec<i64>> {
    let inner = text.strip_prefix('(').and_then(|text| text.split_once(')')).map(|(inner, _)| inner);
    let inner = inner.context("has no shape in its header")?;
    let sizes = inner.split(',').map(str::trim).filter(|size| !size.is_empty());
    let sizes: Vec<i64> =
        sizes.map(str::parse).collect::<Result<_, _>>().context("has no shape in its header")?;
    ensure!(sizes.len() <= 8 && sizes.iter().all(|&size| size >= 0), "has the shape {sizes:?}");
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::FileOptions;

    /// As `numpy.lib.format` writes version 1.
    fn npy(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
        let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        while (10 + header.len() + 1) % 64 != 0 {
            header.push(' ');
        }
        header.push('\n');
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), values].concat()
    }

    fn load_arrays(arrays: &[(&str, Vec<u8>)]) -> Result<RawDataset> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, bytes) in arrays {
            writer.start_file(format!("{name}.npy"), FileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap();
        load(&path, None)
    }

    #[test]
    fn arrays_of_every_type_become_images() {
        let labels = npy("<i8", "(2,)", &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let loaded = load_arrays(&[
            ("x_train", npy("|u1", "(2, 1, 2)", &[1, 2, 3, 4])),
            ("y_train", labels.clone()),
            ("x_test", npy("|u1", "(1, 1, 2)", &[9, 9])),
            ("y_test", npy("|u1", "(1,)", &[1])),
        ])
        .unwrap();
        assert_eq!((loaded.train.labels(), loaded.test.unwrap().labels()), (&[1, 0][..], &[1][..]));
        assert_eq!((loaded.train.pixels().unwrap().size(), loaded.maximum), (vec![2, 1, 2], 255.0));
        let floats: Vec<u8> = [0.5f32, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let loaded =
            load_arrays(&[("x_train", npy("<f4", "(2, 1)", &floats)), ("y_train", labels.clone())]).unwrap();
        assert_eq!((loaded.maximum, loaded.test.is_none()), (2.0, true));
        let colour: Vec<u8> = (0..12).collect();
        let loaded =
            load_arrays(&[("x_train", npy("|u1", "(2, 1, 2, 3)", &colour)), ("y_train", labels)]).unwrap();
        assert_eq!(loaded.train.pixels().unwrap().size(), [2, 3, 1, 2]);
        assert_eq!(
            Vec::<u8>::try_from(loaded.train.pixels().unwrap().get(0).view([-1])).unwrap(),
            [0, 3, 1, 4, 2, 5]
        );
    }

    /// As NumPy has words: four bytes a letter, filled up with zeros.
    fn words(words: &[&str]) -> Vec<u8> {
        let letters = words.iter().flat_map(|word| word.chars().chain("\0\0\0".chars()).take(3));
        npy(
            "<U3",
            &format!("({},)", words.len()),
            &letters.flat_map(|l| (l as u32).to_le_bytes()).collect::<Vec<_>>(),
        )
    }

    #[test]
    fn labels_may_be_words_and_there_may_be_a_validation_set() {
        let x = npy("|u1", "(2, 2)", &[1, 2, 3, 4]);
        let loaded = load_arrays(&[
            ("x_train", x.clone()),
            ("y_train", words(&["dog", "a"])),
            ("x_val", x.clone()),
            ("y_val", words(&["a", "a"])),
        ])
        .unwrap();
        assert_eq!(loaded.classes, ["a", "dog"]);
        assert_eq!((loaded.train.labels(), loaded.validation.unwrap().labels()), (&[1, 0][..], &[0, 0][..]));
        let fault = |y_test: Vec<u8>| {
            let arrays = [
                ("x_train", x.clone()),
                ("y_train", words(&["b", "a"])),
                ("x_test", x.clone()),
                ("y_test", y_test),
            ];
            format!("{:#}", load_arrays(&arrays).err().unwrap())
        };
        assert!(fault(words(&["a", "c"])).contains("y_test: image 1 (from 0) has the label 'c'"));
        assert!(
            fault(npy("|u1", "(2,)", &[0, 1]))
                .contains("y_test: has words for labels where others are numbers")
        );
        let from_1 =
            load_arrays(&[("x_train", x.clone()), ("y_train", npy("|u1", "(2,)", &[2, 1]))]).unwrap();
        assert_eq!((from_1.train.labels(), from_1.classes), (&[1, 0][..], vec!["1".into(), "2".to_string()]));
        let gap = load_arrays(&[("x_train", x), ("y_train", npy("|u1", "(2,)", &[0, 2]))]);
        assert!(format!("{:#}", gap.err().unwrap()).contains("y_train: label 2 (of image 1"));
    }

    #[test]
    fn arrays_in_the_order_of_fortran_are_turned() {
        let mut x = npy("|u1", "(2, 3)", &[1, 4, 2, 5, 3, 6]);
        let at = x.windows(5).position(|part| part == b"False").unwrap();
        x.splice(at..at + 5, *b"True ");
        let loaded = load_arrays(&[("x_train", x), ("y_train", npy("|u1", "(2,)", &[0, 1]))]).unwrap();
        assert_eq!(
            Vec::<u8>::try_from(loaded.train.pixels().unwrap().view([-1])).unwrap(),
            [1, 2, 3, 4, 5, 6]
        );
    }

    #[test]
    fn errors_name_the_wrong_array() {
        let fault = |x: Vec<u8>, y: Vec<u8>| {
            format!("{:#}", load_arrays(&[("x_train", x), ("y_train", y)]).err().unwrap())
        };
        let (x, y) = (npy("|u1", "(2, 2)", &[1, 2, 3, 4]), npy("|u1", "(2,)", &[0, 1]));
        assert!(load_arrays(&[("x_train", x.clone()), ("y_train", y.clone())]).is_ok());
        assert!(
            format!("{:#}", load_arrays(&[("x", x.clone())]).err().unwrap())
                .contains("no array x_train; there are x")
        );
        assert!(fault(b"hello".to_vec(), y.clone()).contains("array x_train: is cut short"));
        assert!(fault(b"hello, world".to_vec(), y.clone()).contains("not in NumPy's format"));
        assert!(
            fault(npy("|u1", "(99999999999, 99999999)", &[1]), y.clone())
                .contains("more than the file holds")
        );
        assert!(fault(npy("|u1", "(2, 2)", &[1, 2, 3]), y.clone()).contains("array x_train"));
        assert!(
            fault(npy("|u1", "(2,)", &[1, 2]), y.clone()).contains("x_train has the shape [2]; images are")
        );
        assert!(
            fault(npy("|u1", "(1, 2, 1, 2)", &[1, 2, 3, 4]), y.clone()).contains("x_train has the shape")
        );
        let not_finite = npy("<f4", "(1, 1)", &f32::NAN.to_le_bytes());
        assert!(fault(not_finite, y.clone()).contains("not a finite number"));
        assert!(fault(npy("|O", "(2, 2)", &[1, 2, 3, 4]), y.clone()).contains("values of the type |O"));
        assert!(fault(npy("|u1", "(0, 2)", &[]), npy("|u1", "(0,)", &[])).contains("holds no images"));
        assert!(
            fault(x.clone(), npy("|u1", "(3,)", &[0, 1, 1]))
                .contains("y_train has 3 labels, but x_train has 2")
        );
        assert!(fault(x, npy("<f4", "(1,)", &[0, 0, 0, 0])).contains("labels must be whole numbers"));
    }
}
