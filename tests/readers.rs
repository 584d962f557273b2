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
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut slowest = Duration::ZERO;
    for Reader { name, samples, read, is_slow } in READERS {
        let samples: Vec<Vec<u8>> = samples();
        let path = folder.path().join(name);
        for sample in &samples {
            assert!(read(sample, &path), "{name}: what is whole is read");
        }
        let mut refused = 0;
        let share = READERS.len() * if is_slow { SLOWNESS } else { 1 };
        for index in 0..mutations.div_ceil(share) {
            let mut bytes = samples[index % samples.len()].clone();
            damage(&mut bytes, &mut random);
            let start = Instant::now();
            refused += usize::from(!read(&bytes, &path));
            slowest = slowest.max(start.elapsed());
        }
        assert!(refused > 0, "{name} refuses nothing");
    }
    // Generous: the machine may be busy with other things.
    assert!(slowest < Duration::from_secs(5), "one input took {slowest:?}");
}
