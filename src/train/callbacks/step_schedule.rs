//! A learning rate that follows from the step, by one of the usual curves.

use crate::train::{Callback, Training};
use anyhow::Result;
use std::f64::consts::PI;

/// How the learning rate goes on after the warm-up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScheduleShape {
    /// It stays.
    Constant,
    /// Along half a cosine down to the final rate, which the last step reaches (Loshchilov and Hutter, 2017,
    /// without restarts).
    Cosine,
    /// It is multiplied with `factor` after every so many epochs.
    Steps {
        /// Epochs between two changes.
        epochs: usize,
        /// Between 0 and 1.
        factor: f64,
    },
    /// Up from a 25th for three tenths of the steps, then down to a 250,000th, along cosines (Smith and Topin,
    /// 2019), as PyTorch's OneCycleLR by default, whose cycling of the momentum is left out.
    OneCycle,
}

/// Sets the learning rate before each step. It depends on nothing but these settings and the number of the
/// step among all, so that a training that was paused goes on with the same rates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepSchedule {
    /// The curve.
    pub curve: ScheduleShape,
    /// The greatest learning rate.
    pub learning_rate: f64,
    /// What a cosine ends with.
    pub final_learning_rate: f64,
    /// So many epochs first, in which the rate grows in equal parts from step to step.
    pub warm_up: usize,
}

impl StepSchedule {
    /// The rate for the step before which so many were made, of so many epochs of so many steps.
    pub fn rate(&self, done: usize, epochs: usize, steps: usize) -> f64 {
        let warm_up = self.warm_up * steps;
        if done < warm_up {
            return self.learning_rate * (done + 1) as f64 / warm_up as f64;
        }
        let last = (epochs * steps).saturating_sub(1) as f64;
        match self.curve {
            ScheduleShape::Constant => self.learning_rate,
            ScheduleShape::Cosine => {
                let way = (last - warm_up as f64).max(1.0);
                along_cosine(self.learning_rate, self.final_learning_rate, (done - warm_up) as f64 / way)
            }
            ScheduleShape::Steps { epochs, factor } => {
                self.learning_rate * factor.powi((done / steps.max(1) / epochs.max(1)) as i32)
            }
            ScheduleShape::OneCycle => {
                let (least, done) = (self.learning_rate / 25.0, done as f64);
                let peak = (0.3 * (last + 1.0) - 1.0).max(0.0);
                if done < peak {
                    return along_cosine(least, self.learning_rate, done / peak);
                }
                along_cosine(self.learning_rate, least / 1e4, (done - peak) / (last - peak).max(1.0))
            }
        }
    }

    fn apply(&self, training: &mut Training) {
        let done = (training.epoch - 1) * training.steps + training.step;
        training.set_learning_rate(self.rate(done, training.epochs, training.steps));
    }
}

/// From one value to another, slowly at both ends; `share` of the way is done.
fn along_cosine(from: f64, to: f64, share: f64) -> f64 {
    to + (from - to) * (1.0 + (PI * share.min(1.0)).cos()) / 2.0
}

impl Callback for StepSchedule {
    fn epoch_begin(&mut self, training: &mut Training) -> Result<()> {
        self.apply(training);
        Ok(())
    }

    fn step_end(&mut self, training: &mut Training) -> Result<()> {
        // The record of an epoch tells the rate of its last step.
        if training.step < training.steps {
            self.apply(training);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(curve: ScheduleShape) -> StepSchedule {
        StepSchedule { curve, learning_rate: 0.1, final_learning_rate: 0.01, warm_up: 0 }
    }

    #[track_caller]
    fn assert_rates(schedule: StepSchedule, expected: &[(usize, f64)]) {
        for &(done, rate) in expected {
            let found = schedule.rate(done, 10, 10);
            assert!((found - rate).abs() < 1e-9, "step {done}: {found} instead of {rate}");
        }
    }

    #[test]
    fn curves_follow_their_formulas() {
        assert_rates(schedule(ScheduleShape::Constant), &[(0, 0.1), (99, 0.1)]);
        // Python: 0.01 + 0.09 * (1 + math.cos(math.pi * 33 / 99)) / 2 = 0.0775
        assert_rates(schedule(ScheduleShape::Cosine), &[(0, 0.1), (33, 0.0775), (99, 0.01)]);
        let steps = ScheduleShape::Steps { epochs: 3, factor: 0.5 };
        assert_rates(schedule(steps), &[(0, 0.1), (29, 0.1), (30, 0.05), (60, 0.025), (99, 0.0125)]);
        // PyTorch 2.11: OneCycleLR(optimizer, max_lr=0.1, total_steps=100) before steps 0, 29 and 99.
        assert_rates(schedule(ScheduleShape::OneCycle), &[(0, 0.004), (29, 0.1), (99, 4e-7)]);
    }

    #[test]
    fn the_warm_up_comes_first() {
        let warm = StepSchedule { warm_up: 2, ..schedule(ScheduleShape::Cosine) };
        assert_rates(warm, &[(0, 0.005), (9, 0.05), (19, 0.1), (20, 0.1), (99, 0.01)]);
    }

    #[test]
    fn trainings_of_few_steps_have_finite_rates() {
        for curve in [
            ScheduleShape::Constant,
            ScheduleShape::Cosine,
            ScheduleShape::OneCycle,
            ScheduleShape::Steps { epochs: 1, factor: 0.1 },
        ] {
            for (epochs, steps) in [(1, 1), (1, 2), (3, 1)] {
                for done in 0..epochs * steps {
                    let rate = schedule(curve).rate(done, epochs, steps);
                    assert!(rate > 0.0 && rate <= 0.1, "{curve:?}: {rate}");
                }
            }
        }
    }
}
