//! How data are read, where there is a choice.

use super::formats::Format;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// How data are read, where there is a choice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadOptions {
    /// Where fetched sets and decoded images are kept.
    pub data_dir: PathBuf,
    /// The form of what lies at a path; none means that it is found out.
    pub format: Option<Format>,
    /// Height and width that pictures are stretched to.
    pub image_size: Option<[u32; 2]>,
    /// Whether pictures that cannot be read are left out.
    pub skips_bad: bool,
    /// Images to validate with, from another folder or file.
    pub validation: Option<PathBuf>,
    /// The share of a set without a test set that is split off as one; none means [`TEST_SHARE`].
    pub test_share: Option<f64>,
    /// The column of a table that holds the labels, by name or by number from 0.
    pub label_column: Option<String>,
    /// The only classes that are taken, by name; none means all.
    pub classes: Option<Vec<String>>,
}

/// What is split off for the test where a set has none.
pub const TEST_SHARE: f64 = 0.1;

impl LoadOptions {
    /// Everything by default, with that folder.
    pub fn with_data_dir(data_dir: impl Into<PathBuf>) -> LoadOptions {
        LoadOptions { data_dir: data_dir.into(), ..LoadOptions::default() }
    }

    /// The form of what lies at a path: the one that was named, or what is found out.
    pub(super) fn format_of(&self, path: &Path) -> Result<Format> {
        self.format.map_or_else(|| Format::of(path), Ok)
    }
}

/// Where catalogued sets are kept unless one says otherwise: `FITCH_DATA_DIR`, else the user's cache
/// folder; none where there is neither that variable nor a home folder.
pub fn default_folder() -> Option<PathBuf> {
    let from_environment = std::env::var_os("FITCH_DATA_DIR").filter(|folder| !folder.is_empty());
    let in_cache =
        || directories::ProjectDirs::from("", "", "fitch").map(|folders| folders.cache_dir().into());
    from_environment.map(PathBuf::from).or_else(in_cache)
}
