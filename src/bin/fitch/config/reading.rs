//! The options that say where data are and how they are loaded.

use super::{Checker, given_or_none};
use crate::cli::{DataOptions, TrainOptions};
use clap::ValueEnum;
use fitch::data::{self, Format, LoadOptions, Source};
use std::path::{Path, PathBuf};

/// Larger images are more than a classifier of pixels can take.
const MAX_SIDE: u32 = 4096;

/// The options of `train` with those of another command over them.
pub fn with_reading(options: TrainOptions, given: DataOptions) -> TrainOptions {
    TrainOptions {
        data_dir: given.data_dir.or(options.data_dir),
        data_format: given.data_format.or(options.data_format),
        image_size: given.image_size.or(options.image_size),
        skip_bad: given.skip_bad.then_some(true).or(options.skip_bad),
        test_split: given.test_split.or(options.test_split),
        label_column: given.label_column.or(options.label_column),
        classes: given.classes.or(options.classes),
        ..options
    }
}

/// What `--dataset` names, in the format that `--data-format` names; gives nothing only after a fault was noted.
pub fn check_source(options: &TrainOptions, checker: &mut Checker) -> Option<Source> {
    let dataset = options.dataset.as_deref().unwrap_or_default();
    let value = options.data_format.and_then(|format| format.to_possible_value());
    let format: Option<Format> = value.and_then(|value| value.get_name().parse().ok());
    match Source::find_as(dataset, format) {
        Ok(source) => Some(source),
        Err(fault) => checker.fault("dataset", dataset, &fault.to_string()),
    }
}

/// How it is loaded; gives nothing only after a fault was noted.
pub fn check_reading(options: &TrainOptions, checker: &mut Checker) -> Option<LoadOptions> {
    let image_size = options.image_size.as_deref().map(|size| {
        let sides = size
            .split_once('x')
            .and_then(|(height, width)| Some([height.parse().ok()?, width.parse().ok()?]));
        let rule = format!("must be a height and a width in pixels, up to {MAX_SIDE}, such as 28x28");
        sides
            .filter(|sides: &[u32; 2]| sides.iter().all(|side| (1..=MAX_SIDE).contains(side)))
            .or_else(|| checker.fault("image-size", size, &rule))
    });
    let share_rule = "must be a share from 0 to below 1";
    let share = |share: f64| (0.0..1.0).contains(&share);
    let test_share =
        options.test_split.map(|value| checker.number("test-split", Some(value), share_rule, share));
    let validation = options.validation.as_ref().map(PathBuf::from);
    if let Some(path) = validation.as_ref().filter(|path| !path.exists()) {
        checker.fault::<()>("validation", path.display(), "there is no such folder or file");
    }
    let data_dir = find_data_dir(options.data_dir.as_deref(), checker);
    let names = |names: &str| names.split(',').map(|name| name.trim().to_string()).collect();
    Some(LoadOptions {
        data_dir: Some(data_dir?),
        image_size: given_or_none(image_size)?,
        skips_bad: options.skip_bad.unwrap_or(false),
        validation,
        test_share: given_or_none(test_share)?,
        label_column: options.label_column.clone(),
        classes: options.classes.as_deref().map(names),
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
