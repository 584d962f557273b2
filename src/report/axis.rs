//! Sensible ticks for an axis. Pure.

/// How values lie along an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Logarithmic where most values would be squashed otherwise, else linear.
    #[default]
    Auto,
    /// Equal differences take equal room.
    Linear,
    /// Equal ratios take equal room. Values that are not above 0 make the axis linear.
    Logarithmic,
}

impl Scale {
    /// Whether an axis of these values is logarithmic.
    pub fn is_logarithmic(self, values: &[f64]) -> bool {
        let Some((min, max)) = range(values.iter().copied()).filter(|(min, _)| *min > 0.0) else {
            return false;
        };
        match self {
            Scale::Linear => false,
            Scale::Logarithmic => true,
            Scale::Auto => {
                let low = values.iter().filter(|&&value| value - min < SQUASHED * (max - min)).count();
                max / min >= MIN_RATIO && 2 * low > values.len()
            }
        }
    }
}

/// The axis is logarithmic if most values are in this lowest part of the linear one,
const SQUASHED: f64 = 0.1;
/// and the largest value is this many times the smallest.
const MIN_RATIO: f64 = 10.0;

/// The smallest and the largest value, if there is one.
pub(super) fn range(mut values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let first = values.next()?;
    Some(values.fold((first, first), |(min, max), value| (min.min(value), max.max(value))))
}

/// An axis: its range, and where it is labelled.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The minimum and the maximum of the axis.
    pub range: (f64, f64),
    /// The labelled values, in order.
    pub ticks: Vec<f64>,
    decimals: usize,
    /// Whether equal ratios take equal room.
    pub is_logarithmic: bool,
}

impl Axis {
    /// An axis for values from `min` to `max` that begins and ends on a tick, with about `count` ticks at
    /// multiples of 1, 2 or 5 times a power of ten.
    pub fn covering(min: f64, max: f64, count: usize) -> Axis {
        let (min, max) = widened(min, max);
        let step = nice_step((max - min) / count.max(1) as f64);
        // A little slack, so that 0.30000000000000004 needs no further tick.
        let first = (min / step + 1e-9).floor() as i64;
        let last = (max / step - 1e-9).ceil() as i64;
        let ticks: Vec<f64> = (first..=last).map(|index| index as f64 * step).collect();
        Axis {
            range: (first as f64 * step, last as f64 * step),
            ticks,
            decimals: decimals(step),
            is_logarithmic: false,
        }
    }

    /// A logarithmic axis for values from `min` to `max`, both above 0, with a little room at its ends and up to
    /// about twice `count` ticks: at powers of ten, or at 1, 2 and 5 times these.
    pub fn logarithmic(min: f64, max: f64, count: usize) -> Axis {
        let (min, max) = widened(min, max);
        // The ratio of both may be more than a number can hold.
        let room = 0.04 * (max.ln() - min.ln());
        let first = (min.ln() - room).exp().max(f64::MIN_POSITIVE);
        let last = (max.ln() + room).exp().min(f64::MAX);
        let is_within = |tick: &f64| (first..=last).contains(tick);
        let powers = first.log10().floor() as i32..=last.log10().ceil() as i32;
        let decades = last.log10() - first.log10();
        let mut ticks: Vec<f64> = match decades > count as f64 / 2.0 {
            true => {
                let every = (decades / (2 * count.max(1)) as f64).ceil().max(1.0) as i32;
                powers.filter(|power| power % every == 0).map(|power| scaled(1.0, power)).collect()
            }
            false => powers.flat_map(|power| [1.0, 2.0, 5.0].map(|factor| scaled(factor, power))).collect(),
        };
        ticks.retain(is_within);
        let mut decimals = 0;
        if ticks.len() < 3 {
            Axis { ticks, decimals, .. } = Axis::covering(min, max, count);
            ticks.retain(is_within);
        }
        Axis { range: (first, last), ticks, decimals, is_logarithmic: true }
    }

    /// An axis for epochs: whole numbers, from the first epoch to the last and no further.
    pub fn of_epochs(first: f64, last: f64, count: usize) -> Axis {
        if first == last {
            let range = (first - 0.5, last + 0.5);
            return Axis { range, ticks: vec![first], decimals: 0, is_logarithmic: false };
        }
        let step = nice_step((last - first) / count.max(1) as f64).max(1.0);
        // Epochs begin with 1: the first multiple is not 0.
        let multiples = (1..).map(|index| index as f64 * step).take_while(|&tick| tick <= last);
        let mut ticks: Vec<f64> = multiples.filter(|&tick| tick >= first).collect();
        if ticks.first().is_none_or(|&tick| tick - first >= 0.6 * step) {
            ticks.insert(0, first);
        }
        // The last one takes the place of a multiple that is too close to it.
        if ticks.len() > 1 && ticks.last().is_some_and(|&tick| last - tick < 0.6 * step) {
            ticks.pop();
        }
        ticks.push(last);
        Axis { range: (first, last), ticks, decimals: 0, is_logarithmic: false }
    }

    /// Where a value lies between the ends, from 0 to 1.
    pub fn position(&self, value: f64) -> f64 {
        let (first, last) = self.range;
        match self.is_logarithmic {
            true => (value.ln() - first.ln()) / (last.ln() - first.ln()),
            false => (value - first) / (last - first),
        }
    }

    /// A tick as text; ticks that follow one another in equal steps have the same number of decimals.
    pub fn label(&self, tick: f64) -> String {
        match self.is_logarithmic && self.decimals == 0 {
            true if !(1e-4..1e6).contains(&tick) => format!("{tick:e}"),
            true => format!("{tick}"),
            false => format!("{tick:.decimals$}", decimals = self.decimals),
        }
    }
}

/// `factor` times that power of ten, as one would write it: 0.05, not 0.05000000000000001.
fn scaled(factor: f64, power: i32) -> f64 {
    if power < 0 { factor / 10f64.powi(-power) } else { factor * 10f64.powi(power) }
}

/// A range that is not empty, around these values.
fn widened(min: f64, max: f64) -> (f64, f64) {
    match max - min {
        difference if difference > f64::EPSILON * max.abs().max(1e-300) => (min, max),
        _ if min == 0.0 => (0.0, 1.0),
        _ => (min - min.abs() * 0.1, max + max.abs() * 0.1),
    }
}

/// The smallest of 1, 2, 5 times a power of ten that is at least `step`.
fn nice_step(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= step * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

fn decimals(step: f64) -> usize {
    (-(step.log10() + 1e-9).floor()).clamp(0.0, 12.0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks.iter().map(|&tick| axis.label(tick)).collect()
    }

    #[test]
    fn ticks_are_round_and_cover_the_values() {
        assert_eq!(labels(&Axis::covering(0.0, 0.31, 5)), ["0.0", "0.1", "0.2", "0.3", "0.4"]);
        assert_eq!(labels(&Axis::covering(0.9205, 0.9815, 5)), ["0.92", "0.94", "0.96", "0.98", "1.00"]);
        assert_eq!(labels(&Axis::covering(0.0, 1234.0, 5)), ["0", "500", "1000", "1500"]);
        assert_eq!(labels(&Axis::covering(-3.0, 4.0, 4)), ["-4", "-2", "0", "2", "4"]);
        for (min, max) in [(1e-9, 3e-9), (0.1, 0.3), (5.0, 5.0), (0.0, 0.0), (-2.0, -2.0), (1e12, 2e12)] {
            let axis = Axis::covering(min, max, 5);
            assert!(axis.range.0 <= min && axis.range.1 >= max && axis.ticks.len() <= 9, "{axis:?}");
            assert!(axis.range.0 < axis.range.1);
        }
    }

    #[test]
    fn epochs_are_whole_numbers_from_the_first_to_the_last() {
        assert_eq!(labels(&Axis::of_epochs(1.0, 1.0, 8)), ["1"]);
        assert_eq!(labels(&Axis::of_epochs(1.0, 5.0, 8)), ["1", "2", "3", "4", "5"]);
        assert_eq!(labels(&Axis::of_epochs(1.0, 34.0, 8)), ["1", "5", "10", "15", "20", "25", "30", "34"]);
        assert_eq!(labels(&Axis::of_epochs(1.0, 31.0, 8)), ["1", "5", "10", "15", "20", "25", "31"]);
        assert_eq!(labels(&Axis::of_epochs(1.0, 2.0, 8)), ["1", "2"]);
        assert_eq!(labels(&Axis::of_epochs(1.0, 100.0, 8)), ["1", "20", "40", "60", "80", "100"]);
        assert_eq!(Axis::of_epochs(1.0, 34.0, 8).range, (1.0, 34.0));
    }

    #[test]
    fn ticks_of_a_logarithmic_axis_are_round_and_within_it() {
        let logarithmic = |min, max| labels(&Axis::logarithmic(min, max, 6));
        assert_eq!(logarithmic(0.03, 1.8), ["0.05", "0.1", "0.2", "0.5", "1", "2"]);
        assert_eq!(logarithmic(2e-6, 30.0), ["1e-5", "0.0001", "0.001", "0.01", "0.1", "1", "10"]);
        assert_eq!(logarithmic(0.42, 0.48), ["0.42", "0.43", "0.44", "0.45", "0.46", "0.47", "0.48"]);
        for (min, max) in [(1e-300, 1e300), (5.0, 5.0), (1e-305, 1.0), (1.0, f64::MAX)] {
            let axis = Axis::logarithmic(min, max, 6);
            assert!((2..=14).contains(&axis.ticks.len()), "{axis:?}");
            for value in [min, max].into_iter().chain(axis.ticks.iter().copied()) {
                assert!((-0.001..=1.001).contains(&axis.position(value)), "{value} {axis:?}");
            }
        }
    }

    #[test]
    fn an_axis_is_logarithmic_where_most_values_would_be_squashed() {
        let is_logarithmic = |values: &[f64]| Scale::Auto.is_logarithmic(values);
        let falling: Vec<f64> = (1..100).map(|epoch| 2.0 / f64::from(epoch)).collect();
        let rising: Vec<f64> = (1..100).map(|epoch| 1.0 - 0.99 / f64::from(epoch)).collect();
        assert!(is_logarithmic(&falling) && !is_logarithmic(&rising));
        assert!(!is_logarithmic(&[0.3, 0.2, 0.15, 0.1, 0.05]), "all can be read");
        assert!(!is_logarithmic(&[0.0, 1.0, 100.0]) && !Scale::Logarithmic.is_logarithmic(&[0.0, 1.0]));
        assert!(Scale::Logarithmic.is_logarithmic(&rising) && !Scale::Linear.is_logarithmic(&falling));
        assert!(!is_logarithmic(&[]) && !is_logarithmic(&[0.5]));
    }
}
