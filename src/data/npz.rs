//! NumPy's `.npz` with `x_train`, `y_train` and, for a test set, `x_test`, `y_test`, as Keras keeps MNIST. It must
//! not know other forms of data.
//!
//! The format of an array: numpy.lib.format, version 1 and 2.

use super::source::Loaded;
use super::{Images, count_classes, greatest_value, idx};
use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use tch::{Kind, Tensor};
use zip::ZipArchive;

/// A header longer than this describes no array of images.
const LONGEST_HEADER: usize = 1 << 16;

/// Loads an archive.
///
/// # Errors
/// Arrays that are missing, damaged, of another type, or do not fit each other.
pub(super) fn load(path: &Path) -> Result<Loaded> {
    let file = File::open(path).context("cannot be opened")?;
    let mut archive = ZipArchive::new(BufReader::new(file)).context("is no NumPy archive")?;
    let names: Vec<String> =
        archive.file_names().map(|name| Ok(name?.into_owned())).collect::<Result<_>>()?;
    let has = |name: &str| names.contains(&format!("{name}.npy"));
    for name in ["x_train", "y_train"] {
        ensure!(has(name), "has no array {name}; there are {}", names.join(", ").replace(".npy", ""));
    }
    let mut side = |x: &str, y: &str| -> Result<Images> {
        let pixels = idx::usual_axes(array(&mut archive, x)?)?;
        let labels = array(&mut archive, y)?.f_reshape([-1])?;
        ensure!(!matches!(labels.kind(), Kind::Float | Kind::Double), "{y}: labels must be whole numbers");
        let labels = Vec::<i64>::try_from(labels.f_to_kind(Kind::Int64)?)?;
        let shape = pixels.size();
        ensure!(
            matches!(shape.len(), 2 | 3) || (shape.len() == 4 && shape[1] == 3),
            "{x} has the shape {shape:?}; images are [n, height, width], in colour [n, height, width, 3]"
        );
        let count = shape[0];
        let is_finite = match pixels.kind() {
            Kind::Float | Kind::Double => pixels.f_isfinite()?.f_all()?.int64_value(&[]) != 0,
            _ => true,
        };
        ensure!(is_finite, "{x} has a value that is no finite number");
        ensure!(count > 0 && pixels.numel() > 0, "{x} holds no images");
        ensure!(labels.len() as i64 == count, "{y} has {} labels, but {x} has {count} images", labels.len());
        if let Some(label) = labels.iter().find(|label| !(0..1 << 16).contains(*label)) {
            bail!("{y}: the label {label} is no class");
        }
        Ok(Images { pixels, labels })
    };
    let train = side("x_train", "y_train")?;
    ensure!(has("x_test") == has("y_test"), "has only one of x_test and y_test");
    let test = if has("x_test") { Some(side("x_test", "y_test")?) } else { None };
    let classes = count_classes(&train.labels);
    if let Some(test) = &test {
        let (of_train, of_test) = (train.pixels.size().split_off(1), test.pixels.size().split_off(1));
        let (kind, other) = (train.pixels.kind(), test.pixels.kind());
        ensure!(kind == other, "x_test is of type {other:?}, but x_train of {kind:?}");
        ensure!(of_train == of_test, "x_test has images of {of_test:?}, but x_train has {of_train:?}");
        ensure!(
            count_classes(&test.labels) <= classes,
            "y_test has the label {}, which y_train has not",
            count_classes(&test.labels) - 1
        );
    }
    let maximum = greatest_value(&train)?;
    let classes = (0..classes).map(|class| class.to_string()).collect();
    Ok(Loaded { train, test, classes, maximum, notes: Vec::new() })
}

fn array(archive: &mut ZipArchive<BufReader<File>>, name: &str) -> Result<Tensor> {
    let entry = archive.by_name(&format!("{name}.npy")).context("is a damaged archive")?;
    let stated = entry.size();
    read_array(entry, stated).with_context(|| format!("array {name}"))
}

/// An array from its bytes, of which there are said to be so many.
fn read_array(mut bytes: impl Read, stated: u64) -> Result<Tensor> {
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
    ensure!(length <= LONGEST_HEADER, "has a header of {length} bytes");
    let mut header = vec![0; length];
    bytes.read_exact(&mut header).context("is cut short")?;
    let header = String::from_utf8_lossy(&header).into_owned();
    let (kind, size) = kind_of(value_of(&header, "descr")?)?;
    ensure!(value_of(&header, "fortran_order")?.starts_with("False"), "is in Fortran's order");
    let shape = shape_of(value_of(&header, "shape")?)?;
    let count = shape.iter().try_fold(1u64, |product, &side| product.checked_mul(side as u64));
    let expected = count.and_then(|count| count.checked_mul(size)).filter(|&bytes| bytes <= stated);
    let expected =
        expected.with_context(|| format!("states the shape {shape:?}, more than the file holds"))?;
    let mut values = Vec::new();
    bytes.take(expected + 1).read_to_end(&mut values).context("is damaged")?;
    ensure!(values.len() as u64 == expected, "has {} bytes of values, not {expected}", values.len());
    Ok(Tensor::f_from_data_size(&values, &shape, kind)?)
}

/// What stands behind a name in the header, which is a dictionary of Python.
fn value_of<'a>(header: &'a str, name: &str) -> Result<&'a str> {
    let behind = header.split_once(&format!("'{name}':")).map(|(_, behind)| behind.trim_start());
    behind.with_context(|| format!("has no {name} in its header"))
}

/// The type of the values and their size in bytes.
fn kind_of(descr: &str) -> Result<(Kind, u64)> {
    let name = descr.trim_start_matches('\'').split('\'').next().unwrap_or_default();
    Ok(match name {
        "|u1" | "u1" => (Kind::Uint8, 1),
        "|i1" | "i1" => (Kind::Int8, 1),
        "<i2" => (Kind::Int16, 2),
        "<i4" => (Kind::Int, 4),
        "<i8" => (Kind::Int64, 8),
        "<f4" => (Kind::Float, 4),
        "<f8" => (Kind::Double, 8),
        _ => bail!("has values of the type {name:.20}; those of u1, i1, i2, i4, i8, f4 and f8 are read"),
    })
}

fn shape_of(text: &str) -> Result<Vec<i64>> {
    let inner = text.strip_prefix('(').and_then(|text| text.split_once(')')).map(|(inner, _)| inner);
    let inner = inner.context("has no shape in its header")?;
    let sides = inner.split(',').map(str::trim).filter(|side| !side.is_empty());
    let sides: Vec<i64> =
        sides.map(str::parse).collect::<Result<_, _>>().context("has no shape in its header")?;
    ensure!(sides.len() <= 8 && sides.iter().all(|&side| side >= 0), "has the shape {sides:?}");
    Ok(sides)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use zip::write::SimpleFileOptions;

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

    fn load_arrays(arrays: &[(&str, Vec<u8>)]) -> Result<Loaded> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, bytes) in arrays {
            writer.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap();
        load(&path)
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
        assert_eq!((loaded.train.labels, loaded.test.unwrap().labels), (vec![1, 0], vec![1]));
        assert_eq!((loaded.train.pixels.size(), loaded.maximum), (vec![2, 1, 2], 255.0));
        let floats: Vec<u8> = [0.5f32, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let loaded =
            load_arrays(&[("x_train", npy("<f4", "(2, 1)", &floats)), ("y_train", labels.clone())]).unwrap();
        assert_eq!((loaded.maximum, loaded.test.is_none()), (2.0, true));
        let colour: Vec<u8> = (0..12).collect();
        let loaded =
            load_arrays(&[("x_train", npy("|u1", "(2, 1, 2, 3)", &colour)), ("y_train", labels)]).unwrap();
        assert_eq!(loaded.train.pixels.size(), [2, 3, 1, 2]);
        assert_eq!(Vec::<u8>::try_from(loaded.train.pixels.get(0).view([-1])).unwrap(), [0, 3, 1, 4, 2, 5]);
    }

    #[test]
    fn wrong_arrays_are_told() {
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
        assert!(fault(not_finite, y.clone()).contains("no finite number"));
        assert!(fault(npy("|O", "(2, 2)", &[1, 2, 3, 4]), y.clone()).contains("values of the type |O"));
        assert!(fault(npy("|u1", "(0, 2)", &[]), npy("|u1", "(0,)", &[])).contains("holds no images"));
        assert!(
            fault(x.clone(), npy("|u1", "(3,)", &[0, 1, 1]))
                .contains("y_train has 3 labels, but x_train has 2")
        );
        assert!(fault(x, npy("<f4", "(1,)", &[0, 0, 0, 0])).contains("labels must be whole numbers"));
    }
}
