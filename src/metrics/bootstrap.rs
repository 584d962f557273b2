//! Intervals of results that have no formula of their own, by resampling.

use super::Interval;
use crate::kernels::threads::for_each_chunk;
use crate::random::{Purpose, generator};
use rand::RngCore;

/// The percentile bootstrap: a result is computed again from `resamples` sets as large as the test set, each drawn
/// from it with replacement; the interval holds the middle 95 % of these results, from their 2.5th to their 97.5th
/// percentile, interpolated between two of them as numpy does.
///
/// What is drawn follows from the seed alone: the same samples have the same interval on every machine.
///
/// An estimate from what was seen: where every sample is right, every resample is right as well, and the interval
/// is a point. [`Interval::wilson`] knows better for shares.
///
/// B. Efron, *Bootstrap Methods: Another Look at the Jackknife*, The Annals of Statistics 7 (1979), 1-26;
/// B. Efron and R. J. Tibshirani, *An Introduction to the Bootstrap* (1993), chapter 13.
///
/// ```
/// use fitch::metrics::Bootstrap;
///
/// let losses = [0.1, 0.3, 0.2, 0.9, 0.1, 0.2, 0.4, 0.1];
/// let interval = Bootstrap::default().mean(&losses).unwrap();
/// assert!(interval.low < 0.2 && interval.high > 0.4);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// The number of resamples.
    pub resamples: usize,
    /// The seed of what is drawn.
    pub seed: u64,
}

impl Default for Bootstrap {
    /// 2,000 resamples: other seeds then move an end by about 1.5 % of the interval's width.
    fn default() -> Bootstrap {
        Bootstrap { resamples: 2_000, seed: 0 }
    }
}

/// Resamples that one thread draws before it computes their results.
pub(super) const BLOCK: usize = 8;

impl Bootstrap {
    /// The intervals of one or several results of `samples` samples. `results` computes them from how often each
    /// sample was drawn, on any thread. A result that is undefined (NaN) for a resample does not count there; one
    /// that always is has no interval, and without samples there is none.
    pub fn intervals(
        &self,
        samples: usize,
        results: impl Fn(&[u32]) -> Vec<f64> + Sync,
    ) -> Vec<Option<Interval>> {
        self.intervals_by_block(samples, |_, block| block.iter().map(|counts| results(counts)).collect())
    }

    /// As [`Bootstrap::intervals`], of results that are computed faster for several resamples at once: those of a
    /// block, at most [`BLOCK`] of them, which is given with the index of its first one.
    pub(super) fn intervals_by_block(
        &self,
        samples: usize,
        results: impl Fn(usize, &[Vec<u32>]) -> Vec<Vec<f64>> + Sync,
    ) -> Vec<Option<Interval>> {
        let mut drawn: Vec<Vec<f64>> = vec![Vec::new(); if samples == 0 { 0 } else { self.resamples }];
        for_each_chunk(&mut drawn, BLOCK, |block, drawn| {
            let first = block * BLOCK;
            let counts: Vec<_> =
                (first..first + drawn.len()).map(|index| self.draw(index, samples)).collect();
            drawn.iter_mut().zip(results(first, &counts)).for_each(|(drawn, results)| *drawn = results);
        });
        let columns = drawn.first().map_or(0, Vec::len);
        let column = |column: usize| drawn.iter().filter_map(move |results| results.get(column)).copied();
        (0..columns).map(|index| middle(column(index).filter(|result| !result.is_nan()).collect())).collect()
    }

    /// How often each sample is in a resample.
    fn draw(&self, resample: usize, samples: usize) -> Vec<u32> {
        let mut random = generator(self.seed, Purpose::Resample(resample));
        let mut counts = vec![0; samples];
        for _ in 0..samples {
            // The upper half of the product is uniform below `samples`.
            let sample = (u128::from(random.next_u64()) * samples as u128) >> 64;
            counts[sample as usize] += 1;
        }
        counts
    }

    /// The interval of the mean of values, such as the losses of the samples; none without values, or where one
    /// is not finite.
    pub fn mean(&self, values: &[f64]) -> Option<Interval> {
        if values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let mean = |counts: &[u32]| {
            let sum: f64 = counts.iter().zip(values).map(|(&count, value)| f64::from(count) * value).sum();
            vec![sum / values.len() as f64]
        };
        self.intervals(values.len(), mean).pop().flatten()
    }
}

/// From the 2.5th to the 97.5th percentile.
fn middle(mut results: Vec<f64>) -> Option<Interval> {
    results.sort_unstable_by(f64::total_cmp);
    let last = results.len().checked_sub(1)?;
    let percentile = |share: f64| {
        let place = share * last as f64;
        let (below, above) = (results[place.floor() as usize], results[place.ceil() as usize]);
        below + (above - below) * place.fract()
    };
    Some(Interval { low: percentile(0.025), high: percentile(0.975) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::threads::with_threads;

    fn losses() -> Vec<f64> {
        (0..200).map(|index| f64::from(index * index % 199) / 50.0).collect()
    }

    /// `numpy.percentile(values, [2.5, 97.5])` of numpy 2.4.
    #[test]
    fn percentiles_are_interpolated_as_numpy_does() {
        let values = (0..37).map(|index| f64::from(index * index)).rev().collect();
        let Interval { low, high } = middle(values).unwrap();
        assert!((low - 0.9).abs() < 1e-9 && (high - 1232.1).abs() < 1e-9, "{low} {high}");
        assert_eq!(middle(Vec::new()), None);
    }

    /// scipy 1.17: `bootstrap((losses,), numpy.mean, method="percentile", n_resamples=1_000_000)`. With 2,000
    /// resamples an end has a standard deviation of 0.006 of its own; the seed is one of many.
    #[test]
    fn the_interval_of_a_mean_is_that_of_scipy() {
        let Interval { low, high } = Bootstrap::default().mean(&losses()).unwrap();
        assert!((low - 1.6336).abs() < 0.015 && (high - 1.9487).abs() < 0.015, "{low} {high}");
        let many = Bootstrap { resamples: 50_000, ..Bootstrap::default() }.mean(&losses()).unwrap();
        assert!((many.low - 1.6336).abs() < 0.004 && (many.high - 1.9487).abs() < 0.004, "{many:?}");
    }

    #[test]
    fn the_seed_decides_and_the_number_of_threads_does_not() {
        let of = |seed, threads| {
            with_threads(threads, || Bootstrap { seed, resamples: 203 }.mean(&losses()).unwrap())
        };
        assert_eq!(of(1, 1), of(1, 3));
        assert_ne!(of(1, 1), of(2, 1));
    }

    #[test]
    fn what_is_undefined_has_no_interval() {
        let bootstrap = Bootstrap { resamples: 100, seed: 0 };
        assert_eq!(bootstrap.mean(&[]), None);
        assert_eq!(bootstrap.mean(&[1.0, f64::NAN]), None);
        assert_eq!(bootstrap.mean(&[1.0, f64::INFINITY]), None);
        // The second result is undefined without the first sample, the third one always.
        let results = |counts: &[u32]| vec![1.0, if counts[0] == 0 { f64::NAN } else { 0.5 }, f64::NAN];
        let point = |value| Some(Interval { low: value, high: value });
        assert_eq!(bootstrap.intervals(3, results), [point(1.0), point(0.5), None]);
    }
}
