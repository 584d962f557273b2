//! Images to be classified, from whatever a user points at, one by one: image files, folders of them, IDX
//! files, CSV rows of pixels. Memory does not grow with their number.

use super::csv_inputs::{CsvInputs, RowSpec};
use super::gzip;
use super::idx_file::{self, ImageStream};
use super::image_file::{self, Inversion, PreparedImage};
use super::table_form::TableForm;
use anyhow::{Context, Result, anyhow, ensure};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::rc::Rc;
use walkdir::WalkDir;

/// The images that a classifier takes.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSpec {
    /// What their values are.
    pub layout: PixelLayout,
    /// Height and width; for anything but images, 1 and the number of values.
    pub shape: [i64; 2],
    /// The pixel value that becomes 1.0, in IDX and CSV files.
    pub maximum: f64,
    /// Whether dark and bright are exchanged in image files.
    pub inversion: Inversion,
    /// How the rows of tables were read that the model was trained on, if it was on a table.
    pub table: Option<TableForm>,
}

/// What the values of an image are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PixelLayout {
    /// Grey pixels, row by row.
    Grey,
    /// Red, then green, then blue pixels.
    Colour,
    /// Anything but an image.
    Values,
}

impl InputSpec {
    /// Images of the shape that a model takes.
    pub fn new(shape: &[i64], maximum: f64, inversion: Inversion) -> Option<InputSpec> {
        let (layout, shape) = match *shape {
            [values] => (PixelLayout::Values, [1, values]),
            [height, width] => (PixelLayout::Grey, [height, width]),
            [3, height, width] => (PixelLayout::Colour, [height, width]),
            _ => return None,
        };
        Some(InputSpec { layout, shape, maximum, inversion, table: None })
    }

    /// The same for a model that was trained on the rows of a table.
    pub fn with_table(self, table: Option<TableForm>) -> InputSpec {
        InputSpec { table, ..self }
    }

    fn shape(&self) -> Vec<i64> {
        let [height, width] = self.shape;
        match self.layout {
            PixelLayout::Values => vec![width],
            PixelLayout::Grey => vec![height, width],
            PixelLayout::Colour => vec![3, height, width],
        }
    }

    /// Stored values, scaled so that the maximum of the training images becomes 1. Raw pixels are never
    /// larger; other values are not bounded.
    fn scaled(&self, values: &[f32], is_raw: bool) -> Result<Vec<f32>> {
        let max = values.iter().copied().fold(0.0, f32::max);
        ensure!(
            !is_raw || f64::from(max) <= self.maximum,
            "has the pixel value {max}; those of the training images end at {}",
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
    /// Its index within the file, from 0; none for an image file.
    pub row: Option<usize>,
    /// Its values from 0 to 1, row by row.
    pub values: Vec<f32>,
    /// Whether dark and bright were exchanged.
    pub is_inverted: bool,
    /// What users should know about how the file is read, with its first row.
    pub note: Option<String>,
}

/// An iterator over inputs; an error names its file and takes the place of what could not be read.
pub type Inputs = Box<dyn Iterator<Item = Result<Input>>>;

/// The images of a file or folder. A folder gives its image files and those below it, sorted by name.
pub fn inputs(path: &Path, spec: InputSpec) -> Inputs {
    if path.is_dir() {
        return images_in(path, spec);
    }
    match FileKind::of(path) {
        Ok(FileKind::Image) => Box::new(std::iter::once(image_input(path, &spec))),
        Ok(FileKind::Idx) => {
            let stream = open_idx(path, &spec);
            let is_raw = stream.as_ref().is_ok_and(ImageStream::is_raw);
            rows(path, spec, is_raw, stream, Vec::new())
        }
        Ok(FileKind::Csv) => {
            let row = RowSpec { shape: spec.shape(), maximum: spec.maximum, form: spec.table.clone() };
            let is_raw = row.has_bytes();
            let read = CsvInputs::open(path, row);
            let notes = read.as_ref().map_or(Vec::new(), |read| read.notes.clone());
            rows(path, spec, is_raw, read, notes)
        }
        Err(fault) => Box::new(std::iter::once(Err(fault.context(path.display().to_string())))),
    }
}

/// What a file holds.
enum FileKind {
    Image,
    Idx,
    Csv,
}

impl FileKind {
    /// By the first bytes; CSV, which has none of its own, by the name.
    fn of(path: &Path) -> Result<FileKind> {
        let mut file = File::open(path).context("cannot be opened")?;
        let mut start = Vec::new();
        file.by_ref().take(4096).read_to_end(&mut start).context("cannot be read")?;
        let is_gzip = start.starts_with(&gzip::MAGIC);
        if is_gzip {
            let mut unpacked = Vec::new();
            // Whoever reads the file meets and reports a fault again.
            let _ = MultiGzDecoder::new(start.as_slice()).take(4).read_to_end(&mut unpacked);
            start = unpacked;
        }
        let name = path.to_string_lossy().to_lowercase();
        let named_csv = name.ends_with(".csv") || name.ends_with(".csv.gz");
        match start.as_slice() {
            _ if named_csv => Ok(FileKind::Csv),
            [0, 0, 1..=16, 1..=16, ..] => Ok(FileKind::Idx),
            _ if is_gzip => Err(anyhow!("is a gzip file of neither IDX images nor, by its name, CSV")),
            _ => Ok(FileKind::Image),
        }
    }
}

fn open_idx(path: &Path, spec: &InputSpec) -> Result<ImageStream> {
    let stream = idx_file::stream_images(path)?;
    let expected = spec.shape();
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

/// Numbers the images of a file and names it in errors; nothing follows the first error.
fn rows<I>(path: &Path, spec: InputSpec, is_raw: bool, images: Result<I>, notes: Vec<String>) -> Inputs
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
        let values = pixels.and_then(|pixels| spec.scaled(&pixels, is_raw));
        failed = values.is_err();
        let note = (row == 0 && !notes.is_empty()).then(|| format!("{file}: {}", notes.join("; ")));
        let input = |values| Input { file: file.clone(), row: Some(row), values, is_inverted: false, note };
        Some(values.map(input).with_context(|| file.to_string()))
    }))
}

fn images_in(folder: &Path, spec: InputSpec) -> Inputs {
    let folder_name = folder.display().to_string();
    let mut found = false;
    let files = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    let images = files.filter_map(move |entry| match entry {
        Ok(entry) if is_image(entry.path()) => Some(image_input(entry.path(), &spec)),
        Ok(_) => None,
        Err(fault) => Some(Err(fault.into())),
    });
    // A folder without an image is most likely the wrong one.
    let images = images.map(Some).chain([None]).filter_map(move |image| match image {
        Some(image) => {
            found = true;
            Some(image)
        }
        None if found => None,
        None => {
            Some(Err(anyhow!("{folder_name}: holds no images (.{})", image_file::EXTENSIONS.join(", ."))))
        }
    });
    Box::new(images)
}

fn is_image(path: &Path) -> bool {
    image_file::is_named(path) && path.is_file()
}

fn image_input(path: &Path, spec: &InputSpec) -> Result<Input> {
    let file = path.display().to_string();
    let read = match spec.layout {
        PixelLayout::Values => Err(anyhow!("is an image, but the model takes rows of values")),
        PixelLayout::Grey | PixelLayout::Colour => {
            image_file::read_image(path, spec.shape, spec.layout == PixelLayout::Colour, spec.inversion)
        }
    };
    let PreparedImage { values, is_inverted } = read.with_context(|| file.clone())?;
    Ok(Input { file: file.into(), row: None, values, is_inverted, note: None })
}
