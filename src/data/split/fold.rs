//! Cross-validation: every image is held out by one of several folds.

use crate::random::{Purpose, shuffle};
use anyhow::{Result, ensure};
use std::fmt;
use std::str::FromStr;

/// One of several folds: `2/5`, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fold {
    /// From 1.
    index: usize,
    /// Of all folds.
    count: usize,
}

impl Fold {
    /// One of `count` folds, numbered from 1.
    ///
    /// # Errors
    /// Fewer than two folds, or a number beyond them.
    pub fn new(index: usize, count: usize) -> Result<Fold> {
        ensure!(count >= 2, "cross-validation needs at least 2 folds, not {count}");
        ensure!((1..=count).contains(&index), "there is no fold {index} among {count}; they count from 1");
        Ok(Fold { index, count })
    }

    /// Its number, from 1.
    pub fn index(self) -> usize {
        self.index
    }

    /// The number of folds.
    pub fn count(self) -> usize {
        self.count
    }
}

/// `2/5`.
impl fmt::Display for Fold {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Fold {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Fold> {
        let numbers = text.split_once('/').map(|(index, count)| (index.trim().parse(), count.trim().parse()));
        let Some((Ok(index), Ok(count))) = numbers else {
            anyhow::bail!("must be the number of a fold and of all folds, such as 2/5")
        };
        Fold::new(index, count)
    }
}

/// The fold of each row, from 0. Folds differ by at most one row in size, and by at most one row of each class.
pub(super) fn folds(classes: &[usize], count: usize, seed: u64) -> Vec<usize> {
    let mut rows: Vec<usize> = (0..classes.len()).collect();
    shuffle(&mut rows, seed, Purpose::Split);
    rows.sort_by_key(|&row| classes[row]);
    let mut folds = vec![0; rows.len()];
    rows.into_iter().zip((0..count).cycle()).for_each(|(row, fold)| folds[row] = fold);
    folds
}
