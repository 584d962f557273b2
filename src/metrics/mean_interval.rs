//! The mean of a few repeated measurements, and how sure it is.

use std::f64::consts::{FRAC_PI_2, PI};

/// The confidence of an interval.
const CONFIDENCE: f64 = 0.95;

/// The mean of measurements such as the accuracies of folds, with its 95 % interval: `mean ± t s / sqrt(n)`, where
/// `s` is the standard deviation of the sample and `t` the quantile of Student's distribution with `n - 1` degrees
/// of freedom (Student, The Probable Error of a Mean, Biometrika 6, 1908).
///
/// Folds share most of their training images, so that their results are not independent and the interval is rather
/// too narrow; an estimate without that bias does not exist (Bengio and Grandvalet, No Unbiased Estimator of the
/// Variance of K-Fold Cross-Validation, JMLR 5, 2004).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanInterval {
    /// The number of measurements.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation, with `n - 1` in its denominator; 0 of one measurement.
    pub deviation: f64,
    /// The ends of the interval; none of one measurement, which says nothing about the next.
    pub interval: Option<[f64; 2]>,
}

impl MeanInterval {
    /// Of measurements; none without one.
    pub fn of(values: &[f64]) -> Option<MeanInterval> {
        let count = values.len();
        if count == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        if count == 1 {
            return Some(MeanInterval { count, mean, deviation: 0.0, interval: None });
        }
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (squares / (count - 1) as f64).sqrt();
        let reach = two_sided_t(count - 1) * deviation / (count as f64).sqrt();
        Some(MeanInterval { count, mean, deviation, interval: Some([mean - reach, mean + reach]) })
    }
}

/// The `t` between whose two signs a variable of Student's distribution lies with the confidence.
fn two_sided_t(degrees: usize) -> f64 {
    // Bisected over the angle whose tangent is t / sqrt(degrees), in which the probability grows from 0 to 1.
    let (mut low, mut high) = (0.0, FRAC_PI_2);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if between(middle, degrees) < CONFIDENCE { low = middle } else { high = middle }
    }
    low.tan() * (degrees as f64).sqrt()
}

/// The probability that |t| is below `tan(angle) * sqrt(degrees)`: the finite sums of Abramowitz and Stegun, Handbook
/// of Mathematical Functions, 26.7.3 and 26.7.4.
fn between(angle: f64, degrees: usize) -> f64 {
    let (sine, cosine) = angle.sin_cos();
    let is_odd = degrees % 2 == 1;
    // Each term from the one before: of odd degrees cos, 2/3 cos^3, ..., of even ones 1, 1/2 cos^2, ...
    let (mut term, mut power) = if is_odd { (cosine, 1) } else { (1.0, 0) };
    let mut sum = 0.0;
    while power + 2 <= degrees {
        sum += term;
        term *= (power + 1) as f64 / (power + 2) as f64 * cosine * cosine;
        power += 2;
    }
    if is_odd { 2.0 / PI * (angle + sine * sum) } else { sine * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quantiles_are_those_of_scipy() {
        // scipy 1.17: [stats.t.ppf(0.975, n) for n in (1, 2, 3, 4, 9, 10, 30, 999)]
        for (degrees, expected) in [
            (1, 12.706204736174694),
            (2, 4.302652729749462),
            (3, 3.1824463052837078),
            (4, 2.7764451051977934),
            (9, 2.262157162798205),
            (10, 2.2281388519862735),
            (30, 2.0422724563012378),
            (999, 1.9623414611334487),
        ] {
            let found = two_sided_t(degrees);
            assert!((found - expected).abs() < 1e-9 * expected, "{degrees}: {found}");
        }
    }

    #[test]
    fn the_interval_of_five_folds_is_that_of_scipy() {
        // stats.t.interval(0.95, 4, loc=np.mean(v), scale=stats.sem(v))
        let values = [0.951, 0.962, 0.948, 0.957, 0.966];
        let found = MeanInterval::of(&values).unwrap();
        assert!(
            (found.mean - 0.9568).abs() < 1e-12
                && (found.deviation - 0.007_463_243_262_818_123).abs() < 1e-12
        );
        let [low, high] = found.interval.unwrap();
        assert!((low - 0.947_533_159_530_721_9).abs() < 1e-9, "{low}");
        assert!((high - 0.966_066_840_469_278).abs() < 1e-9, "{high}");
        assert_eq!(MeanInterval::of(&[0.5]).unwrap().interval, None);
        assert_eq!(MeanInterval::of(&[]), None);
    }
}
