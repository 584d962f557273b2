//! Whether a metric is to be lowered or raised.

/// Whether smaller or larger values of a metric are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Smaller is better, as for a loss.
    Lower,
    /// Larger is better, as for accuracy.
    Higher,
}

impl Better {
    /// Whether `value` is better than `other`; NaN never is.
    pub fn is_better(self, value: f64, other: f64) -> bool {
        match self {
            Better::Lower => value < other,
            Better::Higher => value > other,
        }
    }

    /// Whether `value` is better than the best so far by more than `min_delta`. Any finite value improves on
    /// none at all; a value that is not finite never improves.
    pub fn improves(self, value: f64, best: Option<f64>, min_delta: f64) -> bool {
        let handicapped = match self {
            Better::Lower => value + min_delta,
            Better::Higher => value - min_delta,
        };
        value.is_finite() && best.is_none_or(|best| self.is_better(handicapped, best))
    }
}

#[cfg(test)]
mod tests {
    use super::Better::{Higher, Lower};

    #[test]
    fn an_improvement_exceeds_min_delta() {
        for (better, value, best, min_delta, expected) in [
            (Lower, 0.5, None, 0.0, true),
            (Lower, 0.5, Some(0.5), 0.0, false),
            (Lower, 0.25, Some(0.5), 0.25, false),
            (Lower, 0.2, Some(0.5), 0.25, true),
            (Higher, 0.75, Some(0.5), 0.25, false),
            (Higher, 0.8, Some(0.5), 0.25, true),
            (Higher, 0.2, Some(0.5), 0.0, false),
            (Lower, f64::NAN, None, 0.0, false),
            (Lower, f64::NEG_INFINITY, Some(1.0), 0.0, false),
            (Higher, f64::INFINITY, Some(1.0), 0.0, false),
        ] {
            assert_eq!(better.improves(value, best, min_delta), expected, "{better:?} {value} {best:?}");
        }
    }
}
