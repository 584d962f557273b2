//! Confidence intervals: how far a result on a test set may be from that on all images like these.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The two-sided 95 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// A 95 % confidence interval. As text it is `0.9572 to 0.9888`, in JSON a list of both ends.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "[f64; 2]", into = "[f64; 2]")]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

impl Interval {
    /// Wilson's interval of a share, such as an accuracy, of which `successes` of `trials` were counted; none
    /// without trials. With p = successes / trials, n = trials and z = 1.96 its ends are
    ///
    /// ```text
    /// (p + z²/2n ± z √(p (1 - p) / n + z²/4n²)) / (1 + z²/n)
    /// ```
    ///
    /// It stays between 0 and 1 and holds for few samples, and where none or all are right.
    /// E. B. Wilson, *Probable Inference, the Law of Succession, and Statistical Inference*, Journal of the
    /// American Statistical Association 22 (1927), 209-212.
    ///
    /// ```
    /// let interval = fitch::metrics::Interval::wilson(356, 364).unwrap();
    /// assert_eq!(format!("{interval:.4}"), "0.9572 to 0.9888");
    /// ```
    pub fn wilson(successes: usize, trials: usize) -> Option<Interval> {
        if trials == 0 {
            return None;
        }
        let (right, wrong) = (successes as f64, trials.saturating_sub(successes) as f64);
        let (n, square) = (trials as f64, Z * Z);
        let middle = (right + square / 2.0) / (n + square);
        let half = Z / (n + square) * (right * wrong / n + square / 4.0).sqrt();
        // Exact where rounding would go below 0 or beyond 1.
        let low = if successes == 0 { 0.0 } else { middle - half };
        let high = if wrong == 0.0 { 1.0 } else { middle + half };
        Some(Interval { low, high })
    }
}

impl fmt::Display for Interval {
    /// Both ends in the precision that is asked for.
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(&self.low, out)?;
        out.write_str(" to ")?;
        fmt::Display::fmt(&self.high, out)
    }
}

impl From<[f64; 2]> for Interval {
    fn from([low, high]: [f64; 2]) -> Interval {
        Interval { low, high }
    }
}

impl From<Interval> for [f64; 2] {
    fn from(interval: Interval) -> [f64; 2] {
        [interval.low, interval.high]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers are those of statsmodels 0.15: `proportion_confint(successes, trials, method="wilson")`.
    #[test]
    fn wilsons_intervals_are_those_of_statsmodels() {
        let cases = [
            (356, 364, [0.9572375204097969, 0.9888222334735577]),
            (0, 10, [0.0, 0.27753279986288926]),
            (10, 10, [0.7224672001371106, 1.0]),
            (1, 3, [0.06149194472039626, 0.7923403991979523]),
            (9_880, 10_000, [0.9856706937299375, 0.989954523860282]),
            (7, 1_000_000, [3.390867834900855e-06, 1.4450522448827194e-05]),
        ];
        for (successes, trials, ends) in cases {
            let interval = Interval::wilson(successes, trials).unwrap();
            for (end, expected) in <[f64; 2]>::from(interval).into_iter().zip(ends) {
                assert!((end - expected).abs() < 1e-12, "{successes} of {trials}: {interval:?}");
            }
        }
        assert_eq!(Interval::wilson(0, 0), None);
    }

    #[test]
    fn in_json_it_is_a_list() {
        let interval = Interval { low: 0.25, high: 1.0 };
        assert_eq!(serde_json::to_string(&interval).unwrap(), "[0.25,1.0]");
        assert_eq!(serde_json::from_str::<Interval>("[0.25, 1]").unwrap(), interval);
    }
}
