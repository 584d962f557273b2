//! What a format's reader gives, before a test set is split off or classes are chosen.

use super::{Images, TableForm};

/// What images are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    Train,
    Validation,
    Test,
}

impl Split {
    pub const ALL: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

    /// The words that stand for a split in the names of folders, files and arrays; its own name first.
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Split::Train => &["train", "training", "trn", "trainval", "tr"],
            Split::Validation => &["validation", "valid", "val", "dev", "eval", "evaluation", "va"],
            Split::Test => &["test", "testing", "tst", "t10k", "te"],
        }
    }

    pub fn name(self) -> &'static str {
        self.words()[0]
    }

    /// The split that a name speaks of, the one place that decides it: by whole words, such as `train` in
    /// `mnist_train.csv`, `TrainImages` or `train_set2`, not in `strain` or `pretrain`; none if it speaks of
    /// none or of several.
    pub fn of_name(name: &str) -> Option<Split> {
        let words = words(name);
        let is_named = |split: &Split| words.iter().any(|word| split.is_meant_by(word));
        let mut named = Split::ALL.into_iter().filter(is_named);
        named.next().filter(|_| named.next().is_none())
    }

    /// `word` is in lower case.
    fn is_meant_by(self, word: &str) -> bool {
        const APPENDED: [&str; 8] = ["s", "set", "data", "dataset", "images", "imgs", "labels", "files"];
        let is_word = |known: &&str| {
            // Words of two letters begin many others.
            word == *known
                || (known.len() > 2 && word.strip_prefix(*known).is_some_and(|rest| APPENDED.contains(&rest)))
        };
        self.words().iter().any(is_word)
    }

    /// For people: every word that stands for a split.
    #[cfg_attr(not(feature = "images"), allow(dead_code))]
    pub fn all_words() -> String {
        let words = Split::ALL.into_iter().flat_map(Split::words);
        words.copied().collect::<Vec<_>>().join(", ")
    }
}

/// The words of a name, in lower case: they end where no letter or digit follows and before a capital after
/// a small letter; digits at their end do not count.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for letter in name.chars() {
        if !letter.is_alphanumeric() || (before.is_lowercase() && letter.is_uppercase()) {
            words.push(String::new());
        }
        if letter.is_alphanumeric() {
            words.last_mut().into_iter().for_each(|word| word.extend(letter.to_lowercase()));
        }
        before = letter;
    }
    let without_number =
        |word: &String| word.trim_end_matches(|letter: char| letter.is_ascii_digit()).to_string();
    words.iter().map(without_number).filter(|word| !word.is_empty()).collect()
}

/// What the reader of a format gives.
pub(crate) struct RawDataset {
    pub train: Images,
    /// If the data have some; likewise the test images.
    pub validation: Option<Images>,
    pub test: Option<Images>,
    pub classes: Vec<String>,
    /// What users should know about how it was read.
    pub notes: Vec<String>,
    /// What could not be read and is left out, each with the reason.
    pub left_out: Vec<String>,
    /// How rows become images, if they were read from a table.
    pub table: Option<TableForm>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_speaks_of_one_split_by_its_words() {
        for (split, names) in [
            (
                Some(Split::Train),
                &[
                    "train",
                    "mnist_train.csv",
                    "X_train",
                    "Train_data",
                    "training_set",
                    "seg_train",
                    "trainset",
                    "train_1.csv",
                    "train2",
                    "TrainImages",
                    "emnist-letters-train-images-idx3-ubyte.gz",
                    "train-00000-of-00002.parquet",
                    "trainval",
                    "X_tr",
                    "trains",
                ][..],
            ),
            (
                Some(Split::Validation),
                &["val", "valid", "dev", "eval", "validation_set", "MNIST_val", "devset", "x_va"],
            ),
            (
                Some(Split::Test),
                &[
                    "test",
                    "test_set",
                    "t10k-images.idx3-ubyte",
                    "testing",
                    "y_test",
                    "testdata",
                    "te",
                    "tests",
                ],
            ),
            (
                None,
                &[
                    "strain.csv",
                    "pretrain-0",
                    "contest",
                    "latest",
                    "cat",
                    "train_test.csv",
                    "trainer",
                    "valley",
                    "tea",
                    "vas",
                    "trs",
                    "",
                ],
            ),
        ] {
            for name in names {
                assert_eq!(Split::of_name(name), split, "{name}");
            }
        }
    }
}
