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
    /// ones count half. Each sample is there as many times as `times` says. NaN without such pairs. Several numbers
    /// of times side by side take hardly longer than one.
    pub fn auc<const N: usize>(&self, times: impl Fn(usize) -> [u32; N]) -> [f64; N] {
        // Of [others, of the class], below the present score and at it.
        let (mut below, mut at) = ([[0u32; N]; 2], [[0u32; N]; 2]);
        let mut twice_won = [0u64; N];
        let mut has_own = false;
        for sample in &self.samples {
            let times = times(sample.index as usize);
            let at_own = &mut at[usize::from(sample.is_of_class)];
            (0..N).for_each(|lane| at_own[lane] += times[lane]);
            has_own |= sample.is_of_class;
            if sample.is_last_of_equal {
                if has_own {
                    for lane in 0..N {
                        let lost_by = 2 * u64::from(below[0][lane]) + u64::from(at[0][lane]);
                        twice_won[lane] += u64::from(at[1][lane]) * lost_by;
                        below[1][lane] += at[1][lane];
                    }
                    at[1] = [0; N];
                }
                (0..N).for_each(|lane| below[0][lane] += at[0][lane]);
                at[0] = [0; N];
                has_own = false;
            }
        }
        // 0 / 0 without such pairs.
        std::array::from_fn(|lane| {
            twice_won[lane] as f64 / 2.0 / (f64::from(below[0][lane]) * f64::from(below[1][lane]))
        })
    }
}
