//! The formats that data come in: one file for each, and the table of them. It must not know what data are
//! used for.
//!
//! A new format is its file and its row in [`READERS`] (and its fuzz target, in tests/fuzz). No format knows
//! another.

pub(crate) mod csv;
#[cfg(feature = "images")]
pub(crate) mod folders;
pub(crate) mod idx;
mod location;
pub(crate) mod npz;
#[cfg(feature = "parquet")]
pub(crate) mod parquet;
mod reader;

use super::content::{self, Content};
use super::foreign_kind::ForeignKind;
use super::groups::GroupBy;
use super::label_encoding::LabelEncoding;
use super::load_options::{LoadOptions, OnProgress};
use super::raw_dataset::RawDataset;
use anyhow::{Context, Result};
pub use idx::IDX_FILES;
use location::Location;
use reader::Reader;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// All formats; a file or folder is tried against them in this order.
static READERS: &[&Reader] = &[
    &idx::READER,
    #[cfg(feature = "images")]
    &folders::READER,
    &csv::READER,
    &npz::READER,
    #[cfg(feature = "parquet")]
    &parquet::READER,
];

/// The format of what lies at a path.
#[derive(Clone, Copy)]
pub struct Format(&'static Reader);

impl Format {
    /// All formats.
    pub fn all() -> impl Iterator<Item = Format> {
        READERS.iter().copied().map(Format)
    }

    /// For people: `NumPy archive`.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// As users write it: `npz`. Parsing the keyword gives the format again.
    pub fn keyword(self) -> &'static str {
        self.0.keyword
    }

    /// Finds out the format of a file by its content or its name, or of a folder by what it holds, itself or
    /// below.
    ///
    /// # Errors
    /// Nothing that can be read, data in several places, or
    /// [`Fault::AmbiguousFormat`](super::Fault::AmbiguousFormat).
    pub fn detect(path: &Path) -> Result<Format> {
        let location = Location::find(path, None)?.ok_or_else(|| location::nothing_there(path))?;
        Ok(location.format)
    }

    /// The format of a file by its content, if that says it, else by its name; none if it cannot be read.
    fn of_file(path: &Path) -> Option<Format> {
        match Content::of_file(path) {
            Some(Content::Npz) => "npz".parse().ok(),
            Some(Content::Parquet) => "parquet".parse().ok(),
            // Its reader says what is missing in it.
            Some(Content::Foreign(ForeignKind::Zip)) => {
                Format::of_file_name(path).filter(|format| format.keyword() == "npz")
            }
            Some(Content::Foreign(_) | Content::Image | Content::Idx) => None,
            None => Format::of_file_name(path),
        }
    }

    /// The same of a file that was named: text is a table, whatever its name.
    fn of_named_file(path: &Path) -> Option<Format> {
        let is_table = || ForeignKind::of(path).is_none() && content::is_text_file(path);
        Format::of_file(path).or_else(|| is_table().then_some(Format(&csv::READER)))
    }

    /// Whether it holds images in files of their own, as other programs show them.
    pub(super) fn is_of_pictures(self) -> bool {
        ["pictures", "parquet"].contains(&self.keyword())
    }

    /// Whether it has what images are to be grouped by.
    pub(super) fn can_group(self, by: &GroupBy) -> bool {
        (self.0.can_group)(by)
    }

    pub(super) fn of_file_name(path: &Path) -> Option<Format> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        Format::all().find(|format| format.0.endings.iter().any(|ending| name.ends_with(ending)))
    }

    /// A file name without the ending of its format.
    pub(super) fn stem(name: &str) -> &str {
        let endings = Format::all().flat_map(|format| format.0.endings);
        let stems = endings.filter_map(|ending| name.strip_suffix(ending));
        stems.min_by_key(|stem| stem.len()).unwrap_or(name)
    }

    /// Loads what lies at a path, or below it.
    pub(super) fn load(
        self,
        path: &Path,
        options: &LoadOptions,
        encoding: Option<LabelEncoding>,
        progress: OnProgress,
    ) -> Result<RawDataset> {
        let place = self.place(path)?;
        if let Some(pointer) = location::lfs_pointer(&place) {
            return Err(ForeignKind::GitLfs.fault(&pointer)).with_context(|| pointer.display().to_string());
        }
        let mut raw = (self.0.load)(&place, options, encoding, progress)?;
        if place != path {
            raw.notes.insert(0, format!("the data are taken from {}", place.display()));
        }
        Ok(raw)
    }

    /// Where the data of this format lie; the path itself if they are not to be found.
    pub(super) fn place(self, path: &Path) -> Result<PathBuf> {
        Ok(Location::find(path, Some(self))?.map_or_else(|| path.to_path_buf(), |location| location.path))
    }

    /// The shape of an image and the number of classes, if they can be read without loading everything.
    pub(super) fn shape_and_classes(self, path: &Path) -> Option<Result<(Vec<i64>, usize)>> {
        self.0.shape_and_classes.map(|read| read(&self.place(path)?))
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Format) -> bool {
        self.keyword() == other.keyword()
    }
}

impl Eq for Format {}

impl fmt::Debug for Format {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "Format({})", self.keyword())
    }
}

/// Gives the keyword.
impl fmt::Display for Format {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(self.keyword())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(keyword: &str) -> Result<Format, UnknownFormat> {
        Format::all()
            .find(|format| format.keyword() == keyword)
            .ok_or_else(|| UnknownFormat(keyword.to_string()))
    }
}

/// A word that is no format's keyword.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFormat(String);

impl fmt::Display for UnknownFormat {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let keywords: Vec<&str> = Format::all().map(Format::keyword).collect();
        write!(out, "'{}' is not a format; there are {}", self.0, keywords.join(", "))
    }
}

impl std::error::Error for UnknownFormat {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Fault;
    use std::fs;

    #[test]
    fn a_folder_is_recognised_by_what_it_holds_and_a_file_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let add = |name: &str| {
            fs::create_dir_all(path.join(name).parent().unwrap()).unwrap();
            fs::write(path.join(name), "").unwrap();
        };
        let fault = || Format::detect(path).unwrap_err().to_string();
        let found = || Format::detect(path).unwrap().keyword();
        assert!(fault().contains("nor a folder of images for each class, nor train.csv"), "{}", fault());
        add("notes-on-idx.txt");
        add("labels.csv");
        assert!(fault().contains("nor a folder of images for each class"));
        add("train/cat/1.PNG");
        assert_eq!(found(), "pictures");
        add("train.csv.gz");
        assert!(fault().contains("holds both folders of images and CSV"), "{}", fault());
        let fault_of_both = Format::detect(path).unwrap_err();
        let fault_of_both = fault_of_both.downcast_ref::<Fault>().unwrap();
        assert!(
            matches!(fault_of_both, Fault::AmbiguousFormat { keywords: ["pictures", "csv"], .. }),
            "{fault_of_both:?}"
        );
        fs::remove_dir_all(path.join("train")).unwrap();
        assert_eq!(found(), "csv");
        fs::remove_file(path.join("train.csv.gz")).unwrap();
        add("emnist-letters-train-images-idx3-ubyte.gz");
        assert_eq!(found(), "idx");
        fs::remove_file(path.join("emnist-letters-train-images-idx3-ubyte.gz")).unwrap();
        add("mnist/train-00000-of-00001.parquet");
        assert_eq!(found(), "parquet");
        for (name, keyword) in [("a.CSV", "csv"), ("a.npz", "npz"), ("a.parquet", "parquet")] {
            add(name);
            assert_eq!(Format::detect(&path.join(name)).unwrap().keyword(), keyword);
        }
        assert!(Format::detect(&path.join("labels.csv.txt")).is_err());
        add("a.txt");
        let fault = format!("{:#}", Format::detect(&path.join("a.txt")).unwrap_err());
        assert!(fault.contains("is a file that is neither .csv, .csv.gz, .tsv,"), "{fault}");
    }

    #[test]
    fn keywords_stand_for_one_format_each() {
        for format in Format::all() {
            assert_eq!(format.keyword().parse(), Ok(format));
        }
        assert!("jpeg".parse::<Format>().unwrap_err().to_string().contains("idx, pictures, csv, npz, "));
        assert_eq!(["a.csv.gz", "a.npz", "a.b"].map(Format::stem), ["a", "a", "a.b"]);
    }
}
