//! One file for each format that data come in, and how the format at a path is recognised. No format knows another.

pub(crate) mod csv;
pub(crate) mod folders;
pub(crate) mod idx;
pub(crate) mod npz;
pub(crate) mod parquet;

use anyhow::{Context, Result, bail};
pub use idx::IDX_FILES;
use std::path::Path;

/// The form of what lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A folder of IDX files.
    Idx,
    /// Folders of pictures, one a class.
    Pictures,
    /// Rows of pixels with a label, in a file or in a folder of several.
    Csv,
    /// NumPy's archive of arrays.
    Npz,
    /// Tables of pictures with a label, as Hugging Face has them, in a file or in a folder of several.
    Parquet,
}

impl Format {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Format::Idx => "IDX files",
            Format::Pictures => "folders of pictures",
            Format::Csv => "CSV",
            Format::Npz => "NumPy archive",
            Format::Parquet => "Parquet",
        }
    }

    /// As users write it.
    fn word(self) -> &'static str {
        match self {
            Format::Idx => "idx",
            Format::Pictures => "pictures",
            Format::Csv => "csv",
            Format::Npz => "npz",
            Format::Parquet => "parquet",
        }
    }

    /// Finds out what lies at a path.
    ///
    /// # Errors
    /// Nothing that fitch can read, or a folder that holds several.
    pub fn of(path: &Path) -> Result<Format> {
        if path.is_file() {
            return Format::of_file(path).with_context(|| {
                format!("'{}' is a file that is neither .csv, .csv.gz, .npz nor .parquet", path.display())
            });
        }
        let there = [
            (Format::Idx, idx::has_files(path)),
            (Format::Pictures, folders::has_pictures(path)),
            (Format::Csv, csv::find_files(path).is_some()),
            (Format::Parquet, parquet::find(path).is_some()),
        ];
        let found: Vec<Format> =
            there.into_iter().filter(|(_, is_there)| *is_there).map(|(format, _)| format).collect();
        match found.as_slice() {
            [only] => Ok(*only),
            [] => bail!(
                "{}: has no {} (raw or .gz), nor a folder of pictures for each class, train.csv or train.parquet",
                path.display(),
                IDX_FILES.join(", no ")
            ),
            [first, second, ..] => bail!(
                "'{}' holds both {} and {}; --data-format {} or {} tells which are meant",
                path.display(),
                first.name(),
                second.name(),
                first.word(),
                second.word()
            ),
        }
    }

    fn of_file(path: &Path) -> Option<Format> {
        let name = path.file_name()?.to_string_lossy().to_lowercase();
        let ends: [(&str, Format); 4] = [
            (".csv", Format::Csv),
            (".csv.gz", Format::Csv),
            (".npz", Format::Npz),
            (".parquet", Format::Parquet),
        ];
        ends.into_iter().find(|(end, _)| name.ends_with(end)).map(|(_, format)| format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_is_there_tells_the_format() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let add = |name: &str| {
            fs::create_dir_all(path.join(name).parent().unwrap()).unwrap();
            fs::write(path.join(name), "").unwrap();
        };
        let fault = || Format::of(path).unwrap_err().to_string();
        assert!(fault().contains("nor a folder of pictures for each class"));
        add("notes-on-idx.txt");
        add("labels.csv");
        assert!(fault().contains("nor a folder of pictures for each class"));
        add("train/cat/1.PNG");
        assert_eq!(Format::of(path).unwrap(), Format::Pictures);
        add("train.csv.gz");
        assert!(
            fault().contains("both folders of pictures and CSV; --data-format pictures or csv tells"),
            "{}",
            fault()
        );
        fs::remove_dir_all(path.join("train")).unwrap();
        assert_eq!(Format::of(path).unwrap(), Format::Csv);
        fs::remove_file(path.join("train.csv.gz")).unwrap();
        add("emnist-letters-train-images-idx3-ubyte.gz");
        assert_eq!(Format::of(path).unwrap(), Format::Idx);
        fs::remove_file(path.join("emnist-letters-train-images-idx3-ubyte.gz")).unwrap();
        add("mnist/train-00000-of-00001.parquet");
        assert_eq!(Format::of(path).unwrap(), Format::Parquet);
        for (name, format) in [("a.CSV", Format::Csv), ("a.npz", Format::Npz), ("a.parquet", Format::Parquet)]
        {
            add(name);
            assert_eq!(Format::of(&path.join(name)).unwrap(), format);
        }
        assert!(Format::of(&path.join("labels.csv.txt")).is_err());
        add("a.txt");
        assert!(
            format!("{:#}", Format::of(&path.join("a.txt")).unwrap_err())
                .contains("is a file that is neither")
        );
    }
}
