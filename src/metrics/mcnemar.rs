//! McNemar's exact test: whether two classifiers that were tested on the same samples differ.

use anyhow::{Result, ensure};

/// How two classifiers, A and B, did on the same samples.
///
/// If both were equally good, each sample that only one of them classifies correctly would be A's or B's with the
/// same probability: the number of A's follows the binomial distribution with n = `a_only + b_only` and
/// probability 1/2. The p-value is that of the exact two-sided binomial test,
///
/// ```text
/// min(1, 2 Σ (n over i) / 2ⁿ)    over i from 0 to min(a_only, b_only)
/// ```
///
/// Q. McNemar, *Note on the Sampling Error of the Difference Between Correlated Proportions or Percentages*,
/// Psychometrika 12 (1947), 153-157.
///
/// It compares two trained networks, not two ways of training them: the seed, too, makes a difference.
///
/// ```
/// use fitch::metrics::McNemar;
///
/// let a = [true, true, true, false, false, false];
/// let b = [true, false, true, true, true, true];
/// let test = McNemar::of(&a, &b)?;
/// assert_eq!((test.a_only, test.b_only), (1, 3));
/// assert_eq!(test.p_value(), 0.625);
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct McNemar {
    /// The number of samples that A alone classifies correctly.
    pub a_only: usize,
    /// The number of samples that B alone classifies correctly.
    pub b_only: usize,
}

impl McNemar {
    /// Counts the samples that one alone classifies correctly, given for each sample whether A and B do.
    ///
    /// # Errors
    /// Slices of two lengths.
    pub fn of(a: &[bool], b: &[bool]) -> Result<McNemar> {
        ensure!(a.len() == b.len(), "there are results of {} and of {} samples", a.len(), b.len());
        let count = |only: [bool; 2]| a.iter().zip(b).filter(|&(&a, &b)| [a, b] == only).count();
        Ok(McNemar { a_only: count([true, false]), b_only: count([false, true]) })
    }

    /// The probability of a difference as large as this one, or larger, if both were equally good.
    pub fn p_value(&self) -> f64 {
        let n = (self.a_only + self.b_only) as f64;
        let fewer = self.a_only.min(self.b_only);
        // The largest term by its logarithm: 2ⁿ is beyond f64 from n = 1024 on.
        let factor = |i: usize| ((n - i as f64 + 1.0) / i as f64).ln();
        let largest = (1..=fewer).map(factor).sum::<f64>() - n * std::f64::consts::LN_2;
        // The others as parts of it.
        let (mut part, mut sum) = (1.0, 1.0);
        for i in (1..=fewer).rev() {
            part *= i as f64 / (n - i as f64 + 1.0);
            sum += part;
        }
        (2.0 * largest.exp() * sum).min(1.0)
    }
}

/// Holm's correction of the p-values of several tests, in their order: the smallest of m is multiplied by m, the
/// next one by m - 1, and so on, none becoming smaller than the one before or larger than 1. Calling a difference
/// real where the corrected value is below 0.05 is wrong about any of them in 5 % of cases at most.
///
/// S. Holm, *A Simple Sequentially Rejective Multiple Test Procedure*, Scandinavian Journal of Statistics 6 (1979),
/// 65-70.
///
/// ```
/// assert_eq!(fitch::metrics::holm(&[0.5, 0.01, 0.02]), [0.5, 0.03, 0.04]);
/// ```
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let (mut corrected, mut before) = (vec![0.0; p_values.len()], 0.0f64);
    for (rank, &index) in order.iter().enumerate() {
        before = before.max((p_values.len() - rank) as f64 * p_values[index]).min(1.0);
        corrected[index] = before;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers are those of statsmodels 0.15: `mcnemar([[0, a], [b, 0]], exact=True).pvalue`; those of scipy
    /// 1.17, `binomtest(a, a + b).pvalue`, are the same.
    #[test]
    fn p_values_are_those_of_statsmodels() {
        let cases = [
            (9, 4, 0.266845703125),
            (0, 0, 1.0),
            (0, 1, 1.0),
            (5, 5, 1.0),
            (1, 10, 0.01171875),
            (120, 80, 0.005685155996750306),
            (0, 40, 1.8189894035458565e-12),
            (5_100, 4_900, 0.04658552770494645),
            (0, 1_000, 1.8665272370064378e-301),
        ];
        for (a_only, b_only, expected) in cases {
            for test in [McNemar { a_only, b_only }, McNemar { a_only: b_only, b_only: a_only }] {
                assert!((test.p_value() / expected - 1.0).abs() < 1e-9, "{test:?}: {}", test.p_value());
            }
        }
    }

    /// The numbers are those of statsmodels 0.15: `multipletests(p_values, method="holm")`.
    #[test]
    fn corrected_values_are_those_of_statsmodels() {
        let corrected = holm(&[0.04, 0.001, 0.5, 0.012, 0.03, 0.9]);
        for (corrected, expected) in corrected.into_iter().zip([0.12, 0.006, 1.0, 0.06, 0.12, 1.0]) {
            assert!((corrected - expected).abs() < 1e-12, "{corrected}");
        }
        assert!(holm(&[]).is_empty());
    }

    #[test]
    fn results_of_other_samples_are_an_error() {
        assert!(McNemar::of(&[true, false], &[true]).is_err());
    }
}
