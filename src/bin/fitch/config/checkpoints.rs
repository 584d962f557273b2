//! When checkpoints are written.

use super::Checker;
use fitch::train::Every;

pub fn check_every(every: Option<&str>, checker: &mut Checker) -> Option<Every> {
    let every = every?;
    let rule = "must be a number of steps of at least 1, or a time above 0 with its unit, such as 90s or 10m";
    match (every.parse::<usize>(), humantime::parse_duration(every)) {
        (Ok(steps), _) if steps > 0 => Some(Every::Steps(steps)),
        (Err(_), Ok(time)) if !time.is_zero() => Some(Every::Time(time)),
        _ => checker.fault("checkpoint-every", every, rule),
    }
}
