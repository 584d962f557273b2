//! Work shared among the threads that libtorch computes with.
//!
//! Threads of our own would compete for the cores with libtorch's, which spin while they wait for work. So we
//! use the same function as libtorch: `GOMP_parallel` of its OpenMP library.

use libloading::Library;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};

/// Calls a function with an argument on a number of threads, this one among them, and waits for all.
type RunOnTeam = unsafe extern "C" fn(extern "C" fn(*mut c_void), *mut c_void, u32, u32);

/// None if libtorch was built with another library: then this thread does everything.
static RUN_ON_TEAM: LazyLock<Option<RunOnTeam>> = LazyLock::new(|| {
    let library = Library::from(this_process()?);
    // SAFETY: the name and the signature are part of libgomp's stable interface.
    let function = unsafe { library.get::<RunOnTeam>(b"GOMP_parallel\0") }.ok().map(|symbol| *symbol);
    // It stays for the life of the process.
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

/// Calls `work` with the index of each chunk of `items` and the chunk, on all threads. What it does must not
/// depend on the thread. A panic in it ends the process.
pub fn for_each_chunk<T: Send>(items: &mut [T], size: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    let threads = threads();
    // Neighbouring chunks go to one thread, as in libtorch, whose caches then hold what comes next.
    let share = items.len().div_ceil(size).div_ceil(threads).max(1);
    let shares: Vec<_> = items.chunks_mut(share * size).map(Mutex::new).collect();
    for_each_index(shares.len(), |index| {
        let mut items = shares[index].lock().unwrap_or_else(PoisonError::into_inner);
        items.chunks_mut(size).enumerate().for_each(|(i, chunk)| work(index * share + i, chunk));
    });
}

/// Calls `work` with each index below `count`, on all threads, as [`for_each_chunk`].
pub fn for_each_index(count: usize, work: impl Fn(usize) + Sync) {
    let threads = threads().min(count);
    let Some(run_on_team) = RUN_ON_TEAM.filter(|_| threads > 1) else {
        return (0..count).for_each(work);
    };
    // A team may be smaller than asked for, so its threads take indices until none is left.
    let next = AtomicUsize::new(0);
    on_team(run_on_team, threads, &|| {
        loop {
            match next.fetch_add(1, Ordering::Relaxed) {
                index if index < count => work(index),
                _ => break,
            }
        }
    });
}

/// Calls `work` with each item, on all threads, as [`for_each_chunk`].
pub fn for_each_item<T: Send>(items: Vec<T>, work: impl Fn(T) + Sync) {
    let items: Vec<_> = items.into_iter().map(|item| Mutex::new(Some(item))).collect();
    for_each_index(items.len(), |index| {
        let item = items[index].lock().unwrap_or_else(PoisonError::into_inner).take();
        item.into_iter().for_each(&work);
    });
}

/// The number of threads that libtorch computes with.
pub fn threads() -> usize {
    #[cfg(test)]
    if let Some(count) = THREADS.get() {
        return count;
    }
    tch::get_num_threads().max(1) as usize
}

#[cfg(test)]
thread_local! {
    static THREADS: std::cell::Cell<Option<usize>> = const { std::cell::Cell::new(None) };
}

/// Does work with another number of threads than libtorch's, which all tests share.
#[cfg(test)]
pub(crate) fn with_threads<T>(count: usize, work: impl FnOnce() -> T) -> T {
    THREADS.set(Some(count));
    let done = work();
    THREADS.set(None);
    done
}

fn on_team<F: Fn() + Sync>(run_on_team: RunOnTeam, threads: usize, work: &F) {
    extern "C" fn call<F: Fn()>(work: *mut c_void) {
        // SAFETY: this is the reference passed below, which outlives the team.
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
            for_each_chunk(&mut items, size, |index, chunk| {
                chunk.iter_mut().for_each(|item| *item += index + 1);
            });
            let expected: Vec<usize> = (0..count).map(|index| index / size + 1).collect();
            assert_eq!(items, expected, "{count} in chunks of {size}");
        }
        let calls = AtomicUsize::new(0);
        for_each_index(1_000, |index| {
            calls.fetch_add(index, Ordering::Relaxed);
        });
        assert_eq!(calls.into_inner(), 499_500);
    }
}
