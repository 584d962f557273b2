//! Calibration: whether predictions of probability 0.8 are right in 8 of 10 cases.

use anyhow::{Result, ensure};

/// The number of bins in which probabilities are compared with how often they are right.
const BINS: usize = 15;

/// The predictions of a classifier in 15 bins of equal width by their probability: from 0 to 1/15, from 1/15 to 2/15
/// and so on, the upper end included (Guo et al., 2017, On Calibration of Modern Neural Networks).
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// The bins, from the lowest probability to the highest.
    pub bins: Vec<CalibrationBin>,
}

/// The predictions whose probability lies in one bin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CalibrationBin {
    /// How many there are.
    pub samples: usize,
    /// The mean of their probabilities; NaN if there are none.
    pub confidence: f64,
    /// The share of them that is right; NaN if there are none.
    pub accuracy: f64,
}

impl Calibration {
    /// Compares predicted classes, each with its probability, with the true ones.
    ///
    /// ```
    /// use fitch::metrics::Calibration;
    ///
    /// // Two predictions of 0.9, one of them right, and one of 0.6, which is right.
    /// let calibration = Calibration::measure(&[0, 1, 2], &[0, 0, 2], &[0.9, 0.9, 0.6])?;
    /// assert!((calibration.expected_error() - (2.0 * 0.4 + 0.4) / 3.0).abs() < 1e-12);
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    ///
    /// # Errors
    /// Slices of different lengths.
    pub fn measure(truths: &[i64], predictions: &[i64], confidences: &[f64]) -> Result<Calibration> {
        let counts = [truths.len(), predictions.len(), confidences.len()];
        ensure!(
            counts.iter().all(|&count| count == counts[0]),
            "there are {} labels, {} predictions and {} probabilities",
            counts[0],
            counts[1],
            counts[2]
        );
        // The number of predictions, the sum of their probabilities, and how many are right.
        let mut sums = [(0usize, 0.0, 0usize); BINS];
        for ((truth, prediction), &confidence) in truths.iter().zip(predictions).zip(confidences) {
            // NaN comes into the first bin, and makes the error NaN.
            let bin = ((confidence * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
            sums[bin].0 += 1;
            sums[bin].1 += confidence;
            sums[bin].2 += usize::from(truth == prediction);
        }
        let bins = sums.map(|(samples, confidence, right)| CalibrationBin {
            samples,
            confidence: confidence / samples as f64,
            accuracy: right as f64 / samples as f64,
        });
        Ok(Calibration { bins: bins.to_vec() })
    }

    /// The number of predictions.
    pub fn samples(&self) -> usize {
        self.bins.iter().map(|bin| bin.samples).sum()
    }

    /// The expected calibration error (ECE): the mean over all predictions of the distance between accuracy and mean
    /// probability in their bin. 0 is best; NaN without predictions.
    pub fn expected_error(&self) -> f64 {
        let filled = self.bins.iter().filter(|bin| bin.samples > 0);
        let sum: f64 = filled.map(|bin| bin.samples as f64 * (bin.accuracy - bin.confidence).abs()).sum();
        sum / self.samples() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_end_belongs_to_a_bin_and_what_is_nan_shows() {
        let of = |confidences: &[f64]| {
            let classes = vec![0; confidences.len()];
            Calibration::measure(&classes, &classes, confidences).unwrap()
        };
        let places = |calibration: &Calibration| -> Vec<usize> {
            let bins = calibration.bins.iter().enumerate();
            bins.flat_map(|(place, bin)| vec![place; bin.samples]).collect()
        };
        assert_eq!(places(&of(&[1.0, 0.2, 0.21, 0.0, 1.0 + 1e-12])), [0, 2, 3, 14, 14]);
        assert!(of(&[]).expected_error().is_nan() && of(&[0.5, f64::NAN]).expected_error().is_nan());
        assert!(Calibration::measure(&[0], &[0, 1], &[0.5]).is_err());
    }
}
