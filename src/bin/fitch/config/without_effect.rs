//! Options that are given and have no effect beside the others.

use crate::cli::{ScheduleOption, TrainOptions};

/// `--plateau-factor: without effect without --plateau-patience`, for each option that the others leave nothing to
/// do. `whole` has what is in force.
pub fn without_effect(given: &TrainOptions, whole: &TrainOptions) -> Vec<String> {
    let is_of_steps = whole.schedule == Some(ScheduleOption::Step);
    let never_stops = whole.no_early_stopping == Some(true);
    let groups: [(bool, &str, &[(&str, bool)]); 3] = [
        (
            whole.plateau_patience.is_none(),
            "without --plateau-patience",
            &[
                ("plateau-factor", given.plateau_factor.is_some()),
                ("plateau-min-delta", given.plateau_min_delta.is_some()),
                ("plateau-cooldown", given.plateau_cooldown.is_some()),
                ("min-learning-rate", given.min_learning_rate.is_some()),
            ],
        ),
        (
            !is_of_steps,
            "without --schedule step",
            &[
                ("schedule-step", given.schedule_step.is_some()),
                ("schedule-factor", given.schedule_factor.is_some()),
            ],
        ),
        (
            never_stops,
            "with --no-early-stopping",
            &[
                ("patience", given.patience.is_some()),
                ("min-delta", given.min_delta.is_some()),
                ("baseline", given.baseline.is_some()),
                ("start-from-epoch", given.start_from_epoch.is_some()),
            ],
        ),
    ];
    let ignored = groups.into_iter().filter(|(is_off, ..)| *is_off).filter_map(|(_, why, options)| {
        let flags = options.iter().filter(|(_, is_given)| *is_given).map(|(name, _)| format!("--{name}"));
        let flags: Vec<String> = flags.collect();
        (!flags.is_empty()).then(|| format!("{}: without effect {why}", flags.join(", ")))
    });
    ignored.collect()
}
