//! Which rows are held out for validation. Pure: it sees labels and groups only.

mod fold;
mod grouped;

use super::Fault;
use crate::random::{Purpose, shuffle};
use anyhow::{Result, bail, ensure};
pub use fold::Fold;
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

/// What is held out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Holdout {
    /// A share of the rows, from 0 to below 1.
    Share(f64),
    /// One of several folds, which together hold out every row once.
    Fold(Fold),
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

/// Splits the rows of `labels`; rows of the same group, if there are `groups`, stay on one side.
///
/// Without groups, folds differ by at most one row of each class and by at most one row in all. Groups decide
/// how near a split can come to the shares of the classes; see [`Fault::TooFewGroups`].
///
/// # Errors
/// As [`split`]; [`Fault::SmallClass`]; [`Fault::TooFewGroups`]; folds or groups of [`SplitMethod::Last`].
pub fn split_rows(
    labels: &[i64],
    groups: Option<&[u32]>,
    holdout: Holdout,
    method: SplitMethod,
    seed: u64,
) -> Result<SplitRows> {
    let (shares, held_out) = match holdout {
        Holdout::Share(share) if groups.is_none() || share == 0.0 => {
            return split(labels, share, method, seed);
        }
        Holdout::Share(share) => {
            // What is no share without groups is none with them.
            split(labels, share, SplitMethod::Last, seed)?;
            (vec![share, 1.0 - share], 0)
        }
        Holdout::Fold(fold) => (vec![1.0 / fold.count() as f64; fold.count()], fold.index() - 1),
    };
    ensure!(method != SplitMethod::Last, "folds and groups are not chosen from the end of the file");
    let classes = match method {
        SplitMethod::Stratified => class_indices(labels),
        SplitMethod::Shuffled | SplitMethod::Last => vec![0; labels.len()],
    };
    let parts = match groups {
        Some(groups) => {
            ensure!(groups.len() == labels.len(), "{} rows have {} groups", labels.len(), groups.len());
            let found = groups.iter().collect::<HashSet<_>>().len();
            if found < shares.len() {
                return Err(Fault::TooFewGroups { groups: found, parts: shares.len() }.into());
            }
            grouped::parts(&classes, groups, &shares, seed)
        }
        None => {
            check_sizes(labels, shares.len(), method)?;
            fold::folds(&classes, shares.len(), seed)
        }
    };
    let mut rows: Vec<i64> = (0..labels.len() as i64).collect();
    shuffle(&mut rows, seed, Purpose::Split);
    let (validation, train) = rows.into_iter().partition(|&row| parts[row as usize] == held_out);
    Ok(SplitRows { train, validation })
}

/// Each fold holds out a row, and one of each class if it is stratified.
fn check_sizes(labels: &[i64], folds: usize, method: SplitMethod) -> Result<()> {
    ensure!(labels.len() >= folds, "{} images cannot be cut into {folds} folds", labels.len());
    let mut counts: HashMap<i64, usize> = HashMap::new();
    labels.iter().for_each(|&label| *counts.entry(label).or_default() += 1);
    let smallest = counts.into_iter().map(|(label, images)| (images, label)).min();
    match smallest {
        Some((images, label)) if images < folds && method == SplitMethod::Stratified => {
            Err(Fault::SmallClass { label, images, folds }.into())
        }
        _ => Ok(()),
    }
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
        let (which, count, few) = match validation.is_subset(&train) {
            true => ("held out", rows.validation.len(), validation.len()),
            false => ("to train on", rows.train.len(), train.len()),
        };
        format!(
            "the {count} images {which} are of {few} of {classes} classes: the images are sorted by class"
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

    fn fold(index: usize, count: usize) -> Holdout {
        Holdout::Fold(Fold::new(index, count).unwrap())
    }

    #[test]
    fn folds_hold_out_every_row_once_and_each_class_evenly() {
        let labels = labels(997, 7);
        for method in [SplitMethod::Stratified, SplitMethod::Shuffled] {
            let folds: Vec<SplitRows> =
                (1..=5).map(|index| split_rows(&labels, None, fold(index, 5), method, 3).unwrap()).collect();
            let mut held_out: Vec<i64> = folds.iter().flat_map(|rows| rows.validation.clone()).collect();
            held_out.sort_unstable();
            assert_eq!(held_out, (0..997).collect::<Vec<_>>(), "{method:?}");
            for SplitRows { train, validation } in &folds {
                assert!(train.len() + validation.len() == 997 && [199, 200].contains(&validation.len()));
            }
            let of_class = |rows: &SplitRows, class: i64| {
                rows.validation.iter().filter(|&&row| labels[row as usize] == class).count()
            };
            for class in (0..7).filter(|_| method == SplitMethod::Stratified) {
                let counts: Vec<usize> = folds.iter().map(|rows| of_class(rows, class)).collect();
                let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
                assert!(most - least <= 1, "class {class}: {counts:?}");
            }
            let other = split_rows(&labels, None, fold(1, 5), method, 4).unwrap();
            assert_ne!(other, folds[0], "{method:?}");
        }
        let fault = |labels: &[i64], count, method| {
            split_rows(labels, None, fold(1, count), method, 0).unwrap_err().to_string()
        };
        assert_eq!(
            fault(&[5, 5, 5, 9, 9, 5], 3, SplitMethod::Stratified),
            "3 folds need 3 images of each class, but class 9 has 2"
        );
        assert!(split_rows(&[5, 5, 5, 9, 9], None, fold(1, 3), SplitMethod::Shuffled, 0).is_ok());
        assert!(fault(&[0, 0], 3, SplitMethod::Shuffled).contains("cannot be cut into 3 folds"));
        assert!(fault(&[0; 9], 3, SplitMethod::Last).contains("not chosen from the end"));
    }

    /// Rows of 60 groups of 1 to 30 rows, each of two of ten classes mainly.
    fn grouped() -> (Vec<i64>, Vec<u32>) {
        let (mut labels, mut groups) = (Vec::new(), Vec::new());
        for group in 0..60u32 {
            for row in 0..1 + group * 7 % 30 {
                groups.push(1_000 + group);
                labels.push(i64::from(if row % 3 == 0 { row * 5 % 10 } else { (group + row % 2) % 10 }));
            }
        }
        (labels, groups)
    }

    /// How far the share of a class is from that in the whole, at most.
    fn unevenness(labels: &[i64], rows: &[i64]) -> f64 {
        let share = |class: i64, rows: &mut dyn ExactSizeIterator<Item = i64>| {
            let count = rows.len() as f64;
            rows.filter(|&row| labels[row as usize] == class).count() as f64 / count
        };
        let off = (0..10).map(|class| {
            let whole = share(class, &mut (0..labels.len() as i64).collect::<Vec<_>>().into_iter());
            (share(class, &mut rows.iter().copied()) - whole).abs()
        });
        off.fold(0.0, f64::max)
    }

    #[test]
    fn groups_stay_on_one_side_and_leave_classes_nearly_even() {
        let (labels, groups) = grouped();
        let total = labels.len() as f64;
        let sides = |rows: &SplitRows| {
            let of = |rows: &[i64]| rows.iter().map(|&row| groups[row as usize]).collect::<HashSet<_>>();
            (of(&rows.train), of(&rows.validation))
        };
        for (holdout, share) in
            [(Holdout::Share(0.1), 0.1), (Holdout::Share(0.25), 0.25), (fold(1, 5), 0.2), (fold(4, 5), 0.2)]
        {
            for seed in 0..3 {
                let with = |seed| {
                    split_rows(&labels, Some(&groups), holdout, SplitMethod::Stratified, seed).unwrap()
                };
                let rows = with(seed);
                let (train, validation) = sides(&rows);
                assert!(train.is_disjoint(&validation) && train.len() + validation.len() == 60);
                assert!((rows.validation.len() as f64 / total - share).abs() < 0.01, "{holdout:?}");
                let off = unevenness(&labels, &rows.validation);
                assert!(off < 0.04, "{holdout:?} {seed}: {off}");
                assert_eq!(rows, with(seed));
                assert_ne!(rows, with(seed + 1));
            }
        }
        let all: Vec<i64> = (1..=5)
            .flat_map(|index| {
                split_rows(&labels, Some(&groups), fold(index, 5), SplitMethod::Shuffled, 0)
                    .unwrap()
                    .validation
            })
            .collect();
        assert_eq!((all.len(), all.iter().collect::<HashSet<_>>().len()), (labels.len(), labels.len()));
    }

    #[test]
    fn every_side_gets_a_group_or_it_is_an_error() {
        // Two large groups: half of the rows are the least that can be held out.
        let groups = [vec![7; 50], vec![8; 50]].concat();
        let labels: Vec<i64> = (0..100).map(|row| row % 2).collect();
        let rows =
            split_rows(&labels, Some(&groups), Holdout::Share(0.1), SplitMethod::Stratified, 0).unwrap();
        assert_eq!((rows.train.len(), rows.validation.len()), (50, 50));
        let fault =
            |holdout, method| split_rows(&labels, Some(&groups), holdout, method, 0).unwrap_err().to_string();
        assert_eq!(
            fault(fold(1, 3), SplitMethod::Stratified),
            "there are 2 groups to be split into 3 parts: one of them would be empty"
        );
        assert!(fault(Holdout::Share(0.1), SplitMethod::Last).contains("not chosen from the end"));
        // A class of one group stays to train on.
        let labels: Vec<i64> = (0..100).map(|row| i64::from(row >= 95)).collect();
        let groups: Vec<u32> = (0..100).map(|row| row / 5).collect();
        for seed in 0..5 {
            let rows = split_rows(&labels, Some(&groups), Holdout::Share(0.2), SplitMethod::Stratified, seed)
                .unwrap();
            assert!(rows.train.contains(&97) && rows.validation.len() == 20, "{seed}");
        }
        for (text, fault) in [
            ("6/5", "no fold 6 among 5"),
            ("0/5", "no fold 0"),
            ("1/1", "at least 2"),
            ("a/5", "such as 2/5"),
        ] {
            assert!(text.parse::<Fold>().unwrap_err().to_string().contains(fault), "{text}");
        }
        assert_eq!("2/5".parse::<Fold>().unwrap().to_string(), "2/5");
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
