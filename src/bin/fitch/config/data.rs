//! The options that say which data to load, and how.

use super::{Checker, given_or_none};
use crate::cli::{DataOptions, TrainOptions};
use crate::failure::UsageError;
use crate::suggestion::did_you_mean;
use anyhow::Result;
use fitch::data::split::{Fold, SplitMethod};
use fitch::data::{self, Fault, GroupBy, LoadOptions, Source, catalogue};
use std::iter::once;
use std::path::{Path, PathBuf};

/// Larger images are more than a classifier of pixels can take.
const MAX_SIDE: u32 = 4096;

/// Checks the options that say which data to load, alone.
pub fn check_data(options: &TrainOptions) -> Result<(Source, LoadOptions)> {
    Checker::run(|checker| {
        let (source, reading) = (check_source(options, checker), check_reading(options, checker));
        source.zip(reading)
    })
}

/// The options of `train` with those of another command over them.
pub fn with_reading(options: TrainOptions, given: DataOptions) -> TrainOptions {
    TrainOptions { data: given.or(options.data), ..options }
}

/// The data set, which may be given as an argument, as `--dataset`, or as both.
///
/// # Errors
/// A [`UsageError`] if they name two.
pub fn one_dataset(argument: Option<String>, option: Option<String>) -> Result<Option<String>> {
    match (&argument, &option) {
        (Some(argument), Some(option)) if argument != option => {
            let fault = format!("--dataset {option}: the data set is given as {argument} already");
            Err(UsageError(vec![fault]).into())
        }
        _ => Ok(argument.or(option)),
    }
}

/// What `--dataset` names, in the format of `--data-format`.
pub fn check_source(options: &TrainOptions, checker: &mut Checker) -> Option<Source> {
    let dataset = options.dataset.as_deref()?;
    let format = options.data.data_format.map(|format| format.0);
    Source::find_as(dataset, format).map_or_else(
        |fault| {
            let names = once("digits").chain(catalogue::names());
            let remedy = match fault.downcast_ref() {
                Some(Fault::ForeignKind { remedy, .. }) => format!("; {remedy}"),
                _ if ["true", "false"].contains(&dataset) => {
                    format!("; an option takes it after an equals sign, as in --skip-bad={dataset}")
                }
                _ => did_you_mean(dataset, names),
            };
            let fault = fault.chain().last().map_or(String::new(), ToString::to_string);
            checker.fault("dataset", dataset, &format!("{fault}{remedy}"))
        },
        Some,
    )
}

/// How data are loaded.
pub fn check_reading(options: &TrainOptions, checker: &mut Checker) -> Option<LoadOptions> {
    let DataOptions {
        data_dir,
        image_size,
        fit,
        skip_bad,
        test_split,
        label_column,
        group_column,
        group_pattern,
        classes,
        missing,
        pixel_order,
        ..
    } = &options.data;
    let image_size = image_size.as_deref().map(|size| {
        // One number is that of squares.
        let (height, width) = size.split_once('x').unwrap_or((size, size));
        let sides = height.parse().ok().zip(width.parse().ok()).map(|(height, width)| [height, width]);
        let rule = format!("must be a height and a width in pixels, up to {MAX_SIDE}, such as 28x28 or 224");
        sides
            .filter(|sides: &[u32; 2]| sides.iter().all(|side| (1..=MAX_SIDE).contains(side)))
            .or_else(|| checker.fault("image-size", size, &rule))
    });
    let test_share = test_split.map(|share| checker.share("test-split", Some(share)));
    let validation = options.validation.as_ref().map(PathBuf::from);
    if let Some(path) = validation.as_ref().filter(|path| !path.exists()) {
        checker.fault::<()>("validation", path.display(), "there is no such folder or file");
    }
    let maximum = options.data.maximum.map(|maximum| {
        let is_scale = maximum > 0.0 && maximum.is_finite();
        let rule = "must be a number above 0, the value that becomes 1.0";
        is_scale.then_some(maximum).or_else(|| checker.fault("maximum", maximum, rule))
    });
    let group_by = match (group_column, group_pattern) {
        (Some(_), Some(pattern)) => {
            checker.fault("group-pattern", pattern, "cannot be used with --group-column")
        }
        (Some(column), None) => Some(Some(GroupBy::Column(column.clone()))),
        (None, Some(pattern)) => match pattern.parse() {
            Ok(parsed) => Some(Some(GroupBy::FileName(parsed))),
            Err(fault) => checker.fault("group-pattern", pattern, &fault.to_string()),
        },
        (None, None) => Some(None),
    };
    let data_dir = find_data_dir(data_dir.as_deref(), checker);
    let names = |names: &str| names.split(',').map(|name| name.trim().to_string()).collect();
    Some(LoadOptions {
        data_dir: Some(data_dir?),
        image_size: given_or_none(image_size)?,
        image_fit: fit.map(|fit| fit.0).unwrap_or_default(),
        skips_bad: skip_bad.unwrap_or_default(),
        validation,
        test_share: given_or_none(test_share)?,
        label_column: label_column.clone(),
        group_by: group_by?,
        classes: classes.as_deref().map(names),
        maximum: given_or_none(maximum)?,
        model_maximum: None,
        transposes: options.data.transpose,
        tests_all: false,
        missing: missing.map(|missing| missing.0).unwrap_or_default(),
        pixel_order: pixel_order.map(|order| order.0),
        table: None,
    })
}

/// The fold of `--fold`; none if none is given. Folds and groups are not taken from the end of a file.
pub fn check_fold(options: &TrainOptions, checker: &mut Checker) -> Option<Option<Fold>> {
    let has_end = options.split.is_some_and(|split| split.0 == SplitMethod::Last);
    let DataOptions { group_column, group_pattern, .. } = &options.data;
    let grouping = [("column", group_column), ("pattern", group_pattern)];
    for (name, value) in grouping.iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
        if has_end {
            checker.fault::<()>(&format!("group-{name}"), value, "cannot be used with --split last");
        }
    }
    let text = options.fold.as_deref()?;
    Some(match text.parse::<Fold>() {
        Ok(_) if has_end => checker.fault("fold", text, "cannot be used with --split last"),
        Ok(fold) => Some(fold),
        Err(fault) => checker.fault("fold", text, &fault.to_string()),
    })
}

fn find_data_dir(given: Option<&Path>, checker: &mut Checker) -> Option<PathBuf> {
    given.map(Path::to_path_buf).or_else(data::default_folder).or_else(|| {
        checker.fault(
            "data-dir",
            "(not given)",
            "is needed: there is neither FITCH_DATA_DIR nor a home folder",
        )
    })
}
