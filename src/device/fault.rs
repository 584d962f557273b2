//! Why a CUDA device cannot be used.

use std::fmt;

/// A CUDA device was asked for and cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its index; none if any was asked for and there is none.
    pub index: Option<usize>,
    /// Why not.
    pub cause: NoDevice,
}

/// Why a CUDA device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoDevice {
    /// The machine has no NVIDIA driver.
    NoDriver,
    /// This libtorch was built without CUDA: another one is needed.
    LibtorchWithoutCuda {
        /// What the system's loader says.
        detail: String,
    },
    /// The driver is older than this libtorch's CUDA.
    OldDriver {
        /// The version of CUDA that the driver is for.
        has: String,
        /// The version that libtorch was built with.
        needs: String,
    },
    /// libtorch and the driver are there, but no device.
    NoneFound,
    /// The device is there, but computes nothing: out of memory, or in use by a process that keeps it for
    /// itself.
    ComputesNothing {
        /// What CUDA says.
        detail: String,
    },
    /// The device is there, but this libtorch was built without code for it.
    NoCode {
        /// The device's compute capability, such as (6, 1), if it is known.
        capability: Option<(i32, i32)>,
    },
    /// There are devices, but not that many.
    Fewer {
        /// How many there are.
        count: usize,
    },
}

impl fmt::Display for NoDevice {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            NoDevice::NoDriver => out.write_str("there is no NVIDIA driver (libcuda.so.1)"),
            NoDevice::LibtorchWithoutCuda { detail } => write!(out, "this libtorch has no CUDA ({detail})"),
            NoDevice::OldDriver { has, needs } => {
                write!(
                    out,
                    "the NVIDIA driver is for CUDA {has}, but this libtorch needs one for CUDA {needs}"
                )
            }
            NoDevice::ComputesNothing { detail } => write!(out, "it computes nothing ({detail})"),
            NoDevice::NoCode { capability: Some((major, minor)) } => {
                write!(out, "this libtorch has no code for compute capability {major}.{minor}")
            }
            NoDevice::NoCode { capability: None } => out.write_str("this libtorch has no code for it"),
            NoDevice::NoneFound => out.write_str("libtorch found no CUDA device it can use"),
            NoDevice::Fewer { count } => write!(out, "the CUDA devices are 0 to {}", count.saturating_sub(1)),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Fault { index: Some(index), cause: cause @ NoDevice::Fewer { .. } } => {
                write!(out, "there is no cuda:{index}: {cause}")
            }
            Fault { index: Some(index), cause } => write!(out, "cannot use cuda:{index}: {cause}"),
            Fault { index: None, cause } => write!(out, "cannot use cuda: {cause}"),
        }
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_names_the_device_and_the_reason() {
        let text = |index, cause| Fault { index, cause }.to_string();
        let missing = NoDevice::LibtorchWithoutCuda { detail: "x.so".to_string() };
        assert_eq!(text(Some(0), missing), "cannot use cuda:0: this libtorch has no CUDA (x.so)");
        assert_eq!(
            text(None, NoDevice::NoDriver),
            "cannot use cuda: there is no NVIDIA driver (libcuda.so.1)"
        );
        let old = NoDevice::OldDriver { has: "12.8".to_string(), needs: "13.0".to_string() };
        assert_eq!(
            text(Some(1), old),
            "cannot use cuda:1: the NVIDIA driver is for CUDA 12.8, but this libtorch needs one for CUDA 13.0"
        );
        let fewer = NoDevice::Fewer { count: 2 };
        assert_eq!(text(Some(3), fewer), "there is no cuda:3: the CUDA devices are 0 to 1");
        let nothing = NoDevice::ComputesNothing { detail: "out of memory".to_string() };
        assert_eq!(text(Some(0), nothing), "cannot use cuda:0: it computes nothing (out of memory)");
    }
}
