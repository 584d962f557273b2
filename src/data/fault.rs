//! Faults of data that a caller can act on. They come inside an [`anyhow::Error`]:
//! `error.downcast_ref::<Fault>()` finds them, whatever context was added.

use crate::text::listed;
use std::fmt;
use std::path::PathBuf;

/// A fault of data that a caller can act on.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// A folder holds data in more than one format: [`Source::find_as`](super::Source::find_as) chooses one.
    AmbiguousFormat {
        /// The folder.
        path: PathBuf,
        /// The names of two of the formats in it, for people.
        names: [&'static str; 2],
        /// Their keywords: each is parsed as a [`Format`](super::Format).
        keywords: [&'static str; 2],
    },
    /// An image cannot be decoded: [`LoadOptions::skips_bad`](super::LoadOptions) leaves such images out.
    UnreadableImage {
        /// The file, with the row in a table.
        place: String,
        /// What makes it one that can be decoded, if that is known.
        remedy: Option<String>,
    },
    /// A file is of a kind that is not read.
    ForeignKind {
        /// For people: `a MATLAB file`.
        kind: &'static str,
        /// What to do about it, mostly a line of Python.
        remedy: String,
    },
    /// Images of a kind that is not read.
    ForeignImages {
        /// For people: `3 AVIF images`.
        images: String,
        /// What to do about them.
        remedy: String,
    },
    /// The folder of a class holds no image: [`LoadOptions::classes`](super::LoadOptions) names those to use.
    EmptyClass {
        /// The name of the class.
        class: String,
        /// What is there instead, if something is.
        instead: Option<String>,
        /// What makes images of it that can be read.
        remedy: Option<String>,
    },
    /// Beside folders of splits, such as `train`, there is one of the same classes whose name stands for no
    /// split.
    UnknownSplit {
        /// The folder.
        folder: PathBuf,
        /// The words that stand for splits.
        words: String,
    },
    /// Folders of the same classes whose names stand for no split: [`LoadOptions::classes`](super::LoadOptions)
    /// takes them for classes.
    UnknownSplits {
        /// Their names.
        folders: Vec<String>,
        /// The words that stand for splits.
        words: String,
    },
    /// Two images have different sizes: [`LoadOptions::image_size`](super::LoadOptions) makes them equal.
    SizesDiffer {
        /// The file of the first image, with the row in a table.
        first: String,
        /// Its height and width.
        first_size: [usize; 2],
        /// The file of the other image.
        other: String,
        /// Its height and width.
        other_size: [usize; 2],
    },
    /// No column of a table is known to hold labels: [`LoadOptions::label_column`](super::LoadOptions) names
    /// it.
    NoLabelColumn {
        /// The names of the columns, as far as they are known.
        columns: Vec<String>,
    },
    /// A table does not have the [`LoadOptions::label_column`](super::LoadOptions) asked for.
    UnknownLabelColumn {
        /// The column asked for.
        column: String,
        /// What there is instead.
        expected: String,
    },
    /// Columns of a table hold words that are neither labels nor numbers.
    TextColumns {
        /// Their names, for people.
        columns: Vec<String>,
        /// One of the words.
        example: String,
    },
    /// A table does not have the column of groups that [`LoadOptions::group_by`](super::LoadOptions) names.
    UnknownGroupColumn {
        /// The column asked for.
        column: String,
        /// The names of the columns, as far as they are known.
        columns: Vec<String>,
    },
    /// Data whose format has nothing that [`LoadOptions::group_by`](super::LoadOptions) could be found in.
    NoGroups {
        /// The format, for people.
        format: &'static str,
        /// What it lacks, for people: `columns`.
        lacks: &'static str,
    },
    /// Names of files in which a pattern finds no group.
    UngroupedNames {
        /// How many.
        count: usize,
        /// Of how many.
        of: usize,
        /// One of them.
        example: String,
    },
    /// All training images are of one group.
    OneGroup {
        /// Its name.
        name: String,
    },
    /// There are fewer groups than parts to split them into.
    TooFewGroups {
        /// How many there are.
        groups: usize,
        /// How many parts.
        parts: usize,
    },
    /// A class has fewer images than there are folds.
    SmallClass {
        /// The class, by its label.
        label: i64,
        /// How many images it has.
        images: usize,
        /// The number of folds.
        folds: usize,
    },
    /// Values are missing in a table: [`LoadOptions::missing`](super::LoadOptions) says what becomes of them.
    MissingValues {
        /// How many.
        count: usize,
        /// Where the first one is.
        first: String,
    },
    /// There is no test set, and the share to set aside as one is 0.
    NoTestShare,
    /// There is no test set, and no such share of the images can be set aside as one.
    TestShare {
        /// The share.
        share: f64,
        /// What is wrong with it.
        reason: String,
    },
    /// A class to keep that the data do not have.
    UnknownClass {
        /// Its name.
        class: String,
        /// The names of those that there are.
        classes: Vec<String>,
    },
    /// Validation images of a class that no training image has.
    UnknownValidationClass {
        /// Its name.
        class: String,
    },
    /// Validation images of another shape than the training images.
    ValidationShape {
        /// Their shape.
        found: Vec<i64>,
        /// That of the training images.
        expected: Vec<i64>,
    },
    /// Decoded images cannot be kept in the folder: [`LoadOptions::data_dir`](super::LoadOptions) chooses
    /// another.
    CacheNotWritable {
        /// The folder.
        folder: PathBuf,
    },
    /// There is neither `FITCH_DATA_DIR` nor a home folder, and no folder was chosen.
    NoCacheFolder,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Fault::AmbiguousFormat { path, names: [first, second], .. } => {
                write!(out, "'{}' holds both {} and {}", path.display(), first, second)
            }
            Fault::UnreadableImage { place, .. } => write!(out, "{place}: cannot be used"),
            // "a TorchScript model, not data" says enough.
            Fault::ForeignKind { kind, .. } if kind.contains(", ") => write!(out, "is {kind}"),
            Fault::ForeignKind { kind, .. } => write!(out, "is {kind}, which fitch cannot read"),
            Fault::ForeignImages { images, .. } => write!(out, "holds {images}, which fitch cannot read"),
            Fault::EmptyClass { class, instead: None, .. } => write!(out, "class {class} has no images"),
            Fault::EmptyClass { class, instead: Some(instead), .. } => {
                write!(out, "class {class} has no images that fitch can read, only {instead}")
            }
            Fault::UnknownSplit { folder, words } => write!(
                out,
                "{} has the same classes as the training images, but its name stands for no split; words that \
                 do are {words}",
                folder.display()
            ),
            Fault::UnknownSplits { folders, words } => write!(
                out,
                "{} hold folders of the same names, but their own names stand for no splits; words that do \
                 are {words}",
                folders.join(" and ")
            ),
            // Width x height, as image viewers show it.
            Fault::SizesDiffer { first, first_size, other, other_size } => write!(
                out,
                "{first} has {} x {} pixels, but {other} has {} x {}",
                first_size[1], first_size[0], other_size[1], other_size[0]
            ),
            Fault::NoLabelColumn { columns } if columns.is_empty() => {
                write!(out, "has no column called label or class")
            }
            Fault::NoLabelColumn { columns } => {
                write!(out, "has no column called label or class, only {}", columns.join(", "))
            }
            Fault::UnknownLabelColumn { column, expected } => {
                write!(out, "has no label column '{column}': {expected}")
            }
            Fault::TextColumns { columns, example } => {
                let are = if columns.len() == 1 { "the column" } else { "the columns" };
                let hold = if columns.len() == 1 { "holds" } else { "hold" };
                let columns = columns.join(", ");
                write!(out, "{are} {columns} {hold} words, such as '{example}', neither numbers nor labels")
            }
            Fault::UnknownGroupColumn { column, columns } => {
                const NAMED: usize = 12;
                write!(out, "has no column of groups '{column}'")?;
                match columns.is_empty() {
                    true => Ok(()),
                    false => write!(out, "; there are {}", listed(columns, NAMED)),
                }
            }
            Fault::NoGroups { format, lacks } => {
                write!(out, "is read as {format}, which has no {lacks} to take groups from")
            }
            Fault::UngroupedNames { count, of, example } if count == of => {
                write!(out, "the pattern of groups matches none of {of} file names, such as {example}")
            }
            Fault::UngroupedNames { count, of, example } => {
                write!(
                    out,
                    "the pattern of groups does not match {count} of {of} file names, such as {example}"
                )
            }
            Fault::OneGroup { name } => {
                write!(out, "all training images are of one group, {name}, so that none can be held out")
            }
            Fault::TooFewGroups { groups, parts } => {
                let are =
                    if *groups == 1 { "there is 1 group" } else { &format!("there are {groups} groups") };
                write!(out, "{are} to be split into {parts} parts: one of them would be empty")
            }
            Fault::SmallClass { label, images, folds } => {
                write!(out, "{folds} folds need {folds} images of each class, but class {label} has {images}")
            }
            Fault::MissingValues { count: 1, first } => write!(out, "a value is missing: {first}"),
            Fault::MissingValues { count, first } => {
                write!(out, "{count} values are missing, the first in {first}")
            }
            Fault::NoTestShare => {
                write!(out, "has no test set, and a share of 0 set aside as one leaves nothing to test with")
            }
            Fault::TestShare { share, reason } => {
                write!(out, "has no test set, and a share of {share} cannot be set aside as one: {reason}")
            }
            Fault::UnknownClass { class, classes } => {
                write!(out, "has no class {class}; there are {}", classes.join(", "))
            }
            Fault::UnknownValidationClass { class } => {
                write!(out, "class {class} is not one of the training set's")
            }
            Fault::ValidationShape { found, expected } => {
                write!(out, "has images of {found:?} pixels, but the training images have {expected:?}")
            }
            Fault::CacheNotWritable { folder } => write!(out, "cannot write {}", folder.display()),
            Fault::NoCacheFolder => {
                write!(out, "no folder to keep data in: there is neither FITCH_DATA_DIR nor a home folder")
            }
        }
    }
}

impl std::error::Error for Fault {}
