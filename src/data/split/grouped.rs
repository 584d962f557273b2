//! Splits that keep groups whole. Each part gets as nearly its share of the images and of every class as the
//! groups allow: what is minimised is Pearson's chi-squared of the parts' counts, of classes and in all. Large
//! groups are placed first; then groups move and change places as long as that helps. The idea is that of
//! scikit-learn's `StratifiedGroupKFold`, which places groups once and leaves them there.

use crate::random::{Purpose, generator};
use rand::seq::SliceRandom;
use std::cmp::Reverse;
use std::collections::HashMap;

/// Passes over all groups; two or three are enough as a rule.
const MAX_PASSES: usize = 20;
/// Of more groups, moves alone find a near-even split, and pairs would take long.
const MAX_SWAPPED: usize = 200;
/// Of so few, the best of some placements from other orders is taken.
const STARTS: usize = 10;
/// Changes below this are rounding.
const LEAST_GAIN: f64 = 1e-9;

/// The part of each row, as the groups of the rows and their classes ask for it; `shares` are those of the
/// parts, none 0, and there are at least as many groups.
pub(super) fn parts(classes: &[usize], groups: &[u32], shares: &[f64], seed: u64) -> Vec<usize> {
    let mut number_of: HashMap<u32, usize> = HashMap::new();
    let group_of_row: Vec<usize> = groups
        .iter()
        .map(|group| {
            let next = number_of.len();
            *number_of.entry(*group).or_insert(next)
        })
        .collect();
    let counts = counts_of(classes, &group_of_row, number_of.len());
    let parts = best_parts(&counts, shares, seed);
    group_of_row.into_iter().map(|group| parts[group]).collect()
}

/// The part of each group.
fn best_parts(counts: &[Counts], shares: &[f64], seed: u64) -> Vec<usize> {
    let size = |group: usize| counts[group].last().map_or(0.0, |(_, count)| *count) as usize;
    let mut generator = generator(seed, Purpose::Split);
    let mut order: Vec<usize> = (0..counts.len()).collect();
    let starts = if counts.len() <= MAX_SWAPPED { STARTS } else { 1 };
    let placements = (0..starts).map(|_| {
        order.shuffle(&mut generator);
        // Groups of about the same size stay in a random order, so that another seed gives another split.
        order.sort_by_key(|&group| Reverse(size(group).max(1).ilog2()));
        let mut placement = Placement::new(counts, shares);
        placement.place(&order);
        (placement.chi_squared(), placement.part_of)
    });
    let best = placements.min_by(|(a, _), (b, _)| a.total_cmp(b));
    best.map_or_else(Vec::new, |(_, parts)| parts)
}

/// The number of rows of a group in each class, and under the number of all classes in all.
type Counts = Vec<(usize, f64)>;

fn counts_of(classes: &[usize], group_of_row: &[usize], groups: usize) -> Vec<Counts> {
    let all = classes.iter().max().map_or(0, |&class| class + 1);
    let mut pairs: Vec<(usize, usize)> = group_of_row.iter().copied().zip(classes.iter().copied()).collect();
    pairs.sort_unstable();
    let mut counts: Vec<Counts> = vec![Vec::new(); groups];
    for same in pairs.chunk_by(|a, b| a == b) {
        counts[same[0].0].push((same[0].1, same.len() as f64));
    }
    for counts in &mut counts {
        let sum = counts.iter().map(|(_, count)| count).sum();
        counts.push((all, sum));
    }
    counts
}

/// Where each group is.
struct Placement<'a> {
    counts: &'a [Counts],
    /// By part and class: how many rows there should be, and how many more there are.
    expected: Vec<Vec<f64>>,
    surplus: Vec<Vec<f64>>,
    /// By group.
    part_of: Vec<usize>,
    /// The number of groups by part.
    sizes: Vec<usize>,
}

impl<'a> Placement<'a> {
    fn new(counts: &'a [Counts], shares: &[f64]) -> Placement<'a> {
        let classes = counts.iter().flatten().map(|(class, _)| class + 1).max().unwrap_or_default();
        let mut totals = vec![0.0; classes];
        counts.iter().flatten().for_each(|&(class, count)| totals[class] += count);
        let of_share = |share: &f64| -> Vec<f64> { totals.iter().map(|total| total * share).collect() };
        let expected: Vec<Vec<f64>> = shares.iter().map(of_share).collect();
        let surplus = expected.iter().map(|part| part.iter().map(|count| -count).collect()).collect();
        Placement { counts, expected, surplus, part_of: vec![0; counts.len()], sizes: vec![0; shares.len()] }
    }

    /// Places every group.
    fn place(&mut self, order: &[usize]) {
        for &group in order {
            let costs = (0..self.sizes.len()).map(|part| (part, self.change(part, group, 1.0)));
            let best = costs.min_by(|(_, a), (_, b)| a.total_cmp(b)).map_or(0, |(part, _)| part);
            self.put(group, best);
        }
        self.fill_empty_parts(order);
        for _ in 0..MAX_PASSES {
            let has_moved = self.move_groups(order);
            let has_swapped = order.len() <= MAX_SWAPPED && self.swap_groups(order);
            if !has_moved && !has_swapped {
                break;
            }
        }
    }

    fn chi_squared(&self) -> f64 {
        let counts = self.surplus.iter().flatten().zip(self.expected.iter().flatten());
        counts
            .map(|(surplus, expected)| if *expected > 0.0 { surplus * surplus / expected } else { 0.0 })
            .sum()
    }

    fn fill_empty_parts(&mut self, order: &[usize]) {
        while let Some(empty) = self.sizes.iter().position(|&size| size == 0) {
            let spare = order.iter().copied().filter(|&group| self.sizes[self.part_of[group]] > 1);
            let costs = spare.map(|group| (group, self.move_cost(group, empty)));
            let Some((group, _)) = costs.min_by(|(_, a), (_, b)| a.total_cmp(b)) else { return };
            self.take(group);
            self.put(group, empty);
        }
    }

    /// Moves each group to the part that it fits best; whether one has moved. No part becomes empty.
    fn move_groups(&mut self, order: &[usize]) -> bool {
        let mut has_moved = false;
        for &group in order {
            let from = self.part_of[group];
            if self.sizes[from] < 2 {
                continue;
            }
            let others = (0..self.sizes.len()).filter(|&part| part != from);
            let costs = others.map(|part| (part, self.move_cost(group, part)));
            let best = costs.min_by(|(_, a), (_, b)| a.total_cmp(b));
            if let Some((part, _)) = best.filter(|(_, cost)| *cost < -LEAST_GAIN) {
                self.take(group);
                self.put(group, part);
                has_moved = true;
            }
        }
        has_moved
    }

    /// Exchanges two groups of different parts wherever that helps; whether it has.
    fn swap_groups(&mut self, order: &[usize]) -> bool {
        let mut has_swapped = false;
        for (index, &first) in order.iter().enumerate() {
            for &second in &order[index + 1..] {
                let (from, to) = (self.part_of[first], self.part_of[second]);
                if from == to {
                    continue;
                }
                let mut cost = self.move_cost(first, to);
                self.take(first);
                self.put(first, to);
                cost += self.move_cost(second, from);
                if cost < -LEAST_GAIN {
                    self.take(second);
                    self.put(second, from);
                    has_swapped = true;
                } else {
                    self.take(first);
                    self.put(first, from);
                }
            }
        }
        has_swapped
    }

    fn move_cost(&self, group: usize, part: usize) -> f64 {
        self.change(self.part_of[group], group, -1.0) + self.change(part, group, 1.0)
    }

    /// By how much chi-squared grows if a part gets a group, or for a sign of -1 loses it.
    fn change(&self, part: usize, group: usize, sign: f64) -> f64 {
        let (surplus, expected) = (&self.surplus[part], &self.expected[part]);
        let of_class =
            |&(class, count): &(usize, f64)| count * (2.0 * sign * surplus[class] + count) / expected[class];
        self.counts[group].iter().map(of_class).sum()
    }

    fn put(&mut self, group: usize, part: usize) {
        self.part_of[group] = part;
        self.sizes[part] += 1;
        self.counts[group].iter().for_each(|&(class, count)| self.surplus[part][class] += count);
    }

    fn take(&mut self, group: usize) {
        let part = self.part_of[group];
        self.sizes[part] -= 1;
        self.counts[group].iter().for_each(|&(class, count)| self.surplus[part][class] -= count);
    }
}
