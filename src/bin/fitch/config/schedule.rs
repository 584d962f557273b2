//! How the learning rate changes: a schedule by the step, or reductions on a plateau.

use super::Checker;
use crate::cli::{ScheduleOption, TrainOptions};
use fitch::train::callbacks::{ReduceLearningRateOnPlateau, StepSchedule};

/// The schedule; `Some(None)` for a learning rate that changes on a plateau only, or never.
pub fn check(
    options: &TrainOptions,
    learning_rate: Option<Option<f64>>,
    checker: &mut Checker,
) -> Option<Option<StepSchedule>> {
    let schedule = options.schedule?;
    let warm_up = checker.count("warm-up", options.warm_up, 0);
    let epochs = checker.count("schedule-step", options.schedule_step, 1);
    let factor = checker.factor("schedule-factor", options.schedule_factor);
    let end = checker.not_negative("final-learning-rate", options.final_learning_rate);
    let (learning_rate, warm_up, final_learning_rate) = (learning_rate?, warm_up?, end?);
    let course = match schedule {
        ScheduleOption::Constant => StepSchedule::constant(),
        ScheduleOption::Cosine => StepSchedule::cosine(final_learning_rate),
        ScheduleOption::Step => StepSchedule::steps(epochs?, factor?),
        ScheduleOption::OneCycle => StepSchedule::one_cycle(),
    };
    if schedule == ScheduleOption::OneCycle && warm_up > 0 {
        return checker.fault("warm-up", warm_up, "--schedule one-cycle has its own warm-up");
    }
    if learning_rate.is_some_and(|rate| final_learning_rate > rate) {
        return checker.fault("final-learning-rate", final_learning_rate, "is above --learning-rate");
    }
    if schedule == ScheduleOption::Constant && warm_up == 0 {
        return Some(None);
    }
    if let Some(patience) = options.plateau_patience {
        return checker.fault("plateau-patience", patience, "does not work with a schedule or a warm-up");
    }
    Some(Some(course.warm_up(warm_up)))
}

/// What reduces the learning rate on a plateau, if anything does.
pub fn check_plateau(options: &TrainOptions, checker: &mut Checker) -> Option<ReduceLearningRateOnPlateau> {
    let patience = checker.count("plateau-patience", options.plateau_patience, 1);
    let factor = checker.factor("plateau-factor", options.plateau_factor);
    let min_delta = checker.not_negative("plateau-min-delta", options.plateau_min_delta);
    let cooldown = checker.count("plateau-cooldown", options.plateau_cooldown, 0);
    let min = checker.not_negative("min-learning-rate", options.min_learning_rate);
    let plateau = ReduceLearningRateOnPlateau::new(options.monitor.clone()?);
    let plateau = plateau.patience(patience?).factor(factor?).min_delta(min_delta?);
    Some(plateau.cooldown(cooldown?).min_learning_rate(min?))
}
