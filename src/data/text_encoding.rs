//! Text in the encodings that programs write, as UTF-8: with and without a byte order mark, UTF-16, and
//! Windows-1252 for whatever is not UTF-8.

use std::io::{self, Read};

/// How the bytes of a text stand for letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// UTF-8, and Windows-1252 in cells that are not.
    Bytes {
        mark: bool,
    },
    Utf16 {
        big_endian: bool,
        mark: bool,
    },
}

impl Encoding {
    /// By the first bytes of a text; none if they are no text.
    pub fn of(start: &[u8]) -> Option<Encoding> {
        match start {
            [0xef, 0xbb, 0xbf, ..] => return Some(Encoding::Bytes { mark: true }),
            [0xff, 0xfe, ..] => return Some(Encoding::Utf16 { big_endian: false, mark: true }),
            [0xfe, 0xff, ..] => return Some(Encoding::Utf16 { big_endian: true, mark: true }),
            _ => {}
        }
        // Digits and separators have a zero byte in UTF-16, and no text in another encoding has one.
        let zeros = |parity: usize| start.iter().skip(parity).step_by(2).filter(|&&byte| byte == 0).count();
        let most = |zeros: usize, others: usize| 4 * zeros > start.len() && zeros > 16 * others;
        match (zeros(0), zeros(1)) {
            (0, 0) => Some(Encoding::Bytes { mark: false }),
            (even, odd) if most(odd, even) => Some(Encoding::Utf16 { big_endian: false, mark: false }),
            (even, odd) if most(even, odd) => Some(Encoding::Utf16 { big_endian: true, mark: false }),
            _ => None,
        }
    }

    /// Whether a text begins with the mark of UTF-32, which is not read.
    pub fn is_utf_32(start: &[u8]) -> bool {
        start.starts_with(b"\xff\xfe\0\0") || start.starts_with(b"\0\0\xfe\xff")
    }

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Bytes { .. } => "UTF-8",
            Encoding::Utf16 { .. } => "UTF-16",
        }
    }

    /// The text without its mark; UTF-16 as UTF-8.
    pub fn decoded(self, mut bytes: Box<dyn Read>) -> io::Result<Box<dyn Read>> {
        let mark = match self {
            Encoding::Bytes { mark: true } => 3,
            Encoding::Utf16 { mark: true, .. } => 2,
            _ => 0,
        };
        bytes.by_ref().take(mark).read_to_end(&mut Vec::new())?;
        Ok(match self {
            Encoding::Bytes { .. } => bytes,
            Encoding::Utf16 { big_endian, .. } => Box::new(Utf16 { bytes, big_endian, ..Utf16::default() }),
        })
    }
}

/// Reads UTF-16 as UTF-8; what is no letter becomes the sign for that.
struct Utf16 {
    bytes: Box<dyn Read>,
    big_endian: bool,
    /// Read and not yet decoded: half a unit, or half a letter.
    rest: Vec<u8>,
    decoded: Vec<u8>,
    /// Of these, how many were given.
    given: usize,
}

impl Default for Utf16 {
    fn default() -> Utf16 {
        Utf16 {
            bytes: Box::new(io::empty()),
            big_endian: false,
            rest: Vec::new(),
            decoded: Vec::new(),
            given: 0,
        }
    }
}

impl Utf16 {
    /// Decodes the next bytes, if there are any, and says how many there were.
    fn fill(&mut self) -> io::Result<usize> {
        const BYTES: u64 = 1 << 14;
        (self.given, self.decoded) = (0, Vec::new());
        let read = self.bytes.by_ref().take(BYTES).read_to_end(&mut self.rest)?;
        let unit = |pair: &[u8; 2]| match self.big_endian {
            true => u16::from_be_bytes(*pair),
            false => u16::from_le_bytes(*pair),
        };
        let (pairs, _) = self.rest.as_chunks();
        let mut units: Vec<u16> = pairs.iter().map(unit).collect();
        let is_first_half = |unit: &u16| (0xd800..0xdc00).contains(unit);
        if read > 0 && units.last().is_some_and(is_first_half) {
            units.pop();
        }
        let letters = char::decode_utf16(units.iter().copied());
        let text: String = letters.map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
        self.rest.drain(..2 * units.len());
        if read == 0 {
            self.rest.clear();
        }
        self.decoded = text.into_bytes();
        Ok(read)
    }
}

impl Read for Utf16 {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Half a letter gives nothing yet.
        while self.given == self.decoded.len() && self.fill()? > 0 {}
        let count = buffer.len().min(self.decoded.len() - self.given);
        buffer[..count].copy_from_slice(&self.decoded[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

/// Bytes as Windows-1252 has them.
pub(super) fn windows_1252(bytes: &[u8]) -> String {
    // From 0x80; the five that have no letter stay as they are, as in browsers.
    const HIGH: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}',
        '\u{90}', '‘', '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
    ];
    let letter = |&byte: &u8| match byte {
        0x80..=0x9f => HIGH[usize::from(byte - 0x80)],
        _ => char::from(byte),
    };
    bytes.iter().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn read(bytes: &[u8]) -> String {
        let encoding = Encoding::of(bytes).unwrap();
        let mut text = String::new();
        encoding.decoded(Box::new(Cursor::new(bytes.to_vec()))).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn marks_are_left_out_and_utf_16_is_decoded() {
        assert_eq!(read(b"\xef\xbb\xbfa,b"), "a,b");
        assert_eq!(read(b"a,b"), "a,b");
        let text = format!("label;größe\n{}😀;1\n", "katze;12\n".repeat(5_000));
        for big_endian in [false, true] {
            let bytes = |unit: u16| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() };
            let plain: Vec<u8> = text.encode_utf16().flat_map(bytes).collect();
            assert_eq!(read(&plain), text);
            assert_eq!(read(&[&bytes(0xfeff)[..], &plain].concat()), text);
        }
        // Half a letter at the end, and one without its other half.
        assert_eq!(read(b"\xff\xfea\0\x3d"), "a");
        assert_eq!(read(b"\xff\xfe\x3d\xd8"), "\u{fffd}");
    }

    #[test]
    fn bytes_that_are_no_text_are_not_decoded() {
        assert_eq!(Encoding::of(b"PK\x03\x04\x00\x00\x00\x01"), None);
        assert!(Encoding::is_utf_32(b"\xff\xfe\0\0a\0\0\0") && !Encoding::is_utf_32(b"\xff\xfea\0"));
        assert_eq!(windows_1252(b"gr\xf6\xdfer \x80"), "größer €");
    }
}
