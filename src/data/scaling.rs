//! How values are scaled: the one that becomes 1.0. The one place that decides it, whatever the format.

use super::Images;
use anyhow::{Result, ensure};
use std::fmt;
use tch::{Kind, Tensor};

/// Values that are looked at in one go.
const VALUES: usize = 4 << 20;

/// The largest value of a byte.
const BYTE: f64 = u8::MAX as f64;

/// Data that end here use so little of a byte that they were not made for all of it.
const FAR_BELOW_BYTE: f64 = 16.0;

/// The value that becomes 1.0, and why it is another than one would expect.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Scale {
    pub maximum: f64,
    pub note: Option<String>,
    /// Whether it is 255 for bytes or 1 for floats.
    is_usual: bool,
}

impl Scale {
    /// The one that was asked for.
    pub fn given(maximum: f64) -> Scale {
        Scale { maximum, note: None, is_usual: false }
    }

    /// Of pictures whose values are bytes.
    pub fn of_bytes(asked: Option<f64>) -> Scale {
        let other = asked.filter(|asked| *asked != BYTE);
        let note = other.map(|_| "pictures whose values are bytes are divided by 255".to_string());
        Scale { maximum: BYTE, note, is_usual: true }
    }

    /// Of pictures of 16 bits for a model of bytes: all of the bits, or no more than a byte.
    ///
    /// # Errors
    /// A value that is no finite number.
    pub fn of_wide(images: &Images) -> Result<Scale> {
        let is_byte = Range::of(images)?.max <= BYTE;
        let maximum = if is_byte { BYTE } else { f64::from(u16::MAX) };
        let note = (!is_byte).then(|| format!("the pictures have 16 bits: {maximum} becomes 1.0"));
        Ok(Scale { maximum, note, is_usual: true })
    }

    /// What a model needs that was trained on values up to `maximum`: the same, whatever would suit the images
    /// themselves. Only what was made of bytes goes by its type: bytes, or floats up to 1.
    pub fn for_model_of(self, maximum: f64, shape: &[i64]) -> Scale {
        // Rows of values may be anything.
        let are_images = shape.len() > 1;
        match (maximum, self.maximum) {
            (1.0, BYTE) | (BYTE, 1.0) if self.is_usual && are_images => Scale { note: None, ..self },
            _ => Scale { maximum, note: None, is_usual: false },
        }
    }

    /// What suits the training images. Bytes are divided by 255, whole numbers by the largest that has as
    /// many bits, floats up to 1 are left as they are.
    ///
    /// # Errors
    /// A value that is no finite number.
    pub fn of(images: &Images) -> Result<Scale> {
        let is_float = matches!(images.kind(), Kind::Half | Kind::Float | Kind::Double);
        Ok(Scale::of_range(&Range::of(images)?, is_float))
    }

    /// The same of images that go from the first to the last value of a range.
    pub fn of_range(range: &Range, is_float: bool) -> Scale {
        let maximum = range.maximum();
        let usual = if !is_float || range.magnitude() > 1.0 { BYTE } else { 1.0 };
        let note = (maximum != usual && range.magnitude() > 0.0)
            .then(|| format!("the values go from {} to {}: {maximum} becomes 1.0", range.min, range.max));
        Scale { maximum, note, is_usual: maximum == usual }
    }
}

/// The values of images, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Range {
    pub min: f64,
    pub max: f64,
    pub are_whole: bool,
}

impl Range {
    /// Of no values.
    pub const EMPTY: Range = Range { min: f64::INFINITY, max: f64::NEG_INFINITY, are_whole: true };

    /// With more values.
    #[cfg_attr(not(feature = "images"), allow(dead_code))]
    pub fn extend(&mut self, values: &[f32]) {
        for &value in values {
            self.min = self.min.min(value.into());
            self.max = self.max.max(value.into());
            self.are_whole &= value.fract() == 0.0;
        }
    }

    /// # Errors
    /// A value that is no finite number, with the image that has it.
    pub fn of(images: &Images) -> Result<Range> {
        let is_float = matches!(images.kind(), Kind::Half | Kind::Float | Kind::Double | Kind::BFloat16);
        let mut range = Range::EMPTY;
        for (start, part) in parts(images) {
            let part = part?;
            let (min, max) = (number(&part.f_min()?)?, number(&part.f_max()?)?);
            // NaN is the minimum and the maximum of what holds it.
            ensure!(
                min.is_finite() && max.is_finite(),
                "image {} (from 0) has a value that is not a finite number",
                start + first_not_finite(&part)?
            );
            let largest = max.max(-min);
            ensure!(
                largest <= f64::from(f32::MAX),
                "has the value {largest:e}, beyond what networks can take ({:e})",
                f32::MAX
            );
            range.min = range.min.min(min);
            range.max = range.max.max(max);
            // Fractions show in the first values, if there are any.
            range.are_whole &= !is_float || !range.are_whole || are_whole(&part)?;
        }
        if images.is_empty() {
            return Ok(Range { min: 0.0, max: 0.0, are_whole: true });
        }
        Ok(range)
    }

    pub fn magnitude(&self) -> f64 {
        self.max.max(-self.min)
    }

    fn maximum(&self) -> f64 {
        let magnitude = self.magnitude();
        match magnitude {
            // Nothing can be divided by what is zero as a float32.
            magnitude if magnitude < f64::from(f32::MIN_POSITIVE) => 1.0,
            _ if self.are_whole => of_whole(magnitude, self.min < 0.0),
            // Bytes that were divided by 255 already, whether or not there is a 255 among them.
            _ if magnitude <= 1.0 && magnitude > FAR_BELOW_BYTE / BYTE => 1.0,
            // Bytes that were made floats, and then larger or smaller images.
            _ if self.min >= 0.0 && magnitude > BYTE / 2.0 && magnitude <= BYTE => BYTE,
            _ => magnitude,
        }
    }
}

/// The largest whole number of as many bits, but 255 for all that may well be bytes.
fn of_whole(magnitude: f64, has_negative: bool) -> f64 {
    // 16 and 256 are maxima of their own: the number of grey levels.
    let is_power = magnitude >= FAR_BELOW_BYTE && magnitude.log2().fract() == 0.0;
    let of_bits = if is_power { magnitude } else { (magnitude + 1.0).log2().ceil().exp2() - 1.0 };
    let is_byte = !has_negative && magnitude > FAR_BELOW_BYTE && magnitude <= BYTE;
    if is_byte { BYTE } else { of_bits.max(1.0) }
}

/// Images with values beyond the one that becomes 1.0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Beyond {
    pub images: usize,
    largest: f64,
    maximum: f64,
}

/// `have values up to 917, but 255 becomes 1.0`.
impl fmt::Display for Beyond {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "have values up to {}, but {} becomes 1.0", self.largest, self.maximum)
    }
}

/// The images that have a value far beyond the maximum; beyond it at all if it `was_given`.
///
/// # Errors
/// A value that is no finite number.
pub(super) fn beyond(images: &Images, maximum: f64, was_given: bool) -> Result<Option<Beyond>> {
    /// Other images may well have somewhat larger values than those that a scale was taken from.
    const FAR: f64 = 2.0;
    if images.kind() == Kind::Uint8 && maximum >= BYTE {
        return Ok(None);
    }
    let largest = Range::of(images)?.magnitude();
    if largest <= if was_given { maximum } else { FAR * maximum } {
        return Ok(None);
    }
    let mut count = 0;
    for (_, part) in parts(images) {
        let largest_of_each = part?.f_flatten(1, -1)?.f_to_kind(Kind::Double)?.f_abs()?.f_amax(1, false)?;
        count += i64::try_from(largest_of_each.f_gt(maximum)?.f_sum(Kind::Int64)?)? as usize;
    }
    Ok(Some(Beyond { images: count, largest, maximum }))
}

/// The images, as many at once as is good for memory, with the index of the first.
fn parts(images: &Images) -> impl Iterator<Item = (usize, Result<Tensor>)> + '_ {
    let width = images.shape().iter().product::<i64>().max(1) as usize;
    let count = (VALUES / width).max(1);
    (0..images.len()).step_by(count).map(move |start| (start, images.slice(start, count)))
}

fn number(value: &Tensor) -> Result<f64> {
    Ok(f64::try_from(value.f_to_kind(Kind::Double)?)?)
}

fn are_whole(values: &Tensor) -> Result<bool> {
    Ok(values.f_frac()?.f_count_nonzero(None)?.int64_value(&[]) == 0)
}

/// The index of the first image with such a value.
fn first_not_finite(images: &Tensor) -> Result<usize> {
    let bad = images.f_flatten(1, -1)?.f_isfinite()?.f_logical_not()?.f_any_dim(1, false)?;
    Ok(i64::try_from(bad.f_to_kind(Kind::Int64)?.f_argmax(0, false)?)? as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images<T: tch::kind::Element>(values: &[T]) -> Images {
        Images::new(Tensor::from_slice(values).view([-1, 1, 1]), vec![0; values.len()]).unwrap()
    }

    fn maximum<T: tch::kind::Element>(values: &[T]) -> f64 {
        Scale::of(&images(values)).unwrap().maximum
    }

    #[test]
    fn bytes_are_divided_by_255_unless_they_end_far_below() {
        for (largest, expected) in
            [(255, 255.0), (200, 255.0), (17, 255.0), (16, 16.0), (15, 15.0), (9, 15.0), (7, 7.0), (3, 3.0)]
        {
            assert_eq!(maximum(&[0u8, largest]), expected, "{largest}");
            assert_eq!(maximum(&[0i64, largest.into()]), expected, "{largest}, of another type");
            assert_eq!(maximum(&[0f32, largest.into()]), expected, "{largest}, as a float");
        }
        assert_eq!((maximum(&[0u8, 2]), maximum(&[0u8, 1]), maximum(&[0u8, 0])), (3.0, 1.0, 1.0));
        assert_eq!(Scale::of(&images(&[0u8, 200])).unwrap().note, None);
        let note = Scale::of(&images(&[0u8, 1])).unwrap().note.unwrap();
        assert_eq!(note, "the values go from 0 to 1: 1 becomes 1.0");
    }

    #[test]
    fn wider_whole_numbers_are_divided_by_the_largest_of_as_many_bits() {
        for (values, expected) in [
            (&[0i32, 4000][..], 4095.0),
            (&[0, 65_535], 65_535.0),
            (&[0, 256], 256.0),
            (&[0, 257], 511.0),
            (&[-200, 3000], 4095.0),
            (&[-128, 127], 128.0),
            (&[-1, 1], 1.0),
        ] {
            assert_eq!(maximum(values), expected, "{values:?}");
        }
    }

    #[test]
    fn floats_are_left_as_they_are_up_to_1_or_are_bytes_or_have_a_scale_of_their_own() {
        for (values, expected) in [
            (&[0.0f32, 1.0][..], 1.0),
            (&[0.0, 0.95], 1.0),
            (&[0.0, 0.25], 1.0),
            (&[-1.0, 0.3], 1.0),
            (&[0.0, 0.001], 0.001f32.into()),
            (&[0.5, 250.25], 255.0),
            (&[0.5, 255.0], 255.0),
            (&[0.5, 90.0], 90.0),
            (&[-2.5, 2.0], 2.5),
            (&[-100.5, 200.0], 200.0),
            (&[0.5, 300.5], 300.5),
        ] {
            assert_eq!(maximum(values), expected, "{values:?}");
        }
        assert_eq!(Scale::of(&images(&[0.0f64, 0.5])).unwrap().note, None);
        assert!(Scale::of(&images(&[-2.5f64, 0.5])).unwrap().note.unwrap().contains("2.5 becomes 1.0"));
    }

    #[test]
    fn a_model_keeps_its_scale_but_for_bytes_that_became_floats() {
        let scale = |of: &Images, model: f64| Scale::of(of).unwrap().for_model_of(model, &of.shape()).maximum;
        assert_eq!(scale(&images(&[0i32, 200, 57]), 999.0), 999.0);
        assert_eq!(scale(&images(&[0u8, 255]), 16.0), 16.0);
        assert_eq!(scale(&images(&[0u8, 255]), 1.0), 255.0);
        assert_eq!(scale(&images(&[0.0f32, 0.9]), 255.0), 1.0);
        assert_eq!(scale(&images(&[0u8, 1]), 255.0), 255.0, "bytes of which little is used");
        assert_eq!(scale(&images(&[-3.5f32, 0.9]), 255.0), 255.0);
    }

    #[test]
    fn what_is_no_finite_number_is_refused_with_its_image() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let fault = Scale::of(&images(&[0.0, 1.0, bad, 0.0])).unwrap_err().to_string();
            assert!(fault.contains("image 2 (from 0) has a value that is not a finite number"), "{fault}");
        }
    }

    #[test]
    fn values_beyond_the_maximum_are_counted_by_image() {
        let images = images(&[1.0f32, -3.0, 2.0, 0.5]);
        let found = |maximum, was_given| beyond(&images, maximum, was_given).unwrap();
        let text = "have values up to 3, but 1 becomes 1.0";
        assert_eq!(
            found(1.0, true).map(|beyond| (beyond.images, beyond.to_string())),
            Some((2, text.to_string()))
        );
        assert_eq!((found(3.0, true), found(2.0, false)), (None, None));
        assert_eq!(found(1.0, false).unwrap().images, 2);
    }
}
