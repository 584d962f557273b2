//! How the groups of the images were split, and what that did to the classes.

use fitch::data::class_shares::{ClassCounts, largest_difference};
use fitch::data::split::SplitRows;
use fitch::data::{Dataset, Images, TestOrigin};
use fitch::run::GroupsRecord;
use fitch::text::{counted, with_separators};
use std::collections::HashSet;

/// The groups of a data set in its splits.
pub struct Grouping {
    train: usize,
    /// None if the images there have no groups, or if there are none.
    validation: Option<usize>,
    test: Option<usize>,
    /// How far the shares of the classes are apart.
    shares: Vec<String>,
    warnings: Vec<String>,
}

impl Grouping {
    /// `groups` are those of the images that `rows` split, `counts` those of the training, validation and test
    /// images.
    pub fn of(
        dataset: &Dataset,
        groups: &[u32],
        rows: &SplitRows,
        has_own_validation: bool,
        [train, validation, test]: [ClassCounts; 3],
    ) -> Grouping {
        let distinct = |rows: &[i64]| rows.iter().map(|&row| groups[row as usize]).collect::<HashSet<u32>>();
        let of_train = distinct(&rows.train);
        let named = |images: &Images| -> Option<HashSet<String>> {
            let numbers: HashSet<u32> = images.groups()?.into_iter().collect();
            Some(numbers.iter().filter_map(|&number| images.group_name(number)).map(str::to_string).collect())
        };
        let of_validation = match &dataset.validation {
            Some(images) if has_own_validation => named(images).map(|names| names.len()),
            _ => Some(distinct(&rows.validation).len()).filter(|count| *count > 0),
        };
        // What was split here shares nothing; what came split may.
        let mut warnings = Vec::new();
        let names_of_train: HashSet<&str> =
            of_train.iter().filter_map(|&number| dataset.train.group_name(number)).collect();
        let mut compare = |split: &str, names: Option<&HashSet<String>>| {
            let Some(names) = names else { return };
            let mut shared: Vec<&String> =
                names.iter().filter(|name| names_of_train.contains(name.as_str())).collect();
            shared.sort_unstable();
            warnings.extend(shared.first().map(|first| {
                format!(
                    "{} of {} of the {split} images have training images, too, such as {first}: what is measured \
                     on them says little about other groups",
                    with_separators(shared.len() as i64),
                    counted(names.len(), "group")
                )
            }));
        };
        if has_own_validation {
            compare("validation", dataset.validation.as_ref().and_then(named).as_ref());
        }
        let of_test = named(&dataset.test);
        if dataset.test_origin == TestOrigin::Own {
            compare("test", of_test.as_ref());
        }
        let pairs = [[train, validation], [train, test]];
        Grouping {
            train: of_train.len(),
            validation: of_validation,
            test: of_test.map(|names| names.len()),
            shares: pairs.into_iter().filter_map(|pair| largest_difference(&dataset.classes, pair)).collect(),
            warnings,
        }
    }

    /// `48 groups to train on, 6 to validate with, 6 to test with`, and how far the classes are apart.
    pub fn lines(&self) -> Vec<String> {
        let others = [(self.validation, "validate"), (self.test, "test")];
        let others = others
            .into_iter()
            .filter_map(|(count, what)| Some(format!(", {} to {what} with", with_separators(count? as i64))));
        let mut lines =
            vec![format!("{} to train on{}", counted(self.train, "group"), others.collect::<String>())];
        lines.extend(self.shares.iter().cloned());
        lines
    }

    pub fn warnings(&self) -> impl Iterator<Item = String> {
        self.warnings.iter().cloned()
    }

    pub fn record(&self) -> GroupsRecord {
        GroupsRecord { train: self.train, validation: self.validation, test: self.test }
    }
}
