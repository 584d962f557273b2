//! Columns that say which rows are for what: by words, such as `Training`, or by yes and no, such as
//! `is_valid`.

use super::names::folded;
use crate::data::raw_dataset::{Split, words};

/// What a column of splits is called.
const SPLIT_NAMES: [&str; 7] = ["usage", "split", "set", "subset", "partition", "phase", "fold"];

/// Names of which numbers stand for parts of the rows, and not for features.
const PART_NAMES: [&str; 5] = ["usage", "split", "subset", "partition", "fold"];

/// Columns of yes and no, and what their rows are for, the likelier first.
const FLAGS: [(&str, Split, Split); 7] = [
    ("is_valid", Split::Validation, Split::Train),
    ("is_validation", Split::Validation, Split::Train),
    ("is_val", Split::Validation, Split::Train),
    ("is_test", Split::Test, Split::Train),
    ("is_train", Split::Train, Split::Test),
    ("is_training", Split::Train, Split::Test),
    ("in_train", Split::Train, Split::Test),
];

/// A column that says which rows are for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SplitColumn {
    pub index: usize,
    /// What yes and no stand for; none if the cells name the splits.
    flag: Option<(Split, Split)>,
}

impl SplitColumn {
    /// Whether a column may be one, by its name.
    #[cfg_attr(not(feature = "parquet"), allow(dead_code))]
    pub fn is_named_like_one(name: &str) -> bool {
        let name = folded(name).replace([' ', '-'], "_");
        SPLIT_NAMES.contains(&name.as_str()) || FLAGS.iter().any(|(known, ..)| *known == name)
    }

    /// The column of that name, with these cells, if it is one.
    pub fn of<'a>(
        index: usize,
        name: &str,
        cells: impl Iterator<Item = &'a str> + Clone,
    ) -> Option<SplitColumn> {
        let name = folded(name).replace([' ', '-'], "_");
        let column = |flag| SplitColumn { index, flag };
        if let Some((_, yes, no)) = FLAGS.iter().find(|(known, ..)| *known == name) {
            let flag = column(Some((*yes, *no)));
            let are_flags = cells.clone().all(|cell| cell.is_empty() || flag.split(cell).is_some());
            return (are_flags && cells.clone().any(|cell| !cell.is_empty())).then_some(flag);
        }
        if !SPLIT_NAMES.contains(&name.as_str()) {
            return None;
        }
        // A wrong word among others is an error, not a sign of another column.
        let named = cells.clone().filter(|cell| column(None).split(cell).is_some()).count();
        (named > 0 && 2 * named >= cells.count()).then_some(column(None))
    }

    /// What a cell says that its row is for. FER2013 calls its validation rows a public test.
    pub fn split(&self, cell: &str) -> Option<Split> {
        match (self.flag, folded(cell).as_str()) {
            (Some((yes, _)), "true" | "1" | "1.0" | "yes" | "t" | "y") => Some(yes),
            (Some((_, no)), "false" | "0" | "0.0" | "no" | "f" | "n") => Some(no),
            (Some(_), _) => None,
            (None, "publictest") => Some(Split::Validation),
            (None, _) => Split::of_name(cell),
        }
    }

    /// What cells may say, for messages.
    pub fn expected(&self) -> String {
        match self.flag {
            Some(_) => "neither true nor false".to_string(),
            None => format!("no split ({})", Split::all_words()),
        }
    }
}

/// Whether a name is that of a column whose whole numbers stand for parts of the rows, as folds do.
pub fn numbers_parts(name: &str) -> bool {
    let is_fold = |word: &String| matches!(word.as_str(), "fold" | "folds" | "kfold");
    PART_NAMES.contains(&folded(name).as_str()) || words(name).iter().any(is_fold)
}

/// What several columns say together: whatever is not for training.
pub fn joined(splits: impl Iterator<Item = Split>) -> Split {
    let rank = |split: &Split| match split {
        Split::Validation => 2,
        Split::Test => 1,
        Split::Train => 0,
    };
    splits.max_by_key(rank).unwrap_or(Split::Train)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, cells: &[&str]) -> Option<Vec<Option<Split>>> {
        let column = SplitColumn::of(0, name, cells.iter().copied())?;
        Some(cells.iter().map(|cell| column.split(cell)).collect())
    }

    #[test]
    fn words_and_flags_say_what_rows_are_for() {
        use Split::*;
        let all = |splits: &[Split]| Some(splits.iter().copied().map(Some).collect::<Vec<_>>());
        assert_eq!(of("Usage", &["Training", "PublicTest", "PrivateTest"]), all(&[Train, Validation, Test]));
        assert_eq!(of("partition", &["train", "val", "test"]), all(&[Train, Validation, Test]));
        assert_eq!(of("is_valid", &["True", "False"]), all(&[Validation, Train]));
        assert_eq!(of("Is Test", &["1", "0"]), all(&[Test, Train]));
        assert_eq!(of("is_train", &["1.0", "0.0"]), all(&[Train, Test]));
        assert_eq!(
            of("Usage", &["train", "train", "Foo", ""]),
            Some(vec![Some(Train), Some(Train), None, None])
        );
        for (name, cells) in [("set", &["a", "b"][..]), ("fold", &["0", "1"]), ("is_valid", &["2", "1"])] {
            assert_eq!(of(name, cells), None, "{name}");
        }
        assert_eq!(of("valid", &["true"]), None);
        assert_eq!(joined([Train, Test, Validation].into_iter()), Validation);
        assert_eq!(joined([Train, Test].into_iter()), Test);
        assert!(numbers_parts("kfold") && numbers_parts("fold_id") && !numbers_parts("set"));
    }
}
