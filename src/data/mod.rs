//! Labelled images and where they come from. It must not know models, training or the run folder.
//!
//! From the bottom up: a [`Dataset`] of [`Images`] is what a load gives; [`Samples`] are rows to train on,
//! one kind of [`BatchSource`]. `formats` has one file for each format and the table of them. [`Source`]
//! stands above: what a name or a path means, and how its images become a data set. [`Fault`] has the errors
//! that a caller can act on.

mod archive;
mod augmentation;
mod batches;
mod cache;
pub mod catalogue;
pub mod class_shares;
mod columns;
mod comments;
mod content;
mod conversion;
mod copies;
#[cfg_attr(not(feature = "images"), allow(dead_code))]
mod csv_inputs;
mod dataset;
#[cfg(feature = "images")]
mod decoding;
mod digest;
mod digits;
#[cfg(feature = "download")]
pub mod download;
mod fault;
mod fingerprint;
mod foreign_kind;
mod formats;
mod groups;
mod gzip;
pub mod idx_file;
mod image_digests;
#[cfg(feature = "images")]
mod image_file;
mod image_fit;
mod image_place;
#[cfg(feature = "images")]
mod image_walk;
mod images;
#[cfg(feature = "images")]
pub mod inputs;
mod inspection;
#[cfg(feature = "images")]
mod jpeg_file;
mod label_array;
mod label_encoding;
mod load_options;
#[cfg(feature = "images")]
mod memory_limit;
mod mixed_batch;
mod near_copies;
mod number;
mod numbered_images;
#[cfg_attr(not(feature = "images"), allow(dead_code))]
mod passed_over;
mod perceptual_hash;
#[cfg(feature = "images")]
mod prepared_image;
mod progress;
mod ranges;
mod raw_dataset;
#[cfg(feature = "images")]
mod resizing;
mod samples;
mod scaling;
mod source;
pub mod split;
mod split_files;
mod table;
mod table_form;
mod text_encoding;
mod value_kind;
#[cfg(feature = "images")]
mod webp_file;

pub use augmentation::{Augmentation, ParseAugmentationError};
pub use batches::{Batch, BatchIterator, BatchSource, Part};
pub use columns::likely_groups;
pub use copies::{Copies, CopyCount, CopyExample};
pub use dataset::{Dataset, RgbImage, TestOrigin};
pub use digest::Digest;
pub use fault::Fault;
pub use formats::{Format, IDX_FILES, UnknownFormat};
pub use groups::GroupBy;
#[cfg(feature = "images")]
pub use groups::{GroupPattern, ParseGroupPatternError};
pub use image_digests::ImageDigests;
pub use image_fit::ImageFit;
pub use image_place::ImagePlace;
pub use images::{ImageOrigin, Images};
pub use inspection::Inspection;
pub use load_options::{LoadOptions, TEST_SHARE, default_folder};
pub use mixed_batch::MixedBatch;
pub use near_copies::{NearCopies, NearPair};
#[cfg(feature = "images")]
pub use prepared_image::Inversion;
pub use progress::Progress;
pub use samples::{Batches, Samples};
pub use source::Source;
pub use split::SplitMethod;
pub use table_form::{Missing, PixelOrder, TableForm};

#[cfg(test)]
mod tests;
