//! The order in which sums over slices are added: that of a binary tree over all slices, whoever computes them.
//! Floating-point sums depend on their order, so that this keeps results the same for any number of processes.

use anyhow::Result;
use std::ops::Range;

/// The sum over a range of slices. `value` gives what is known of a range: of a single slice always, of a longer
/// one if somebody has added it already.
pub fn sum_in_order<T>(
    range: Range<usize>,
    value: &mut dyn FnMut(&Range<usize>) -> Result<Option<T>>,
    add: &dyn Fn(T, T) -> Result<T>,
) -> Result<T> {
    if let Some(known) = value(&range)? {
        return Ok(known);
    }
    assert!(range.len() > 1, "nothing is known of slice {}", range.start);
    let [left, right] = halves(&range);
    let left = sum_in_order(left, value, add)?;
    add(left, sum_in_order(right, value, add)?)
}

/// The largest ranges of the tree over `slices` that lie within `own`, in order: what a process that has these
/// slices can add without the others.
pub fn parts_of(own: &Range<usize>, slices: Range<usize>) -> Vec<Range<usize>> {
    if own.start <= slices.start && slices.end <= own.end {
        return vec![slices];
    }
    if slices.end <= own.start || own.end <= slices.start {
        return Vec::new();
    }
    halves(&slices).into_iter().flat_map(|half| parts_of(own, half)).collect()
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
        for slices in [1, 2, 3, 4, 6, 8, 12, 30] {
            let values: Vec<f32> = (0..slices).map(|slice| 0.1 + 1e4 / (slice as f32 + 3.0)).collect();
            let alone = sum(&values, 1);
            for processes in (1..=slices).filter(|processes| slices % processes == 0) {
                assert_eq!(sum(&values, processes), alone, "{slices} slices, {processes} processes");
            }
        }
        let values = [1e8, 1.0, -1e8, 1.0];
        assert_ne!(sum(&values, 1), values.iter().sum::<f32>(), "the order counts");
    }

    #[test]
    fn a_process_adds_what_it_can() {
        assert_eq!(parts_of(&(2..4), 0..4), [2..4]);
        assert_eq!(parts_of(&(2..4), 0..6), [2..3, 3..4]);
        assert_eq!(parts_of(&(0..6), 0..6), [0..6]);
    }
}
