//! From the text of a cell to a value of a type.

use crate::data::value_kind::{Value, ValueKind};

/// A type that values are read as.
pub(super) trait Cell: Value {
    /// The value in most cells, quickly.
    fn quick(cell: &str) -> Option<Self>;

    /// The value of a number, or the type that can hold it.
    fn of(number: f64) -> Result<Self, ValueKind>;
}

impl Cell for u8 {
    fn quick(cell: &str) -> Option<u8> {
        cell.parse().ok()
    }

    fn of(number: f64) -> Result<u8, ValueKind> {
        let is_byte = number.fract() == 0.0 && (0.0..=255.0).contains(&number);
        if is_byte {
            Ok(number as u8)
        } else {
            Err(i32::of(number).map_or_else(|kind| kind, |_| ValueKind::Int32))
        }
    }
}

impl Cell for i32 {
    fn quick(cell: &str) -> Option<i32> {
        cell.parse().ok()
    }

    fn of(number: f64) -> Result<i32, ValueKind> {
        let is_whole = number.fract() == 0.0 && (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number);
        if is_whole { Ok(number as i32) } else { Err(ValueKind::Float) }
    }
}

impl Cell for f32 {
    fn quick(_: &str) -> Option<f32> {
        None
    }

    fn of(number: f64) -> Result<f32, ValueKind> {
        let value = number as f32;
        if value.is_finite() { Ok(value) } else { Err(ValueKind::Float) }
    }
}
