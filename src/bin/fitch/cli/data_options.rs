//! The options that say how data are loaded, which several commands share.

use super::OneOf;
use clap::Args;
use fitch::data::{Format, ImageFit, Missing, PixelOrder};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct DataOptions {
    /// Where downloads and decoded images are kept, as DIR/mnist/train-images-idx3-ubyte[.gz] and so on
    /// [default: FITCH_DATA_DIR, else the user's cache folder]
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    pub data_dir: Option<PathBuf>,

    /// The format of the data at a path, if it could be read in two ways [default: detected]
    #[arg(long, value_name = "FORMAT", help_heading = "Data")]
    pub data_format: Option<OneOf<Format>>,

    /// Scale images in folders and Parquet files to this height and width, such as 28x28, or to squares, such as
    /// 224 [default: their own]
    #[arg(long, value_name = "SIZE", help_heading = "Data")]
    pub image_size: Option<String>,

    /// How images of other proportions become that size: stretch; pad, with the colour of their border around
    /// them; crop, to their middle [default: stretch]
    #[arg(long, value_name = "HOW", help_heading = "Data")]
    pub fit: Option<OneOf<ImageFit>>,

    /// Skip images that cannot be read, and report how many [default: false]
    #[arg(long, help_heading = "Data", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub skip_bad: Option<bool>,

    /// Share of each class held out as the test set if the data have none; always the same images
    /// [default: 0.1]
    #[arg(long, value_name = "F", help_heading = "Data", allow_negative_numbers = true)]
    pub test_split: Option<f64>,

    /// The column of a table that holds the labels, by name or by index from 0 [default: the one called
    /// label, class, target, species or so, else the likelier of the first and the last]
    #[arg(long, value_name = "NAME or N", help_heading = "Data")]
    pub label_column: Option<String>,

    /// Keep rows that have the same value in this column of a table, such as a writer or a patient, on one side
    /// of every split; by name or by index from 0 [default: none]
    #[arg(long, value_name = "NAME or N", help_heading = "Data")]
    pub group_column: Option<String>,

    /// The same for folders of images: a regular expression that finds the group in the name of each file, as its
    /// first capture group or its whole match, such as '^(w[0-9]+)_' [default: none]
    #[arg(long, value_name = "REGEX", help_heading = "Data")]
    pub group_pattern: Option<String>,

    /// What becomes of missing values in tables: an error that counts them, or the mean of the column in the
    /// training rows in their place [default: error]
    #[arg(long, value_name = "WHAT", help_heading = "Data")]
    pub missing: Option<OneOf<Missing>>,

    /// How the rows of tables hold images in colour: hwc, red, green and blue of each pixel in turn; chw, all
    /// red values first [default: hwc]
    #[arg(long, value_name = "ORDER", help_heading = "Data")]
    pub pixel_order: Option<OneOf<PixelOrder>>,

    /// Use only these classes, by name, such as cat,dog [default: all]
    #[arg(long, value_name = "NAMES", help_heading = "Data")]
    pub classes: Option<String>,

    /// The value that becomes 1.0, such as 255 or 4095; all values are divided by it [default: 255 for bytes,
    /// else what suits the largest value]
    #[arg(long, value_name = "X", help_heading = "Data", allow_negative_numbers = true)]
    pub maximum: Option<f64>,

    /// Exchange rows and columns of the images [default: for files named emnist, which have them so]
    #[arg(long, help_heading = "Data", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", hide_possible_values = true, value_name = "BOOL")]
    pub transpose: Option<bool>,
}

impl DataOptions {
    /// These options, with those of `others` where these are not given.
    pub fn or(self, others: DataOptions) -> DataOptions {
        DataOptions {
            data_dir: self.data_dir.or(others.data_dir),
            data_format: self.data_format.or(others.data_format),
            image_size: self.image_size.or(others.image_size),
            fit: self.fit.or(others.fit),
            skip_bad: self.skip_bad.or(others.skip_bad),
            test_split: self.test_split.or(others.test_split),
            label_column: self.label_column.or(others.label_column),
            // One of them replaces the other.
            group_column: self
                .group_column
                .clone()
                .or(others.group_column.filter(|_| self.group_pattern.is_none())),
            group_pattern: self
                .group_pattern
                .or(others.group_pattern.filter(|_| self.group_column.is_none())),
            missing: self.missing.or(others.missing),
            pixel_order: self.pixel_order.or(others.pixel_order),
            classes: self.classes.or(others.classes),
            maximum: self.maximum.or(others.maximum),
            transpose: self.transpose.or(others.transpose),
        }
    }
}
