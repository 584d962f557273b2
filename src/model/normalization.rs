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

impl Normalization {
    /// The same for a number of channels, where one value stands for all of them.
    pub fn for_channels(&self, channels: usize) -> Normalization {
        let of_each = |values: &[f32]| match values {
            [value] => vec![*value; channels],
            values => values.to_vec(),
        };
        Normalization { mean: of_each(&self.mean), deviation: of_each(&self.deviation) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_stands_for_all_channels() {
        let one = Normalization { mean: vec![0.5], deviation: vec![0.25] };
        let three = Normalization { mean: vec![0.5; 3], deviation: vec![0.25; 3] };
        assert_eq!(one.for_channels(3), three);
        assert_eq!(three.for_channels(1), three, "others are left for a check");
    }
}
