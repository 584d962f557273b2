//! The images of a training in their roles.

use super::groups::Grouping;
use crate::config::Configuration;
use crate::failure::Hint;
use crate::hints::hint_for_data_fault;
use anyhow::Result;
use fitch::data::class_shares::{ClassCounts, one_sided};
use fitch::data::split::{Holdout, says_sorted, split_rows};
use fitch::data::{Dataset, Fault, Format, Samples, Source, SplitMethod};
use fitch::run::DatasetRecord;
use fitch::text::with_separators;

/// The images in their roles.
pub struct Splits {
    pub train: Samples,
    pub validation: Option<Samples>,
    pub test: Samples,
    /// How many training images each class has.
    pub class_counts: Vec<usize>,
    /// The minimum and the maximum of the training images, which takes a pass over all of them.
    pub range: [f64; 2],
    /// The format that they were read from.
    format: Option<Format>,
    /// What users should know about how they were split.
    pub notes: Vec<String>,
    /// The groups that were kept whole, if the data have some.
    pub grouping: Option<Grouping>,
    /// Whether the data came with validation images.
    pub has_own_validation: bool,
}

impl Splits {
    pub fn split(dataset: &Dataset, source: &Source, configuration: &Configuration) -> Result<Splits> {
        let Configuration { validation_share, split: method, seed, limit, .. } = *configuration;
        // A share of 0 means no validation, unless validation images were named.
        let has_none = configuration.fold.is_none()
            && validation_share == 0.0
            && configuration.reading.validation.is_none();
        let own_validation = if has_none { None } else { dataset.validation_samples()? };
        let has_own_validation = own_validation.is_some();
        let holdout = match configuration.fold {
            Some(fold) => {
                let message = format!("--fold {fold}: {} has validation images of its own", dataset.name);
                let hint =
                    "folds are made of the training images: move those of its own among them, or elsewhere";
                if has_own_validation {
                    return Err(Hint { message, hint: hint.to_string() }.into());
                }
                Holdout::Fold(fold)
            }
            // Nothing is held out if the data have validation images.
            None => Holdout::Share(if has_own_validation { 0.0 } else { validation_share }),
        };
        let labels = dataset.train.labels();
        let groups = dataset.train.groups();
        let mut rows = split_rows(labels, groups.as_deref(), holdout, method, seed)
            .map_err(|fault| with_class_name(fault, &dataset.classes))?;
        let sorted = Some(&rows).filter(|rows| method == SplitMethod::Last && !rows.validation.is_empty());
        let sorted = sorted.and_then(|rows| says_sorted(labels, rows));
        let count = |labels: &mut dyn Iterator<Item = i64>| {
            let mut counts = vec![0; dataset.classes.len()];
            labels.for_each(|label| counts[label as usize] += 1);
            counts
        };
        let of_train = count(&mut rows.train.iter().map(|&row| labels[row as usize]));
        let of_validation = match &dataset.validation {
            Some(images) if has_own_validation => count(&mut images.labels().iter().copied()),
            _ => count(&mut rows.validation.iter().map(|&row| labels[row as usize])),
        };
        let of_test = count(&mut dataset.test.labels().iter().copied());
        let train = ClassCounts { name: "training", counts: &of_train };
        let validation = ClassCounts { name: "validation", counts: &of_validation };
        let test = ClassCounts { name: "test", counts: &of_test };
        let mut notes =
            Vec::from_iter(sorted.map(|sorted| format!("{sorted} (--split stratified takes some of each)")));
        notes.extend(one_sided(&dataset.classes, [train, validation]));
        notes.extend(one_sided(&dataset.classes, [train, test]));
        let grouping = groups.map(|groups| {
            Grouping::of(dataset, &groups, &rows, has_own_validation, [train, validation, test])
        });
        notes.extend(grouping.iter().flat_map(Grouping::warnings));
        if let Some(limit) = limit {
            rows.train.truncate(limit);
        }
        let class_counts = count(&mut rows.train.iter().map(|&row| labels[row as usize]));
        let validation = match rows.validation.as_slice() {
            [] => own_validation,
            held_out => Some(dataset.train_samples()?.choose(held_out)?),
        };
        Ok(Splits {
            train: dataset.train_samples()?.choose(&rows.train)?,
            validation,
            test: dataset.test_samples()?,
            class_counts,
            range: dataset.value_range()?,
            notes,
            grouping,
            has_own_validation,
            format: if let Source::Path { format, .. } = source { *format } else { None },
        })
    }

    fn validation_size(&self) -> usize {
        self.validation.as_ref().map_or(0, Samples::len)
    }

    /// `mnist: 54,000 train, 6,000 validation (stratified), 10,000 test`.
    pub fn describe(&self, name: &str, configuration: &Configuration) -> String {
        let count = |count: usize| with_separators(count as i64);
        let validation = match self.validation_size() {
            0 => "no validation".to_string(),
            size if self.has_own_validation => format!("{} validation (its own)", count(size)),
            size => {
                let fold = configuration.fold;
                let fold =
                    fold.map_or(String::new(), |fold| format!("fold {} of {}, ", fold.index(), fold.count()));
                let groups = if self.grouping.is_some() { " by groups" } else { "" };
                format!("{} validation ({fold}{}{groups})", count(size), configuration.split.keyword())
            }
        };
        format!("{name}: {} train, {validation}, {} test", count(self.train.len()), count(self.test.len()))
    }

    pub fn record(&self, dataset: &Dataset) -> Result<DatasetRecord> {
        Ok(DatasetRecord {
            name: dataset.name.clone(),
            train: self.train.len(),
            validation: self.validation_size(),
            test: self.test.len(),
            classes: dataset.classes.clone(),
            shape: dataset.shape(),
            maximum: dataset.maximum,
            format: self.format.map(|format| format.to_string()),
            class_counts: self.class_counts.clone(),
            notes: dataset.notes.clone(),
            value_type: Some(format!("{:?}", dataset.train.kind())),
            range: Some(self.range),
            border: dataset.border()?,
            fingerprint: dataset.fingerprint()?,
            table: dataset.table.clone(),
            groups: self.grouping.as_ref().map(Grouping::record),
        })
    }
}

/// The fault of a class by its name, where the library knows its number.
fn with_class_name(fault: anyhow::Error, classes: &[String]) -> anyhow::Error {
    match fault.downcast_ref() {
        Some(&Fault::SmallClass { label, images, folds }) => {
            let name = classes.get(label as usize).map_or("", String::as_str);
            let hint = hint_for_data_fault(&Fault::SmallClass { label, images, folds }).unwrap_or_default();
            let message =
                format!("{folds} folds need at least {folds} images of each class, but {name} has {images}");
            Hint { message, hint }.into()
        }
        _ => fault,
    }
}
