//! The IDX format of the MNIST family, raw or gzipped. It must not know which data set a file belongs to.
//!
//! Format: two zero bytes, a type code (8 = uint8), the number of dimensions, the sizes as big-endian
//! u32, then the values, big-endian too (<http://yann.lecun.com/exdb/mnist/>). No size that a header states is
//! trusted with memory: it is compared with the file first.

use super::gzip::is_gzip;
use anyhow::{Context, Result, bail, ensure};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::ops::RangeInclusive;
use std::path::Path;
use tch::{Device, Kind, Tensor};

const UINT8: u8 = 8;
const INT32: u8 = 0x0c;
/// DEFLATE cannot expand its input by more than this (RFC 1951: 258 bytes for two bits, rounded up).
const GREATEST_EXPANSION: u64 = 1040;

/// Reads a file of images: [n, height, width], in colour [n, 3, height, width], of values that are no pictures
/// [n, values]; of the file's own type. A raw file of uint8 is mapped, not read: its pages come into memory
/// as they are used.
///
/// # Errors
/// A file that cannot be read or is not a whole IDX file of values in two to four dimensions.
pub fn read_images(path: &Path) -> Result<Tensor> {
    channels_first(read_as_stored(path)?).with_context(|| path.display().to_string())
}

/// The same, of pictures that are known to have their channels first.
pub(super) fn read_as_stored(path: &Path) -> Result<Tensor> {
    let file = IdxFile::open(path, IMAGES).with_context(|| path.display().to_string())?;
    let shape = file.header.shape();
    ensure!(
        shape.iter().all(|&size| size > 0),
        "{}: holds no pixels: its sizes are {shape:?}",
        path.display()
    );
    file.read(path).with_context(|| path.display().to_string())
}

/// The dimensions that images have: values, or height and width, or these and channels.
const IMAGES: RangeInclusive<u8> = 2..=4;

/// Pictures whose channels come last with the channels first, and grey ones without any.
pub(super) fn usual_axes(images: Tensor) -> Result<Tensor> {
    Ok(match images.size()[..] {
        [_, _, _, 3] => images.f_permute([0, 3, 1, 2])?.f_contiguous()?,
        [_, _, _, 1] => images.f_squeeze_dim(3)?,
        [_, 1, _, _] => images.f_squeeze_dim(1)?,
        _ => images,
    })
}

fn channels_first(images: Tensor) -> Result<Tensor> {
    let images = usual_axes(images)?;
    let sizes = images.size();
    ensure!(
        sizes.len() != 4 || sizes[1] == 3,
        "states the sizes {sizes:?}; pictures have 1 or 3 channels, as the second or the last size"
    );
    Ok(images)
}

/// The bytes of a file of uint8 values.
pub(super) fn bytes(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    file_bytes(UINT8, sizes, values)
}

/// The bytes of a file of int32 values, which are given as they lie in the file.
pub(super) fn bytes_of_i32(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    file_bytes(INT32, sizes, values)
}

fn file_bytes(type_code: u8, sizes: &[u32], values: &[u8]) -> Vec<u8> {
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

/// Reads a file of images one by one, in memory for one image, whatever the length of the file.
///
/// # Errors
/// As [`read_images`]; what is wrong behind the header comes when it is met.
pub fn stream_images(path: &Path) -> Result<ImageStream> {
    let file = IdxFile::open(path, 3..=3)?;
    ensure!(file.header.type_code == UINT8, "has values of another type than uint8, which raw pixels have");
    let shape = file.header.shape();
    let [count, height, width] = shape[..] else { bail!("has the sizes {shape:?}, not those of images") };
    let values: Box<dyn Read> = match file.contents {
        Contents::Raw(raw) => Box::new(BufReader::new(raw)),
        Contents::Gzip(stream) => Box::new(BufReader::new(stream)),
    };
    Ok(ImageStream { shape: [height, width], left: count as u64, values })
}

/// The images of a file one by one, their pixels row by row.
pub struct ImageStream {
    shape: [i64; 2],
    left: u64,
    values: Box<dyn Read>,
}

impl ImageStream {
    /// Height and width.
    pub fn shape(&self) -> [i64; 2] {
        self.shape
    }

    fn read_image(&mut self) -> Result<Vec<u8>> {
        let mut pixels = vec![0; (self.shape[0] * self.shape[1]) as usize];
        self.values.read_exact(&mut pixels).map_err(gzip_fault)?;
        if self.left == 0 {
            // Reading to the end checks the CRC of a gzipped file.
            let surplus = self.values.by_ref().take(1).read_to_end(&mut Vec::new()).map_err(gzip_fault)?;
            ensure!(surplus == 0, "expands beyond what its header states");
        }
        Ok(pixels)
    }
}

impl Iterator for ImageStream {
    type Item = Result<Vec<u8>>;

    fn next(&mut self) -> Option<Result<Vec<u8>>> {
        self.left = self.left.checked_sub(1)?;
        let image = self.read_image();
        if image.is_err() {
            self.left = 0;
        }
        Some(image)
    }
}

/// The sizes that a file of images states, as [`read_images`] would give them, read from its header alone.
///
/// # Errors
/// As [`read_images`], for what can be told from the header.
pub fn image_sizes(path: &Path) -> Result<Vec<i64>> {
    let file = IdxFile::open(path, IMAGES).with_context(|| path.display().to_string())?;
    Ok(match file.header.shape()[..] {
        [count, height, width, 3] => vec![count, 3, height, width],
        [count, height, width, 1] | [count, 1, height, width] => vec![count, height, width],
        ref shape => shape.to_vec(),
    })
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
                3 => "raw images have 3",
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
        INT32 | 0x0d => Some(4),
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
        0x0d => each(bytes, f32::from_be_bytes),
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

/// What a fault while unpacking means in a user's words.
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
                header.whole_length() <= file_length.saturating_mul(GREATEST_EXPANSION),
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

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    fn idx(type_code: u8, sizes: &[u32], values: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, type_code, sizes.len() as u8];
        sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
        bytes.extend(values);
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn images_from(bytes: &[u8]) -> Result<Tensor> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("images");
        std::fs::write(&path, bytes).unwrap();
        read_images(&path)
    }

    fn fault(bytes: &[u8]) -> String {
        let fault = format!("{:#}", images_from(bytes).unwrap_err());
        assert!(fault.contains("images: "), "the file is named: {fault}");
        fault
    }

    const VALUES: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255];

    #[test]
    fn raw_and_gzipped_files_give_the_same_images() {
        let bytes = idx(8, &[2, 3, 2], &VALUES);
        for file in [bytes.clone(), gzip(&bytes)] {
            let images = images_from(&file).unwrap();
            assert_eq!(images.size(), [2, 3, 2]);
            assert_eq!(images.kind(), Kind::Uint8);
            assert_eq!(Vec::<u8>::try_from(images.view([-1])).unwrap(), VALUES);
        }
    }

    #[test]
    fn every_type_and_number_of_dimensions_is_read() {
        let i16s: Vec<u8> = [1i16, -2].iter().flat_map(|value| value.to_be_bytes()).collect();
        let f32s: Vec<u8> = [0.5f32, -2.0].iter().flat_map(|value| value.to_be_bytes()).collect();
        let f64s: Vec<u8> = [0.25f64, 3.0].iter().flat_map(|value| value.to_be_bytes()).collect();
        let i32s: Vec<u8> = [70_000i32, -1].iter().flat_map(|value| value.to_be_bytes()).collect();
        for (type_code, bytes, values) in [
            (0x08, &[200u8, 7][..], [200.0, 7.0]),
            (0x09, &[0xff, 7], [-1.0, 7.0]),
            (0x0b, &i16s, [1.0, -2.0]),
            (0x0c, &i32s, [70_000.0, -1.0]),
            (0x0d, &f32s, [0.5, -2.0]),
            (0x0e, &f64s, [0.25, 3.0]),
        ] {
            for sizes in [&[2, 1][..], &[1, 2, 1], &[2, 1, 1, 1]] {
                let file = idx(type_code, sizes, bytes);
                for bytes in [file.clone(), gzip(&file)] {
                    let images = images_from(&bytes).unwrap().to_kind(Kind::Double).view([-1]);
                    assert_eq!(Vec::<f64>::try_from(images).unwrap(), values, "{type_code:#x}");
                }
            }
        }
        let colour = images_from(&idx(8, &[2, 1, 2, 3], &VALUES)).unwrap();
        assert_eq!(colour.size(), [2, 3, 1, 2]);
        assert_eq!(Vec::<u8>::try_from(colour.get(0).view([-1])).unwrap(), [0, 3, 1, 4, 2, 5]);
        assert_eq!(images_from(&idx(8, &[1, 3, 2, 2], &VALUES)).unwrap().size(), [1, 3, 2, 2]);
    }

    #[test]
    fn a_gzip_of_several_members_is_read_whole() {
        let bytes = idx(8, &[2, 3, 2], &VALUES);
        let (head, tail) = bytes.split_at(20);
        let images = images_from(&[gzip(head), gzip(tail)].concat()).unwrap();
        assert_eq!(Vec::<u8>::try_from(images.view([-1])).unwrap(), VALUES);
    }

    #[test]
    fn wrong_headers_are_refused() {
        assert!(fault(&[1, 2, 8, 3, 0, 0, 0, 0]).contains("not an IDX file"));
        assert!(fault(&idx(0x0a, &[2, 3, 2], &VALUES)).contains("type code 0x0a"));
        assert!(fault(&idx(8, &[12], &VALUES)).contains("1 dimensions; images have 2 to 4"));
        assert!(fault(&idx(8, &[1, 2, 3, 2], &VALUES)).contains("pictures have 1 or 3 channels"));
        assert!(fault(&idx(0x0d, &[2, 3, 2], &VALUES)).contains("is cut short"));
        assert!(fault(&[]).contains("is empty"));
        assert!(fault(&[0, 0, 8]).contains("ends within its header"));
        assert!(fault(&idx(8, &[2, 3, 2], &[])[..10]).contains("ends within its header"));
        assert!(fault(&gzip(&[0, 0, 8])).contains("ends within its header"));
        assert!(fault(&idx(8, &[0, 28, 28], &[])).contains("holds no pixels"));
    }

    #[test]
    fn sizes_are_compared_with_the_file() {
        assert!(fault(&idx(8, &[2, 3, 2], &VALUES[..11])).contains("is cut short"));
        assert!(fault(&idx(8, &[1, 3, 2], &VALUES)).contains("is too long"));
        assert!(fault(&gzip(&idx(8, &[2, 3, 2], &VALUES[..11]))).contains("is cut short"));
        assert!(fault(&gzip(&idx(8, &[1, 3, 2], &VALUES))).contains("expands beyond the 6 bytes"));
    }

    #[test]
    fn huge_sizes_are_refused_without_reserving_memory() {
        let largest = u32::MAX;
        for file in [idx(8, &[largest; 3], &VALUES), gzip(&idx(8, &[largest; 3], &VALUES))] {
            assert!(fault(&file).contains("too large for any file"));
        }
        assert!(fault(&idx(8, &[largest, 28, 28], &VALUES)).contains("is cut short"));
        assert!(fault(&gzip(&idx(8, &[largest, 28, 28], &VALUES))).contains("more than a gzip file"));
    }

    #[test]
    fn damaged_gzip_files_are_refused() {
        let values: Vec<u8> = (0..40_000u32).map(|i| (i * i % 251) as u8).collect();
        let whole = gzip(&idx(8, &[100, 20, 20], &values));
        assert!(fault(&whole[..whole.len() / 2]).contains("cut short"));
        assert!(fault(&whole[..whole.len() - 4]).contains("cut short"), "without its checksum");
        let mut damaged = whole.clone();
        let last = damaged.len() - 6; // within the CRC
        damaged[last] ^= 0xff;
        assert!(fault(&damaged).contains("corrupt gzip"));
        let mut damaged = whole;
        damaged[60] ^= 0xff;
        let fault = fault(&damaged);
        assert!(fault.contains("gzip") || fault.contains("cut short"), "{fault}");
    }

    #[test]
    fn a_stream_gives_the_images_one_by_one_and_checks_the_end() {
        let stream = |bytes: &[u8]| -> Vec<Result<Vec<u8>>> {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("images");
            std::fs::write(&path, bytes).unwrap();
            stream_images(&path).unwrap().collect()
        };
        let bytes = idx(8, &[2, 3, 2], &VALUES);
        for file in [bytes.clone(), gzip(&bytes)] {
            let images: Vec<Vec<u8>> = stream(&file).into_iter().map(Result::unwrap).collect();
            assert_eq!(images, [&VALUES[..6], &VALUES[6..]]);
        }
        let cut = gzip(&idx(8, &[2, 3, 2], &VALUES[..11]));
        let long = gzip(&idx(8, &[2, 3, 2], &[VALUES, VALUES].concat()));
        let whole = gzip(&bytes);
        for file in [&cut[..], &long, &whole[..whole.len() - 4]] {
            let images = stream(file);
            assert!(images.len() == 2 && images[0].is_ok() && images[1].is_err(), "{images:?}");
        }
    }

    #[test]
    fn folders_and_missing_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let fault = format!("{:#}", read_images(folder.path()).unwrap_err());
        assert!(fault.contains("is not a file"), "{fault}");
        let missing = folder.path().join("nothing");
        let fault = format!("{:#}", read_labels(&missing).unwrap_err());
        assert!(fault.contains("nothing: cannot be opened: No such file"), "{fault}");
    }
}
