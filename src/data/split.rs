//! Which rows are held out for validation. Pure: it sees labels only.

use crate::random::{Purpose, shuffle};
use anyhow::{Result, bail};
use std::collections::{HashMap, HashSet};

/// How the validation rows are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplitMethod {
    /// At random, each class in the same proportion as in the whole.
    Stratified,
    /// At random.
    Shuffled,
    /// The last images of the file, as Keras 3 does.
    Last,
}

impl SplitMethod {
    /// All methods.
    pub const ALL: [SplitMethod; 3] = [SplitMethod::Stratified, SplitMethod::Shuffled, SplitMethod::Last];

    /// As users write it: `stratified`.
    pub fn keyword(self) -> &'static str {
        match self {
            SplitMethod::Stratified => "stratified",
            SplitMethod::Shuffled => "shuffled",
            SplitMethod::Last => "last",
        }
    }
}

/// The rows of both parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitRows {
    /// Rows to train on: shuffled, or in file order for [`SplitMethod::Last`].
    pub train: Vec<i64>,
    /// Rows held out; empty for a share of 0.
    pub validation: Vec<i64>,
}

/// Splits the rows of `labels` (one label a row): `share` of them are held out.
///
/// The sizes follow Keras 3.15 (`train_validation_split`): `floor(n * (1.0 -
/// share))` rows are left to train on, computed in f64.
///
/// # Errors
/// A share outside [0, 1), or one that leaves a part empty.
pub fn split(labels: &[i64], share: f64, method: SplitMethod, seed: u64) -> Result<SplitRows> {
    let total = labels.len();
    if !(0.0..1.0).contains(&share) {
        bail!("a validation share of {share} is not in the range from 0 to below 1");
    }
    if total == 0 {
        bail!("there are no training images to split");
    }
    let train_size = (total as f64 * (1.0 - share)).floor() as usize;
    let validation_size = total - train_size;
    if train_size == 0 || (share > 0.0 && validation_size == 0) {
        let part = if train_size == 0 { "training" } else { "validation" };
        bail!("a validation share of {share} of {total} images leaves the {part} part empty");
    }

    let mut rows: Vec<i64> = (0..total as i64).collect();
    if method == SplitMethod::Last {
        let validation = rows.split_off(train_size);
        return Ok(SplitRows { train: rows, validation });
    }
    shuffle(&mut rows, seed, Purpose::Split);
    if method == SplitMethod::Shuffled {
        return Ok(SplitRows { train: rows.split_off(validation_size), validation: rows });
    }
    let classes = class_indices(labels);
    let mut quota = stratified_quota(&classes, validation_size);
    let (validation, train) = rows.into_iter().partition(|&row| {
        let left = &mut quota[classes[row as usize]];
        let held_out = *left > 0;
        *left -= usize::from(held_out);
        held_out
    });
    Ok(SplitRows { train, validation })
}

/// How few classes were held out, for people, if that shows that the images are sorted by class: some class
/// has no image to train on, or most have none to validate with.
pub fn says_sorted(labels: &[i64], rows: &SplitRows) -> Option<String> {
    let distinct = |rows: &[i64]| rows.iter().map(|&row| labels[row as usize]).collect::<HashSet<i64>>();
    let (train, validation) = (distinct(&rows.train), distinct(&rows.validation));
    let classes = train.union(&validation).count();
    let are_few = rows.validation.len() >= 2 * classes && 2 * validation.len() < classes;
    let is_sorted = !validation.is_subset(&train) || are_few;
    is_sorted.then(|| {
        let (held_out, few) = (rows.validation.len(), validation.len());
        format!(
            "the {held_out} images held out are of {few} of {classes} classes: the images are sorted by class"
        )
    })
}

/// The labels numbered from 0 without gaps, in their order: users' labels may be any numbers.
fn class_indices(labels: &[i64]) -> Vec<usize> {
    let mut distinct = labels.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let index_of: HashMap<i64, usize> = distinct.into_iter().zip(0..).collect();
    labels.iter().map(|label| index_of[label]).collect()
}

/// How many rows of each class are held out: proportional, rounded by largest remainder, so that the
/// numbers add up to `validation_size`. Where that is possible, one row of each class is left to train on.
fn stratified_quota(of_rows: &[usize], validation_size: usize) -> Vec<usize> {
    let classes = of_rows.iter().max().map_or(0, |&class| class + 1);
    let mut counts = vec![0usize; classes];
    of_rows.iter().for_each(|&class| counts[class] += 1);
    let exact = |class: usize| counts[class] * validation_size; // in units of 1 / n
    let mut quota: Vec<usize> = (0..classes).map(|class| exact(class) / of_rows.len()).collect();
    let mut by_remainder: Vec<usize> = (0..classes).collect();
    by_remainder.sort_by_key(|&class| std::cmp::Reverse(exact(class) % of_rows.len()));
    let mut missing = validation_size - quota.iter().sum::<usize>();
    for left_to_train in [1, 0] {
        for &class in &by_remainder {
            if missing > 0 && quota[class] + left_to_train < counts[class] {
                quota[class] += 1;
                missing -= 1;
            }
        }
    }
    quota
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` labels of `classes` classes, class k about k + 1 times as frequent as class 0.
    fn labels(n: usize, classes: i64) -> Vec<i64> {
        (0..n as i64).map(|i| (i * i) % classes).collect()
    }

    #[test]
    fn sizes_follow_the_floor_rule_of_keras() {
        // Python: math.floor(60000 * (1.0 - v)) for v = .1, .33, .9; the last two show the rounding of f64.
        for (share, train) in [(0.1, 54_000), (0.33, 40_199), (0.9, 5_999), (0.0, 60_000)] {
            for method in [SplitMethod::Stratified, SplitMethod::Shuffled, SplitMethod::Last] {
                let split = split(&labels(60_000, 10), share, method, 0).unwrap();
                assert_eq!(split.train.len(), train, "{method:?} {share}");
                assert_eq!(split.validation.len(), 60_000 - train, "{method:?} {share}");
            }
        }
    }

    #[test]
    fn both_sides_together_are_all_rows_once() {
        for method in [SplitMethod::Stratified, SplitMethod::Shuffled, SplitMethod::Last] {
            let SplitRows { train, validation } = split(&labels(997, 7), 0.23, method, 3).unwrap();
            let mut all: Vec<i64> = train.into_iter().chain(validation).collect();
            all.sort();
            assert_eq!(all, (0..997).collect::<Vec<_>>(), "{method:?}");
        }
    }

    #[test]
    fn a_class_with_a_single_row_stays_to_train_on() {
        // A validation share of 0.4 would round 0.4 rows of each rare class up to one.
        let labels = [0, 0, 0, 1, 0, 0, 0, 2];
        for seed in 0..20 {
            let SplitRows { train, validation } = split(&labels, 0.4, SplitMethod::Stratified, seed).unwrap();
            assert_eq!(validation.len(), 4);
            assert!(train.contains(&3) && train.contains(&7), "{train:?}");
        }
        assert_eq!(split(&[0, 1], 0.5, SplitMethod::Stratified, 0).unwrap().validation.len(), 1);
    }

    #[test]
    fn last_takes_the_end_of_the_file_in_order() {
        let split = split(&labels(10, 2), 0.3, SplitMethod::Last, 9).unwrap();
        assert_eq!(split.train, [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(split.validation, [7, 8, 9]);
    }

    #[test]
    fn images_that_are_sorted_by_class_are_noticed() {
        let sorted: Vec<i64> = (0..60).map(|row| row / 20).collect();
        let rows = |share| split(&sorted, share, SplitMethod::Last, 0).unwrap();
        let text = says_sorted(&sorted, &rows(0.1)).unwrap();
        assert_eq!(text, "the 6 images held out are of 1 of 3 classes: the images are sorted by class");
        assert!(says_sorted(&sorted, &rows(0.5)).is_some(), "one class is held out whole");
        let mixed = labels(60, 3);
        assert_eq!(says_sorted(&mixed, &split(&mixed, 0.2, SplitMethod::Last, 0).unwrap()), None);
        assert_eq!(says_sorted(&sorted, &split(&sorted, 0.1, SplitMethod::Stratified, 0).unwrap()), None);
    }

    #[test]
    fn stratified_keeps_the_proportion_of_every_class_within_one_image() {
        let labels = labels(6_000, 10);
        let split = split(&labels, 0.1, SplitMethod::Stratified, 0).unwrap();
        for class in 0..10 {
            let of = |rows: &[i64]| rows.iter().filter(|&&r| labels[r as usize] == class).count();
            let whole = labels.iter().filter(|&&label| label == class).count();
            let off = of(&split.validation) as f64 - 0.1 * whole as f64;
            assert!(off.abs() < 1.0, "class {class} is off by {off}");
        }
    }

    #[test]
    fn the_seed_decides_the_random_splits() {
        for method in [SplitMethod::Stratified, SplitMethod::Shuffled] {
            let with = |seed| split(&labels(500, 5), 0.2, method, seed).unwrap();
            assert_eq!(with(1), with(1));
            assert_ne!(with(1).validation, with(2).validation);
        }
    }

    #[test]
    fn a_share_out_of_range_or_an_empty_side_is_an_error() {
        let fails =
            |n, share| split(&labels(n, 2), share, SplitMethod::Stratified, 0).unwrap_err().to_string();
        for share in [-0.1, 1.0, 1.5, f64::NAN, f64::INFINITY] {
            assert!(fails(100, share).contains("range"), "{share}");
        }
        assert!(fails(3, 0.99).contains("training part empty"));
        assert!(fails(3, 1e-20).contains("validation part empty"));
        assert!(fails(0, 0.1).contains("no training images"));
    }
}
