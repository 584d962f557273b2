//! Sensible ticks for an axis. Pure.

/// An axis: its range, and where it is labelled.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The minimum and the maximum of the axis.
    pub range: (f64, f64),
    /// The labelled values, in order.
    pub ticks: Vec<f64>,
    decimals: usize,
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
        Axis { range: (first as f64 * step, last as f64 * step), ticks, decimals: decimals(step) }
    }

    /// An axis for epochs: whole numbers, from the first epoch to the last and no further.
    pub fn of_epochs(first: f64, last: f64, count: usize) -> Axis {
        if first == last {
            return Axis { range: (first - 0.5, last + 0.5), ticks: vec![first], decimals: 0 };
        }
        let step = nice_step((last - first) / count.max(1) as f64).max(1.0);
        // Epochs begin with 1: the first multiple is not 0.
        let multiples = (1..).map(|index| index as f64 * step).take_while(|&tick| tick <= last);
        let mut ticks: Vec<f64> = multiples.filter(|&tick| tick >= first).collect();
        if ticks.first().is_none_or(|&tick| tick - first >= 0.6 * step) {
            ticks.insert(0, first);
        }
        Axis { range: (first, last), ticks, decimals: 0 }
    }

    /// Where a value lies between the ends, from 0 to 1.
    pub fn position(&self, value: f64) -> f64 {
        (value - self.range.0) / (self.range.1 - self.range.0)
    }

    /// A tick as text; all ticks have the same number of decimals.
    pub fn label(&self, tick: f64) -> String {
        format!("{tick:.decimals$}", decimals = self.decimals)
    }
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
        assert_eq!(labels(&Axis::of_epochs(1.0, 34.0, 8)), ["1", "5", "10", "15", "20", "25", "30"]);
        assert_eq!(labels(&Axis::of_epochs(1.0, 100.0, 8)), ["1", "20", "40", "60", "80", "100"]);
        assert_eq!(Axis::of_epochs(1.0, 34.0, 8).range, (1.0, 34.0));
    }
}
