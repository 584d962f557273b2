//! Bounds the memory that images take while threads read and decode them.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Images that state a larger size, in bytes, are refused.
pub(super) const MAX_SIZE: u64 = 512 << 20;

/// Bytes that threads may hold at once; whoever asks for more waits.
#[derive(Debug)]
pub(super) struct MemoryLimit {
    limit: u64,
    used: Mutex<u64>,
    given_back: Condvar,
}

/// Bytes of a limit, given back when this is dropped.
#[derive(Debug)]
pub(super) struct Held<'a> {
    limit: &'a MemoryLimit,
    bytes: u64,
}

impl MemoryLimit {
    pub fn new(limit: u64) -> MemoryLimit {
        MemoryLimit { limit, used: Mutex::new(0), given_back: Condvar::new() }
    }

    /// Waits until that many bytes are free. More than the limit is given to one thread alone.
    pub fn hold(&self, bytes: u64) -> Held<'_> {
        let bytes = bytes.min(self.limit);
        let fits = |used: &mut u64| *used + bytes > self.limit;
        let mut used = self.given_back.wait_while(self.used(), fits).unwrap_or_else(PoisonError::into_inner);
        *used += bytes;
        Held { limit: self, bytes }
    }

    fn used(&self) -> MutexGuard<'_, u64> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        *self.limit.used() -= self.bytes;
        self.limit.given_back.notify_all();
    }
}

/// What may be in memory at once, over all threads. A thread holds encoded bytes first and decoded ones then,
/// never the other way round, so that none waits for ever.
#[derive(Debug)]
pub(super) struct DecodingLimits {
    pub encoded: MemoryLimit,
    /// Of the sizes that images state, before they are scaled.
    pub decoded: MemoryLimit,
}

impl Default for DecodingLimits {
    /// The same on every machine: as many photographs are decoded at once as fit.
    fn default() -> DecodingLimits {
        /// Ten photographs of 12 million pixels.
        const DECODED: u64 = 384 << 20;
        const ENCODED: u64 = 128 << 20;
        DecodingLimits { encoded: MemoryLimit::new(ENCODED), decoded: MemoryLimit::new(DECODED) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    /// Once, four threads a core, each with an image of up to 512 MiB.
    #[test]
    fn threads_never_hold_more_than_the_limit() {
        let limit = MemoryLimit::new(100);
        let (now, max) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for bytes in [60, 50, 40, 30, 20, 10, 100, 1_000] {
                let (limit, now, max) = (&limit, &now, &max);
                scope.spawn(move || {
                    for _ in 0..50 {
                        let held = limit.hold(bytes);
                        max.fetch_max(now.fetch_add(held.bytes, SeqCst) + held.bytes, SeqCst);
                        std::thread::yield_now();
                        now.fetch_sub(held.bytes, SeqCst);
                    }
                });
            }
        });
        assert!((60..=100).contains(&max.load(SeqCst)), "{max:?}");
        assert_eq!(*limit.used(), 0);
    }
}
