//! Which device to compute on, and why. It must not know what is computed.

use anyhow::{Result, bail};
use std::str::FromStr;
use tch::{Cuda, Device};

/// What the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A CUDA device if there is one, else the CPU.
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device of that number, from 0.
    Cuda(usize),
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<DeviceChoice, String> {
        match text.split_once(':') {
            None if text == "auto" => Ok(DeviceChoice::Auto),
            None if text == "cpu" => Ok(DeviceChoice::Cpu),
            None if text == "cuda" => Ok(DeviceChoice::Cuda(0)),
            Some(("cuda", number)) if number.parse::<u8>().is_ok() => {
                Ok(DeviceChoice::Cuda(number.parse().unwrap_or(0)))
            }
            _ => Err("must be auto, cpu, cuda or cuda:N".to_string()),
        }
    }
}

/// A device, and a line that tells why it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenDevice {
    /// The device.
    pub device: Device,
    /// Why, for people.
    pub reason: String,
}

/// `cpu` or `cuda:0`.
pub fn device_name(device: Device) -> String {
    match device {
        Device::Cuda(number) => format!("cuda:{number}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Lets CUDA compute products of float32 in TF32, with 10 bits of mantissa instead of 23. To be called
/// before [`choose`], while there is one thread.
pub fn allow_tf32() {
    // SAFETY: no other thread reads the environment meanwhile. cuBLAS does when it is brought in; tch has
    // no other way to tell it.
    unsafe { std::env::set_var("NVIDIA_TF32_OVERRIDE", "1") };
}

/// Whether the CPU has instructions for products of bfloat16. False where that is not known.
pub fn cpu_has_bfloat16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// Finds the device. This must be the first call into libtorch in the process: after the first question
/// about CUDA, its libraries can no longer be brought in.
///
/// # Errors
/// A CUDA device that was asked for by name and is not there, with the reason.
pub fn choose(choice: DeviceChoice) -> Result<ChosenDevice> {
    let on_cpu = |reason: &str| ChosenDevice { device: Device::Cpu, reason: reason.to_string() };
    if choice == DeviceChoice::Cpu {
        return Ok(on_cpu("asked for"));
    }
    match (cuda_devices(), choice) {
        (Ok(count), DeviceChoice::Cuda(number)) if number >= count => {
            bail!("there is no cuda:{number}: the CUDA devices are 0 to {}", count - 1)
        }
        (Ok(_), DeviceChoice::Cuda(number)) => {
            Ok(ChosenDevice { device: Device::Cuda(number), reason: "asked for".to_string() })
        }
        (Ok(count), _) => {
            let reason = format!("the first of {count} CUDA device{}", if count == 1 { "" } else { "s" });
            Ok(ChosenDevice { device: Device::Cuda(0), reason })
        }
        (Err(why), DeviceChoice::Cuda(number)) => bail!("cannot use cuda:{number}: {why}"),
        (Err(why), _) => Ok(on_cpu(&why)),
    }
}

/// The number of CUDA devices, at least 1, or why there is none.
fn cuda_devices() -> Result<usize, String> {
    load_cuda_libraries()?;
    // Asked for although the count follows: it is what initialises CUDA, and it never throws.
    if !Cuda::is_available() {
        return Err("libtorch found no CUDA device it can use".to_string());
    }
    match usize::try_from(Cuda::device_count()) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err("libtorch found no CUDA device it can use".to_string()),
    }
}

/// Brings in the libraries that register CUDA with libtorch. The linker leaves them out of the binary,
/// which names none of their symbols; so one binary serves machines with and without CUDA.
#[cfg(unix)]
fn load_cuda_libraries() -> Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LAZY, RTLD_NOW};
    // The driver first: without it the large libraries need not be loaded.
    // SAFETY: these are the libraries of the driver and of libtorch itself; their initialisers only
    // register what they offer.
    let driver = unsafe { Library::open(Some("libcuda.so.1"), RTLD_LAZY) };
    if driver.is_err() {
        return Err("there is no NVIDIA driver (libcuda.so.1)".to_string());
    }
    // SAFETY: as above.
    match unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) } {
        Ok(library) => {
            // It must stay for the life of the process.
            std::mem::forget(library);
            Ok(())
        }
        Err(fault) => {
            let fault = fault.to_string();
            let first_line = fault.lines().next().unwrap_or_default();
            Err(format!(
                "this libtorch has no CUDA ({first_line}); FITCH_LIBTORCH=cuda scripts/fitch gets one that has"
            ))
        }
    }
}

#[cfg(not(unix))]
fn load_cuda_libraries() -> Result<(), String> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_names_parse() {
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        assert_eq!("cpu".parse(), Ok(DeviceChoice::Cpu));
        assert_eq!("cuda".parse(), Ok(DeviceChoice::Cuda(0)));
        assert_eq!("cuda:3".parse(), Ok(DeviceChoice::Cuda(3)));
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
}
