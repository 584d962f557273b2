//! From labels to class indices and the names of classes. Pure.

use anyhow::{Context, Result, bail};
use std::collections::HashMap;

/// What a column of labels is called, in lower case.
pub(super) const LABEL_NAMES: [&str; 5] = ["label", "class", "target", "y", "digit"];

/// More classes are a sign of a wrong file.
const MAX_CLASSES: i64 = 1 << 16;

/// Gives an index to each word when it is first met.
#[derive(Debug, Default)]
pub(super) struct LabelIndex {
    indices: HashMap<String, i64>,
}

impl LabelIndex {
    /// The index of a word.
    pub fn of(&mut self, word: &str) -> i64 {
        if let Some(&index) = self.indices.get(word) {
            return index;
        }
        let index = self.indices.len() as i64;
        self.indices.insert(word.to_string(), index);
        index
    }

    /// The number of different words.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// The names of the classes, numbers in numeric order, words in alphabetical order; and the class of each
    /// word by its index here.
    pub fn classes(self) -> (Vec<String>, Vec<i64>) {
        let mut words: Vec<(String, i64)> = self.indices.into_iter().collect();
        words.sort_unstable();
        if words.iter().all(|(word, _)| word.parse::<i64>().is_ok()) {
            words.sort_by_key(|(word, _)| word.parse::<i64>().unwrap_or_default());
        }
        let mut classes = vec![0; words.len()];
        for (class, (_, index)) in words.iter().enumerate() {
            classes[*index as usize] = class as i64;
        }
        (words.into_iter().map(|(word, _)| word).collect(), classes)
    }
}

/// Labels as they are stored.
pub(super) enum RawLabels {
    Numbers(Vec<i64>),
    Words(Vec<String>),
}

impl RawLabels {
    pub fn len(&self) -> usize {
        match self {
            RawLabels::Numbers(numbers) => numbers.len(),
            RawLabels::Words(words) => words.len(),
        }
    }
}

/// How labels stand for classes: words are their names; numbers count from 0, or from 1 as in EMNIST Letters.
#[derive(Debug)]
pub(super) struct LabelEncoding {
    first: i64,
    has_words: bool,
    /// The names of the classes.
    pub names: Vec<String>,
}

impl LabelEncoding {
    /// All that it says, as one line of text.
    #[cfg_attr(not(feature = "parquet"), allow(dead_code))]
    pub fn key(&self) -> String {
        format!("{} {} {}", self.first, self.has_words, self.names.join("\0"))
    }

    /// Of classes whose names are known, the first of which has the label `first`.
    pub fn new(first: i64, names: Vec<String>) -> LabelEncoding {
        LabelEncoding { first, has_words: false, names }
    }

    /// From the labels of training images; from `known` if they are numbers and it is given.
    ///
    /// # Errors
    /// Words mixed with numbers; numbers with a gap.
    pub fn of<'a>(
        labels: impl IntoIterator<Item = &'a RawLabels>,
        known: Option<LabelEncoding>,
    ) -> Result<LabelEncoding> {
        let (mut words, mut numbers) = (LabelIndex::default(), Vec::new());
        for labels in labels {
            match labels {
                RawLabels::Numbers(of_images) => numbers.extend(of_images),
                RawLabels::Words(of_images) => of_images.iter().for_each(|word| {
                    words.of(word);
                }),
            }
        }
        match (words.len(), known) {
            (0, Some(known)) => Ok(known),
            (0, None) => LabelEncoding::from_labels(&numbers),
            _ if numbers.is_empty() => {
                Ok(LabelEncoding { first: 0, has_words: true, names: words.classes().0 })
            }
            _ => bail!("some labels are words, others numbers"),
        }
    }

    /// The class indices of labels.
    ///
    /// # Errors
    /// A label that is not a class, with the index of its image; words for numbers, or numbers for words.
    pub fn classes_of(&self, labels: &RawLabels) -> Result<Vec<i64>> {
        let words = match labels {
            RawLabels::Numbers(numbers) if !self.has_words => return self.classes(numbers),
            RawLabels::Words(words) if self.has_words => words,
            _ => bail!("has words for labels where others are numbers, or numbers where others are words"),
        };
        let class_of: HashMap<&str, i64> = self.names.iter().map(String::as_str).zip(0..).collect();
        let class = |(row, word): (usize, &String)| {
            class_of.get(word.as_str()).copied().with_context(|| {
                format!("image {row} (from 0) has the label '{word}', which no training image has")
            })
        };
        words.iter().enumerate().map(class).collect()
    }

    /// The encoding of other labels for the same classes: from 1 if the first class is called 1.
    pub fn like(names: &[String]) -> LabelEncoding {
        LabelEncoding::new(i64::from(names[0] == "1"), names.to_vec())
    }

    /// From the numbers of training images. A class below the maximum that has no image is the sign of a
    /// wrong label rather than of a class that cannot be learnt.
    ///
    /// # Errors
    /// Labels that are not numbered without a gap.
    pub fn from_labels(labels: &[i64]) -> Result<LabelEncoding> {
        check_range(labels)?;
        let first = i64::from(labels.iter().min() == Some(&1));
        let max = labels.iter().copied().max().unwrap_or_default();
        let mut seen = vec![false; (max + 1) as usize];
        labels.iter().for_each(|&label| seen[label as usize] = true);
        if let Some(absent) = (first..=max).find(|&label| !seen[label as usize]) {
            let row = labels.iter().position(|&label| label == max).unwrap_or_default();
            bail!(
                "label {max} (of image {row}, counted from 0) is beyond the classes: no image has label \
                 {absent}; classes are numbered from {first} without a gap"
            );
        }
        Ok(LabelEncoding::new(first, (first..=max).map(|label| label.to_string()).collect()))
    }

    /// The class indices of labels.
    ///
    /// # Errors
    /// A label that is not a class, with the index of its image.
    pub fn classes(&self, labels: &[i64]) -> Result<Vec<i64>> {
        check_range(labels)?;
        let (first, count) = (self.first, self.names.len() as i64);
        if let Some(row) = labels.iter().position(|label| !(first..first + count).contains(label)) {
            bail!(
                "label {} (of image {row}, counted from 0) is beyond the {count} classes, {first} to {}",
                labels[row],
                first + count - 1
            );
        }
        Ok(labels.iter().map(|label| label - first).collect())
    }
}

fn check_range(labels: &[i64]) -> Result<()> {
    match labels.iter().position(|label| !(0..=MAX_CLASSES).contains(label)) {
        Some(row) => bail!("the label {} (of image {row}, counted from 0) is not a class", labels[row]),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_in_the_order_of_numbers_or_of_the_alphabet() {
        let classes = |words: &[&str]| {
            let mut known = LabelIndex::default();
            let indices: Vec<i64> = words.iter().map(|word| known.of(word)).collect();
            let (names, classes) = known.classes();
            (names, indices.iter().map(|&index| classes[index as usize]).collect::<Vec<_>>())
        };
        assert_eq!(classes(&["10", "9", "10"]), (vec!["9".into(), "10".into()], vec![1, 0, 1]));
        assert_eq!(classes(&["dog", "10", "cat"]).0, ["10", "cat", "dog"]);
    }

    #[test]
    fn numbers_begin_with_0_or_1_and_have_no_gap() {
        let encoding = LabelEncoding::from_labels(&[2, 1, 3]).unwrap();
        assert_eq!(encoding.names, ["1", "2", "3"]);
        assert_eq!(encoding.classes(&[3, 1]).unwrap(), [2, 0]);
        let fault = encoding.classes(&[1, 0]).unwrap_err().to_string();
        assert!(
            fault.contains("label 0 (of image 1, counted from 0) is beyond the 3 classes, 1 to 3"),
            "{fault}"
        );
        assert_eq!(LabelEncoding::like(&encoding.names).classes(&[1]).unwrap(), [0]);
        assert_eq!(LabelEncoding::from_labels(&[1, 0]).unwrap().names, ["0", "1"]);
        let fault = LabelEncoding::from_labels(&[0, 3, 1]).unwrap_err().to_string();
        assert!(
            fault.starts_with("label 3 (of image 1, counted from 0)")
                && fault.contains("no image has label 2")
        );
        assert!(
            LabelEncoding::from_labels(&[0, -1]).is_err()
                && LabelEncoding::from_labels(&[0, i64::MAX]).is_err()
        );
    }
}
