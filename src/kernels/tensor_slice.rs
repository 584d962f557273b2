//! The values of a tensor in the CPU's memory, to be worked on without libtorch. It must not know what they
//! are.

use half::bf16;
use tch::{Device, Kind, Tensor};

/// A type of values as it lies in a tensor. (Of tch 0.24's own trait, bf16 is said to be float16.)
///
/// # Safety
/// The type must be laid out as values of `KIND` are.
pub unsafe trait Value: Copy + Send + Sync {
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

// SAFETY: both are the same IEEE 754 type.
unsafe impl Value for f64 {
    const KIND: Kind = Kind::Double;
}

// SAFETY: both are 64 bits with a sign.
unsafe impl Value for i64 {
    const KIND: Kind = Kind::Int64;
}

// SAFETY: both are the upper half of a float32.
unsafe impl Value for bf16 {
    const KIND: Kind = Kind::BFloat16;
}

fn is_plain<T: Value>(tensor: &Tensor) -> bool {
    tensor.kind() == T::KIND && tensor.device() == Device::Cpu && tensor.is_contiguous()
}

/// The values, if they are of that type, in the CPU's memory and contiguous.
pub fn as_slice<T: Value>(tensor: &Tensor) -> Option<&[T]> {
    // SAFETY: so many values from there on are the tensor's, which is borrowed as long as the slice.
    is_plain::<T>(tensor)
        .then(|| unsafe { std::slice::from_raw_parts(tensor.data_ptr().cast(), tensor.numel()) })
}

/// The values, to be changed. No other tensor may share them meanwhile.
///
/// # Panics
/// A tensor of another type, on another device, or not contiguous.
pub fn as_mut_slice<T: Value>(tensor: &mut Tensor) -> &mut [T] {
    assert!(is_plain::<T>(tensor), "not contiguous values of the CPU's");
    // SAFETY: as above.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), tensor.numel()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_tensor() {
        let mut tensor = Tensor::from_slice(&[1.0f32, 2.0]);
        as_mut_slice::<f32>(&mut tensor)[1] = 5.0;
        assert_eq!(Vec::<f32>::try_from(&tensor).unwrap(), [1.0, 5.0]);
        let mut half = tensor.to_kind(Kind::BFloat16);
        as_mut_slice::<bf16>(&mut half)[0] = bf16::from_f32(-3.0);
        assert_eq!(Vec::<f32>::try_from(&half.to_kind(Kind::Float)).unwrap(), [-3.0, 5.0]);
        assert_eq!(as_slice::<f32>(&tensor), Some(&[1.0, 5.0][..]));
        assert_eq!(as_slice::<f32>(&half), None, "another type");
        assert_eq!(as_slice::<f32>(&tensor.expand([2, 2], false)), None, "not contiguous");
        let wrong = std::panic::catch_unwind(move || as_mut_slice::<f32>(&mut half).len());
        assert!(wrong.is_err(), "another type");
    }
}
