//! The normalisation of images by channel, whatever network follows.

use serde::{Deserialize, Serialize};

/// The mean and the standard deviation of each channel of images, whose pixels are from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalization {
    /// In the order of the channels.
    pub mean: Vec<f32>,
    /// As many.
    pub deviation: Vec<f32>,
}
