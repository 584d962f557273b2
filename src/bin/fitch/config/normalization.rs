//! How images are normalised: by channel, and by which means and deviations.

use super::Checker;
use fitch::model::Normalization;

/// The mean and the standard deviation of ImageNet's images, red, green and blue, as torchvision and timm have them.
const IMAGENET: [[f32; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];

#[derive(Clone, Debug, PartialEq)]
pub enum Normalize {
    /// By the training images.
    Auto,
    /// By these.
    Given(Normalization),
}

pub fn check(text: &str, checker: &mut Checker) -> Option<Normalize> {
    match text {
        "auto" => Some(Normalize::Auto),
        "imagenet" => {
            let [mean, deviation] = IMAGENET.map(Vec::from);
            Some(Normalize::Given(Normalization { mean, deviation }))
        }
        _ => given(text).or_else(|| {
            let rule = "must be imagenet, auto, or the means of the channels and their deviations, above 0: 0.5/0.25 \
                        for all channels, or 0.49,0.48,0.45/0.25,0.24,0.26";
            checker.fault("normalize", text, rule)
        }),
    }
}

fn given(text: &str) -> Option<Normalize> {
    let numbers = |text: &str| -> Option<Vec<f32>> {
        let numbers = text.split(',').map(|number| number.trim().parse().ok());
        numbers.map(|number| number.filter(|number: &f32| number.is_finite())).collect()
    };
    let (mean, deviation) = text.split_once('/')?;
    let (mean, deviation) = (numbers(mean)?, numbers(deviation)?);
    let is_possible = mean.len() == deviation.len() && deviation.iter().all(|deviation| *deviation > 0.0);
    is_possible.then_some(Normalize::Given(Normalization { mean, deviation }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_for_each_channel() {
        let expected = Normalization { mean: vec![0.5, -1.0], deviation: vec![0.25, 2.0] };
        assert_eq!(given("0.5, -1/0.25,2"), Some(Normalize::Given(expected)));
        for wrong in ["0.5", "0.5/0", "0.5/-1", "0.5,0.5/1", "/", "nan/1", "0.5/1/2", "a/b"] {
            assert_eq!(given(wrong), None, "{wrong}");
        }
    }
}
