//! The IDX format of the MNIST family, raw or gzipped.
//!
//! Format: two zero bytes, a type code (8 = uint8), the number of dimensions, the sizes as big-endian u32,
//! then the values, big-endian too (<http://yann.lecun.com/exdb/mnist/>). No size that a header states is
//! trusted with memory: it is compared with the file first.

#[cfg_attr(not(feature = "images"), allow(dead_code))]
mod stream;

#[cfg_attr(not(feature = "images"), allow(unused_imports))]
pub(super) use stream::{ImageStream, stream_images};

use super::gzip::is_gzip;
use super::images::MappedFile;
use super::label_array;
use crate::files::FileStamp;
use anyhow::{Context, Result, bail, ensure};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::ops::RangeInclusive;
use std::path::Path;
use tch::{Device, Kind, Tensor};

pub(super) const UINT8: u8 = 8;
pub(super) const INT32: u8 = 0x0c;
pub(super) const FLOAT32: u8 = 0x0d;
/// DEFLATE cannot expand its input by more than this (RFC 1951: 258 bytes for two bits, rounded up).
const MAX_EXPANSION: u64 = 1040;

/// Reads a file of images: [n, height, width], in colour [n, 3, height, width], of values that are not images
/// [n, values]; of the file's own type. A raw file of uint8 is mapped, not read: its pages come into memory
/// as they are used. Until the tensor is dropped the file must not be made shorter: the system would end the
/// process with SIGBUS.
///
/// # Errors
/// A file that cannot be read or is not a whole IDX file of values in two to four dimensions.
pub fn read_images(path: &Path) -> Result<Tensor> {
    Ok(map_images(path)?.0)
}

/// The same, and the file if the images are mapped from it.
pub(super) fn map_images(path: &Path) -> Result<(Tensor, Option<MappedFile>)> {
    let (stored, mapped_from) = map_as_stored(path)?;
    Ok((channels_first(stored).with_context(|| path.display().to_string())?, mapped_from))
}

/// The same, of images that are known to have their channels first.
pub(super) fn map_as_stored(path: &Path) -> Result<(Tensor, Option<MappedFile>)> {
    let stamp = FileStamp::of(path)?;
    let file = IdxFile::open(path, IMAGES).with_context(|| path.display().to_string())?;
    let shape = file.header.shape();
    ensure!(
        shape.iter().all(|&size| size > 0),
        "{}: holds no pixels: its sizes are {shape:?}",
        path.display()
    );
    let is_mapped = file.is_mapped();
    let pixels = file.read(path).with_context(|| path.display().to_string())?;
    Ok((pixels, is_mapped.then(|| MappedFile { path: path.to_path_buf(), stamp })))
}

/// Whether a file is one of EMNIST, whose images have their rows and columns exchanged, by its name.
pub(super) fn is_of_emnist(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    name.split(|letter: char| !letter.is_alphanumeric()).any(|word| word == "emnist")
}

/// The dimensions that images have: values, or height and width, or these and channels.
const IMAGES: RangeInclusive<u8> = 2..=4;

/// Images whose channels come last with the channels first, and grey ones without any.
pub(super) fn usual_axes(images: Tensor) -> Result<Tensor> {
    Ok(match images.size()[..] {
        [_, _, _, 3] => images.f_permute([0, 3, 1, 2])?.f_contiguous()?,
        [_, _, _, 1] => images.f_squeeze_dim(3)?,
        [_, 1, _, _] => images.f_squeeze_dim(1)?,
        _ => images,
    })
}

/// Images of bytes with a fourth channel, how opaque they are, on white as image files are; others as they are.
pub(super) fn on_white(images: Tensor) -> Result<Tensor> {
    let axis = match images.size()[..] {
        // The four may also be a height or a width.
        [_, 1 | 3, _, _] | [_, _, _, 1 | 3] => return Ok(images),
        [_, _, _, 4] => 3,
        [_, 4, _, _] => 1,
        _ => return Ok(images),
    };
    ensure!(images.kind() == Kind::Uint8, "has four channels, of which the last can be used in bytes only");
    let (colours, alpha) = (images.f_narrow(axis, 0, 3)?, images.f_narrow(axis, 3, 1)?.f_to_kind(Kind::Int)?);
    let on_white =
        (colours.f_to_kind(Kind::Int)?.f_sub_scalar(255)?.f_mul(&alpha)?.f_add_scalar(255 * 255 + 127)?)
            .f_floor_divide_scalar(255)?;
    Ok(on_white.f_to_kind(Kind::Uint8)?)
}

fn channels_first(images: Tensor) -> Result<Tensor> {
    let images = usual_axes(images)?;
    let sizes = images.size();
    ensure!(
        sizes.len() != 4 || sizes[1] == 3,
        "states the sizes {sizes:?}; images have 1 or 3 channels, as the second or the last size"
    );
    Ok(images)
}

/// The bytes of a file of values of that type, which are given as they lie in the file.
pub(super) fn bytes(type_code: u8, sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, type_code, sizes.len() as u8];
    bytes.extend(sizes.iter().flat_map(|size| size.to_be_bytes()));
    bytes.extend(values);
    bytes
}

/// Reads a file of labels, of shape `[n]`.
///
/// # Errors
/// A file that cannot be read or is not a whole IDX file of values in one dimension.
pub fn read_labels(path: &Path) -> Result<Tensor> {
    IdxFile::open(path, 1..=1).and_then(|file| file.read(path)).with_context(|| path.display().to_string())
}

/// The sizes that a file of images states, as [`read_images`] would give them, read from its header alone.
///
/// # Errors
/// As [`read_images`], for what the header says.
pub(super) fn image_sizes(path: &Path) -> Result<Vec<i64>> {
    let file = IdxFile::open(path, IMAGES).with_context(|| path.display().to_string())?;
    Ok(usual_sizes(&file.header.shape()))
}

/// The sizes that images of such sizes have with [`usual_axes`].
fn usual_sizes(stored: &[i64]) -> Vec<i64> {
    match *stored {
        [count, height, width, 3] => vec![count, 3, height, width],
        [count, height, width, 1] | [count, 1, height, width] => vec![count, height, width],
        _ => stored.to_vec(),
    }
}

/// The sizes in a header, checked not to overflow.
#[derive(Debug)]
struct Header {
    type_code: u8,
    sizes: Vec<u32>,
    values: u64,
}

impl Header {
    fn read(reader: &mut dyn Read, dimensions: &RangeInclusive<u8>) -> Result<Header> {
        let mut magic = [0; 4];
        read_header_bytes(reader, &mut magic)?;
        let [zero_1, zero_2, type_code, stated_dimensions] = magic;
        ensure!(
            zero_1 == 0 && zero_2 == 0,
            "is not an IDX file: it starts with the bytes {magic:02x?} instead of two zeros and a type"
        );
        ensure!(
            value_size(type_code).is_some(),
            "has type code 0x{type_code:02x}; the format's are 0x08, 0x09, 0x0b, 0x0c, 0x0d and 0x0e"
        );
        ensure!(
            dimensions.contains(&stated_dimensions),
            "has {stated_dimensions} dimensions; {}",
            match *dimensions.end() {
                1 => "labels have 1",
                2 => "labels have 1, or 2 if each is a row",
                _ => "images have 2 to 4",
            }
        );
        let mut sizes = Vec::new();
        for _ in 0..stated_dimensions {
            let mut size = [0; 4];
            read_header_bytes(reader, &mut size)?;
            sizes.push(u32::from_be_bytes(size));
        }
        let values = sizes.iter().try_fold(1u64, |product, &size| product.checked_mul(size.into()));
        match values.filter(|&values| values <= i64::MAX as u64 / 8) {
            Some(values) => Ok(Header { type_code, sizes, values }),
            None => bail!("states the sizes {sizes:?}, whose product is too large for any file"),
        }
    }

    /// The length of the header itself, in bytes.
    fn length(&self) -> u64 {
        4 + 4 * self.sizes.len() as u64
    }

    fn shape(&self) -> Vec<i64> {
        self.sizes.iter().map(|&size| size.into()).collect()
    }

    /// The length of the values, in bytes.
    fn values_length(&self) -> u64 {
        self.values * value_size(self.type_code).unwrap_or(1)
    }

    fn whole_length(&self) -> u64 {
        self.length() + self.values_length()
    }
}

/// The bytes of a value.
fn value_size(type_code: u8) -> Option<u64> {
    match type_code {
        UINT8 | 0x09 => Some(1),
        0x0b => Some(2),
        INT32 | FLOAT32 => Some(4),
        0x0e => Some(8),
        _ => None,
    }
}

/// Values as they lie in a file.
fn to_tensor(type_code: u8, bytes: &[u8]) -> Result<Tensor> {
    fn each<T: tch::kind::Element, const SIZE: usize>(
        bytes: &[u8],
        of: fn([u8; SIZE]) -> T,
    ) -> Result<Tensor> {
        let values: Vec<T> = bytes.as_chunks().0.iter().map(|bytes| of(*bytes)).collect();
        Ok(Tensor::f_from_slice(&values)?)
    }
    match type_code {
        0x09 => each(bytes, i8::from_be_bytes),
        0x0b => each(bytes, i16::from_be_bytes),
        INT32 => each(bytes, i32::from_be_bytes),
        FLOAT32 => each(bytes, f32::from_be_bytes),
        0x0e => each(bytes, f64::from_be_bytes),
        _ => Ok(Tensor::f_from_slice(bytes)?),
    }
}

fn read_header_bytes(reader: &mut dyn Read, bytes: &mut [u8]) -> Result<()> {
    reader.read_exact(bytes).map_err(|fault| match fault.kind() {
        ErrorKind::UnexpectedEof => anyhow::anyhow!("ends within its header"),
        _ => gzip_fault(fault),
    })
}

/// A fault of unpacking in a user's words.
fn gzip_fault(fault: std::io::Error) -> anyhow::Error {
    match fault.kind() {
        ErrorKind::UnexpectedEof => anyhow::anyhow!("is a gzip file that was cut short"),
        ErrorKind::InvalidInput | ErrorKind::InvalidData => {
            anyhow::anyhow!("is a corrupt gzip file ({fault})")
        }
        _ => anyhow::Error::new(fault).context("cannot be read"),
    }
}

/// An opened file whose header was read and compared with its length.
struct IdxFile {
    header: Header,
    contents: Contents,
}

/// What is behind the header.
enum Contents {
    Raw(File),
    Gzip(Box<dyn Read>),
}

impl IdxFile {
    fn open(path: &Path, dimensions: RangeInclusive<u8>) -> Result<IdxFile> {
        let mut file = File::open(path).context("cannot be opened")?;
        let metadata = file.metadata().context("cannot be read")?;
        ensure!(metadata.is_file(), "is not a file");
        let file_length = metadata.len();
        ensure!(file_length > 0, "is empty");

        if is_gzip(&mut file).context("cannot be read")? {
            let mut stream = MultiGzDecoder::new(BufReader::new(file));
            let header = Header::read(&mut stream, &dimensions)?;
            ensure!(
                header.whole_length() <= file_length.saturating_mul(MAX_EXPANSION),
                "states the sizes {:?}, more than a gzip file of {file_length} bytes can hold",
                header.sizes
            );
            return Ok(IdxFile { header, contents: Contents::Gzip(Box::new(stream)) });
        }
        let header = Header::read(&mut file, &dimensions)?;
        let expected = header.whole_length();
        ensure!(
            file_length == expected,
            "is {}: its header states the sizes {:?}, which makes {expected} bytes, but it has {file_length}",
            if file_length < expected { "cut short" } else { "too long" },
            header.sizes
        );
        Ok(IdxFile { header, contents: Contents::Raw(file) })
    }

    /// Whether its values are mapped when they are read.
    fn is_mapped(&self) -> bool {
        matches!(self.contents, Contents::Raw(_)) && self.header.type_code == UINT8
    }

    fn read(self, path: &Path) -> Result<Tensor> {
        let IdxFile { header, contents } = self;
        let flat = match contents {
            Contents::Raw(_) if header.type_code == UINT8 => map_raw(path, &header)?,
            Contents::Raw(file) => to_tensor(header.type_code, &unpack(Box::new(file), &header)?)?,
            Contents::Gzip(stream) => to_tensor(header.type_code, &unpack(stream, &header)?)?,
        };
        Ok(flat.f_view(header.shape().as_slice())?)
    }
}

/// The values of a raw file, mapped copy-on-write.
fn map_raw(path: &Path, header: &Header) -> Result<Tensor> {
    let name = path.to_str().context("has a name that is not UTF-8; rename it")?;
    let whole = Tensor::f_from_file(name, false, header.whole_length() as i64, (Kind::Uint8, Device::Cpu));
    let whole = whole.context("cannot be mapped into memory")?;
    Ok(whole.f_narrow(0, header.length() as i64, header.values as i64)?)
}

/// The values behind the header of a gzipped file; memory grows with what is really there.
fn unpack(stream: Box<dyn Read>, header: &Header) -> Result<Vec<u8>> {
    let mut values = Vec::new();
    // One byte more than promised: it tells whether there is more, and reading to the end checks the CRC.
    let expected = header.values_length();
    stream.take(expected + 1).read_to_end(&mut values).map_err(gzip_fault)?;
    let found = values.len() as u64;
    ensure!(
        found >= expected,
        "is cut short: its header states the sizes {:?}, which makes {expected} bytes, but it has {found}",
        header.sizes
    );
    ensure!(
        found == expected,
        "expands beyond the {expected} bytes that its header states with the sizes {:?}",
        header.sizes
    );
    Ok(values)
}

/// The labels of a file, whole numbers.
pub(super) fn read_label_numbers(path: &Path) -> Result<Vec<i64>> {
    let labels = IdxFile::open(path, 1..=2).and_then(|file| file.read(path));
    labels.and_then(|labels| label_array::numbers(&labels)).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests;
