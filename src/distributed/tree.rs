//! The order in which sums over shards are added: that of a binary tree over all shards, whoever computes them.
//! Floating-point sums depend on their order, so that this keeps results the same for any number of processes.

use anyhow::Result;
use std::ops::Range;

/// The sum over a range of shards. `value` gives what is known of a range: of a single shard always, of a longer
/// one if somebody has added it already.
pub fn sum_in_order<T>(
    range: Range<usize>,
    value: &mut dyn FnMut(&Range<usize>) -> Result<Option<T>>,
    add: &dyn Fn(T, T) -> Result<T>,
) -> Result<T> {
    if let Some(known) = value(&range)? {
        return Ok(known);
    }
    assert!(range.len() > 1, "nothing is known of shard {}", range.start);
    let [left, right] = halves(&range);
    let left = sum_in_order(left, value, add)?;
    add(left, sum_in_order(right, value, add)?)
}

/// The largest ranges of the tree over `shards` that lie within `own`, in order: what a process that has these
/// shards can add without the others.
pub fn parts_of(own: &Range<usize>, shards: Range<usize>) -> Vec<Range<usize>> {
    if own.start <= shards.start && shards.end <= own.end {
        return vec![shards];
    }
    if shards.end <= own.start || own.end <= shards.start {
        return Vec::new();
    }
    halves(&shards).into_iter().flat_map(|half| parts_of(own, half)).collect()
}

fn halves(range: &Range<usize>) -> [Range<usize>; 2] {
    let middle = range.start + range.len() / 2;
    [range.start..middle, middle..range.end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// The sum of values as so many processes add them.
    fn sum(values: &[f32], processes: usize) -> f32 {
        let each = values.len() / processes;
        let add = |a: f32, b: f32| Ok(a + b);
        let mut known = BTreeMap::new();
        for process in 0..processes {
            for part in parts_of(&(process * each..(process + 1) * each), 0..values.len()) {
                let mut leaf = |range: &Range<usize>| Ok((range.len() == 1).then(|| values[range.start]));
                known.insert((part.start, part.end), sum_in_order(part, &mut leaf, &add).unwrap());
            }
        }
        sum_in_order(0..values.len(), &mut |range| Ok(known.get(&(range.start, range.end)).copied()), &add)
            .unwrap()
    }

    #[test]
    fn the_sum_is_the_same_for_every_number_of_processes() {
        for shards in [1, 2, 3, 4, 6, 8, 12, 30] {
            let values: Vec<f32> = (0..shards).map(|shard| 0.1 + 1e4 / (shard as f32 + 3.0)).collect();
            let alone = sum(&values, 1);
            for processes in (1..=shards).filter(|processes| shards % processes == 0) {
                assert_eq!(sum(&values, processes), alone, "{shards} shards, {processes} processes");
            }
        }
        let values = [1e8, 1.0, -1e8, 1.0];
        assert_ne!(sum(&values, 1), values.iter().sum::<f32>(), "the order counts");
    }

    #[test]
    fn a_process_adds_what_it_can() {
        let parts = |own: Range<usize>, shards| {
            parts_of(&own, 0..shards).into_iter().map(|part| (part.start, part.end)).collect::<Vec<_>>()
        };
        assert_eq!(parts(2..4, 4), [(2, 4)]);
        assert_eq!(parts(2..4, 6), [(2, 3), (3, 4)]);
        assert_eq!(parts(0..6, 6), [(0, 6)]);
    }
}
