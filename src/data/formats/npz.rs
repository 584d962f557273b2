//! NumPy's `.npz` with images and their labels: `x_train`, `y_train` and, if there are such, `x_val`, `y_val`
//! and `x_test`, `y_test`, as Keras keeps MNIST, or other names that say as much.

mod array;
mod names;

use super::reader::Reader;
use crate::data::images::MappedFile;
use crate::data::label_array;
use crate::data::label_encoding::{LabelEncoding, RawLabels};
use crate::data::load_options::LoadOptions;
use crate::data::raw_dataset::{RawDataset, Split};
use crate::data::scaling::Range;
use crate::data::{Images, idx_file};
use crate::files::FileStamp;
use anyhow::{Context, Result, bail, ensure};
use array::{Array, Header};
use names::{Described, Pair, pairs, unused};
use std::fs::File;
use std::io::{BufReader, copy, sink};
use std::path::Path;
use tch::{Device, Kind, Tensor};
use zip::{CompressionMethod, ZipArchive};

/// Smaller arrays are read, not mapped.
const MIN_MAPPED_BYTES: u64 = 1 << 14;
/// DEFLATE cannot expand its input by more than this (RFC 1951: 258 bytes for two bits, rounded up).
const MAX_EXPANSION: u64 = 1040;

pub(super) const READER: Reader = Reader {
    name: "NumPy archive",
    keyword: "npz",
    folder: None,
    endings: &[".npz"],
    can_group: |_| false,
    load: |path, options, encoding, _| {
        load(path, options, encoding).with_context(|| path.display().to_string())
    },
    shape_and_classes: None,
};

/// Loads an archive. Without an encoding, the labels say how they are counted.
///
/// # Errors
/// Arrays that are missing, damaged, of another type, or do not fit each other.
fn load(path: &Path, options: &LoadOptions, encoding: Option<LabelEncoding>) -> Result<RawDataset> {
    let mut archive = Archive::open(path)?;
    let arrays = archive.described();
    let pairs = pairs(&arrays, options.label_column.as_deref())?;
    let mut notes = Vec::from_iter(unused(&arrays, &pairs));
    let train_name = pairs[0].images.clone();
    let mut splits = Vec::new();
    for Pair { split, images: x, labels: y } in pairs {
        let labels = labels(archive.array(&y)?, &y)?;
        if split != Split::Train && labels.are_secret() {
            notes.push(format!("{y} has no labels: {x} is not used"));
            continue;
        }
        let (pixels, mapped_from) = images(archive.images(&x)?, &x)?;
        check_finite(&pixels).with_context(|| x.clone())?;
        splits.push((split, pixels, mapped_from, labels, x, y));
    }
    let (_, train, _, train_labels, _, train_labels_name) = &splits[0];
    let (of_train, kind) = (train.size().split_off(1), train.kind());
    let encoding = LabelEncoding::of([train_labels], encoding).with_context(|| train_labels_name.clone())?;
    let [mut train, mut validation, mut test] = [const { None }; 3];
    for (split, pixels, mapped_from, labels, x, y) in splits {
        let (shape, other) = (pixels.size().split_off(1), pixels.kind());
        ensure!(other == kind, "{x} is of type {other:?}, but {train_name} of {kind:?}");
        ensure!(shape == of_train, "{x} has images of {shape:?}, but {train_name} has {of_train:?}");
        let (count, of_labels) = (pixels.size()[0], labels.len());
        ensure!(of_labels as i64 == count, "{y} has {of_labels} labels, but {x} has {count} images");
        let images = Images::new(pixels, encoding.classes_of(&labels).context(y)?)?.mapped_from(mapped_from);
        match split {
            Split::Train => train = Some(images),
            Split::Validation => validation = Some(images),
            Split::Test => test = Some(images),
        }
    }
    let train = train.context("has no images")?;
    notes.extend(encoding.note());
    let classes = encoding.names;
    Ok(RawDataset { train, validation, test, classes, notes, left_out: Vec::new(), table: None })
}

/// An open archive.
struct Archive<'a> {
    path: &'a Path,
    stamp: FileStamp,
    zip: ZipArchive<BufReader<File>>,
}

/// Numbers, and the file if they are mapped from it.
type Mapped = (Tensor, Option<MappedFile>);

impl Archive<'_> {
    fn open(path: &Path) -> Result<Archive<'_>> {
        let stamp = FileStamp::of(path)?;
        let file = File::open(path).context("cannot be opened")?;
        let zip = ZipArchive::new(BufReader::new(file)).context("is not a NumPy archive")?;
        Ok(Archive { path, stamp, zip })
    }

    /// The arrays with what their headers say.
    fn described(&mut self) -> Vec<Described> {
        let names: Vec<String> = self.zip.file_names().map(str::to_string).collect();
        let mut names: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(".npy")).collect();
        names.sort_unstable();
        let mut describe = |name: &str| {
            let header = self.zip.by_name(&format!("{name}.npy")).ok();
            let header = header.and_then(|mut entry| Header::read(&mut entry).ok());
            Described { name: name.to_string(), header }
        };
        names.into_iter().map(&mut describe).collect()
    }

    fn array(&mut self, name: &str) -> Result<Array> {
        let mut entry = self.zip.by_name(&format!("{name}.npy")).context("is a damaged archive")?;
        // What the archive states is not believed either.
        let limit = entry.size().min(entry.compressed_size().saturating_mul(MAX_EXPANSION));
        let header = Header::read(&mut entry);
        header.and_then(|header| header.read_values(entry, limit)).with_context(|| format!("array {name}"))
    }

    /// The array of that name; mapped if it lies in the file as it would in memory.
    fn images(&mut self, name: &str) -> Result<Mapped> {
        if let Some(mapped) = self.map(name).with_context(|| format!("array {name}"))? {
            return Ok(mapped);
        }
        match self.array(name)? {
            Array::Numbers(numbers) => Ok((numbers, None)),
            Array::Words(_) => bail!("{name} holds words, not images"),
        }
    }

    fn map(&mut self, name: &str) -> Result<Option<Mapped>> {
        let mut entry = self.zip.by_name(&format!("{name}.npy")).context("is a damaged archive")?;
        let Some(path) = self.path.to_str() else { return Ok(None) };
        if entry.compression() != CompressionMethod::Stored || entry.size() < MIN_MAPPED_BYTES {
            return Ok(None);
        }
        let (start, limit) = (entry.data_start(), entry.size());
        let header = Header::read(&mut entry)?;
        if !header.is_plain() {
            return Ok(None);
        }
        let length = header.values_length(limit.saturating_sub(header.length))?;
        // The whole of it is read once, which compares its checksum.
        let left = copy(&mut entry, &mut sink()).context("is damaged")?;
        ensure!(left == length, "has {left} bytes of values, not {length}");
        let end = start + header.length + length;
        let whole = Tensor::f_from_file(path, false, end as i64, (Kind::Uint8, Device::Cpu));
        let whole = whole.context("cannot be mapped into memory")?;
        let values = whole.f_narrow(0, (end - length) as i64, length as i64)?;
        let file = MappedFile { path: self.path.to_path_buf(), stamp: self.stamp.clone() };
        Ok(Some((values.f_view(header.shape.as_slice())?, Some(file))))
    }
}

/// Images with their usual axes.
fn images((numbers, mapped_from): Mapped, name: &str) -> Result<Mapped> {
    let stored = numbers.size();
    let pixels = idx_file::usual_axes(idx_file::on_white(numbers).with_context(|| name.to_string())?)?;
    let shape = pixels.size();
    ensure!(
        matches!(shape.len(), 2 | 3) || (shape.len() == 4 && shape[1] == 3),
        "{name} has the shape {stored:?}; images are [n, height, width], in colour [n, height, width, 3] or \
         [n, 3, height, width]{}",
        if stored.len() == 4 && [1, 3].contains(&stored[2]) {
            ": the number of images comes first (np.moveaxis(x, -1, 0))"
        } else {
            ""
        }
    );
    ensure!(pixels.numel() > 0, "{name} holds no images");
    // Channels that came last were moved, in memory.
    let is_as_stored = stored.len() < 4 || (stored[1] == 3 && stored[3] != 3) || pixels.dim() < 4;
    Ok((pixels, mapped_from.filter(|_| is_as_stored)))
}

fn check_finite(pixels: &Tensor) -> Result<()> {
    if matches!(pixels.kind(), Kind::Float | Kind::Double) {
        Range::of(&Images::new(pixels.shallow_clone(), vec![0; pixels.size()[0] as usize])?)?;
    }
    Ok(())
}

fn labels(array: Array, name: &str) -> Result<RawLabels> {
    match array {
        Array::Words(words) => {
            let words: Vec<String> = words.iter().map(|word| word.trim().to_string()).collect();
            if let Some(row) = words.iter().position(String::is_empty) {
                bail!("{name} has no label for image {row} (from 0)");
            }
            Ok(RawLabels::Words(words))
        }
        Array::Numbers(numbers) => {
            Ok(RawLabels::Numbers(label_array::numbers(&numbers).with_context(|| name.to_string())?))
        }
    }
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
        load(&path, &LoadOptions::default(), None)
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
        assert_eq!(loaded.train.pixels().unwrap().size(), [2, 1, 2]);
        let floats: Vec<u8> = [0.5f32, -2.0].iter().flat_map(|value| value.to_le_bytes()).collect();
        let loaded =
            load_arrays(&[("x_train", npy("<f4", "(2, 1)", &floats)), ("y_train", labels.clone())]).unwrap();
        assert_eq!((loaded.train.kind(), loaded.test.is_none()), (Kind::Float, true));
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
        let gap = load_arrays(&[("x_train", x), ("y_train", npy("|u1", "(2,)", &[0, 2]))]).unwrap();
        assert_eq!((gap.classes, gap.train.labels()), (vec!["0".into(), "2".to_string()], &[0, 1][..]));
    }

    #[test]
    fn channels_may_come_first_or_last_and_may_be_four() {
        let load = |shape: &str, values: &[u8]| {
            let y = npy("|u1", "(2,)", &[0, 1]);
            let loaded = load_arrays(&[("x_train", npy("|u1", shape, values)), ("y_train", y)])?;
            let pixels = loaded.train.pixels()?;
            Ok::<_, anyhow::Error>((pixels.size(), Vec::<u8>::try_from(pixels.get(0).reshape([-1]))?))
        };
        let count = |count: u8| (0..count).collect::<Vec<u8>>();
        assert_eq!(load("(2, 3, 1, 2)", &count(12)).unwrap(), (vec![2, 3, 1, 2], count(6)));
        assert_eq!(load("(2, 1, 2, 3)", &count(12)).unwrap(), (vec![2, 3, 1, 2], vec![0, 3, 1, 4, 2, 5]));
        for shape in ["(2, 1, 2, 2)", "(2, 2, 2, 1)"] {
            assert_eq!(load(shape, &count(8)).unwrap(), (vec![2, 2, 2], count(4)));
        }
        assert_eq!(load("(2, 3, 4, 4)", &count(96)).unwrap().0, [2, 3, 4, 4]);
        // The fourth says how opaque a pixel is: it lies on white.
        let pixels = [[10, 20, 30, 255], [10, 20, 30, 0], [0, 0, 0, 128], [9, 9, 9, 255]].concat();
        let (size, values) = load("(2, 2, 2, 4)", &pixels.repeat(2)).unwrap();
        assert_eq!((size, values[..4].to_vec()), (vec![2, 3, 2, 2], vec![10, 255, 127, 9]));
        assert_eq!(load("(2, 4, 1, 2)", &count(16)).unwrap().0, [2, 3, 1, 2]);
        let fault = |shape: &str, values: &[u8]| format!("{:#}", load(shape, values).unwrap_err());
        assert!(fault("(2, 2, 3, 2)", &count(24)).contains("the number of images comes first"));
        assert!(fault("(2, 2, 2, 2)", &count(16)).contains("x_train has the shape [2, 2, 2, 2]"));
    }

    /// What is not compressed stays in the file.
    #[test]
    fn large_arrays_of_bytes_are_mapped_and_their_checksum_is_compared() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let values: Vec<u8> = (0..40_000u32).map(|value| (value % 251) as u8).collect();
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, bytes) in
            [("x", npy("|u1", "(4, 100, 100)", &values)), ("y", npy("|u1", "(4,)", &[0, 1, 0, 1]))]
        {
            let stored = FileOptions::default().compression_method(CompressionMethod::Stored);
            writer.start_file(format!("{name}.npy"), stored).unwrap();
            writer.write_all(&bytes).unwrap();
        }
        writer.finish().unwrap();
        let loaded = load(&path, &LoadOptions::default(), None).unwrap();
        assert_eq!(Vec::<u8>::try_from(loaded.train.pixels().unwrap().view([-1])).unwrap(), values);
        assert!(loaded.train.changed_file().is_none());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[20_000] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(loaded.train.changed_file().is_some(), "it is mapped");
        let fault = format!("{:#}", load(&path, &LoadOptions::default(), None).err().unwrap());
        assert!(fault.contains("array x: is damaged"), "{fault}");
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
        assert!(fault(x, npy("<f4", "(1,)", &0.5f32.to_le_bytes())).contains("labels must be whole numbers"));
    }
}
