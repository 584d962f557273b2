//! From labels to class numbers and the names of classes. Pure: it must not know where labels come from.

use anyhow::{Context, Result, bail};
use std::collections::HashMap;

/// More classes are a sign of a wrong file.
const MOST_CLASSES: i64 = 1 << 16;

/// Labels that are words, each numbered when it is first met.
#[derive(Debug, Default)]
pub(super) struct Words {
    numbers: HashMap<String, i64>,
}

impl Words {
    pub fn number(&mut self, word: &str) -> i64 {
        if let Some(&number) = self.numbers.get(word) {
            return number;
        }
        let number = self.numbers.len() as i64;
        self.numbers.insert(word.to_string(), number);
        number
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The names of the classes, numbers in their order, words in the alphabet's; and the class of each word by
    /// the number that it was given.
    pub fn classes(self) -> (Vec<String>, Vec<i64>) {
        let mut words: Vec<(String, i64)> = self.numbers.into_iter().collect();
        words.sort_unstable();
        if words.iter().all(|(word, _)| word.parse::<i64>().is_ok()) {
            words.sort_by_key(|(word, _)| word.parse::<i64>().unwrap_or_default());
        }
        let mut classes = vec![0; words.len()];
        for (class, (_, number)) in words.iter().enumerate() {
            classes[*number as usize] = class as i64;
        }
        (words.into_iter().map(|(word, _)| word).collect(), classes)
    }
}

/// Labels as they are stored.
pub(super) enum Labels {
    Numbers(Vec<i64>),
    Words(Vec<String>),
}

impl Labels {
    pub fn len(&self) -> usize {
        match self {
            Labels::Numbers(numbers) => numbers.len(),
            Labels::Words(words) => words.len(),
        }
    }
}

/// How labels stand for classes: words by themselves, numbers counted from 0, or from 1 as EMNIST's letters.
#[derive(Debug)]
pub(super) struct LabelEncoding {
    first: i64,
    has_words: bool,
    pub names: Vec<String>,
}

impl LabelEncoding {
    /// Of classes whose names are known, from a number on.
    pub fn from(first: i64, names: Vec<String>) -> LabelEncoding {
        LabelEncoding { first, has_words: false, names }
    }

    /// What the labels of training images tell; of numbers, unless it is known already.
    ///
    /// # Errors
    /// Words beside numbers; numbers with a gap.
    pub fn of<'a>(
        labels: impl IntoIterator<Item = &'a Labels>,
        known: Option<LabelEncoding>,
    ) -> Result<LabelEncoding> {
        let (mut words, mut numbers) = (Words::default(), Vec::new());
        for labels in labels {
            match labels {
                Labels::Numbers(of_images) => numbers.extend(of_images),
                Labels::Words(of_images) => of_images.iter().for_each(|word| {
                    words.number(word);
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

    /// The class numbers of labels.
    ///
    /// # Errors
    /// A label that is no class, with the number of its image; words for numbers, or numbers for words.
    pub fn classes_of(&self, labels: &Labels) -> Result<Vec<i64>> {
        let words = match labels {
            Labels::Numbers(numbers) if !self.has_words => return self.classes(numbers),
            Labels::Words(words) if self.has_words => words,
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

    /// The numbering of other labels for the same classes: from 1 where the first is called so.
    pub fn like(names: &[String]) -> LabelEncoding {
        LabelEncoding::from(i64::from(names[0] == "1"), names.to_vec())
    }

    /// What training labels tell. A class without a single image below the greatest label is the sign of a
    /// wrong label rather than of a class that cannot be learnt.
    ///
    /// # Errors
    /// Labels that are not numbered without a gap.
    pub fn from_labels(labels: &[i64]) -> Result<LabelEncoding> {
        check_range(labels)?;
        let first = i64::from(labels.iter().min() == Some(&1));
        let greatest = labels.iter().copied().max().unwrap_or_default();
        let mut seen = vec![false; (greatest + 1) as usize];
        labels.iter().for_each(|&label| seen[label as usize] = true);
        if let Some(absent) = (first..=greatest).find(|&label| !seen[label as usize]) {
            let row = labels.iter().position(|&label| label == greatest).unwrap_or_default();
            bail!(
                "label {greatest} (of image {row}, counted from 0) is beyond the classes: no image has label \
                 {absent}; classes are numbered from {first} without a gap"
            );
        }
        Ok(LabelEncoding::from(first, (first..=greatest).map(|label| label.to_string()).collect()))
    }

    /// The class numbers of labels.
    ///
    /// # Errors
    /// A label that is no class, with the number of its image.
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
    match labels.iter().position(|label| !(0..=MOST_CLASSES).contains(label)) {
        Some(row) => bail!("the label {} (of image {row}, counted from 0) is no class", labels[row]),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_in_the_order_of_numbers_or_of_the_alphabet() {
        let classes = |words: &[&str]| {
            let mut known = Words::default();
            let numbers: Vec<i64> = words.iter().map(|word| known.number(word)).collect();
            let (names, classes) = known.classes();
            (names, numbers.iter().map(|&number| classes[number as usize]).collect::<Vec<_>>())
        };
        assert_eq!(classes(&["10", "9", "10"]), (vec!["9".into(), "10".into()], vec![1, 0, 1]));
        assert_eq!(classes(&["dog", "10", "cat"]).0, ["10", "cat", "dog"]);
    }

    #[test]
    fn numbers_begin_with_0_or_1_and_have_no_gap() {
        let numbering = LabelEncoding::from_labels(&[2, 1, 3]).unwrap();
        assert_eq!(numbering.names, ["1", "2", "3"]);
        assert_eq!(numbering.classes(&[3, 1]).unwrap(), [2, 0]);
        let fault = numbering.classes(&[1, 0]).unwrap_err().to_string();
        assert!(
            fault.contains("label 0 (of image 1, counted from 0) is beyond the 3 classes, 1 to 3"),
            "{fault}"
        );
        assert_eq!(LabelEncoding::like(&numbering.names).classes(&[1]).unwrap(), [0]);
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
