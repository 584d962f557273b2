//! Tells gzipped files from raw ones.

use std::fs::File;
use std::io::{Read, Result, Seek};

/// How every gzip file begins (RFC 1952).
pub(super) const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Whether a file is gzipped, by its first bytes; its position is its beginning afterwards.
///
/// # Errors
/// The file cannot be read.
pub(super) fn is_gzip(file: &mut File) -> Result<bool> {
    let mut start = Vec::new();
    file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut start)?;
    file.rewind()?;
    Ok(start == MAGIC)
}
