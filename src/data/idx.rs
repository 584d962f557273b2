//! The IDX format of the MNIST family, raw or gzipped. It must not know which data set a file belongs to.
//!
//! Format: two zero bytes, a type code (8 = uint8), the number of dimensions, the sizes as big-endian
//! u32, then the values (<http://yann.lecun.com/exdb/mnist/>). No size that a header states is trusted
//! with memory: it is compared with the file first.

use super::gzip::is_gzip;
use anyhow::{Context, Result, bail, ensure};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;
use tch::{Device, Kind, Tensor};

const UINT8: u8 = 8;
/// DEFLATE cannot expand its input by more than this (RFC 1951: 258 bytes for two bits, rounded up).
const GREATEST_EXPANSION: u64 = 1040;

/// Reads a file of images: uint8 [n, height, width]. A raw file is mapped, not read: its pages come
/// into memory as they are used.
///
/// # Errors
/// A file that cannot be read or is not a whole IDX file of uint8 values in three dimensions.
pub fn read_images(path: &Path) -> Result<Tensor> {
    let file = IdxFile::open(path, 3).with_context(|| path.display().to_string())?;
    let shape = file.header.shape();
    ensure!(
        shape.iter().all(|&size| size > 0),
        "{}: holds no pixels: its sizes are {shape:?}",
        path.display()
    );
    file.read(path).with_context(|| path.display().to_string())
}

/// Reads a file of labels: uint8 of shape `[n]`.
///
/// # Errors
/// A file that cannot be read or is not a whole IDX file of uint8 values in one dimension.
pub fn read_labels(path: &Path) -> Result<Tensor> {
    IdxFile::open(path, 1).and_then(|file| file.read(path)).with_context(|| path.display().to_string())
}

/// Reads a file of images one by one, in memory for one image, whatever the length of the file.
///
/// # Errors
/// As [`read_images`]; what is wrong behind the header comes when it is met.
pub fn stream_images(path: &Path) -> Result<ImageStream> {
    let file = IdxFile::open(path, 3)?;
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

/// The sizes that a file of images states, [n, height, width], read from its header alone.
///
/// # Errors
/// As [`read_images`], for what can be told from the header.
pub fn image_sizes(path: &Path) -> Result<Vec<i64>> {
    let file = IdxFile::open(path, 3).with_context(|| path.display().to_string())?;
    Ok(file.header.shape())
}

/// The sizes in a header, checked not to overflow.
#[derive(Debug)]
struct Header {
    sizes: Vec<u32>,
    values: u64,
}

impl Header {
    fn read(reader: &mut dyn Read, dimensions: u8) -> Result<Header> {
        let mut magic = [0; 4];
        read_header_bytes(reader, &mut magic)?;
        let [zero_1, zero_2, type_code, stated_dimensions] = magic;
        ensure!(
            zero_1 == 0 && zero_2 == 0,
            "is not an IDX file: it starts with the bytes {magic:02x?} instead of two zeros and a type"
        );
        ensure!(type_code == UINT8, "has type code 0x{type_code:02x}; only 0x08 (uint8) is supported");
        let content = if dimensions == 1 { "labels" } else { "images" };
        ensure!(
            stated_dimensions == dimensions,
            "has {stated_dimensions} dimensions; {content} have {dimensions}"
        );
        let mut sizes = Vec::new();
        for _ in 0..dimensions {
            let mut size = [0; 4];
            read_header_bytes(reader, &mut size)?;
            sizes.push(u32::from_be_bytes(size));
        }
        let values = sizes.iter().try_fold(1u64, |product, &size| product.checked_mul(size.into()));
        match values.filter(|&values| values <= i64::MAX as u64) {
            Some(values) => Ok(Header { sizes, values }),
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

    fn whole_length(&self) -> u64 {
        self.length() + self.values
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
    fn open(path: &Path, dimensions: u8) -> Result<IdxFile> {
        let mut file = File::open(path).context("cannot be opened")?;
        let metadata = file.metadata().context("cannot be read")?;
        ensure!(metadata.is_file(), "is not a file");
        let file_length = metadata.len();
        ensure!(file_length > 0, "is empty");

        if is_gzip(&mut file).context("cannot be read")? {
            let mut stream = MultiGzDecoder::new(BufReader::new(file));
            let header = Header::read(&mut stream, dimensions)?;
            ensure!(
                header.whole_length() <= file_length.saturating_mul(GREATEST_EXPANSION),
                "states the sizes {:?}, more than a gzip file of {file_length} bytes can hold",
                header.sizes
            );
            return Ok(IdxFile { header, contents: Contents::Gzip(Box::new(stream)) });
        }
        let header = Header::read(&mut file, dimensions)?;
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
            Contents::Raw(_) => map_raw(path, &header)?,
            Contents::Gzip(stream) => Tensor::f_from_slice(&unpack(stream, &header)?)?,
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
    stream.take(header.values + 1).read_to_end(&mut values).map_err(gzip_fault)?;
    let found = values.len() as u64;
    ensure!(
        found >= header.values,
        "is cut short: its header states the sizes {:?}, which makes {} values, but it has {found}",
        header.sizes,
        header.values
    );
    ensure!(
        found == header.values,
        "expands beyond the {} values that its header states with the sizes {:?}",
        header.values,
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
    fn a_gzip_of_several_members_is_read_whole() {
        let bytes = idx(8, &[2, 3, 2], &VALUES);
        let (head, tail) = bytes.split_at(20);
        let images = images_from(&[gzip(head), gzip(tail)].concat()).unwrap();
        assert_eq!(Vec::<u8>::try_from(images.view([-1])).unwrap(), VALUES);
    }

    #[test]
    fn wrong_headers_are_refused() {
        assert!(fault(&[1, 2, 8, 3, 0, 0, 0, 0]).contains("not an IDX file"));
        assert!(fault(&idx(0x0d, &[2, 3, 2], &VALUES)).contains("type code 0x0d"));
        assert!(fault(&idx(8, &[12], &VALUES)).contains("1 dimensions; images have 3"));
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
        assert!(fault(&gzip(&idx(8, &[1, 3, 2], &VALUES))).contains("expands beyond the 6 values"));
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
