//! An array in NumPy's format (numpy.lib.format, versions 1 to 3). Written by hand: it trusts no header with
//! memory and reads words, both of which tch's `read_npz` does not.

use anyhow::{Context, Result, bail, ensure};
use half::f16;
use std::io::Read;
use tch::{Device, Kind, Tensor};

/// A longer header, in bytes, does not describe an array of images.
const MAX_HEADER: usize = 1 << 16;
/// The name of a class is shorter.
const MAX_LETTERS: u64 = 4096;
/// Bytes that are read in one go; a multiple of every value's size.
const PART: u64 = 8 << 20;

/// An array of an archive.
pub enum Array {
    Numbers(Tensor),
    Words(Vec<String>),
}

/// What an array says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    pub values: ValueType,
    is_fortran: bool,
    pub shape: Vec<i64>,
    /// Of the header itself, in bytes.
    pub length: u64,
}

/// The type of values, as they lie in a file.
#[derive(Clone, Debug, PartialEq)]
pub enum ValueType {
    Number {
        class: Class,
        size: u64,
        is_big_endian: bool,
    },
    /// Words of that number of letters, four bytes each.
    Letters {
        count: u64,
        is_big_endian: bool,
    },
    /// Words of that number of bytes.
    Bytes {
        count: u64,
    },
    /// Python's objects, which are pickled.
    Objects,
    /// Anything else, as the file calls it.
    Other(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Class {
    Bool,
    Unsigned,
    Signed,
    Float,
}

impl ValueType {
    /// From NumPy's name: `<f4`.
    fn parse(descr: &str) -> ValueType {
        let Some(name) = descr.strip_prefix('\'').and_then(|rest| rest.split('\'').next()) else {
            return ValueType::Other(descr.chars().take(20).collect());
        };
        let other = || ValueType::Other(name.chars().take(20).collect());
        let (is_big_endian, name_only) = match name.strip_prefix(['<', '|', '=']) {
            Some(rest) => (false, rest),
            None => (name.starts_with('>'), name.trim_start_matches('>')),
        };
        let mut letters = name_only.chars();
        let Some(class) = letters.next() else { return other() };
        let size = letters.as_str().parse::<u64>().ok();
        match (class, size) {
            ('b', Some(1)) => ValueType::Number { class: Class::Bool, size: 1, is_big_endian },
            ('u', Some(size @ (1 | 2 | 4 | 8))) => {
                ValueType::Number { class: Class::Unsigned, size, is_big_endian }
            }
            ('i', Some(size @ (1 | 2 | 4 | 8))) => {
                ValueType::Number { class: Class::Signed, size, is_big_endian }
            }
            ('f', Some(size @ (2 | 4 | 8))) => ValueType::Number { class: Class::Float, size, is_big_endian },
            ('U', Some(count @ 1..=MAX_LETTERS)) => ValueType::Letters { count, is_big_endian },
            ('S' | 'a', Some(count @ 1..=MAX_LETTERS)) => ValueType::Bytes { count },
            ('O', _) => ValueType::Objects,
            _ => other(),
        }
    }

    /// The bytes of a value.
    fn size(&self) -> Result<u64> {
        Ok(match self {
            ValueType::Number { size, .. } => *size,
            ValueType::Letters { count, .. } => 4 * count,
            ValueType::Bytes { count } => *count,
            ValueType::Objects => bail!(
                "holds Python objects (values of the type |O), which only Python can read; save it as an \
                 array of numbers or of text (astype(str))"
            ),
            ValueType::Other(name) => bail!(
                "has values of the type {name}; bool, integers, floats of 16 to 64 bits, text (U) and bytes \
                 (S) are read"
            ),
        })
    }

    /// Whether values are bytes that need no conversion.
    pub fn is_byte(&self) -> bool {
        matches!(self, ValueType::Number { class: Class::Bool | Class::Unsigned, size: 1, .. })
    }

    pub fn are_words(&self) -> bool {
        matches!(self, ValueType::Letters { .. } | ValueType::Bytes { .. })
    }
}

impl Header {
    /// Reads the header at the start of an array.
    pub fn read(bytes: &mut dyn Read) -> Result<Header> {
        let mut start = [0; 8];
        bytes.read_exact(&mut start).context("is cut short")?;
        ensure!(start.starts_with(b"\x93NUMPY"), "is not in NumPy's format");
        let (length, before) = match start[6] {
            1 => {
                let mut length = [0; 2];
                bytes.read_exact(&mut length).context("is cut short")?;
                (u16::from_le_bytes(length) as usize, 10)
            }
            _ => {
                let mut length = [0; 4];
                bytes.read_exact(&mut length).context("is cut short")?;
                (u32::from_le_bytes(length) as usize, 12)
            }
        };
        ensure!(length <= MAX_HEADER, "has a header of {length} bytes");
        let mut header = vec![0; length];
        bytes.read_exact(&mut header).context("is cut short")?;
        let header = String::from_utf8_lossy(&header).into_owned();
        Ok(Header {
            values: ValueType::parse(value_of(&header, "descr")?),
            is_fortran: value_of(&header, "fortran_order")?.starts_with("True"),
            shape: shape_of(value_of(&header, "shape")?)?,
            length: before + length as u64,
        })
    }

    /// The bytes of the values, of which a file can hold at most `limit`.
    pub fn values_length(&self, limit: u64) -> Result<u64> {
        let size = self.values.size()?;
        let shape = &self.shape;
        let count = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size as u64));
        let bytes = count.and_then(|count| count.checked_mul(size)).filter(|&bytes| bytes <= limit);
        bytes.with_context(|| format!("states the shape {shape:?}, more than the file holds"))
    }

    /// Whether the values lie in memory as they lie in the file.
    pub fn is_plain(&self) -> bool {
        self.values.is_byte() && (!self.is_fortran || self.shape.len() < 2)
    }

    /// The values behind the header, of which a file can hold at most `limit` bytes.
    pub fn read_values(&self, mut bytes: impl Read, limit: u64) -> Result<Array> {
        let expected = self.values_length(limit)?;
        let array = match &self.values {
            ValueType::Number { class, size, is_big_endian } => {
                Array::Numbers(self.read_numbers(&mut bytes, expected, (*class, *size, *is_big_endian))?)
            }
            ValueType::Letters { count, is_big_endian } => {
                let bytes = read_exactly(&mut bytes, expected)?;
                let letter = |bytes: &[u8; 4]| {
                    let code =
                        if *is_big_endian { u32::from_be_bytes(*bytes) } else { u32::from_le_bytes(*bytes) };
                    char::from_u32(code)
                };
                let word = |bytes: &[u8]| bytes.as_chunks().0.iter().map(letter).collect::<Option<String>>();
                let words: Option<Vec<String>> = bytes.chunks(4 * *count as usize).map(word).collect();
                Array::Words(without_padding(words.context("has a letter that is not Unicode")?))
            }
            ValueType::Bytes { count } => {
                let bytes = read_exactly(&mut bytes, expected)?;
                let word = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
                let words: Option<Vec<String>> = bytes.chunks(*count as usize).map(word).collect();
                Array::Words(without_padding(words.context("has text that is not UTF-8")?))
            }
            ValueType::Objects | ValueType::Other(_) => bail!("cannot be read"),
        };
        // This also lets the archive compare its checksum.
        let surplus = bytes.take(1).read_to_end(&mut Vec::new()).context("is damaged")?;
        ensure!(surplus == 0, "has more than the {expected} bytes of values that its header states");
        Ok(array)
    }

    /// Numbers, read some at a time: they are in memory once.
    fn read_numbers(
        &self,
        bytes: &mut dyn Read,
        expected: u64,
        values: (Class, u64, bool),
    ) -> Result<Tensor> {
        let (_, size, _) = values;
        let count = (expected / size) as i64;
        let whole = Tensor::f_empty([count], (kind_of(values), Device::Cpu))?;
        let mut start = 0;
        while start < count {
            let length = (PART.min(expected - start as u64 * size)) as usize;
            let part = converted(&read_exactly(bytes, length as u64)?, values)?;
            let numbers = part.numel() as i64;
            whole.f_narrow(0, start, numbers)?.f_copy_(&part)?;
            start += numbers;
        }
        if !self.is_fortran {
            return Ok(whole.f_view(self.shape.as_slice())?);
        }
        let shape: Vec<i64> = self.shape.iter().rev().copied().collect();
        let axes: Vec<i64> = (0..shape.len() as i64).rev().collect();
        Ok(whole.f_view(shape.as_slice())?.f_permute(axes)?.f_contiguous()?)
    }
}

/// That many bytes; memory grows with what is there.
fn read_exactly(bytes: &mut dyn Read, length: u64) -> Result<Vec<u8>> {
    let mut found = Vec::new();
    bytes.take(length).read_to_end(&mut found).context("is damaged")?;
    ensure!(found.len() as u64 == length, "is cut short: {} bytes are missing", length - found.len() as u64);
    Ok(found)
}

fn without_padding(words: Vec<String>) -> Vec<String> {
    words.iter().map(|word| word.trim_end_matches('\0').to_string()).collect()
}

/// The type that numbers have in memory: libtorch computes little with unsigned ones but bytes.
fn kind_of((class, size, _): (Class, u64, bool)) -> Kind {
    match (class, size) {
        (Class::Bool, _) | (Class::Unsigned, 1) => Kind::Uint8,
        (Class::Signed, 1) => Kind::Int8,
        (Class::Signed, 2) => Kind::Int16,
        (Class::Signed, 4) | (Class::Unsigned, 2) => Kind::Int,
        (Class::Signed | Class::Unsigned, _) => Kind::Int64,
        (Class::Float, 8) => Kind::Double,
        (Class::Float, _) => Kind::Float,
    }
}

/// Numbers as they lie in a file.
fn converted(bytes: &[u8], (class, size, is_big_endian): (Class, u64, bool)) -> Result<Tensor> {
    fn each<T: tch::kind::Element, const SIZE: usize>(
        bytes: &[u8],
        is_big_endian: bool,
        of: fn([u8; SIZE]) -> T,
    ) -> Result<Tensor> {
        let in_order = |bytes: &[u8; SIZE]| {
            let mut bytes = *bytes;
            if is_big_endian {
                bytes.reverse();
            }
            of(bytes)
        };
        Ok(Tensor::f_from_slice(&bytes.as_chunks().0.iter().map(in_order).collect::<Vec<T>>())?)
    }
    let big = is_big_endian;
    match (class, size) {
        (Class::Bool, _) => each(bytes, big, |[byte]| u8::from(byte != 0)),
        (Class::Unsigned, 1) => Ok(Tensor::f_from_slice(bytes)?),
        (Class::Unsigned, 2) => each(bytes, big, |bytes| i32::from(u16::from_le_bytes(bytes))),
        (Class::Unsigned, 4) => each(bytes, big, |bytes| i64::from(u32::from_le_bytes(bytes))),
        (Class::Unsigned, _) => {
            let values = each(bytes, big, i64::from_le_bytes)?;
            let is_negative = values.numel() > 0 && values.f_min()?.int64_value(&[]) < 0;
            ensure!(!is_negative, "has a whole number that does not fit into 63 bits");
            Ok(values)
        }
        (Class::Signed, 1) => each(bytes, big, i8::from_le_bytes),
        (Class::Signed, 2) => each(bytes, big, i16::from_le_bytes),
        (Class::Signed, 4) => each(bytes, big, i32::from_le_bytes),
        (Class::Signed, _) => each(bytes, big, i64::from_le_bytes),
        (Class::Float, 2) => each(bytes, big, |bytes| f16::from_le_bytes(bytes).to_f32()),
        (Class::Float, 4) => each(bytes, big, f32::from_le_bytes),
        (Class::Float, _) => each(bytes, big, f64::from_le_bytes),
    }
}

/// What follows a name in the header, a Python dictionary.
fn value_of<'a>(header: &'a str, name: &str) -> Result<&'a str> {
    let behind = header.split_once(&format!("'{name}':")).map(|(_, behind)| behind.trim_start());
    behind.with_context(|| format!("has no {name} in its header"))
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

    fn array(descr: &str, shape: &str, values: &[u8]) -> Result<Array> {
        let header = format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n");
        let length = (header.len() as u16).to_le_bytes();
        let bytes = [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), values].concat();
        let mut bytes = bytes.as_slice();
        Header::read(&mut bytes)?.read_values(bytes, 1000)
    }

    fn numbers(descr: &str, values: &[u8]) -> (Kind, Vec<f64>) {
        let count = values.len() / descr[descr.len() - 2..descr.len() - 1].parse::<usize>().unwrap();
        let Array::Numbers(tensor) = array(descr, &format!("({count},)"), values).unwrap() else {
            panic!("{descr} is of numbers")
        };
        (tensor.kind(), Vec::try_from(tensor.to_kind(Kind::Double)).unwrap())
    }

    #[test]
    fn numbers_of_every_type_and_order_are_read() {
        for (descr, values, kind, expected) in [
            ("'|u1'", &[1, 255][..], Kind::Uint8, &[1.0, 255.0][..]),
            ("'|b1'", &[0, 1], Kind::Uint8, &[0.0, 1.0]),
            ("'|i1'", &[255, 127], Kind::Int8, &[-1.0, 127.0]),
            ("'<u2'", &[255, 255, 1, 0], Kind::Int, &[65_535.0, 1.0]),
            ("'>u2'", &[1, 0], Kind::Int, &[256.0]),
            ("'>i2'", &[255, 254], Kind::Int16, &[-2.0]),
            ("'<u4'", &[255, 255, 255, 255], Kind::Int64, &[4_294_967_295.0]),
            ("'>i4'", &[0, 0, 1, 0], Kind::Int, &[256.0]),
            ("'<u8'", &[1, 0, 0, 0, 0, 0, 0, 0], Kind::Int64, &[1.0]),
            ("'<f2'", &[0, 0x3c, 0, 0xc0], Kind::Float, &[1.0, -2.0]),
            ("'>f4'", &[0x3f, 0x80, 0, 0], Kind::Float, &[1.0]),
            ("'>f8'", &[0x3f, 0xf0, 0, 0, 0, 0, 0, 0], Kind::Double, &[1.0]),
        ] {
            assert_eq!(numbers(descr, values), (kind, expected.to_vec()), "{descr}");
        }
    }

    #[test]
    fn words_come_as_letters_or_as_bytes() {
        let words = |descr: &str, values: &[u8]| match array(descr, "(2,)", values) {
            Ok(Array::Words(words)) => words,
            _ => panic!("{descr} is of words"),
        };
        assert_eq!(words("'|S3'", b"cat\0\0\0"), ["cat", ""]);
        assert_eq!(words("'>U1'", &[0, 0, 0, b'a', 0, 0, 0, 0xe4]), ["a", "ä"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let fault = |descr: &str, shape: &str, values: &[u8]| {
            format!("{:#}", array(descr, shape, values).err().unwrap())
        };
        assert!(fault("'|O'", "(2,)", &[]).contains("holds Python objects"));
        assert!(fault("'<c8'", "(1,)", &[0; 8]).contains("values of the type <c8"));
        assert!(fault("[('a', '<f4')]", "(1,)", &[0; 4]).contains("values of the type [('a'"));
        assert!(fault("'<u8'", "(1,)", &[255; 8]).contains("does not fit into 63 bits"));
        assert!(fault("'|S2'", "(1,)", &[0xff, 0xfe]).contains("not UTF-8"));
        assert!(fault("'|u1'", "(2,)", &[1]).contains("is cut short: 1 bytes are missing"));
        assert!(fault("'|u1'", "(1,)", &[1, 2]).contains("has more than the 1 bytes"));
        assert!(fault("'|u1'", "(1001,)", &[1]).contains("more than the file holds"));
    }
}
