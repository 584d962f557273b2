//! The samples in the order of the probabilities that they have for a class, for the area under its ROC curve.

/// The samples from the lowest score to the highest.
#[derive(Clone, Debug)]
pub(super) struct ClassRanking {
    samples: Vec<Ranked>,
}

#[derive(Clone, Copy, Debug)]
struct Ranked {
    index: u32,
    /// Whether it is of the class.
    is_of_class: bool,
    /// Whether the next one has a higher score.
    is_last_of_equal: bool,
}

impl ClassRanking {
    /// Of scores from 0 on, one a sample, and whether it is of the class; none if a score is NaN.
    pub fn new(scores: impl Iterator<Item = (f64, bool)>) -> Option<ClassRanking> {
        // The bits of such numbers are in their order.
        let key = |(index, (score, is_of_class)): (usize, (f64, bool))| {
            (!score.is_nan()).then(|| (score.to_bits(), index as u32, is_of_class))
        };
        let mut keys: Vec<(u64, u32, bool)> = scores.enumerate().map(key).collect::<Option<_>>()?;
        keys.sort_unstable();
        let is_last = |place: usize| keys.get(place + 1).is_none_or(|next| next.0 != keys[place].0);
        let ranked = |(place, &(_, index, is_of_class)): (usize, &(u64, u32, bool))| Ranked {
            index,
            is_of_class,
            is_last_of_equal: is_last(place),
        };
        Some(ClassRanking { samples: keys.iter().enumerate().map(ranked).collect() })
    }

    /// The share of the pairs of a sample of the class and another one in which the first has the higher score; equal
    /// ones count half. Each sample is there as many times as `times` says. None without such pairs.
    pub fn auc(&self, times: impl Fn(usize) -> u64) -> Option<f64> {
        // [others, of the class], below the present score and at it.
        let (mut below, mut at) = ([0; 2], [0; 2]);
        let mut twice_won = 0u128;
        for sample in &self.samples {
            at[usize::from(sample.is_of_class)] += times(sample.index as usize);
            if sample.is_last_of_equal {
                twice_won += u128::from(at[1]) * u128::from(2 * below[0] + at[0]);
                below = [below[0] + at[0], below[1] + at[1]];
                at = [0; 2];
            }
        }
        let pairs = below[0] as f64 * below[1] as f64;
        (pairs > 0.0).then(|| twice_won as f64 / 2.0 / pairs)
    }
}
