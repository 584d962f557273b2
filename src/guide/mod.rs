//! The guides: longer than a README, shorter than a book. `fitch help NAME` prints them in a terminal.

/// From a Keras script to fitch, line by line.
#[doc = include_str!("keras.md")]
pub mod keras {}

/// Fit any tch module from a Rust program.
#[doc = include_str!("library.md")]
pub mod library {}

/// Every option of `fitch train`, by group.
#[doc = include_str!("training.md")]
pub mod training {}

/// Networks from torchvision and timm, trained on your own photographs.
#[doc = include_str!("photos.md")]
pub mod photos {}

/// The data formats in detail, splits and the cache.
#[doc = include_str!("data.md")]
pub mod data {}

/// How fast fitch is, how that was measured, and what made it so.
#[doc = include_str!("performance.md")]
pub mod performance {}

/// The rooms of the source, running one test, and adding things.
#[doc = include_str!("contributing.md")]
pub mod contributing {}
