//! Which device to compute on, and why.

use crate::kernels::cuda_libraries::{self, Missing};
use crate::kernels::float32_math;
use crate::kernels::processor::has_bfloat16_products;
use anyhow::Result as AnyResult;
use std::fmt;
use std::str::FromStr;
use tch::{Cuda, Device, Kind, Tensor};

/// A device as users ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A CUDA device if there is one, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
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
            None if text == "cuda" => Ok(DeviceChoice::Cuda(0)),
            Some(("cuda", index)) => match index.parse::<u8>() {
                Ok(index) => Ok(DeviceChoice::Cuda(index.into())),
                Err(_) => Err(ParseDeviceError),
            },
            _ => Err(ParseDeviceError),
        }
    }
}

/// A device, and why it was chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenDevice {
    /// The device.
    pub device: Device,
    /// Why, for people.
    pub reason: String,
}

/// A CUDA device was asked for by its index and cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The index asked for.
    pub index: usize,
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
    /// The device is there, but computes nothing: too old for this libtorch, out of memory, or in use by a
    /// process that keeps it for itself.
    ComputesNothing {
        /// What CUDA says.
        detail: String,
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
            NoDevice::NoneFound => out.write_str("libtorch found no CUDA device it can use"),
            NoDevice::Fewer { count } => write!(out, "the CUDA devices are 0 to {}", count.saturating_sub(1)),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Fault { index, cause: cause @ NoDevice::Fewer { .. } } => {
                write!(out, "there is no cuda:{index}: {cause}")
            }
            Fault { index, cause } => write!(out, "cannot use cuda:{index}: {cause}"),
        }
    }
}

impl std::error::Error for Fault {}

/// `cpu` or `cuda:0`.
pub fn device_name(device: Device) -> String {
    match device {
        Device::Cuda(index) => format!("cuda:{index}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Finds the device: a CUDA device that has computed something, or the CPU. This must be the first call into
/// libtorch in the process, while it has one thread: after the first question about CUDA, libtorch no longer
/// takes notice of the libraries for it.
///
/// On a CUDA device, libtorch is told to compute in float32 ([`allow_tf32`]) and to choose algorithms of cuDNN
/// that give the same bits at each call. Its own defaults do neither for convolutions.
///
/// # Errors
/// A CUDA device that was asked for by its index and cannot be used.
pub fn choose(choice: DeviceChoice) -> Result<ChosenDevice, Fault> {
    let chosen = |device, reason: &str| Ok(ChosenDevice { device, reason: reason.to_string() });
    if choice == DeviceChoice::Cpu {
        return chosen(Device::Cpu, "asked for");
    }
    let index = if let DeviceChoice::Cuda(index) = choice { index } else { 0 };
    let usable = cuda_devices().and_then(|count| match index < count {
        true => try_device(index).map(|()| count),
        false => Err(NoDevice::Fewer { count }),
    });
    match (usable, choice) {
        (Ok(_), DeviceChoice::Cuda(_)) => chosen(Device::Cuda(index), "asked for"),
        (Ok(1), _) => chosen(Device::Cuda(0), "the first of 1 CUDA device"),
        (Ok(count), _) => chosen(Device::Cuda(0), &format!("the first of {count} CUDA devices")),
        (Err(cause), DeviceChoice::Cuda(_)) => Err(Fault { index, cause }),
        (Err(cause @ NoDevice::ComputesNothing { .. }), _) => {
            chosen(Device::Cpu, &format!("cuda:{index} is there, but {cause}"))
        }
        (Err(cause), _) => chosen(Device::Cpu, &cause.to_string()),
    }
}

/// Lets CUDA devices compute products and convolutions of float32 in TF32, with 10 bits of mantissa instead of
/// 23, which is faster where it exists (compute capability 8.0 and above); or not, as [`choose`] sets it.
///
/// # Errors
/// A libtorch that lacks the setting.
pub fn allow_tf32(allow: bool) -> AnyResult<()> {
    float32_math::allow_tf32(allow)
}

/// Whether a device has instructions for bfloat16: a CPU with AVX-512 BF16, a CUDA device of compute
/// capability 8.0. Without them it is emulated. False if that is not known.
pub fn has_bfloat16(device: Device) -> bool {
    match device {
        Device::Cuda(index) => cuda_libraries::compute_capability(index) >= Some((8, 0)),
        _ => has_bfloat16_products(),
    }
}

/// Computes something on a device. That devices are counted says nothing of whether they work.
fn try_device(index: usize) -> Result<(), NoDevice> {
    let compute = || -> AnyResult<f64> {
        let ones = Tensor::f_ones([2], (Kind::Float, Device::Cuda(index)))?;
        Ok(ones.f_sum(Kind::Float)?.f_double_value(&[])?)
    };
    let detail = match compute() {
        Ok(2.0) => {
            // An older libtorch than the one that fitch is made for may lack them, and its own defaults hold.
            let _ = float32_math::allow_tf32(false).and_then(|()| float32_math::make_deterministic());
            return Ok(());
        }
        Ok(sum) => format!("1 + 1 is {sum} there"),
        Err(fault) => format!("{fault:#}"),
    };
    Err(NoDevice::ComputesNothing { detail: detail.lines().next().unwrap_or_default().to_string() })
}

/// The number of CUDA devices, at least 1.
fn cuda_devices() -> Result<usize, NoDevice> {
    cuda_libraries::load().map_err(|missing| match missing {
        Missing::Driver => NoDevice::NoDriver,
        Missing::LibtorchWithCuda(detail) => NoDevice::LibtorchWithoutCuda { detail },
        Missing::NewerDriver { has, needs } => NoDevice::OldDriver { has, needs },
    })?;
    // Asked although the count follows: this is what initialises CUDA, and it never throws.
    if !Cuda::is_available() {
        return Err(NoDevice::NoneFound);
    }
    match usize::try_from(Cuda::device_count()) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(NoDevice::NoneFound),
    }
}

/// Whether a message of libtorch's says that memory ran out, on the CPU or a CUDA device: from its allocators,
/// or from cuBLAS and cuDNN.
pub fn is_out_of_memory(message: &str) -> bool {
    const PHRASES: [&str; 5] = [
        "out of memory",
        "not enough memory",
        "can't allocate memory",
        "CUBLAS_STATUS_ALLOC_FAILED",
        "CUDNN_STATUS_ALLOC_FAILED",
    ];
    PHRASES.iter().any(|phrase| message.contains(phrase))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names_parse() {
        assert_eq!("auto".parse().ok(), Some(DeviceChoice::Auto));
        assert_eq!("cpu".parse().ok(), Some(DeviceChoice::Cpu));
        assert_eq!("cuda".parse().ok(), Some(DeviceChoice::Cuda(0)));
        assert_eq!("cuda:3".parse().ok(), Some(DeviceChoice::Cuda(3)));
        for wrong in ["", "gpu", "cuda:", "cuda:x", "cuda:-1", "CPU", "cpu:0"] {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_cpu_is_always_there() {
        let chosen = choose(DeviceChoice::Cpu).unwrap();
        assert_eq!((chosen.device, device_name(chosen.device).as_str()), (Device::Cpu, "cpu"));
        assert_eq!(device_name(Device::Cuda(1)), "cuda:1");
    }

    /// As where a GPU is too old for the libraries: without a GPU, libtorch refuses, too.
    #[test]
    fn a_device_that_computes_nothing_says_why() {
        let Err(NoDevice::ComputesNothing { detail }) = try_device(100) else { panic!("101 CUDA devices") };
        assert!(!detail.is_empty() && !detail.contains('\n'), "{detail}");
        let cause = NoDevice::ComputesNothing { detail: "no kernel image".to_string() };
        let fault = Fault { index: 0, cause }.to_string();
        assert_eq!(fault, "cannot use cuda:0: it computes nothing (no kernel image)");
    }

    #[test]
    fn a_wrong_name_is_an_error_that_question_mark_takes() {
        fn parse(text: &str) -> anyhow::Result<DeviceChoice> {
            Ok(text.parse::<DeviceChoice>()?)
        }
        assert_eq!(parse("gpu").unwrap_err().to_string(), "must be auto, cpu, cuda or cuda:N");
    }

    #[test]
    fn a_device_that_is_not_there_is_a_fault_with_a_reason() {
        let Err(fault) = choose(DeviceChoice::Cuda(99)) else { panic!("100 CUDA devices") };
        assert!(matches!(fault.index, 99) && fault.to_string().contains("cuda:99"), "{fault}");
        let missing = Fault { index: 0, cause: NoDevice::LibtorchWithoutCuda { detail: "x.so".to_string() } };
        assert_eq!(missing.to_string(), "cannot use cuda:0: this libtorch has no CUDA (x.so)");
        let old = NoDevice::OldDriver { has: "12.8".to_string(), needs: "13.0".to_string() };
        assert_eq!(
            Fault { index: 1, cause: old }.to_string(),
            "cannot use cuda:1: the NVIDIA driver is for CUDA 12.8, but this libtorch needs one for CUDA 13.0"
        );
        let fewer = Fault { index: 3, cause: NoDevice::Fewer { count: 2 } };
        assert_eq!(fewer.to_string(), "there is no cuda:3: the CUDA devices are 0 to 1");
    }
}
