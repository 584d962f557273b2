//! What a format's reader gives, before a test set is split off or classes are chosen.

use super::Images;

/// What images are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    Train,
    Validation,
    Test,
}

impl Split {
    pub const ALL: [Split; 3] = [Split::Train, Split::Validation, Split::Test];

    pub fn name(self) -> &'static str {
        match self {
            Split::Train => "train",
            Split::Validation => "validation",
            Split::Test => "test",
        }
    }

    /// Whether the name of a file, in lower case, tells that it is of this split.
    pub fn is_named_in(self, name: &str) -> bool {
        match self {
            Split::Validation => name.contains("val") && !name.contains("train") && !name.contains("test"),
            _ => name.contains(self.name()),
        }
    }
}

/// What a reader of a format gives.
pub(crate) struct RawDataset {
    pub train: Images,
    /// None where the data have none, and likewise below.
    pub validation: Option<Images>,
    pub test: Option<Images>,
    pub classes: Vec<String>,
    pub maximum: f64,
    /// What users should be told.
    pub notes: Vec<String>,
}
