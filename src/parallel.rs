//! Work shared among the threads that libtorch computes with. It must not know what the work is.
//!
//! Threads of our own would fight for the cores with libtorch's, which spin while they wait for work. So
//! we go by the same door as libtorch: `GOMP_parallel` of its OpenMP library.

use half::bf16;
use libloading::Library;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use tch::{Device, Kind, Tensor};

/// Calls a function with an argument on a number of threads, this one among them, and waits for all.
type RunOnTeam = unsafe extern "C" fn(extern "C" fn(*mut c_void), *mut c_void, u32, u32);

/// None where libtorch was built with another library: then everything is done on this thread.
static RUN_ON_TEAM: LazyLock<Option<RunOnTeam>> = LazyLock::new(|| {
    let library = Library::from(this_process()?);
    // SAFETY: the name and the signature are part of libgomp's stable interface.
    let function = unsafe { library.get::<RunOnTeam>(b"GOMP_parallel\0") }.ok().map(|symbol| *symbol);
    // It must stay for the life of the process.
    std::mem::forget(library);
    function
});

#[cfg(unix)]
fn this_process() -> Option<libloading::os::unix::Library> {
    Some(libloading::os::unix::Library::this())
}

#[cfg(not(unix))]
fn this_process() -> Option<libloading::os::windows::Library> {
    None
}

/// A type of values as it lies in a tensor. (Of tch 0.24's own trait, bf16 is said to be float16.)
///
/// # Safety
/// The type must be laid out as values of `KIND` are.
pub unsafe trait Value: Copy + Send {
    const KIND: Kind;
}

// SAFETY: both are the same IEEE 754 type.
unsafe impl Value for f32 {
    const KIND: Kind = Kind::Float;
}

// SAFETY: both are the upper half of a float32.
unsafe impl Value for bf16 {
    const KIND: Kind = Kind::BFloat16;
}

/// The values of a tensor of that type, in the CPU's memory and contiguous. No other tensor may share them.
///
/// # Panics
/// A tensor of another type, on another device, or not contiguous.
pub fn slice_of<T: Value>(tensor: &mut Tensor) -> &mut [T] {
    let is_plain = tensor.is_contiguous() && tensor.device() == Device::Cpu;
    assert!(is_plain && tensor.kind() == T::KIND, "not contiguous values of the CPU's");
    // SAFETY: so many values from there on are the tensor's, which is borrowed as long as the slice.
    unsafe { std::slice::from_raw_parts_mut(tensor.data_ptr().cast(), tensor.numel()) }
}

/// Calls `work` with the number of each chunk of `items` and the chunk, on all threads. What it does must
/// not depend on which thread does it. It must not panic: that ends the process.
pub fn for_each_chunk<T: Send>(items: &mut [T], size: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    let threads = threads();
    // Neighbouring chunks go to one thread, as in libtorch, whose caches then hold what comes next.
    let share = items.len().div_ceil(size).div_ceil(threads).max(1);
    let shares: Vec<_> = items.chunks_mut(share * size).map(Mutex::new).collect();
    for_each_index(shares.len(), |number| {
        let mut items = shares[number].lock().unwrap_or_else(PoisonError::into_inner);
        items.chunks_mut(size).enumerate().for_each(|(i, chunk)| work(number * share + i, chunk));
    });
}

/// Calls `work` with each number below `count`, on all threads; otherwise as [`for_each_chunk`].
pub fn for_each_index(count: usize, work: impl Fn(usize) + Sync) {
    let threads = threads().min(count);
    let Some(run_on_team) = RUN_ON_TEAM.filter(|_| threads > 1) else {
        return (0..count).for_each(work);
    };
    // A team may be smaller than asked for, so that its threads take numbers until none is left.
    let next = AtomicUsize::new(0);
    on_team(run_on_team, threads, &|| {
        loop {
            match next.fetch_add(1, Ordering::Relaxed) {
                number if number < count => work(number),
                _ => break,
            }
        }
    });
}

fn threads() -> usize {
    tch::get_num_threads().max(1) as usize
}

fn on_team<F: Fn() + Sync>(run_on_team: RunOnTeam, threads: usize, work: &F) {
    extern "C" fn call<F: Fn()>(work: *mut c_void) {
        // SAFETY: it is the reference that was passed below, which outlives the team.
        unsafe { (*work.cast::<F>())() }
    }
    // SAFETY: the function may be called from several threads at once (F is Sync), and all calls have
    // returned when this one does.
    unsafe { run_on_team(call::<F>, std::ptr::from_ref(work).cast_mut().cast(), threads as u32, 0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_chunk_is_worked_on_once() {
        assert!(RUN_ON_TEAM.is_some(), "libtorch's OpenMP library is libgomp");
        for (count, size) in [(0, 3), (1, 3), (10, 3), (9, 3), (1_000, 7), (5, 100)] {
            let mut items = vec![0usize; count];
            for_each_chunk(&mut items, size, |number, chunk| {
                chunk.iter_mut().for_each(|item| *item += number + 1);
            });
            let expected: Vec<usize> = (0..count).map(|index| index / size + 1).collect();
            assert_eq!(items, expected, "{count} in chunks of {size}");
        }
        let calls = AtomicUsize::new(0);
        for_each_index(1_000, |number| {
            calls.fetch_add(number, Ordering::Relaxed);
        });
        assert_eq!(calls.into_inner(), 499_500);
    }

    #[test]
    fn a_slice_is_that_of_the_tensor() {
        let mut tensor = Tensor::from_slice(&[1.0f32, 2.0]);
        slice_of::<f32>(&mut tensor)[1] = 5.0;
        assert_eq!(Vec::<f32>::try_from(&tensor).unwrap(), [1.0, 5.0]);
        let mut half = tensor.to_kind(Kind::BFloat16);
        slice_of::<bf16>(&mut half)[0] = bf16::from_f32(-3.0);
        assert_eq!(Vec::<f32>::try_from(&half.to_kind(Kind::Float)).unwrap(), [-3.0, 5.0]);
        let wrong = std::panic::catch_unwind(move || slice_of::<f32>(&mut half).len());
        assert!(wrong.is_err(), "another type");
    }
}
