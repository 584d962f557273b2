//! A device as users ask for it.

use std::fmt;
use std::str::FromStr;

/// A device as users ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// The CUDA device with the most free memory if one works, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device with the most free memory.
    AnyCuda,
    /// The CUDA device of that index, from 0.
    Cuda(usize),
}

/// A text that is not a [`DeviceChoice`]. Its message is the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseDeviceError;

impl fmt::Display for ParseDeviceError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("must be auto, cpu, cuda or cuda:N")
    }
}

impl std::error::Error for ParseDeviceError {}

impl FromStr for DeviceChoice {
    type Err = ParseDeviceError;

    fn from_str(text: &str) -> Result<DeviceChoice, ParseDeviceError> {
        match text.split_once(':') {
            None if text == "auto" => Ok(DeviceChoice::Auto),
            None if text == "cpu" => Ok(DeviceChoice::Cpu),
            None if text == "cuda" => Ok(DeviceChoice::AnyCuda),
            Some(("cuda", index)) => match index.parse::<u8>() {
                Ok(index) => Ok(DeviceChoice::Cuda(index.into())),
                Err(_) => Err(ParseDeviceError),
            },
            _ => Err(ParseDeviceError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names_parse() {
        assert_eq!("auto".parse().ok(), Some(DeviceChoice::Auto));
        assert_eq!("cpu".parse().ok(), Some(DeviceChoice::Cpu));
        assert_eq!("cuda".parse().ok(), Some(DeviceChoice::AnyCuda));
        assert_eq!("cuda:3".parse().ok(), Some(DeviceChoice::Cuda(3)));
        for wrong in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU", "cpu:0"] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_wrong_name_is_an_error_that_question_mark_takes() {
        fn parse(text: &str) -> anyhow::Result<DeviceChoice> {
            Ok(text.parse::<DeviceChoice>()?)
        }
        assert_eq!(parse("gpu").unwrap_err().to_string(), "must be auto, cpu, cuda or cuda:N");
    }
}
