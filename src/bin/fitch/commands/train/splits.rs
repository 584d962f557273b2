//! The images of a training in their roles.

use crate::commands::copies::SplitSizes;
use crate::config::Configuration;
use anyhow::{Result, bail};
use fitch::data::split::SplitRows;
use fitch::data::{Copies, Dataset, Format, ImageDigests, Samples, Source, SplitMethod, split};
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
    pub note: Option<String>,
    /// The images that are identical to others, if they were looked for.
    pub copies: Option<Copies>,
    /// How many training images were left out because they are copies, if that was asked for.
    pub copies_dropped: Option<usize>,
    /// Whether the data came with validation images.
    has_own_validation: bool,
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
        let mut rows = split_rows(dataset, configuration)?;
        let has_own_validation = own_validation.is_some();
        let note = Some(&rows)
            .filter(|rows| configuration.split == SplitMethod::Last && !rows.validation.is_empty());
        let note = note.and_then(|rows| split::says_sorted(dataset.train.labels(), rows));
        let validation = match rows.validation.as_slice() {
            [] => own_validation,
            held_out => Some(dataset.train_samples()?.choose(held_out)?),
        };
        let digests = digests.map(|digests| if has_none { digests.without_validation() } else { digests });
        let copies = digests.map(|digests| dataset.copies(&digests, Some(&rows))).transpose()?;
        let dropping = copies.as_ref().filter(|_| configuration.drops_duplicates);
        let counts_before = class_counts_of(dataset, &rows.train);
        let copies_dropped = dropping.map(|copies| copies.drop_from(&mut rows.train));
        let class_counts = class_counts_of(dataset, &rows.train);
        check_what_is_left(&dataset.classes, &counts_before, &class_counts)?;
        Ok(Splits {
            train: dataset.train_samples()?.choose(&rows.train)?,
            validation,
            test: dataset.test_samples()?,
            class_counts,
            range: dataset.value_range()?,
            note: note.map(|note| format!("{note} (--split stratified takes some of each)")),
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
            size => format!("{} validation ({})", count(size), configuration.split.keyword()),
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
            copies: self.copies.clone(),
            copies_dropped: self.copies_dropped,
        })
    }
}

/// A share of 0 means no validation, unless validation images were named.
fn has_no_validation(configuration: &Configuration) -> bool {
    configuration.validation_share == 0.0 && configuration.reading.validation.is_none()
}

/// The rows of the training images that are trained on, before copies are left out, and those that are held out.
pub fn split_rows(dataset: &Dataset, configuration: &Configuration) -> Result<SplitRows> {
    let Configuration { validation_share, split: method, seed, limit, .. } = *configuration;
    // Nothing is held out if the data have validation images.
    let has_own = dataset.validation.is_some() && !has_no_validation(configuration);
    let share = if has_own { 0.0 } else { validation_share };
    let mut rows = split::split(dataset.train.labels(), share, method, seed)?;
    if let Some(limit) = limit {
        rows.train.truncate(limit);
    }
    Ok(rows)
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
