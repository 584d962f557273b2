//! Labelled images and where they come from. It knows no model, no training and no run folder.
//!
//! From the bottom up: [`Images`] and [`Dataset`] are what a load gives, [`Samples`] what training reads batches
//! from. [`formats`] has one file for each format and the table of them, [`Source`] stands above: what a name or
//! a path means, and how its images become a data set.

mod augmentation;
mod cache;
pub mod catalogue;
mod csv_inputs;
mod dataset;
mod decoding;
mod digits;
#[cfg(feature = "download")]
pub mod download;
mod formats;
mod gzip;
pub mod idx_file;
mod image_file;
pub mod inputs;
mod inspection;
mod label_encoding;
mod load_options;
mod progress;
mod raw_dataset;
mod samples;
mod source;
pub mod split;

pub use augmentation::Augmentation;
pub use dataset::{Dataset, Images, Shown};
pub use formats::{Format, IDX_FILES};
pub use image_file::Inversion;
pub use inspection::Inspection;
pub use load_options::{LoadOptions, TEST_SHARE, default_folder};
pub use progress::Progress;
pub use samples::{Batch, Batches, Samples};
pub use source::Source;

#[cfg(test)]
mod tests;
