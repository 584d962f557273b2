//! What columns are called.

use crate::data::raw_dataset::words;

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

/// What a column is called that names or numbers the rows.
const ROW_NAMES: [&str; 16] = [
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

/// One word of the name of a column that says whose a row is.
const GROUP_WORDS: [&str; 9] =
    ["author", "donor", "participant", "patient", "person", "speaker", "subject", "user", "writer"];

/// Which of the columns of values may say whose the rows are: by a word of their names, such as `writer` and
/// `patient_id`, or because they are one or two beside columns of pixels.
pub fn likely_groups(names: &[String]) -> Vec<&str> {
    const STRANGERS: usize = 2;
    const FEWEST_PIXELS: usize = 36;
    let (pixels, others): (Vec<&str>, Vec<&str>) =
        names.iter().map(String::as_str).partition(|name| is_pixel_name(name));
    let are_strangers = others.len() <= STRANGERS && pixels.len() >= FEWEST_PIXELS;
    let has_word = |name: &str| words(name).iter().any(|word| GROUP_WORDS.contains(&word.as_str()));
    others.into_iter().filter(|name| are_strangers || has_word(name)).collect()
}

/// Whether a name is one that programs give to row numbers that they wrote as a column: `Unnamed: 0`, and
/// once more, `Unnamed: 0.1`.
pub fn is_of_index(name: &str) -> bool {
    let are_numbers = |text: &str| text.trim().split('.').all(|part| part.parse::<u32>().is_ok());
    folded(name).strip_prefix("unnamed:").is_some_and(are_numbers)
}

/// Whether a column of that name names the rows: `index`, and once more, `index.1`.
pub fn is_of_rows(name: &str) -> bool {
    let name = folded(name);
    let again = |name: &str| {
        let (stem, number) = name.rsplit_once('.')?;
        (!stem.is_empty() && number.parse::<u32>().is_ok()).then(|| stem.to_string())
    };
    let mut stem = name.clone();
    while let Some(shorter) = again(&stem) {
        stem = shorter;
    }
    ROW_NAMES.contains(&name.as_str()) || ROW_NAMES.contains(&stem.as_str())
}

/// Which of some names is most likely that of a column of labels, if any is.
pub fn label_among<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Option<usize> {
    let is_called = |known: &str| {
        let mut names = names.clone();
        names.position(|name| name.trim().eq_ignore_ascii_case(known))
    };
    LABEL_NAMES.into_iter().find_map(is_called).or_else(|| names.clone().position(has_label_word))
}

/// Whether one word of a name says that it is that of a column of labels.
pub fn has_label_word(name: &str) -> bool {
    words(name).iter().any(|word| LABEL_WORDS.contains(&word.as_str()))
}

/// A name as it is compared.
pub fn folded(name: &str) -> String {
    name.trim().to_lowercase()
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
