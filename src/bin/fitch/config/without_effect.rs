//! Options that are given and have no effect beside the others.

use crate::cli::{ScheduleOption, TrainOptions};

/// `--plateau-factor: without effect without --plateau-patience`, for the options that the others leave nothing to
/// do. `whole` has what is in force.
pub fn without_effect(given: &TrainOptions, whole: &TrainOptions) -> Vec<String> {
    let has_plateaus = whole.plateau_patience.is_some();
    let has_steps = whole.schedule == Some(ScheduleOption::Step);
    let stops_early = whole.no_early_stopping != Some(true);
    let of_plateaus = [
        ("plateau-factor", given.plateau_factor.is_some()),
        ("plateau-min-delta", given.plateau_min_delta.is_some()),
        ("plateau-cooldown", given.plateau_cooldown.is_some()),
        ("min-learning-rate", given.min_learning_rate.is_some()),
    ];
    let of_steps = [
        ("schedule-step", given.schedule_step.is_some()),
        ("schedule-factor", given.schedule_factor.is_some()),
    ];
    let of_stopping = [
        ("patience", given.patience.is_some()),
        ("min-delta", given.min_delta.is_some()),
        ("baseline", given.baseline.is_some()),
        ("start-from-epoch", given.start_from_epoch.is_some()),
    ];
    let warnings = [
        (!has_plateaus).then(|| warning(&of_plateaus, "without --plateau-patience")),
        (!has_steps).then(|| warning(&of_steps, "without --schedule step")),
        (!stops_early).then(|| warning(&of_stopping, "with --no-early-stopping")),
    ];
    warnings.into_iter().flatten().flatten().collect()
}

/// Names those of the options that are given, if any is.
fn warning(options: &[(&str, bool)], why: &str) -> Option<String> {
    let given = options.iter().filter(|(_, is_given)| *is_given);
    let flags: Vec<String> = given.map(|(name, _)| format!("--{name}")).collect();
    (!flags.is_empty()).then(|| format!("{}: without effect {why}", flags.join(", ")))
}
