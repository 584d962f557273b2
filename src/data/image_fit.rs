//! What of an image comes into a size of other proportions.

use serde::{Deserialize, Serialize};

/// What of an image comes into a size of other proportions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageFit {
    /// All of it, its height and its width scaled each on its own.
    #[default]
    Stretch,
    /// All of it, in its own proportions, in the middle; around it lies the mean colour of its outermost
    /// pixels. A side that would become shorter than a pixel becomes one pixel.
    Pad,
    /// The largest part from its middle that has the proportions of the size, of at least a pixel.
    Crop,
}

impl ImageFit {
    /// All of them, the default first.
    pub const ALL: [ImageFit; 3] = [ImageFit::Stretch, ImageFit::Pad, ImageFit::Crop];

    /// As users write it.
    pub fn keyword(self) -> &'static str {
        match self {
            ImageFit::Stretch => "stretch",
            ImageFit::Pad => "pad",
            ImageFit::Crop => "crop",
        }
    }

    /// Whether it is the default.
    pub fn is_stretch(&self) -> bool {
        *self == ImageFit::Stretch
    }
}
