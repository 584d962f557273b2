//! From labels to class indices and the names of classes: the one place that says which labels are one class,
//! and how classes are ordered and named. Pure.

use anyhow::{Context, Result, bail};
use std::collections::{BTreeSet, HashMap};

/// More classes are a sign of a wrong file.
const MAX_CLASSES: usize = 1 << 16;

/// Larger numbers are a sign of a wrong file, too.
const MAX_LABEL: u64 = 1 << 53;

/// What labels of one class have in common: the value of a number, the letters of a word.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Key {
    Whole(i64),
    /// As it is printed.
    Fraction(String),
    Word(String),
}

impl Key {
    fn of(label: &str) -> Key {
        // Beyond these, different whole numbers are equal as float64.
        const EXACT: f64 = (1u64 << 53) as f64;
        if let Ok(number) = label.parse() {
            return Key::Whole(number);
        }
        match label.parse::<f64>() {
            Ok(number) if number.fract() == 0.0 && number.abs() < EXACT => Key::Whole(number as i64),
            Ok(number) if number.is_finite() && number.abs() < EXACT => Key::Fraction(number.to_string()),
            _ => Key::Word(label.to_string()),
        }
    }

    fn text(&self) -> String {
        match self {
            Key::Whole(number) => number.to_string(),
            Key::Fraction(text) | Key::Word(text) => text.clone(),
        }
    }
}

/// A name as it is compared: a number is the same however it is written.
pub(super) fn as_number(name: &str) -> String {
    Key::of(name).text()
}

/// The value of a label that is a number.
fn number(label: &str) -> Option<f64> {
    label.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Brings the names of classes into their order: numbers by value if all are numbers, else by name.
pub(super) fn sort_names(names: &mut [String]) {
    names.sort_unstable();
    if names.iter().all(|name| number(name).is_some()) {
        names.sort_by(|a, b| number(a).unwrap_or_default().total_cmp(&number(b).unwrap_or_default()));
    }
}

/// Gives an index to each class when its label is first met.
#[derive(Debug, Default)]
pub(super) struct LabelIndex {
    /// By every way in which labels are written.
    indices: HashMap<String, i64>,
    keys: HashMap<Key, i64>,
    /// Of each class, by its index.
    spellings: Vec<Vec<String>>,
}

impl LabelIndex {
    /// The index of a label.
    pub fn of(&mut self, label: &str) -> i64 {
        if let Some(&index) = self.indices.get(label) {
            return index;
        }
        let index = *self.keys.entry(Key::of(label)).or_insert(self.spellings.len() as i64);
        self.indices.insert(label.to_string(), index);
        match self.spellings.get_mut(index as usize) {
            Some(spellings) => spellings.push(label.to_string()),
            None => self.spellings.push(vec![label.to_string()]),
        }
        index
    }

    /// The number of classes.
    pub fn len(&self) -> usize {
        self.spellings.len()
    }

    /// What users should know: labels that were taken for one class, or that may be no labels.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let merged = self.spellings.iter().filter(|spellings| spellings.len() > 1);
        if let Some(spellings) = merged.clone().next() {
            let others = match merged.count() - 1 {
                0 => String::new(),
                count => format!("; likewise {count} others"),
            };
            notes.push(format!("the labels {} are one class{others}", spellings.join(" and ")));
        }
        let missing = self.spellings.iter().flatten().filter(|label| is_missing(label));
        notes.extend(missing.map(|label| format!("the label '{label}' is taken for the name of a class")));
        notes
    }

    /// The names of the classes, in their order; and the class of each label by its index here.
    pub fn classes(self) -> (Vec<String>, Vec<i64>) {
        // A number is called as it is written, without the `.0` that some programs append.
        let name = |spellings: &Vec<String>| match spellings.as_slice() {
            [only] if !only.contains(['.', 'e', 'E', '+']) => only.clone(),
            _ => spellings.first().map_or(String::new(), |label| Key::of(label).text()),
        };
        let by_index: Vec<String> = self.spellings.iter().map(name).collect();
        let mut names = by_index.clone();
        sort_names(&mut names);
        let class_of: HashMap<&str, i64> = names.iter().map(String::as_str).zip(0..).collect();
        let classes = by_index.iter().map(|name| class_of[name.as_str()]).collect();
        (names, classes)
    }
}

/// Whether a cell of a table stands for a value that is missing, as pandas reads it.
pub(super) fn is_missing(cell: &str) -> bool {
    const WORDS: [&str; 8] = ["na", "nan", "n/a", "null", "none", "?", "-nan", "<na>"];
    cell.is_empty() || WORDS.iter().any(|word| cell.eq_ignore_ascii_case(word))
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

    /// Whether none of them is known: -1 marks those that are kept secret.
    pub fn are_secret(&self) -> bool {
        matches!(self, RawLabels::Numbers(numbers) if numbers.iter().all(|&label| label == -1))
    }
}

/// How labels stand for classes: words are their names; so are numbers, which mostly count from 0, or from 1
/// as in EMNIST Letters.
#[derive(Debug)]
pub(super) struct LabelEncoding {
    /// The label of each class, in ascending order, if labels are numbers.
    numbers: Vec<i64>,
    has_words: bool,
    /// The names of the classes.
    pub names: Vec<String>,
}

impl LabelEncoding {
    /// All that it says, as one line of text.
    #[cfg_attr(not(feature = "parquet"), allow(dead_code))]
    pub fn key(&self) -> String {
        format!("{:?} {} {}", self.numbers, self.has_words, self.names.join("\0"))
    }

    /// Of classes whose names are known, the first of which has the label `first`.
    pub fn new(first: i64, names: Vec<String>) -> LabelEncoding {
        let numbers = (first..first + names.len() as i64).collect();
        LabelEncoding { numbers, has_words: false, names }
    }

    /// What users should know about it.
    pub fn note(&self) -> Option<String> {
        let (first, last) = (self.numbers.first()?, self.numbers.last()?);
        let has_gaps = last - first >= self.numbers.len() as i64;
        has_gaps.then(|| {
            let count = self.numbers.len();
            format!("the labels have gaps: they are {count} different numbers from {first} to {last}")
        })
    }

    /// From the labels of training images; from `known` if they are numbers and it is given.
    ///
    /// # Errors
    /// Words mixed with numbers; numbers that are no classes.
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
                Ok(LabelEncoding { numbers: Vec::new(), has_words: true, names: words.classes().0 })
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
        let class_of: HashMap<Key, i64> = self.names.iter().map(|name| Key::of(name)).zip(0..).collect();
        let class = |(row, word): (usize, &String)| {
            class_of.get(&Key::of(word)).copied().with_context(|| {
                format!("image {row} (from 0) has the label '{word}', which no training image has")
            })
        };
        words.iter().enumerate().map(class).collect()
    }

    /// The encoding of other labels for the same classes: their numbers, if they are called by such, else from
    /// 0.
    pub fn like(names: &[String]) -> LabelEncoding {
        let numbers: Vec<i64> = names.iter().filter_map(|name| name.parse().ok()).collect();
        if numbers.len() == names.len() && numbers.is_sorted_by(|a, b| a < b) {
            return LabelEncoding { numbers, has_words: false, names: names.to_vec() };
        }
        LabelEncoding::new(0, names.to_vec())
    }

    /// From the numbers of training images, which are the names of the classes.
    ///
    /// # Errors
    /// More different numbers than there are classes anywhere; -1 among those that count classes, which marks
    /// images without a label.
    pub fn from_labels(labels: &[i64]) -> Result<LabelEncoding> {
        let numbers: Vec<i64> = labels.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        // Two or three classes may be called -1, 0 and 1.
        let is_polar = numbers.iter().all(|number| (-1..=1).contains(number)) && numbers.contains(&1);
        if let Some(row) =
            labels.iter().position(|&label| label == -1).filter(|_| !is_polar && numbers[0] == -1)
        {
            bail!(
                "the label -1 (of image {row}, counted from 0) is not a class: it marks images without a label"
            );
        }
        let extreme = |label: &i64| label.unsigned_abs() > MAX_LABEL;
        if let Some(row) = labels.iter().position(extreme) {
            bail!("the label {} (of image {row}, counted from 0) is not a class", labels[row]);
        }
        if numbers.len() > MAX_CLASSES {
            bail!("the labels are {} different numbers, more than any classes", numbers.len());
        }
        let names = numbers.iter().map(i64::to_string).collect();
        Ok(LabelEncoding { numbers, has_words: false, names })
    }

    /// The class indices of labels.
    ///
    /// # Errors
    /// A label that is not a class, with the index of its image.
    pub fn classes(&self, labels: &[i64]) -> Result<Vec<i64>> {
        let class = |(row, label): (usize, &i64)| {
            let class = self.numbers.binary_search(label).ok();
            class.map(|class| class as i64).with_context(|| {
                let (first, last) = (self.numbers.first(), self.numbers.last());
                let range =
                    first.zip(last).map_or(String::new(), |(first, last)| format!(", {first} to {last}"));
                format!(
                    "label {label} (of image {row}, counted from 0) is beyond the {} classes{range}",
                    self.numbers.len()
                )
            })
        };
        labels.iter().enumerate().map(class).collect()
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
    fn labels_that_are_equal_numbers_are_one_class() {
        let classes = |words: &[&str]| {
            let mut known = LabelIndex::default();
            let indices: Vec<i64> = words.iter().map(|word| known.of(word)).collect();
            let notes = known.notes();
            let (names, classes) = known.classes();
            (names, indices.iter().map(|&index| classes[index as usize]).collect::<Vec<_>>(), notes)
        };
        let (names, indices, notes) = classes(&["1.0", "10", "1", "2.50", "-1", "10.0"]);
        assert_eq!(
            (names, indices),
            (["-1", "1", "2.5", "10"].map(str::to_string).to_vec(), vec![1, 3, 1, 2, 0, 3])
        );
        assert_eq!(notes, ["the labels 1.0 and 1 are one class; likewise 1 others"]);
        assert_eq!(classes(&["007", "1.0"]).0, ["1", "007"]);
        // As floats, such large numbers would be equal.
        assert_eq!(classes(&["99999999999999999999", "99999999999999999998"]).0.len(), 2);
        let (names, _, notes) = classes(&["b", "nan", "B.1"]);
        assert_eq!(names, ["B.1", "b", "nan"]);
        assert_eq!(notes, ["the label 'nan' is taken for the name of a class"]);
        let words = |words: &[&str]| RawLabels::Words(words.iter().map(|word| word.to_string()).collect());
        let encoding = LabelEncoding::of([&words(&["1.0", "0.0"])], None).unwrap();
        assert_eq!(encoding.classes_of(&words(&["1", "0"])).unwrap(), [1, 0]);
    }

    #[test]
    fn numbers_are_the_names_of_their_classes_in_order() {
        let encoding = LabelEncoding::from_labels(&[2, 1, 3]).unwrap();
        assert_eq!((&encoding.names[..], encoding.note()), (&["1", "2", "3"].map(str::to_string)[..], None));
        assert_eq!(encoding.classes(&[3, 1]).unwrap(), [2, 0]);
        let fault = encoding.classes(&[1, 0]).unwrap_err().to_string();
        assert!(
            fault.contains("label 0 (of image 1, counted from 0) is beyond the 3 classes, 1 to 3"),
            "{fault}"
        );
        assert_eq!(LabelEncoding::like(&encoding.names).classes(&[1]).unwrap(), [0]);
        assert_eq!(LabelEncoding::from_labels(&[1, 0]).unwrap().names, ["0", "1"]);
        let words = ["cat", "dog"].map(str::to_string);
        assert_eq!(LabelEncoding::like(&words).classes(&[1]).unwrap(), [1]);
    }

    #[test]
    fn numbers_may_have_gaps_which_is_noted() {
        let encoding = LabelEncoding::from_labels(&[10, 3, 0, 10]).unwrap();
        assert_eq!(encoding.names, ["0", "3", "10"]);
        assert_eq!(encoding.classes(&[10, 0]).unwrap(), [2, 0]);
        assert!(encoding.classes(&[4]).is_err());
        assert_eq!(LabelEncoding::like(&encoding.names).classes(&[10]).unwrap(), [2]);
        assert_eq!(
            encoding.note().unwrap(),
            "the labels have gaps: they are 3 different numbers from 0 to 10"
        );
        assert_eq!(LabelEncoding::from_labels(&[1, -1]).unwrap().names, ["-1", "1"]);
        assert_eq!(LabelEncoding::from_labels(&[1, -1, 0]).unwrap().names, ["-1", "0", "1"]);
        for labels in [&[0, -1][..], &[0, 1, 2, -1], &[0, i64::MAX], &[i64::MIN, 0]] {
            assert!(LabelEncoding::from_labels(labels).is_err(), "{labels:?}");
        }
    }
}
