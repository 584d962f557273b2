//! Images to be classified, from whatever a user points at, one by one: image files, folders of them, IDX
//! files, CSV rows of pixels. Memory does not grow with their number.

use super::ImageFit;
use super::content::{Content, is_text};
use super::csv_inputs::{CsvInputs, RowSpec};
use super::foreign_kind::ForeignKind;
use super::formats::Format;
use super::gzip;
use super::idx_file::{self, ImageStream};
use super::image_file;
use super::image_walk::{Found, ImageWalk};
use super::prepared_image::{Inversion, Preparation, PreparedImage, read_image};
use super::resizing::Resizing;
use super::scaling::{Range, Scale};
use super::table_form::TableForm;
use anyhow::{Context, Error, Result, anyhow, ensure};
use flate2::read::MultiGzDecoder;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tempfile::NamedTempFile;

/// The images that a classifier takes.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSpec {
    /// What their values are.
    pub layout: PixelLayout,
    /// Height and width; for anything but images, 1 and the number of values.
    pub shape: [i64; 2],
    /// The pixel value that becomes 1.0, in IDX and CSV files and in image files of 16 bits.
    pub maximum: f64,
    /// Whether dark and bright are exchanged in image files.
    pub inversion: Inversion,
    /// How the rows of tables were read that the model was trained on, if it was on a table.
    pub table: Option<TableForm>,
    /// Whether the images of IDX and CSV files have their rows and columns exchanged; none means those of
    /// EMNIST, which is known by the names of its files.
    pub transposes: Option<bool>,
    /// What of an image file comes into the shape.
    pub fit: ImageFit,
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
        Some(InputSpec {
            layout,
            shape,
            maximum,
            inversion,
            table: None,
            transposes: None,
            fit: ImageFit::Stretch,
        })
    }

    /// The same for a model that was trained on the rows of a table.
    pub fn with_table(self, table: Option<TableForm>) -> InputSpec {
        InputSpec { table, ..self }
    }

    /// The same for images in IDX and CSV files whose rows and columns are exchanged, or are not.
    pub fn transposed(self, transposes: Option<bool>) -> InputSpec {
        InputSpec { transposes, ..self }
    }

    /// The same with what of an image file comes into the shape.
    pub fn fitted(self, fit: ImageFit) -> InputSpec {
        InputSpec { fit, ..self }
    }

    /// The shape of an image as the rows of a file of that name have it, and whether it is to be turned.
    fn stored_shape(&self, name: &str) -> (Vec<i64>, bool) {
        let mut shape = self.shape();
        let turns = self.transposes.unwrap_or_else(|| idx_file::is_of_emnist(Path::new(name)));
        let turns = turns && self.layout != PixelLayout::Values;
        if let (true, [.., height, width]) = (turns, shape.as_mut_slice()) {
            std::mem::swap(height, width);
        }
        (shape, turns)
    }

    /// The same with the value that becomes 1.0 in a file: as in a data set that the model is evaluated on, what
    /// was made of bytes is scaled as its own values say. They are read for it where that may matter.
    fn of_values<I: Iterator<Item = Result<Vec<f32>>>>(
        &self,
        open: impl FnOnce() -> Result<I>,
        is_float: impl FnOnce(&Range) -> bool,
    ) -> InputSpec {
        let mut range = Range::EMPTY;
        if self.layout != PixelLayout::Values && [1.0, 255.0].contains(&self.maximum) {
            // Faults are met again when the images are classified.
            for values in open().into_iter().flatten().map_while(Result::ok) {
                range.extend(&values);
                if self.maximum == 255.0 && range.magnitude() > 1.0 {
                    return self.clone();
                }
            }
        }
        let is_empty = range == Range::EMPTY;
        let scale = Scale::of_range(&range, is_float(&range)).for_model_of(self.maximum, &self.shape());
        InputSpec { maximum: if is_empty { self.maximum } else { scale.maximum }, ..self.clone() }
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

/// The images of a file or folder; of standard input for `-`. A folder gives its image files and those below
/// it, sorted by name, without what systems and tools leave there.
pub fn inputs(path: &Path, spec: InputSpec) -> Inputs {
    if path.is_dir() {
        return images_in(path, spec);
    }
    match Place::of(path) {
        Ok(place) => {
            let inputs = match FileKind::of(&place) {
                Ok(kind) => file_inputs(kind, &place, spec),
                Err(fault) => one_fault(fault.context(place.name.to_string())),
            };
            // A file that holds what a pipe gave is there as long as it is read.
            Box::new(inputs.inspect(move |_| _ = &place.copy))
        }
        Err(fault) => one_fault(fault.context(path.display().to_string())),
    }
}

fn one_fault(fault: Error) -> Inputs {
    Box::new(std::iter::once(Err(fault)))
}

/// Where bytes can be read, several times, and what users call that.
struct Place {
    path: PathBuf,
    name: Rc<str>,
    /// What a pipe gave, which gives it once.
    copy: Option<NamedTempFile>,
}

impl Place {
    /// A file as it is; what standard input or a pipe gives is copied.
    fn of(path: &Path) -> Result<Place> {
        let name: Rc<str> = path.display().to_string().into();
        let is_input = path == Path::new("-");
        if !is_input && path.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return Ok(Place { path: path.to_path_buf(), name, copy: None });
        }
        let mut copy = NamedTempFile::new().context("cannot be copied")?;
        let copied = match is_input {
            true => io::copy(&mut io::stdin().lock(), &mut copy),
            false => io::copy(&mut File::open(path).context("cannot be opened")?, &mut copy),
        };
        copied.context("cannot be read")?;
        Ok(Place { path: copy.path().to_path_buf(), name, copy: Some(copy) })
    }
}

/// The images of a file of that kind.
fn file_inputs(kind: FileKind, place: &Place, spec: InputSpec) -> Inputs {
    let (stored, turns) = spec.stored_shape(&place.name);
    match kind {
        FileKind::Image => Box::new(std::iter::once(image_input(&place.path, place.name.clone(), &spec))),
        FileKind::Idx => {
            let stream = open_idx(&place.path, &stored);
            let is_raw = stream.as_ref().is_ok_and(ImageStream::is_raw);
            let is_float = stream.as_ref().is_ok_and(ImageStream::is_float);
            let spec = spec.of_values(|| open_idx(&place.path, &stored), |_| is_float);
            let stream = stream.map(|stream| turned(stream, stored, turns));
            rows(place.name.clone(), spec, is_raw, stream, Vec::new())
        }
        FileKind::Csv => {
            let row = |maximum| RowSpec { shape: stored.clone(), maximum, form: spec.table.clone() };
            let spec = spec.of_values(|| CsvInputs::open(&place.path, row(1.0)), |range| !range.are_whole);
            let row = row(spec.maximum);
            let is_raw = row.has_bytes();
            let read = CsvInputs::open(&place.path, row);
            let notes = read.as_ref().map_or(Vec::new(), |read| read.notes.clone());
            let read = read.map(|read| turned(read, stored, turns));
            rows(place.name.clone(), spec, is_raw, read, notes)
        }
    }
}

/// Images with their rows and columns exchanged, if they are to be turned.
fn turned(
    images: impl Iterator<Item = Result<Vec<f32>>>,
    stored: Vec<i64>,
    turns: bool,
) -> impl Iterator<Item = Result<Vec<f32>>> {
    images.map(move |values| match stored[..] {
        [.., height, width] if turns => {
            let (height, width) = (height as usize, width as usize);
            let turned = |channel: &[f32]| -> Vec<f32> {
                (0..height * width).map(|place| channel[place % height * width + place / height]).collect()
            };
            values.map(|values| values.chunks_exact(height * width).flat_map(turned).collect())
        }
        _ => values,
    })
}

/// What a file holds.
enum FileKind {
    Image,
    Idx,
    Csv,
}

impl FileKind {
    /// By the first bytes; CSV, which has none of its own, by the name, or if it is text without an ending.
    fn of(place: &Place) -> Result<FileKind> {
        let mut start = Vec::new();
        let file = File::open(&place.path).context("cannot be opened")?;
        file.take(4096).read_to_end(&mut start).context("cannot be read")?;
        ensure!(!start.is_empty() || place.copy.is_none(), "is empty");
        let name = Path::new(&*place.name);
        let is_table = Format::of_file_name(name).is_some_and(|format| format.keyword() == "csv");
        let is_gzip = start.starts_with(&gzip::MAGIC);
        match Content::of_file(&place.path) {
            Some(Content::Foreign(kind)) => return Err(kind.fault(name).into()),
            Some(Content::Npz) => return Err(ForeignKind::Npz.fault(name).into()),
            Some(Content::Parquet) => return Err(ForeignKind::Parquet.fault(name).into()),
            Some(Content::Idx) => return Ok(FileKind::Idx),
            Some(Content::Image) => return Ok(FileKind::Image),
            None => {}
        }
        if is_gzip {
            let mut unpacked = Vec::new();
            // Whoever reads the file meets and reports a fault again.
            let _ = MultiGzDecoder::new(start.as_slice()).take(4096).read_to_end(&mut unpacked);
            start = unpacked;
        }
        match start.as_slice() {
            _ if is_table => Ok(FileKind::Csv),
            [0, 0, 1..=16, 1..=16, ..] => Ok(FileKind::Idx),
            text => match ForeignKind::of_name(name) {
                Some(kind) => Err(kind.fault(name).into()),
                None if image_file::is_named(name) => Ok(FileKind::Image),
                None if is_text(text) => Ok(FileKind::Csv),
                None if is_gzip => Err(anyhow!("is a gzip file of neither IDX images nor CSV")),
                None => Ok(FileKind::Image),
            },
        }
    }
}

fn open_idx(path: &Path, expected: &[i64]) -> Result<ImageStream> {
    let stream = idx_file::stream_images(path)?;
    ensure!(
        stream.shape() == expected,
        "has images of {}, but the model takes {}",
        shape_name(stream.shape()),
        shape_name(expected)
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
fn rows<I>(file: Rc<str>, spec: InputSpec, is_raw: bool, images: Result<I>, notes: Vec<String>) -> Inputs
where
    I: Iterator<Item = Result<Vec<f32>>> + 'static,
{
    let images = match images {
        Ok(images) => images,
        Err(fault) => return one_fault(fault.context(file.to_string())),
    };
    let name = file.clone();
    let mut failed = false;
    let inputs = images.enumerate().map_while(move |(row, pixels)| {
        if failed {
            return None;
        }
        let values = pixels.and_then(|pixels| spec.scaled(&pixels, is_raw));
        failed = values.is_err();
        let note = (row == 0 && !notes.is_empty()).then(|| format!("{file}: {}", notes.join("; ")));
        let input = |values| Input { file: file.clone(), row: Some(row), values, is_inverted: false, note };
        Some(values.map(input).with_context(|| file.to_string()))
    });
    or_fault(inputs, move || anyhow!("{name}: holds no images"))
}

/// The inputs or, without any, a fault: whoever names a file expects a result.
fn or_fault(
    inputs: impl Iterator<Item = Result<Input>> + 'static,
    fault: impl FnOnce() -> Error + 'static,
) -> Inputs {
    let mut inputs = inputs.peekable();
    match inputs.peek() {
        Some(_) => Box::new(inputs),
        None => one_fault(fault()),
    }
}

fn images_in(folder: &Path, spec: InputSpec) -> Inputs {
    let (folder, folder_name) = (folder.to_path_buf(), folder.display().to_string());
    let mut foreign: BTreeMap<ForeignKind, usize> = BTreeMap::new();
    // The end of the walk is there, too.
    let walk = ImageWalk::new(&folder).map(Some).chain([None]);
    let images = walk.flat_map(move |found| match found {
        Some(Found::Image(path)) => {
            let name = path.display().to_string().into();
            vec![image_input(&path, name, &spec)]
        }
        Some(Found::Bad(path, fault)) => vec![Err(fault.context(path.display().to_string()))],
        Some(Found::Foreign(kind, _)) => {
            *foreign.entry(kind).or_default() += 1;
            Vec::new()
        }
        Some(Found::Misnamed(_) | Found::PassedOver(..)) => Vec::new(),
        None => {
            let fault = |(kind, count): (&ForeignKind, &usize)| {
                let fault = kind.fault_of_folder(&folder, kind.count_text(*count));
                Err(Error::new(fault).context(folder.display().to_string()))
            };
            foreign.iter().map(fault).collect()
        }
    });
    // A folder without an image is most likely the wrong one.
    let extensions = image_file::EXTENSIONS.join(", .");
    or_fault(images, move || anyhow!("{}: holds no images (.{extensions})", folder_name))
}

fn image_input(path: &Path, file: Rc<str>, spec: &InputSpec) -> Result<Input> {
    let preparation = Preparation {
        resizing: Resizing { size: spec.shape.map(|side| side as u32), fit: spec.fit },
        in_colour: spec.layout == PixelLayout::Colour,
        inversion: spec.inversion,
        maximum: spec.maximum,
    };
    let read = match spec.layout {
        PixelLayout::Values => Err(anyhow!("is an image, but the model takes rows of values")),
        PixelLayout::Grey | PixelLayout::Colour => read_image(path, &preparation),
    };
    let PreparedImage { values, is_inverted } = read.with_context(|| file.to_string())?;
    Ok(Input { file, row: None, values, is_inverted, note: None })
}
