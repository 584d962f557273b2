//! Images to be classified, from whatever a user points at, one by one: pictures, folders of pictures,
//! IDX files, CSV rows of pixels. Memory does not grow with their number. It must not know the
//! classifier.

use super::csv_inputs::CsvInputs;
use super::gzip;
use super::idx_file::{self, ImageStream};
use super::image_file::{self, Inversion, Picture};
use anyhow::{Context, Result, anyhow, ensure};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;
use walkdir::WalkDir;

/// The images that are wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// What they are.
    pub form: Form,
    /// Height and width; 1 and their number for values that are no picture.
    pub shape: [i64; 2],
    /// The pixel value that becomes 1.0, in IDX and CSV files.
    pub maximum: f64,
    /// Whether dark and bright are exchanged in pictures.
    pub inversion: Inversion,
}

/// What the values of an image are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Grey pixels, row by row.
    Grey,
    /// Red, then green, then blue pixels.
    Colour,
    /// Anything but a picture.
    Values,
}

impl Wanted {
    /// Images of the shape that a model takes.
    pub fn new(shape: &[i64], maximum: f64, inversion: Inversion) -> Option<Wanted> {
        let (form, shape) = match *shape {
            [values] => (Form::Values, [1, values]),
            [height, width] => (Form::Grey, [height, width]),
            [3, height, width] => (Form::Colour, [height, width]),
            _ => return None,
        };
        Some(Wanted { form, shape, maximum, inversion })
    }

    fn pixels(&self) -> usize {
        let channels = if self.form == Form::Colour { 3 } else { 1 };
        (channels * self.shape[0] * self.shape[1]) as usize
    }

    /// Values as they are stored, scaled so that the greatest of the training images becomes 1. Those of raw
    /// pixels are never greater; others are not bounded.
    fn scaled(&self, values: &[f32], is_raw: bool) -> Result<Vec<f32>> {
        let greatest = values.iter().copied().fold(0.0, f32::max);
        ensure!(
            !is_raw || f64::from(greatest) <= self.maximum,
            "has the pixel value {greatest}; those of the training images end at {}",
            self.maximum
        );
        Ok(values.iter().map(|value| value / self.maximum as f32).collect())
    }
}

/// An image, ready to be classified.
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// The file that it came from.
    pub file: Rc<str>,
    /// Its number within the file, from 0; none for a picture.
    pub row: Option<usize>,
    /// Its values from 0 to 1, row by row.
    pub values: Vec<f32>,
    /// Whether dark and bright were exchanged.
    pub is_inverted: bool,
}

/// An iterator over inputs; an error names its file and takes the place of what could not be read.
pub type Inputs = Box<dyn Iterator<Item = Result<Input>>>;

/// The images of a file or folder. A folder gives its pictures and those below it, sorted by name.
pub fn inputs(path: &Path, wanted: Wanted) -> Inputs {
    if path.is_dir() {
        return pictures_in(path, wanted);
    }
    match Format::of(path) {
        Ok(Format::Picture) => Box::new(std::iter::once(picture_input(path, wanted))),
        Ok(Format::Idx) => {
            let stream = open_idx(path, wanted);
            let is_raw = stream.as_ref().is_ok_and(ImageStream::is_raw);
            rows(path, wanted, is_raw, stream)
        }
        Ok(Format::Csv) => {
            let pixels = CsvInputs::open(path, wanted.pixels(), wanted.maximum);
            let as_floats = |row: Vec<u8>| row.into_iter().map(f32::from).collect();
            rows(path, wanted, true, pixels.map(|rows| rows.map(move |row| row.map(as_floats))))
        }
        Err(fault) => Box::new(std::iter::once(Err(fault.context(path.display().to_string())))),
    }
}

enum Format {
    Picture,
    Idx,
    Csv,
}

impl Format {
    /// By the first bytes; CSV, which has none of its own, by the name.
    fn of(path: &Path) -> Result<Format> {
        let mut file = File::open(path).context("cannot be opened")?;
        let mut start = Vec::new();
        file.by_ref().take(4096).read_to_end(&mut start).context("cannot be read")?;
        let is_gzip = start.starts_with(&gzip::MAGIC);
        if is_gzip {
            let mut unpacked = Vec::new();
            // A fault is met again, and told, by whoever reads the file.
            let _ = MultiGzDecoder::new(start.as_slice()).take(4).read_to_end(&mut unpacked);
            start = unpacked;
        }
        let name = path.to_string_lossy().to_lowercase();
        let named_csv = name.ends_with(".csv") || name.ends_with(".csv.gz");
        match start.as_slice() {
            _ if named_csv => Ok(Format::Csv),
            [0, 0, 1..=16, 1..=16, ..] => Ok(Format::Idx),
            _ if is_gzip => Err(anyhow!("is a gzip file of neither IDX images nor, by its name, CSV")),
            _ => Ok(Format::Picture),
        }
    }
}

fn open_idx(path: &Path, wanted: Wanted) -> Result<ImageStream> {
    let stream = idx_file::stream_images(path)?;
    let [height, width] = wanted.shape;
    let expected = match wanted.form {
        Form::Values => vec![width],
        Form::Grey => vec![height, width],
        Form::Colour => vec![3, height, width],
    };
    ensure!(
        stream.shape() == expected,
        "has images of {}, but the model takes {}",
        shape_name(stream.shape()),
        shape_name(&expected)
    );
    Ok(stream)
}

/// For people.
fn shape_name(shape: &[i64]) -> String {
    match shape {
        [height, width] => format!("{height} x {width} pixels"),
        [3, height, width] => format!("{height} x {width} pixels in colour"),
        [values] => format!("{values} values"),
        other => format!("the shape {other:?}"),
    }
}

/// Numbers the images of a file and names it in errors, after the first of which nothing follows.
fn rows<I>(path: &Path, wanted: Wanted, is_raw: bool, images: Result<I>) -> Inputs
where
    I: Iterator<Item = Result<Vec<f32>>> + 'static,
{
    let file: Rc<str> = path.display().to_string().into();
    let images = match images {
        Ok(images) => images,
        Err(fault) => return Box::new(std::iter::once(Err(fault.context(file.to_string())))),
    };
    let mut failed = false;
    Box::new(images.enumerate().map_while(move |(row, pixels)| {
        if failed {
            return None;
        }
        let values = pixels.and_then(|pixels| wanted.scaled(&pixels, is_raw));
        failed = values.is_err();
        let input = |values| Input { file: file.clone(), row: Some(row), values, is_inverted: false };
        Some(values.map(input).with_context(|| file.to_string()))
    }))
}

fn pictures_in(folder: &Path, wanted: Wanted) -> Inputs {
    let folder_name = folder.display().to_string();
    let mut found = false;
    let files = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    let pictures = files.filter_map(move |entry| match entry {
        Ok(entry) if is_picture(entry.path()) => Some(picture_input(entry.path(), wanted)),
        Ok(_) => None,
        Err(fault) => Some(Err(fault.into())),
    });
    // A folder without a picture is most likely the wrong one.
    let pictures = pictures.map(Some).chain([None]).filter_map(move |picture| match picture {
        Some(picture) => {
            found = true;
            Some(picture)
        }
        None if found => None,
        None => {
            Some(Err(anyhow!("{folder_name}: holds no pictures (.{})", image_file::EXTENSIONS.join(", ."))))
        }
    });
    Box::new(pictures)
}

fn is_picture(path: &Path) -> bool {
    image_file::is_named(path) && path.is_file()
}

fn picture_input(path: &Path, wanted: Wanted) -> Result<Input> {
    let file = path.display().to_string();
    let read = match wanted.form {
        Form::Values => Err(anyhow!("is a picture, but the model takes rows of values")),
        Form::Grey | Form::Colour => {
            image_file::read_picture(path, wanted.shape, wanted.form == Form::Colour, wanted.inversion)
        }
    };
    let Picture { values, is_inverted } = read.with_context(|| file.clone())?;
    Ok(Input { file: file.into(), row: None, values, is_inverted })
}
