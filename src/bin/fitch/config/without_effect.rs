//! Options that are given and have no effect beside the others.

use crate::cli::{ScheduleOption, TrainOptions};
use anyhow::Result;
use toml::Table;

/// `--plateau-factor: without effect without --plateau-patience`, for the options that the others leave nothing to
/// do. `whole` has what is in force.
pub fn without_effect(given: &TrainOptions, whole: &TrainOptions) -> Result<Vec<String>> {
    let given = Table::try_from(given)?;
    let warning = |is_idle: bool, why: &str, options: &[&str]| {
        let flags = options.iter().filter(|option| given.contains_key(**option));
        let flags: Vec<String> = flags.map(|option| format!("--{}", option.replace('_', "-"))).collect();
        (is_idle && !flags.is_empty()).then(|| format!("{}: without effect {why}", flags.join(", ")))
    };
    let warnings = [
        warning(
            whole.plateau_patience.is_none(),
            "without --plateau-patience",
            &["plateau_factor", "plateau_min_delta", "plateau_cooldown", "min_learning_rate"],
        ),
        warning(
            whole.schedule != Some(ScheduleOption::Step),
            "without --schedule step",
            &["schedule_step", "schedule_factor"],
        ),
        warning(
            whole.no_early_stopping == Some(true),
            "with --no-early-stopping",
            &["patience", "min_delta", "baseline", "start_from_epoch"],
        ),
    ];
    Ok(warnings.into_iter().flatten().collect())
}
