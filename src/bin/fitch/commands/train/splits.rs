//! The images of a training in their roles.

use super::groups::Grouping;
use crate::commands::copies::SplitSizes;
use crate::config::Configuration;
use crate::failure::Hint;
use crate::hints::hint_for_data_fault;
use anyhow::{Result, bail};
use fitch::data::class_shares::{ClassCounts, one_sided};
use fitch::data::split::{self, Holdout, SplitRows, says_sorted};
use fitch::data::{Copies, Dataset, Fault, Format, ImageDigests, Samples, Source, SplitMethod};
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
    /// The images that are identical to others, if they were looked for.
    pub copies: Option<Copies>,
    /// How many training images were left out because they are copies, if that was asked for.
    pub copies_dropped: Option<usize>,
    /// Whether the data came with validation images.
    pub has_own_validation: bool,
}

impl Splits {
    /// Copies are looked for if the digests of the images are given.
    pub fn split(
        dataset: &Dataset,
        source: &Source,
        configuration: &Configuration,
        digests: Option<ImageDigests>,
    ) -> Result<Splits> {
        let has_none = has_no_validation(configuration);
        let own_validation = if has_none { None } else { dataset.validation_samples()? };
        let has_own_validation = own_validation.is_some();
        let mut rows = all_rows(dataset, configuration)?;
        let (classes, labels) = (&dataset.classes, dataset.train.labels());
        let sorted = Some(&rows)
            .filter(|rows| configuration.split == SplitMethod::Last && !rows.validation.is_empty())
            .and_then(|rows| says_sorted(labels, rows));
        let of_train = class_counts_of(dataset, &rows.train);
        let of_validation = match &dataset.validation {
            Some(images) if has_own_validation => images.class_counts(classes.len()),
            _ => class_counts_of(dataset, &rows.validation),
        };
        let of_test = dataset.test.class_counts(classes.len());
        let train = ClassCounts { name: "training", counts: &of_train };
        let validation = ClassCounts { name: "validation", counts: &of_validation };
        let test = ClassCounts { name: "test", counts: &of_test };
        let mut notes =
            Vec::from_iter(sorted.map(|sorted| format!("{sorted} (--split stratified takes some of each)")));
        notes.extend(one_sided(classes, [train, validation]));
        notes.extend(one_sided(classes, [train, test]));
        let grouping = dataset.train.groups().map(|groups| {
            Grouping::of(dataset, &groups, &rows, has_own_validation, [train, validation, test])
        });
        notes.extend(grouping.iter().flat_map(Grouping::warnings));
        limit(&mut rows, configuration);
        let validation = match rows.validation.as_slice() {
            [] => own_validation,
            held_out => Some(dataset.train_samples()?.choose(held_out)?),
        };
        let digests = digests.map(|digests| if has_none { digests.without_validation() } else { digests });
        let copies = digests.map(|digests| dataset.copies(&digests, Some(&rows))).transpose()?;
        let mut class_counts = class_counts_of(dataset, &rows.train);
        let mut copies_dropped = None;
        if let Some(copies) = copies.as_ref().filter(|_| configuration.drops_duplicates) {
            copies_dropped = Some(copies.drop_from(&mut rows.train));
            let before = std::mem::replace(&mut class_counts, class_counts_of(dataset, &rows.train));
            check_what_is_left(classes, &before, &class_counts)?;
        }
        Ok(Splits {
            train: dataset.train_samples()?.choose(&rows.train)?,
            validation,
            test: dataset.test_samples()?,
            class_counts,
            range: dataset.value_range()?,
            notes,
            grouping,
            copies,
            copies_dropped,
            has_own_validation,
            format: if let Source::Path { format, .. } = source { *format } else { None },
        })
    }

    /// The numbers of images, before copies were left out.
    pub fn sizes(&self) -> SplitSizes {
        SplitSizes {
            train: self.train.len() + self.copies_dropped.unwrap_or_default(),
            validation: self.validation_size(),
            test: self.test.len(),
        }
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

    pub fn record(&self, dataset: &Dataset, fingerprint: &str) -> Result<DatasetRecord> {
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
            fingerprint: fingerprint.to_string(),
            table: dataset.table.clone(),
            groups: self.grouping.as_ref().map(Grouping::record),
            copies: self.copies.clone(),
            copies_dropped: self.copies_dropped,
        })
    }
}

/// A share of 0 means no validation, unless validation images or a fold were named.
fn has_no_validation(configuration: &Configuration) -> bool {
    configuration.fold.is_none()
        && configuration.validation_share == 0.0
        && configuration.reading.validation.is_none()
}

/// The rows of the training images that are trained on, before copies are left out, and those that are held out.
pub fn split_rows(dataset: &Dataset, configuration: &Configuration) -> Result<SplitRows> {
    let mut rows = all_rows(dataset, configuration)?;
    limit(&mut rows, configuration);
    Ok(rows)
}

/// The same without a limit.
fn all_rows(dataset: &Dataset, configuration: &Configuration) -> Result<SplitRows> {
    let has_own = dataset.validation.is_some() && !has_no_validation(configuration);
    let holdout = match configuration.fold {
        Some(fold) if has_own => {
            return Err(Hint {
                message: format!("--fold {fold}: {} has validation images of its own", dataset.name),
                hint: "folds are made of the training images: move those of its own among them, or elsewhere"
                    .to_string(),
            }
            .into());
        }
        Some(fold) => Holdout::Fold(fold),
        // Nothing is held out if the data have validation images.
        None => Holdout::Share(if has_own { 0.0 } else { configuration.validation_share }),
    };
    let groups = dataset.train.groups();
    let Configuration { split: method, seed, .. } = *configuration;
    split::split_rows(dataset.train.labels(), groups.as_deref(), holdout, method, seed)
        .map_err(|fault| with_class_name(fault, &dataset.classes))
}

fn limit(rows: &mut SplitRows, configuration: &Configuration) {
    if let Some(limit) = configuration.limit {
        rows.train.truncate(limit);
    }
}

/// How many of the rows of the training images are of each class.
fn class_counts_of(dataset: &Dataset, rows: &[i64]) -> Vec<usize> {
    let mut counts = vec![0; dataset.classes.len()];
    rows.iter().for_each(|&row| counts[dataset.train.labels()[row as usize] as usize] += 1);
    counts
}

/// No class loses all its images because they are copies.
fn check_what_is_left(classes: &[String], before: &[usize], after: &[usize]) -> Result<()> {
    let lost = before.iter().zip(after).position(|(&before, &after)| before > 0 && after == 0);
    let Some(lost) = lost else { return Ok(()) };
    let whose = match after.iter().sum::<usize>() {
        0 => String::new(),
        _ => format!(" of class {}", classes[lost]),
    };
    bail!(
        "--drop-duplicates leaves no image{whose} to train on: all are also validation or test images, or repeat \
         one another under different labels"
    )
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
