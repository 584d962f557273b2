//! A learning rate that follows one of the usual curves from step to step.

use crate::train::{Callback, Training};
use anyhow::Result;
use std::f64::consts::PI;

/// The course of the learning rate after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScheduleShape {
    /// It stays at its maximum.
    Constant,
    /// Down along half a cosine to a final rate, which the last step has (Loshchilov and Hutter, 2017,
    /// without restarts).
    Cosine {
        /// The rate of the last step.
        final_rate: f64,
    },
    /// It is multiplied by a factor at regular intervals.
    Steps {
        /// The epochs from one change to the next.
        epochs: usize,
        /// Between 0 and 1.
        factor: f64,
    },
    /// Up from a 25th of the maximum during the first three tenths of the steps, then down to a 250,000th,
    /// along cosines (Smith and Topin, 2019): PyTorch's OneCycleLR by default, without its cycling of the
    /// momentum.
    OneCycle,
}

/// Sets the learning rate before each step. Its maximum is the rate that the optimizer was made with. It
/// depends on the settings and on the number of steps done, and on nothing else, so that a training that was
/// paused continues with the same rates.
///
/// ```
/// use fitch::train::callbacks::StepSchedule;
///
/// let schedule = StepSchedule::cosine(1e-5).warm_up(3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepSchedule {
    shape: ScheduleShape,
    warm_up: usize,
}

impl StepSchedule {
    /// A schedule of a shape without warm-up.
    pub fn new(shape: ScheduleShape) -> StepSchedule {
        StepSchedule { shape, warm_up: 0 }
    }

    /// The maximum, for use with a warm-up.
    pub fn constant() -> StepSchedule {
        StepSchedule::new(ScheduleShape::Constant)
    }

    /// Down along half a cosine to a final rate.
    pub fn cosine(final_rate: f64) -> StepSchedule {
        StepSchedule::new(ScheduleShape::Cosine { final_rate })
    }

    /// Multiplied by a factor every few epochs.
    pub fn steps(epochs: usize, factor: f64) -> StepSchedule {
        StepSchedule::new(ScheduleShape::Steps { epochs, factor })
    }

    /// Up and down again, as PyTorch's OneCycleLR.
    pub fn one_cycle() -> StepSchedule {
        StepSchedule::new(ScheduleShape::OneCycle)
    }

    /// The number of epochs at the start in which the rate grows to its maximum, by the same amount in each
    /// step.
    pub fn warm_up(self, epochs: usize) -> StepSchedule {
        StepSchedule { warm_up: epochs, ..self }
    }

    /// The rate of a step, from its maximum and the number of steps done before it in a training of `epochs`
    /// with `steps` each.
    pub fn rate(&self, max: f64, done: usize, epochs: usize, steps: usize) -> f64 {
        let warm_up = self.warm_up * steps;
        if done < warm_up {
            return max * (done + 1) as f64 / warm_up as f64;
        }
        let last = (epochs * steps).saturating_sub(1) as f64;
        match self.shape {
            ScheduleShape::Constant => max,
            ScheduleShape::Cosine { final_rate } => {
                let way = (last - warm_up as f64).max(1.0);
                along_cosine(max, final_rate, (done - warm_up) as f64 / way)
            }
            ScheduleShape::Steps { epochs, factor } => {
                max * factor.powi((done / steps.max(1) / epochs.max(1)) as i32)
            }
            ScheduleShape::OneCycle => {
                let (min, done) = (max / 25.0, done as f64);
                let peak = (0.3 * (last + 1.0) - 1.0).max(0.0);
                if done < peak {
                    return along_cosine(min, max, done / peak);
                }
                along_cosine(max, min / 1e4, (done - peak) / (last - peak).max(1.0))
            }
        }
    }

    fn apply(&self, training: &mut Training) {
        let (max, done) = (training.configured_learning_rate(), training.total_steps());
        training.set_learning_rate(self.rate(max, done, training.epochs(), training.steps()));
    }
}

/// Between two values, slowly at both ends; `share` is how much of the way is done.
fn along_cosine(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) * (1.0 + (PI * share.min(1.0)).cos()) / 2.0
}

impl Callback for StepSchedule {
    fn epoch_begin(&mut self, training: &mut Training) -> Result<()> {
        self.apply(training);
        Ok(())
    }

    fn step_end(&mut self, training: &mut Training) -> Result<()> {
        // The record of an epoch has the rate of its last step.
        if training.step() < training.steps() {
            self.apply(training);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_rates(schedule: StepSchedule, expected: &[(usize, f64)]) {
        for &(done, rate) in expected {
            let found = schedule.rate(0.1, done, 10, 10);
            assert!((found - rate).abs() < 1e-9, "step {done}: {found} instead of {rate}");
        }
    }

    #[test]
    fn curves_follow_their_formulas() {
        assert_rates(StepSchedule::constant(), &[(0, 0.1), (99, 0.1)]);
        // Python: 0.01 + 0.09 * (1 + math.cos(math.pi * 33 / 99)) / 2 = 0.0775
        assert_rates(StepSchedule::cosine(0.01), &[(0, 0.1), (33, 0.0775), (99, 0.01)]);
        let steps = StepSchedule::steps(3, 0.5);
        assert_rates(steps, &[(0, 0.1), (29, 0.1), (30, 0.05), (60, 0.025), (99, 0.0125)]);
        // PyTorch 2.11: OneCycleLR(optimizer, max_lr=0.1, total_steps=100) before steps 0, 29 and 99.
        assert_rates(StepSchedule::one_cycle(), &[(0, 0.004), (29, 0.1), (99, 4e-7)]);
    }

    #[test]
    fn the_warm_up_comes_first() {
        let warm = StepSchedule::cosine(0.01).warm_up(2);
        assert_rates(warm, &[(0, 0.005), (9, 0.05), (19, 0.1), (20, 0.1), (99, 0.01)]);
    }

    #[test]
    fn trainings_of_few_steps_have_finite_rates() {
        for schedule in [
            StepSchedule::constant(),
            StepSchedule::cosine(0.01),
            StepSchedule::one_cycle(),
            StepSchedule::steps(1, 0.1),
        ] {
            for (epochs, steps) in [(1, 1), (1, 2), (3, 1)] {
                for done in 0..epochs * steps {
                    let rate = schedule.rate(0.1, done, epochs, steps);
                    assert!(rate > 0.0 && rate <= 0.1, "{schedule:?}: {rate}");
                }
            }
        }
    }
}
