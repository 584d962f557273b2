//! What the table of formats holds about each.

use crate::data::groups::GroupBy;
use crate::data::label_encoding::LabelEncoding;
use crate::data::load_options::{LoadOptions, OnProgress};
use crate::data::raw_dataset::RawDataset;
use anyhow::Result;
use std::path::Path;

/// What there is to know about a format.
pub struct Reader {
    /// For people.
    pub name: &'static str,
    /// As users write it.
    pub keyword: &'static str,
    /// What a folder must hold, for people; none if the format is always a single file.
    pub folder: Option<FolderForm>,
    /// What the names of its files end with, in lower case.
    pub endings: &'static [&'static str],
    /// Whether it has what images are to be grouped by.
    pub can_group: fn(&GroupBy) -> bool,
    pub load: Load,
    /// The shape of an image and the number of classes, if they can be read without loading everything.
    pub shape_and_classes: Option<ReadShapeAndClasses>,
}

/// Reads the shape of an image and the number of classes.
type ReadShapeAndClasses = fn(&Path) -> Result<(Vec<i64>, usize)>;

/// Loads what lies at a path. Labels that are numbers are counted as the encoding says, if one is given, else
/// as the data say.
pub type Load = fn(&Path, &LoadOptions, Option<LabelEncoding>, OnProgress) -> Result<RawDataset>;

/// What a folder of a format looks like.
pub struct FolderForm {
    /// For people, to go on from "has no".
    pub needs: &'static str,
    pub is_there: fn(&Path) -> bool,
}
