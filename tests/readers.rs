//! Every reader of bytes from outside, given bytes that were damaged at random: none may panic, hang or
//! take memory that the bytes do not account for. `FITCH_MUTATIONS` asks for more or fewer than usual.
//!
//! The same readers are fuzz targets in tests/fuzz.

#[path = "fuzz/damage.rs"]
mod damage;
#[path = "fuzz/readers.rs"]
mod readers;

use damage::damage;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use readers::{READERS, Reader};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{available_parallelism, scope};
use std::time::{Duration, Instant};

/// Over all readers together.
const USUAL_NUMBER: usize = 210_000;

/// Slow readers get this many times fewer.
const SLOWNESS: usize = 10;

#[test]
fn damaged_bytes_are_errors_and_nothing_worse() {
    let mutations =
        std::env::var("FITCH_MUTATIONS").map_or(USUAL_NUMBER, |text| text.parse().expect("a number"));
    let folder = tempfile::tempdir().unwrap();
    let next = AtomicUsize::new(0);
    scope(|scope| {
        for _ in 0..available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(reader) = READERS.get(index) else { break };
                    let share = READERS.len() * if reader.is_slow { SLOWNESS } else { 1 };
                    let path = folder.path().join(reader.name);
                    try_damaged(reader, &path, mutations.div_ceil(share), 7 + index as u64);
                }
            });
        }
    });
}

fn try_damaged(reader: &Reader, path: &Path, mutations: usize, seed: u64) {
    let Reader { name, samples, read, .. } = reader;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let samples: Vec<Vec<u8>> = samples();
    for sample in &samples {
        assert!(read(sample, path), "{name}: what is whole is read");
    }
    let mut slowest = Duration::ZERO;
    let mut refused = 0;
    for index in 0..mutations {
        let mut bytes = samples[index % samples.len()].clone();
        damage(&mut bytes, &mut random);
        let start = Instant::now();
        refused += usize::from(!read(&bytes, path));
        slowest = slowest.max(start.elapsed());
    }
    assert!(refused > 0, "{name} refuses nothing");
    // Generous: the machine may be busy with other things.
    assert!(slowest < Duration::from_secs(5), "{name}: one input took {slowest:?}");
}
