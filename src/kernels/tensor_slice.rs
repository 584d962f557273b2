//! A tensor's values in the CPU's memory as a slice.

use super::has_own_code;
use anyhow::{Context, Result, ensure};
use half::bf16;
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// A type of values as it lies in a tensor. (tch 0.24's own trait takes bf16 for float16.)
///
/// # Safety
/// The type must be laid out as values of `KIND` are, and every bit pattern must be a value of it.
pub unsafe trait Value: Copy + Default + Send + Sync {
    const KIND: Kind;
}

// SAFETY: both are bytes.
unsafe impl Value for u8 {
    const KIND: Kind = Kind::Uint8;
}

// SAFETY: both are the same IEEE 754 type.
unsafe impl Value for f32 {
    const KIND: Kind = Kind::Float;
}

// SAFETY: both are 64 bits with a sign.
unsafe impl Value for i64 {
    const KIND: Kind = Kind::Int64;
}

// SAFETY: both are the upper half of a float32.
unsafe impl Value for bf16 {
    const KIND: Kind = Kind::BFloat16;
}

/// A type of numbers that fitch computes with, in float32. The crate half's own conversions branch where a
/// number may be NaN, which keeps loops from being vectorised.
pub trait Real: Value {
    fn single(self) -> f32;

    /// The number that is nearest to a float32. Of two, it is the even one.
    fn nearest(value: f32) -> Self;

    /// The same numbers, if they are float32.
    fn as_singles(values: &mut [Self]) -> Option<&mut [f32]>;
}

impl Real for f32 {
    fn single(self) -> f32 {
        self
    }

    fn nearest(value: f32) -> f32 {
        value
    }

    fn as_singles(values: &mut [f32]) -> Option<&mut [f32]> {
        Some(values)
    }
}

impl Real for bf16 {
    #[inline]
    fn single(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    #[inline]
    fn nearest(value: f32) -> bf16 {
        let bits = value.to_bits();
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
        // A NaN must not be rounded to infinity: a bit that is kept makes it quiet.
        let bits = if value.is_nan() { bits | 0x40_0000 } else { rounded };
        bf16::from_bits((bits >> 16) as u16)
    }

    fn as_singles(_: &mut [bf16]) -> Option<&mut [f32]> {
        None
    }
}

fn is_plain<T: Value>(tensor: &Tensor) -> bool {
    tensor.kind() == T::KIND && tensor.device() == Device::Cpu && tensor.is_contiguous()
}

/// The values, if they are of that type, contiguous and in the CPU's memory.
///
/// As long as the slice lives, nothing may write to the tensor's memory, through another tensor or a file
/// that it is mapped from. The callers, all of this crate, call nothing meanwhile that they do not know.
pub fn as_slice<T: Value>(tensor: &Tensor) -> Option<&[T]> {
    if !has_own_code(tensor.device()) || !is_plain::<T>(tensor) {
        return None;
    }
    if tensor.numel() == 0 {
        // Such a tensor may have no memory at all.
        return Some(&[]);
    }
    // SAFETY: that many values of the type start there, in memory that the tensor owns and that is borrowed
    // with it.
    Some(unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), tensor.numel()) })
}

/// The values, to be changed, under the conditions of [`as_slice`].
///
/// # Safety
/// As long as the slice lives, nothing else may read or write the tensor's memory. A tensor does not own it
/// alone: views and shallow clones share it.
pub(super) unsafe fn as_mut_slice<T: Value>(tensor: &mut Tensor) -> Option<&mut [T]> {
    if !is_plain::<T>(tensor) {
        return None;
    }
    if tensor.numel() == 0 {
        return Some(&mut []);
    }
    // SAFETY: as in `as_slice`; that nothing else uses the memory is the caller's promise.
    Some(unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), tensor.numel()) })
}

/// A new tensor on the CPU whose values `fill` writes. They are arbitrary before.
///
/// # Errors
/// Too little memory.
pub fn filled<T: Value>(shape: &[i64], fill: impl FnOnce(&mut [T])) -> Result<Tensor> {
    let mut tensor = Tensor::f_empty(shape, (T::KIND, Device::Cpu))?;
    // SAFETY: the tensor is new, and nobody else has it yet.
    fill(unsafe { as_mut_slice(&mut tensor) }.context("a new tensor is not contiguous")?);
    Ok(tensor)
}

/// Adds 1 to a float32 tensor of one value on the CPU and returns the sum.
///
/// # Errors
/// Another tensor.
pub fn increment(count: &mut Tensor) -> Result<f32> {
    // SAFETY: the slice is gone when this function returns, and nothing else is called meanwhile.
    match unsafe { as_mut_slice::<f32>(count) } {
        Some([count]) => {
            *count += 1.0;
            Ok(*count)
        }
        _ => anyhow::bail!("a count is not one float32 value on the CPU"),
    }
}

/// The addresses of the bytes of a dense tensor, on any device; none for a tensor without values.
pub fn addresses(tensor: &Tensor) -> Range<usize> {
    if tensor.numel() == 0 {
        return 0..0;
    }
    let values = match tensor.is_contiguous() {
        true => tensor.numel(),
        false => {
            let steps = tensor.size().into_iter().zip(tensor.stride());
            1 + steps.map(|(size, stride)| (size - 1) * stride).sum::<i64>() as usize
        }
    };
    let start = tensor.data_ptr() as usize;
    start..start + values * tensor.kind().elt_size_in_bytes()
}

/// Whether two ranges of addresses have one in common.
pub fn overlap(a: &Range<usize>, b: &Range<usize>) -> bool {
    a.start.max(b.start) < a.end.min(b.end)
}

/// Ends with an error if two of the ranges that are written overlap, or one with a range that is read.
pub(super) fn check_disjoint(mut written: Vec<Range<usize>>, read: &[Range<usize>]) -> Result<()> {
    written.retain(|range| !range.is_empty());
    written.sort_unstable_by_key(|range| range.start);
    ensure!(written.windows(2).all(|pair| pair[0].end <= pair[1].start), "tensors overlap in memory");
    for range in read {
        // The first one that ends behind the start of the range is the only one that can begin before it.
        let index = written.partition_point(|written| written.end <= range.start);
        let next = written.get(index);
        ensure!(next.is_none_or(|next| !overlap(next, range)), "a gradient overlaps a tensor that it moves");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_has_the_values_of_its_tensor() {
        let tensor = filled::<f32>(&[2], |values| values.copy_from_slice(&[1.0, 5.0])).unwrap();
        assert_eq!(Vec::<f32>::try_from(&tensor).unwrap(), [1.0, 5.0]);
        let half = filled::<bf16>(&[1, 2], |values| values.fill(bf16::from_f32(-3.0))).unwrap();
        assert_eq!(half.size(), [1, 2]);
        assert_eq!(Vec::<f32>::try_from(&half.to_kind(Kind::Float).view([-1])).unwrap(), [-3.0, -3.0]);
        assert_eq!(as_slice::<f32>(&tensor), Some(&[1.0, 5.0][..]));
        assert_eq!(as_slice::<f32>(&half), None, "another type");
        assert_eq!(as_slice::<f32>(&tensor.expand([2, 2], false)), None, "not contiguous");
    }

    #[test]
    fn numbers_are_rounded_as_by_the_crate_half() {
        for upper in 0..=u16::MAX {
            let half = bf16::from_bits(upper);
            assert_eq!(half.single().to_bits(), u32::from(upper) << 16);
            for lower in [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff] {
                let value = f32::from_bits(u32::from(upper) << 16 | lower);
                let expected = bf16::from_f32(value).to_bits();
                assert_eq!(bf16::nearest(value).to_bits(), expected, "{upper:x} {lower:x}");
            }
        }
    }

    #[test]
    fn a_tensor_without_values_is_an_empty_slice() {
        for shape in [&[0][..], &[3, 0], &[0, 5]] {
            let mut empty = Tensor::zeros(shape, (Kind::Float, Device::Cpu));
            assert_eq!(as_slice::<f32>(&empty), Some(&[][..]), "{shape:?}");
            // SAFETY: nothing else has the tensor.
            assert_eq!(unsafe { as_mut_slice::<f32>(&mut empty) }, Some(&mut [][..]), "{shape:?}");
            assert!(addresses(&empty).is_empty());
        }
        // Its pointer is null, from which no slice may be made.
        assert!(Tensor::zeros([0], (Kind::Float, Device::Cpu)).data_ptr().is_null());
        assert_eq!(filled::<f32>(&[0, 4], |values| assert!(values.is_empty())).unwrap().size(), [0, 4]);
    }

    #[test]
    fn a_count_is_a_single_value() {
        let mut count = Tensor::zeros([0i64; 0], (Kind::Float, Device::Cpu));
        assert_eq!((increment(&mut count).unwrap(), increment(&mut count).unwrap()), (1.0, 2.0));
        assert!(increment(&mut Tensor::zeros([2], (Kind::Float, Device::Cpu))).is_err());
        assert!(increment(&mut Tensor::zeros([1], (Kind::Double, Device::Cpu))).is_err());
    }

    #[test]
    fn addresses_span_what_a_view_reaches() {
        let whole = Tensor::zeros([4, 3], (Kind::Float, Device::Cpu));
        let all = addresses(&whole);
        assert_eq!(all.len(), 48);
        let row = addresses(&whole.get(1));
        assert_eq!(row, all.start + 12..all.start + 24);
        assert_eq!(addresses(&whole.select(1, 2)), all.start + 8..all.start + 48);
        assert!(overlap(&all, &row) && !overlap(&row, &addresses(&whole.get(2))));
    }

    #[test]
    fn overlaps_are_found_wherever_they_are() {
        let check = |written: &[Range<usize>], read: &[Range<usize>]| check_disjoint(written.to_vec(), read);
        assert!(check(&[10..20, 0..10, 30..40, 5..5], &[20..30, 40..50, 0..0]).is_ok());
        assert!(check(&[10..20, 0..11], &[]).is_err());
        for read in [0..11, 15..16, 19..25, 5..50] {
            assert!(check(&[10..20, 60..70], std::slice::from_ref(&read)).is_err(), "{read:?}");
        }
    }
}
