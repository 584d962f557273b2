//! Collects one error for each bad value.

use crate::failure::UsageError;
use anyhow::{Result, bail};
use std::fmt::Display;
use std::time::Duration;

#[derive(Default)]
pub struct Checker {
    faults: Vec<String>,
}

impl Checker {
    /// Runs a check, which returns nothing only after it noted a fault.
    pub fn run<T>(check: impl FnOnce(&mut Checker) -> Option<T>) -> Result<T> {
        let mut checker = Checker::default();
        match check(&mut checker) {
            Some(checked) if checker.faults.is_empty() => Ok(checked),
            _ if checker.faults.is_empty() => {
                bail!("an option has no value, which is a fault of fitch itself")
            }
            _ => Err(UsageError(checker.faults).into()),
        }
    }

    /// Notes a fault and returns nothing.
    pub fn fault<T>(&mut self, flag: &str, value: impl Display, rule: &str) -> Option<T> {
        self.faults.push(format!("--{flag} {value}: {rule}"));
        None
    }

    /// Notes a fault whose message shows the value.
    pub fn fault_in<T>(&mut self, flag: &str, message: impl Display) -> Option<T> {
        self.faults.push(format!("--{flag}: {message}"));
        None
    }

    /// A whole number of at least `min`.
    pub fn count(&mut self, flag: &str, value: Option<i64>, min: i64) -> Option<usize> {
        let value = value?;
        if value < min {
            return self.fault(flag, value, &format!("must be a whole number of at least {min}"));
        }
        usize::try_from(value).ok()
    }

    /// A whole number from 1 to `max`.
    pub fn count_up_to(&mut self, flag: &str, value: Option<i64>, max: i64) -> Option<usize> {
        let value = value?;
        if !(1..=max).contains(&value) {
            return self.fault(flag, value, &format!("must be a whole number from 1 to {max}"));
        }
        usize::try_from(value).ok()
    }

    /// A time above 0.
    pub fn duration(&mut self, flag: &str, value: Option<&str>) -> Option<Duration> {
        let value = value?;
        match humantime::parse_duration(value) {
            Ok(duration) if !duration.is_zero() => Some(duration),
            _ => self.fault(flag, value, "must be a time above 0 with its unit, such as 90s, 10m or 2h"),
        }
    }

    /// A number for which the rule holds.
    pub fn number(
        &mut self,
        flag: &str,
        value: Option<f64>,
        rule: &str,
        holds: fn(f64) -> bool,
    ) -> Option<f64> {
        let value = value?;
        if !holds(value) {
            return self.fault(flag, value, rule);
        }
        Some(value)
    }

    pub fn finite(&mut self, flag: &str, value: Option<f64>) -> Option<f64> {
        self.number(flag, value, "must be a finite number", f64::is_finite)
    }

    pub fn not_negative(&mut self, flag: &str, value: Option<f64>) -> Option<f64> {
        self.number(flag, value, "must be a finite number of at least 0", |value| {
            value >= 0.0 && value.is_finite()
        })
    }

    pub fn share(&mut self, flag: &str, value: Option<f64>) -> Option<f64> {
        self.number(flag, value, "must be a share from 0 to below 1", |value| (0.0..1.0).contains(&value))
    }

    /// A number between 0 and 1, both excluded.
    pub fn factor(&mut self, flag: &str, value: Option<f64>) -> Option<f64> {
        self.number(flag, value, "must be above 0 and below 1", |value| value > 0.0 && value < 1.0)
    }
}

/// None only if the value that was given is wrong; `Some(None)` if none was given.
pub fn given_or_none<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(checked) => checked.map(Some),
    }
}
