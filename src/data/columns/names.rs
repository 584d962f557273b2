//! What columns are called.

use crate::data::raw_dataset::{Split, words};

/// What a column of labels is called, in lower case, the likelier first.
const LABEL_NAMES: [&str; 22] = [
    "label",
    "labels",
    "class",
    "classes",
    "target",
    "species",
    "digit",
    "emotion",
    "variety",
    "diagnosis",
    "category",
    "fine_label",
    "quality",
    "outcome",
    "survived",
    "character",
    "letter",
    "cultivar",
    "wine",
    "output",
    "type",
    "y",
];

/// Names of which one word is enough: `class_label`, `Wine Class`.
const LABEL_WORDS: [&str; 5] = ["label", "class", "target", "species", "category"];

/// What a column of splits is called.
pub const SPLIT_NAMES: [&str; 7] = ["usage", "split", "set", "subset", "partition", "phase", "fold"];

/// What a column is called that names or numbers the rows.
pub const ROW_NAMES: [&str; 16] = [
    "",
    "id",
    "index",
    "idx",
    "rownames",
    "row.names",
    "row",
    "rowid",
    "level_0",
    "uuid",
    "guid",
    "filename",
    "file",
    "path",
    "filepath",
    "no.",
];

/// Which of some names is most likely that of a column of labels, if any is.
pub fn label_among<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<usize> {
    let is_called = |known: &str| {
        let mut names = names.clone();
        names.position(|name| name.trim().eq_ignore_ascii_case(known))
    };
    let has_word = |name: &str| words(name).iter().any(|word| LABEL_WORDS.contains(&word.as_str()));
    LABEL_NAMES.into_iter().find_map(is_called).or_else(|| names.clone().position(has_word))
}

/// A name as it is compared.
pub fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

/// The split that a cell names. FER2013 calls its validation rows a public test.
pub fn split_of(cell: &str) -> Option<Split> {
    match folded(cell).as_str() {
        "publictest" => Some(Split::Validation),
        _ => Split::of_name(cell),
    }
}

/// Whether a name is one of many alike, such as `pixel12`, `p3`, `0.1`, or a single letter.
pub fn is_pixel_name(name: &str) -> bool {
    const LETTERS: usize = 6;
    let start =
        name.trim_end_matches(|letter: char| letter.is_ascii_digit() || matches!(letter, '_' | '.' | 'x'));
    name.chars().count() <= 1 || (start.len() < name.len() && start.len() <= LETTERS)
}

/// Whether a column of labels has that very name.
pub fn is_label(name: &str) -> bool {
    LABEL_NAMES.iter().any(|known| name.eq_ignore_ascii_case(known))
}
