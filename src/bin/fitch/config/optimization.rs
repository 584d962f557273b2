//! How the weights are moved: optimizer, learning rate over time, loss. It must not know the data.

use super::{Checker, given_or_none};
use crate::cli::{AdamOption, OptimizerOption, ScheduleOption, TrainOptions};
use fitch::train::callbacks::StepSchedule;

/// What was asked for, checked. What recorded runs of earlier versions lack has its default.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimization {
    pub optimizer: OptimizerOption,
    pub adam: AdamOption,
    pub weight_decay: f64,
    pub momentum: f64,
    pub clip_norm: Option<f64>,
    pub label_smoothing: f64,
    pub class_weights: ClassWeights,
    /// None for a learning rate that only the plateau changes.
    pub schedule: Option<StepSchedule>,
}

/// What the classes count in the training loss.
#[derive(Clone, Debug, PartialEq)]
pub enum ClassWeights {
    Equal,
    Balanced,
    Of(Vec<f32>),
}

impl Optimization {
    /// Whether the optimizer is one whose state can be saved.
    pub fn is_resumable(&self) -> bool {
        self.adam == AdamOption::Fused
    }
}

/// Gives nothing only after a fault was noted.
pub fn check(
    options: &TrainOptions,
    learning_rate: Option<f64>,
    checker: &mut Checker,
) -> Option<Optimization> {
    let optimizer = options.optimizer.unwrap_or(OptimizerOption::Adam);
    let adam = options.adam?;
    if optimizer != OptimizerOption::Adam && adam == AdamOption::Reference {
        checker.fault::<()>("adam", "reference", "is for --optimizer adam");
    }
    let not_negative = "must be a finite number of at least 0";
    let holds = |value: f64| value >= 0.0 && value.is_finite();
    let weight_decay =
        checker.number("weight-decay", options.weight_decay.or(Some(0.0)), not_negative, holds);
    if adam == AdamOption::Reference && weight_decay.is_some_and(|decay| decay > 0.0) {
        checker.fault::<()>("weight-decay", weight_decay.unwrap_or_default(), "needs --adam fused");
    }
    let below_one = |value: f64| (0.0..1.0).contains(&value);
    let momentum =
        checker.number("momentum", options.momentum.or(Some(0.0)), "must be from 0 to below 1", below_one);
    if momentum.is_some_and(|momentum| momentum > 0.0)
        && matches!(optimizer, OptimizerOption::Adam | OptimizerOption::AdamW)
    {
        checker.fault::<()>("momentum", momentum.unwrap_or_default(), "is for --optimizer sgd and rmsprop");
    }
    let clip_norm = options.clip_norm.map(|norm| {
        let rule = "must be a finite number above 0";
        checker.number("clip-norm", Some(norm), rule, |norm| norm > 0.0 && norm.is_finite())
    });
    let smoothing = checker.number(
        "label-smoothing",
        options.label_smoothing.or(Some(0.0)),
        "must be a share from 0 to below 1",
        below_one,
    );
    let class_weights = check_class_weights(options.class_weights.as_deref(), checker);
    let schedule = check_schedule(options, learning_rate, checker);
    Some(Optimization {
        optimizer,
        adam,
        weight_decay: weight_decay?,
        momentum: momentum?,
        clip_norm: given_or_none(clip_norm)?,
        label_smoothing: smoothing?,
        class_weights: class_weights?,
        schedule: schedule?,
    })
}

fn check_class_weights(weights: Option<&str>, checker: &mut Checker) -> Option<ClassWeights> {
    match weights {
        None => Some(ClassWeights::Equal),
        Some("balanced") => Some(ClassWeights::Balanced),
        Some(text) => {
            let number = |text: &str| {
                text.trim().parse().ok().filter(|&weight: &f32| weight > 0.0 && weight.is_finite())
            };
            let numbers: Option<Vec<f32>> = text.split(',').map(number).collect();
            let rule = "must be balanced, or a number above 0 for each class, such as 1,1,5";
            numbers.map(ClassWeights::Of).or_else(|| checker.fault("class-weights", text, rule))
        }
    }
}

fn check_schedule(
    options: &TrainOptions,
    learning_rate: Option<f64>,
    checker: &mut Checker,
) -> Option<Option<StepSchedule>> {
    let kind = options.schedule.unwrap_or(ScheduleOption::Constant);
    let warm_up = checker.count("warm-up", options.warm_up.or(Some(0)), 0);
    let step = checker.count("schedule-step", options.schedule_step.or(Some(10)), 1);
    let factor = checker.number(
        "schedule-factor",
        options.schedule_factor.or(Some(0.1)),
        "must be between 0 and 1",
        |factor| factor > 0.0 && factor < 1.0,
    );
    let end = checker.number(
        "final-learning-rate",
        options.final_learning_rate.or(Some(0.0)),
        "must be a finite number of at least 0",
        |rate| rate >= 0.0 && rate.is_finite(),
    );
    let (learning_rate, warm_up, final_learning_rate) = (learning_rate?, warm_up?, end?);
    let schedule = match kind {
        ScheduleOption::Constant => StepSchedule::constant(),
        ScheduleOption::Cosine => StepSchedule::cosine(final_learning_rate),
        ScheduleOption::Step => StepSchedule::steps(step?, factor?),
        ScheduleOption::OneCycle => StepSchedule::one_cycle(),
    };
    if kind == ScheduleOption::OneCycle && warm_up > 0 {
        return checker.fault("warm-up", warm_up, "--schedule one-cycle has a warm-up of its own");
    }
    if final_learning_rate > learning_rate {
        return checker.fault("final-learning-rate", final_learning_rate, "is above --learning-rate");
    }
    if kind == ScheduleOption::Constant && warm_up == 0 {
        return Some(None);
    }
    if options.plateau_patience.is_some() {
        return checker.fault(
            "plateau-patience",
            options.plateau_patience?,
            "cannot be had with a schedule or a warm-up",
        );
    }
    Some(Some(schedule.warm_up(warm_up)))
}
