//! Identical images, in sentences.

use crate::terminal::Terminal;
use fitch::data::{Copies, CopyCount, CopyExample, Dataset, ImageOrigin, ImagePlace, Images};
use fitch::run::DatasetRecord;
use fitch::text::with_separators;

/// The number of images in each role.
pub struct SplitSizes {
    pub train: usize,
    pub validation: usize,
    pub test: usize,
}

impl SplitSizes {
    /// Of a data set as it is.
    pub fn of(dataset: &Dataset) -> SplitSizes {
        let Dataset { train, validation, test, .. } = dataset;
        let validation = validation.as_ref().map_or(0, Images::len);
        SplitSizes { train: train.len(), validation, test: test.len() }
    }
}

/// What is said before a training: which images are in several roles, and what becomes of them.
pub fn tell(
    dataset: &Dataset,
    copies: &Copies,
    sizes: &SplitSizes,
    dropped: Option<usize>,
    terminal: &Terminal,
) {
    let lines = lines(dataset, copies, sizes);
    // Rows of a few features are equal by chance.
    let is_warning = dropped.is_none() && dataset.shape().len() > 1;
    for line in &lines {
        if is_warning { terminal.warn(line) } else { terminal.say(line) }
    }
    let of_train =
        copies.within_train.total() + copies.validation_in_train.total() + copies.test_in_train.total();
    match dropped {
        Some(dropped) => {
            let (dropped, train) = (with_separators(dropped as i64), with_separators(sizes.train as i64));
            terminal.say(&format!("{dropped} of {train} training images are left out as copies"));
        }
        None if of_train > 0 => terminal.say("--drop-duplicates leaves copies out of the training images"),
        None => {}
    }
}

/// A sentence for each kind of copies that there are.
pub fn lines(dataset: &Dataset, copies: &Copies, sizes: &SplitSizes) -> Vec<String> {
    let SplitSizes { train, validation, test } = *sizes;
    let is_also = |role: &str| (format!("is also a {role} image"), format!("are also {role} images"));
    let repeats = || ("repeats an earlier one".to_string(), "repeat earlier ones".to_string());
    let kinds = [
        (&copies.test_in_train, test, ["test", "training"], is_also("training")),
        (&copies.test_in_validation, test, ["test", "validation"], is_also("validation")),
        (&copies.validation_in_train, validation, ["validation", "training"], is_also("training")),
        (&copies.within_train, train, ["training", "training"], repeats()),
        (&copies.within_validation, validation, ["validation", "validation"], repeats()),
        (&copies.within_test, test, ["test", "test"], repeats()),
    ];
    let found = kinds.into_iter().filter(|(count, ..)| count.total() > 0);
    found.map(|(count, of, roles, verbs)| line(dataset, count, of, roles, verbs)).collect()
}

/// What a record says of test images that were trained on.
pub fn tested_and_trained_on(record: &DatasetRecord) -> Option<String> {
    let copies = record.copies.as_ref().filter(|_| record.copies_dropped.is_none())?;
    let count = copies.test_in_train.total();
    let [shown, of] = [count, record.test].map(|count| with_separators(count as i64));
    let verb = if count == 1 { "is also a training image" } else { "are also training images" };
    (count > 0).then(|| format!("{shown} of {of} test images {verb}"))
}

/// `12 of 10,000 test images are also training images: 10 with the same label (test/1.png = train/7.png), 2 ...`.
fn line(
    dataset: &Dataset,
    count: &CopyCount,
    of: usize,
    roles: [&str; 2],
    (one, several): (String, String),
) -> String {
    let shown = |count: usize| with_separators(count as i64);
    let verb = if count.total() == 1 { one } else { several };
    let example = |example: Option<CopyExample>, has_labels: bool| {
        let Some(CopyExample { copy, original }) = example else { return String::new() };
        let [copy, original] = [(copy, roles[0]), (original, roles[1])].map(|(place, role)| {
            let label = if has_labels {
                format!(", {}", dataset.classes[place.label(dataset) as usize])
            } else {
                String::new()
            };
            format!("{}{label}", named(dataset, place, role))
        });
        format!("({copy} = {original})")
    };
    let (same, different) = (example(count.same_example, false), example(count.different_example, true));
    let kinds = match (count.same_label, count.different_label) {
        (1, 0) => format!(", with the same label {same}"),
        (_, 0) => format!(", with the same labels {same}"),
        (0, 1) => format!(", with another label {different}"),
        (0, _) => format!(", with other labels {different}"),
        (alike, others) => {
            format!(
                ": {} with the same label {same}, {} with another {different}",
                shown(alike),
                shown(others)
            )
        }
    };
    format!("{} of {} {} images {verb}{kinds}", shown(count.total()), shown(of), roles[0])
}

/// A split as people call it.
pub fn spoken(split: &str) -> &str {
    if split == "train" { "training" } else { split }
}

/// `test/cat/1.png`, or `test row 7`.
fn named(dataset: &Dataset, place: ImagePlace, role: &str) -> String {
    match place.images(dataset).origin(place.index) {
        ImageOrigin::File(name) => name.to_string(),
        ImageOrigin::Row(row) => format!("{role} row {row}"),
    }
}
