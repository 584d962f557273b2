//! The types that values are read and kept in.

use super::image_digests::digest_of_image;
use serde::{Deserialize, Serialize};
use std::io::{self, Write};

/// The types that kept values may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ValueKind {
    #[default]
    Uint8,
    /// For whole numbers beyond a byte.
    Int32,
    Float,
}

/// A value of one of these types.
pub(super) trait Value: Copy {
    const KIND: ValueKind;

    /// Writes values as they lie in an IDX file.
    fn write_all(values: &[Self], out: &mut dyn Write) -> io::Result<()>;

    /// A digest of an image of these values, as they lie in memory.
    fn digest(values: &[Self]) -> u64;
}

impl Value for u8 {
    const KIND: ValueKind = ValueKind::Uint8;

    fn write_all(values: &[u8], out: &mut dyn Write) -> io::Result<()> {
        out.write_all(values)
    }

    fn digest(values: &[u8]) -> u64 {
        digest_of_image(values)
    }
}

impl Value for i32 {
    const KIND: ValueKind = ValueKind::Int32;

    fn write_all(values: &[i32], out: &mut dyn Write) -> io::Result<()> {
        values.iter().try_for_each(|value| out.write_all(&value.to_be_bytes()))
    }

    fn digest(values: &[i32]) -> u64 {
        digest_of_image(&values.iter().flat_map(|value| value.to_ne_bytes()).collect::<Vec<u8>>())
    }
}

impl Value for f32 {
    const KIND: ValueKind = ValueKind::Float;

    fn write_all(values: &[f32], out: &mut dyn Write) -> io::Result<()> {
        values.iter().try_for_each(|value| out.write_all(&value.to_be_bytes()))
    }

    fn digest(values: &[f32]) -> u64 {
        digest_of_image(&values.iter().flat_map(|value| value.to_ne_bytes()).collect::<Vec<u8>>())
    }
}
