//! The optimizer and the training loss.

use super::{Checker, given_or_none, schedule};
use crate::cli::{OptimizerOption, RateOption, TrainOptions};
use anyhow::Result;
use fitch::optim::{KERAS_EPSILON, MAX_LEARNING_RATE, Optimizer, is_learning_rate, keras_adam};
use fitch::train::callbacks::StepSchedule;
use tch::nn;

#[derive(Clone, Debug)]
pub struct Optimization {
    pub optimizer: OptimizerChoice,
    /// None if a test is to find it.
    pub learning_rate: Option<f64>,
    /// The global norm that gradients are clipped to.
    pub clip_norm: Option<f64>,
    /// The decay of the mean of the weights, if there is to be one.
    pub ema: Option<f64>,
    pub label_smoothing: f64,
    pub class_weights: ClassWeights,
    /// None for a learning rate that changes on a plateau only, or never.
    pub schedule: Option<StepSchedule>,
}

/// An optimizer with its settings, which are tch's own.
#[derive(Clone, Copy, Debug)]
pub enum OptimizerChoice {
    Adam(nn::Adam),
    AdamW(nn::AdamW),
    Sgd(nn::Sgd),
    RmsProp(nn::RmsProp),
}

impl OptimizerChoice {
    /// The optimizer over the variables of a network.
    ///
    /// # Errors
    /// As [`Optimizer::new`].
    pub fn build(self, variables: &nn::VarStore, learning_rate: f64) -> Result<Optimizer> {
        match self {
            OptimizerChoice::Adam(settings) => Optimizer::new(variables, settings, learning_rate),
            OptimizerChoice::AdamW(settings) => Optimizer::new(variables, settings, learning_rate),
            OptimizerChoice::Sgd(settings) => Optimizer::new(variables, settings, learning_rate),
            OptimizerChoice::RmsProp(settings) => Optimizer::new(variables, settings, learning_rate),
        }
    }
}

/// The weights of the classes in the training loss.
#[derive(Clone, Debug, PartialEq)]
pub enum ClassWeights {
    Equal,
    Balanced,
    /// Of each class, in order.
    Each(Vec<f32>),
    /// Of some classes; the others have 1.
    Named(Vec<(String, f32)>),
}

pub fn check(options: &TrainOptions, checker: &mut Checker) -> Option<Optimization> {
    let rate_rule = format!("must be a number above 0 and at most {MAX_LEARNING_RATE}, or auto");
    let learning_rate = match options.learning_rate? {
        RateOption::Auto => Some(None),
        RateOption::Rate(rate) => {
            checker.number("learning-rate", Some(rate), &rate_rule, is_learning_rate).map(Some)
        }
    };
    let optimizer = check_optimizer(options, checker);
    let clip_norm = options.clip_norm.map(|norm| {
        let rule = "must be a finite number above 0";
        checker.number("clip-norm", Some(norm), rule, |norm| norm > 0.0 && norm.is_finite())
    });
    let ema = options.ema.map(|decay| checker.factor("ema", Some(decay)));
    let label_smoothing = checker.share("label-smoothing", options.label_smoothing);
    let class_weights = check_class_weights(options.class_weights.as_deref(), checker);
    let schedule = schedule::check(options, learning_rate, checker);
    Some(Optimization {
        optimizer: optimizer?,
        learning_rate: learning_rate?,
        clip_norm: given_or_none(clip_norm)?,
        ema: given_or_none(ema)?,
        label_smoothing: label_smoothing?,
        class_weights: class_weights?,
        schedule: schedule?,
    })
}

fn check_optimizer(options: &TrainOptions, checker: &mut Checker) -> Option<OptimizerChoice> {
    let wd = checker.not_negative("weight-decay", options.weight_decay);
    let below_one = |value: f64| (0.0..1.0).contains(&value);
    let momentum = checker.number("momentum", options.momentum, "must be from 0 to below 1", below_one);
    let (optimizer, wd, momentum) = (options.optimizer?, wd?, momentum?);
    let is_adam = matches!(optimizer, OptimizerOption::Adam | OptimizerOption::AdamW);
    if is_adam && momentum > 0.0 {
        return checker.fault("momentum", momentum, "is for --optimizer sgd and rmsprop");
    }
    Some(match optimizer {
        OptimizerOption::Adam => OptimizerChoice::Adam(nn::Adam { wd, ..keras_adam() }),
        OptimizerOption::AdamW => {
            OptimizerChoice::AdamW(nn::AdamW { wd, eps: KERAS_EPSILON, ..nn::AdamW::default() })
        }
        OptimizerOption::Sgd => OptimizerChoice::Sgd(nn::Sgd { momentum, wd, ..nn::Sgd::default() }),
        OptimizerOption::RmsProp => {
            OptimizerChoice::RmsProp(nn::RmsProp { momentum, wd, ..nn::RmsProp::default() })
        }
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
            let named = |text: &str| {
                let (name, weight) = text.rsplit_once('=')?;
                Some((name.trim().to_string(), number(weight)?))
            };
            let each = || text.split(',').map(number).collect::<Option<_>>().map(ClassWeights::Each);
            let some = || text.split(',').map(named).collect::<Option<_>>().map(ClassWeights::Named);
            let rule = "must be balanced, or numbers above 0: of some classes, such as cat=2,dog=0.5, or of \
                        each class, such as 1,1,5";
            each().or_else(some).or_else(|| checker.fault("class-weights", text, rule))
        }
    }
}
