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

    /// What a split is called, in folders, files and arrays; its own name first.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Split::Train => &["train", "training"],
            Split::Validation => &["validation", "valid", "val"],
            Split::Test => &["test", "testing", "t10k"],
        }
    }

    pub fn name(self) -> &'static str {
        self.names()[0]
    }

    /// Whether the name of a file, in lower case, says that it is of this split: `mnist_train.csv`.
    pub fn is_named_in(self, name: &str) -> bool {
        let says = |split: Split| split.names().iter().any(|known| name.contains(known));
        match self {
            Split::Validation => says(self) && !says(Split::Train) && !says(Split::Test),
            Split::Train | Split::Test => says(self),
        }
    }
}

/// What the reader of a format gives.
pub(crate) struct RawDataset {
    pub train: Images,
    /// If the data have some; likewise the test images.
    pub validation: Option<Images>,
    pub test: Option<Images>,
    pub classes: Vec<String>,
    /// The pixel value that becomes 1.0.
    pub maximum: f64,
    /// What users should know about how it was read.
    pub notes: Vec<String>,
}
