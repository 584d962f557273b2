//! The choices of `train` whose settings are options of their own.

use clap::ValueEnum;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

const AUTO: &str = "auto";

/// A learning rate, or `auto` for the one that a test finds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RateOption {
    Auto,
    Rate(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerOption {
    Adam,
    #[value(name = "adamw")]
    AdamW,
    Sgd,
    #[value(name = "rmsprop")]
    RmsProp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleOption {
    Constant,
    Cosine,
    Step,
    OneCycle,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModeOption {
    Auto,
    Min,
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoppingOption {
    Patience,
    Theano,
}

impl FromStr for RateOption {
    type Err = String;

    fn from_str(text: &str) -> Result<RateOption, String> {
        match (text, text.parse()) {
            (AUTO, _) => Ok(RateOption::Auto),
            (_, Ok(rate)) => Ok(RateOption::Rate(rate)),
            _ => Err(format!("must be a number or {AUTO}")),
        }
    }
}

impl Serialize for RateOption {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            RateOption::Auto => serializer.serialize_str(AUTO),
            RateOption::Rate(rate) => serializer.serialize_f64(*rate),
        }
    }
}

impl<'de> Deserialize<'de> for RateOption {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RateOption, D::Error> {
        struct Rate;

        impl Visitor<'_> for Rate {
            type Value = RateOption;

            fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
                write!(out, "a number or {AUTO}")
            }

            fn visit_f64<E: Error>(self, rate: f64) -> Result<RateOption, E> {
                Ok(RateOption::Rate(rate))
            }

            fn visit_i64<E: Error>(self, rate: i64) -> Result<RateOption, E> {
                Ok(RateOption::Rate(rate as f64))
            }

            fn visit_u64<E: Error>(self, rate: u64) -> Result<RateOption, E> {
                Ok(RateOption::Rate(rate as f64))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<RateOption, E> {
                let wrong = || E::invalid_type(Unexpected::Str(text), &self);
                if text == AUTO { Ok(RateOption::Auto) } else { Err(wrong()) }
            }
        }

        deserializer.deserialize_any(Rate)
    }
}
