//! Damage done to bytes at random.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// Changes some bytes, cuts, repeats or inserts, or puts numbers in that headers like to be wrong by.
pub fn damage(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    const NUMBERS: [&[u8]; 8] = [
        b"\0\0\0\0",
        b"\xff\xff\xff\xff",
        b"\x7f\xff\xff\xff",
        b"\x80",
        b"-1",
        b"1e999",
        b"nan",
        b"99999999999999999999",
    ];
    for _ in 0..random.gen_range(1..4) {
        let at = random.gen_range(0..=bytes.len());
        match random.gen_range(0..6) {
            0 if at < bytes.len() => bytes[at] = random.r#gen(),
            1 if at < bytes.len() => bytes[at] ^= 1 << random.gen_range(0..8),
            2 => bytes.truncate(at),
            3 => {
                let end = (at + random.gen_range(0..16)).min(bytes.len());
                bytes.drain(at..end);
            }
            4 => {
                let end = (at + random.gen_range(0..16)).min(bytes.len());
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => {
                let number = NUMBERS[random.gen_range(0..NUMBERS.len())];
                let end = (at + number.len()).min(bytes.len());
                bytes.splice(at..end, number.iter().copied());
            }
        }
    }
}
