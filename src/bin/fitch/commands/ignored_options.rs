//! Options of loading that have no effect on the data at hand.

use fitch::data::{Dataset, LoadOptions, Missing, Source, TEST_SHARE, TestOrigin};

/// `--image-size, --skip-bad: without effect on CSV`; none if every option that was given has one.
pub fn ignored_options(source: &Source, reading: &LoadOptions, dataset: &Dataset) -> Option<String> {
    let keyword = match source {
        Source::Path { format, .. } => format.map_or("", |format| format.keyword()),
        Source::Digits | Source::Known(_) => "idx",
    };
    let is_one_of = |keywords: &[&str]| keywords.contains(&keyword);
    let (has_pictures, has_rows) = (source.is_of_pictures(), is_one_of(&["csv"]));
    let asks_for_test = reading.test_share.is_some_and(|share| share != TEST_SHARE);
    let ignored = [
        ("--image-size", reading.image_size.is_some() && !has_pictures),
        // Images that are classified later become the model's size so.
        ("--fit", !reading.image_fit.is_stretch() && dataset.shape().len() == 1),
        ("--skip-bad", reading.skips_bad && !has_pictures),
        ("--label-column", reading.label_column.is_some() && !is_one_of(&["csv", "npz", "parquet"])),
        ("--missing", reading.missing != Missing::Error && !has_rows),
        ("--pixel-order", reading.pixel_order.is_some() && !has_rows),
        ("--test-split", asks_for_test && dataset.test_origin == TestOrigin::Own),
    ];
    let ignored: Vec<&str> =
        ignored.iter().filter(|(_, is_ignored)| *is_ignored).map(|(name, _)| *name).collect();
    let on = match (ignored.as_slice(), source) {
        (["--test-split"], _) => "data that have a test set",
        (_, Source::Digits) => "the built-in digits",
        _ => source.format_name().unwrap_or_default(),
    };
    (!ignored.is_empty()).then(|| format!("{}: without effect on {on}", ignored.join(", ")))
}
