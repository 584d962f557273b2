//! Temperature scaling (Guo et al., 2017): one number that logits are divided by, so that the probabilities of a
//! classifier say how often it is right. It changes no predicted class.

use super::Calibration;
use anyhow::{Result, ensure};
use tch::{Kind, Tensor};

/// The smallest and the largest temperature. Where every sample is classified right, a lower one would always fit
/// better; where the network knows less than chance, a higher one.
const BOUNDS: [f64; 2] = [0.1, 10.0];

/// Values that are looked at in one go.
const VALUES: i64 = 4 << 20;

/// The temperature that fits best, and what it does to the samples that it was fitted to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Temperature {
    /// What logits are to be divided by.
    pub value: f32,
    /// Whether it ended at one of its bounds, 0.1 and 10, so that the samples ask for more.
    pub is_at_bound: bool,
    /// How well the probabilities fit without it.
    pub before: ProbabilityFit,
    /// The same with it.
    pub after: ProbabilityFit,
}

/// How well probabilities fit samples.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ProbabilityFit {
    /// The mean cross-entropy, in nats.
    pub loss: f64,
    /// The expected calibration error.
    pub calibration_error: f64,
    /// The predicted class of each sample.
    pub predictions: Vec<i64>,
}

impl Temperature {
    /// Finds the temperature at which the mean cross-entropy of logits [n, classes] is smallest for labels `[n]`. The
    /// cross-entropy is convex in the inverse of the temperature, so that there is one minimum; it is found to the
    /// precision of float32.
    ///
    /// # Errors
    /// No samples, labels beyond the classes, or logits that are not finite.
    pub fn fit(logits: &Tensor, labels: &[i64]) -> Result<Temperature> {
        let size = logits.size();
        ensure!(
            size.len() == 2 && size[0] == labels.len() as i64 && size[1] > 0,
            "logits of the shape {size:?} do not belong to {} labels",
            labels.len()
        );
        ensure!(!labels.is_empty(), "there are no samples");
        ensure!(
            labels.iter().all(|label| (0..size[1]).contains(label)),
            "a label is beyond the {} classes",
            size[1]
        );
        ensure!(
            bool::try_from(logits.f_isfinite()?.f_all()?)?,
            "the network gives values that are not finite"
        );
        let _no_gradient = tch::no_grad_guard();
        let samples = Logits { logits, labels: Tensor::f_from_slice(labels)?, truths: labels };
        let [lowest, highest] = BOUNDS;
        let inverse = samples.best_inverse(1.0 / highest, 1.0 / lowest)?;
        let value = (1.0 / inverse) as f32;
        Ok(Temperature {
            value,
            is_at_bound: value <= lowest as f32 || value >= highest as f32,
            before: samples.fit_at(1.0)?,
            after: samples.fit_at(value)?,
        })
    }
}

/// Samples as a network sees them.
struct Logits<'a> {
    logits: &'a Tensor,
    labels: Tensor,
    truths: &'a [i64],
}

impl Logits<'_> {
    /// The logits of some samples at a time, with their labels [n, 1].
    fn parts(&self) -> impl Iterator<Item = Result<(Tensor, Tensor)>> {
        let (count, classes) = (self.logits.size()[0], self.logits.size()[1]);
        let rows = (VALUES / classes).max(1);
        (0..count).step_by(rows as usize).map(move |start| {
            let length = rows.min(count - start);
            let part = |tensor: &Tensor| tensor.f_narrow(0, start, length);
            Ok((part(self.logits)?, part(&self.labels)?.f_unsqueeze(1)?))
        })
    }

    /// The inverse temperature from `low` to `high` at which the cross-entropy is smallest: Newton's method on its
    /// slope, within a bracket that always shrinks.
    fn best_inverse(&self, mut low: f64, mut high: f64) -> Result<f64> {
        /// Newton's method needs fewer than ten.
        const STEPS: usize = 200;
        if self.slope_at(high)?.0 <= 0.0 {
            // Equal logits, which no temperature changes, have no slope anywhere.
            let is_flat = self.slope_at(low)?.0 == 0.0;
            return Ok(if is_flat { 1.0 } else { high });
        }
        if self.slope_at(low)?.0 >= 0.0 {
            return Ok(low);
        }
        let mut inverse = 1.0;
        for _ in 0..STEPS {
            let (slope, curvature) = self.slope_at(inverse)?;
            if slope > 0.0 {
                high = inverse
            } else {
                low = inverse
            }
            let next = inverse - slope / curvature;
            let next = if next > low && next < high { next } else { (low * high).sqrt() };
            let step = (next - inverse).abs();
            inverse = next;
            if step <= 1e-12 * inverse {
                break;
            }
        }
        Ok(inverse)
    }

    /// The first and the second derivative of the mean cross-entropy by the inverse temperature: the mean logit that
    /// the probabilities expect less that of the label, and the variance of the logits under them.
    fn slope_at(&self, inverse: f64) -> Result<(f64, f64)> {
        let (mut slope, mut curvature) = (0.0, 0.0);
        for part in self.parts() {
            let (logits, labels) = part?;
            let logits = logits.f_to_kind(Kind::Double)?;
            // Only differences count, and small ones are exact.
            let logits = logits.f_sub(&logits.f_amax(-1, true)?)?;
            let probabilities = logits.f_mul_scalar(inverse)?.f_softmax(-1, Kind::Double)?;
            let mean = probabilities.f_mul(&logits)?.f_sum_dim_intlist(-1, true, Kind::Double)?;
            let spread = logits.f_sub(&mean)?.f_square()?.f_mul(&probabilities)?;
            let excess = mean.f_sub(&logits.f_gather(-1, &labels, false)?)?;
            slope += f64::try_from(excess.f_sum(Kind::Double)?)?;
            curvature += f64::try_from(spread.f_sum(Kind::Double)?)?;
        }
        let count = self.truths.len() as f64;
        Ok((slope / count, curvature / count))
    }

    /// How well the probabilities fit that an exported file gives at a temperature.
    fn fit_at(&self, temperature: f32) -> Result<ProbabilityFit> {
        let (mut loss, mut predictions, mut confidences) = (0.0, Vec::new(), Vec::new());
        for part in self.parts() {
            let (logits, labels) = part?;
            let logits = logits.f_div_scalar(f64::from(temperature))?;
            let logarithms = logits.f_log_softmax(-1, Kind::Double)?;
            loss -= f64::try_from(logarithms.f_gather(-1, &labels, false)?.f_sum(Kind::Double)?)?;
            predictions.extend(Vec::<i64>::try_from(&logits.f_argmax(-1, false)?)?);
            confidences.extend(Vec::<f64>::try_from(&logarithms.f_amax(-1, false)?.f_exp()?)?);
        }
        let calibration = Calibration::measure(self.truths, &predictions, &confidences)?;
        let loss = loss / self.truths.len() as f64;
        Ok(ProbabilityFit { loss, calibration_error: calibration.expected_error(), predictions })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Logits of waves, with labels that are the predicted class for two samples of three.
    fn waves(samples: i64, classes: i64, scale: f64) -> (Tensor, Vec<i64>) {
        let value = |row: i64, class: i64| {
            let (row, class) = (row as f64, class as f64);
            (scale * (7.0 * row + 3.0 * class + 0.5 * row * class).sin()) as f32
        };
        let values: Vec<f32> =
            (0..samples).flat_map(|row| (0..classes).map(move |class| value(row, class))).collect();
        let logits = Tensor::from_slice(&values).view([samples, classes]);
        let predicted = Vec::<i64>::try_from(&logits.argmax(-1, false)).unwrap();
        let label = |(row, class)| if row % 3 > 0 { class } else { (row * 2) % classes };
        (logits, (0..samples).zip(predicted).map(label).collect())
    }

    /// The numbers are those of scipy 1.17: `minimize_scalar` on the mean cross-entropy, bounded, xatol 1e-13; the
    /// errors those of the code of Guo et al. in NumPy.
    #[test]
    fn the_temperature_is_that_of_the_smallest_cross_entropy() {
        let close =
            |found: f64, expected: f64| assert!((found - expected).abs() < 2e-7, "{found} {expected}");
        for (samples, classes, scale, temperature, loss, error) in [
            (60, 4, 6.0, 3.627965848, [1.680206485, 1.061045118], [0.262112307, 0.256331576]),
            (40, 3, 0.7, 0.381207985, [0.883502229, 0.784562874], [0.304451469, 0.239815022]),
        ] {
            let (logits, labels) = waves(samples, classes, scale);
            let found = Temperature::fit(&logits, &labels).unwrap();
            close(f64::from(found.value), temperature);
            assert!(!found.is_at_bound && found.before.predictions == found.after.predictions);
            for (fit, loss, error) in [(&found.before, loss[0], error[0]), (&found.after, loss[1], error[1])]
            {
                close(fit.loss, loss);
                close(fit.calibration_error, error);
            }
        }
    }

    #[test]
    fn samples_without_a_best_temperature_end_at_a_bound_or_change_nothing() {
        let (logits, labels) = waves(50, 3, 2.0);
        let predicted = Vec::<i64>::try_from(&logits.argmax(-1, false)).unwrap();
        let least = Vec::<i64>::try_from(&logits.argmin(-1, false)).unwrap();
        for (labels, bound) in [(predicted, 0.1), (least, 10.0)] {
            let found = Temperature::fit(&logits, &labels).unwrap();
            assert!(found.is_at_bound && found.value == bound && found.after.loss < found.before.loss);
        }
        let flat = Temperature::fit(&logits.zeros_like(), &labels).unwrap();
        assert!(flat.value == 1.0 && flat.before == flat.after && !flat.is_at_bound);
        assert!(Temperature::fit(&logits.narrow(0, 0, 0), &[]).is_err());
        assert!(Temperature::fit(&logits, &[3; 50]).is_err());
        assert!(Temperature::fit(&logits.log(), &labels).unwrap_err().to_string().contains("not finite"));
    }
}
