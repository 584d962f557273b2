//! The form of history.csv.

use super::Checker;
use crate::cli::TrainOptions;
use anyhow::Result;
use fitch::train::callbacks::CsvForm;

/// The form of a run's history.csv.
pub fn csv_form(options: &TrainOptions) -> Result<CsvForm> {
    Checker::run(|checker| check_csv_form(options, checker))
}

pub fn check_csv_form(options: &TrainOptions, checker: &mut Checker) -> Option<CsvForm> {
    let separator = match options.csv_separator.as_deref()? {
        "," => Some(b','),
        ";" => Some(b';'),
        "\t" | "tab" => Some(b'\t'),
        other => checker.fault("csv-separator", format!("'{other}'"), "must be a comma, a semicolon or tab"),
    };
    let decimal = match options.csv_decimal.as_deref()? {
        "," if separator == Some(b',') => checker.fault(
            "csv-decimal",
            "','",
            "cannot be a comma if --csv-separator is one; give --csv-separator ';' too",
        ),
        "," => Some(','),
        "." => Some('.'),
        other => checker.fault("csv-decimal", format!("'{other}'"), "must be a point or a comma"),
    };
    Some(CsvForm { separator: separator?, decimal: decimal? })
}
