//! Which device to compute on, and why.

mod choice;
mod fault;
mod free_memory;

pub use crate::kernels::cuda_driver::{Gpu, driver_version, gpus};
pub use choice::{DeviceChoice, ParseDeviceError};
pub use fault::{Fault, NoDevice};

use crate::kernels::cuda_libraries::{self, Missing};
use crate::kernels::float32_math;
use crate::kernels::processor;
use anyhow::Result as AnyResult;
use free_memory::{FirstThatWorks, first_that_works};
use tch::{Cuda, Device, Kind, Tensor};

/// A device, and why it was chosen.
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
        Device::Cuda(index) => format!("cuda:{index}"),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Finds the device: a CUDA device that has computed something, or the CPU. This must be the first call into
/// libtorch in the process, while it has one thread: after the first question about CUDA, libtorch no longer
/// takes notice of the libraries for it.
///
/// Without an index, CUDA devices are tried in the order of their free memory, the lowest index first where
/// that is the same, until one works.
///
/// On a CUDA device, libtorch is told to compute in float32 ([`allow_tf32`]) and to choose algorithms of cuDNN
/// that give the same bits at each call. Its own defaults do neither for convolutions.
///
/// # Errors
/// A CUDA device that was asked for and cannot be used.
pub fn choose(choice: DeviceChoice) -> Result<ChosenDevice, Fault> {
    choose_by(choice, &any_cuda_device)
}

/// As [`choose`], for one of several processes of a machine: without an index, each takes the CUDA device of its
/// local rank, from 0, or the only one that it sees. The CPU is taken if that device does not work.
///
/// # Errors
/// As [`choose`].
pub fn choose_for_process(choice: DeviceChoice, local_rank: usize) -> Result<ChosenDevice, Fault> {
    choose_by(choice, &|| {
        let count = count_cuda()?;
        let found = device_of_process(local_rank, count);
        try_device(found.index).map_err(|cause| Fault { index: Some(found.index), cause })?;
        Ok(found)
    })
}

/// The device of a process where there are `count`. Where a scheduler gives processes their devices, each sees its own
/// only. More processes than devices are found out when they meet, on whatever machines they are.
fn device_of_process(local_rank: usize, count: usize) -> FirstThatWorks {
    let reason = match count {
        1 => "the only CUDA device".to_string(),
        _ => format!("by its local rank, of {count}"),
    };
    FirstThatWorks { index: local_rank % count, reason }
}

fn choose_by(
    choice: DeviceChoice,
    any_cuda_device: &dyn Fn() -> Result<FirstThatWorks, Fault>,
) -> Result<ChosenDevice, Fault> {
    let chosen = |device, reason: String| Ok(ChosenDevice { device, reason });
    let asked_for = || "asked for".to_string();
    match choice {
        DeviceChoice::Cpu => chosen(Device::Cpu, asked_for()),
        DeviceChoice::Cuda(index) => {
            check_cuda(index)?;
            try_device(index).map_err(|cause| Fault { index: Some(index), cause })?;
            chosen(Device::Cuda(index), asked_for())
        }
        DeviceChoice::Auto | DeviceChoice::AnyCuda => match any_cuda_device() {
            Ok(FirstThatWorks { index, reason }) => chosen(Device::Cuda(index), reason),
            Err(fault) if choice == DeviceChoice::AnyCuda => Err(fault),
            Err(Fault { index: None, cause }) => chosen(Device::Cpu, cause.to_string()),
            Err(fault) => chosen(Device::Cpu, fault.to_string()),
        },
    }
}

/// The number of CUDA devices that this process can see. None of them is used yet.
///
/// # Errors
/// Why there is none.
pub fn count_cuda() -> Result<usize, Fault> {
    cuda_devices().map_err(|cause| Fault { index: None, cause })
}

/// Whether there is a CUDA device of that index.
///
/// # Errors
/// Why there is none.
pub(crate) fn check_cuda(index: usize) -> Result<(), Fault> {
    let there = cuda_devices().and_then(|count| match index < count {
        true => Ok(()),
        false => Err(NoDevice::Fewer { count }),
    });
    there.map_err(|cause| Fault { index: Some(index), cause })
}

/// The CUDA device with the most free memory among those that work.
fn any_cuda_device() -> Result<FirstThatWorks, Fault> {
    let count = count_cuda()?;
    let mut free: Vec<Option<u64>> = gpus().iter().map(|gpu| gpu.free_memory).collect();
    if free.len() != count {
        // Then the driver's numbers are not libtorch's.
        free = vec![None; count];
    }
    first_that_works(&free, try_device)
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
        Device::Cuda(index) => capability(index) >= Some((8, 0)),
        _ => processor::has_bfloat16_products(),
    }
}

/// A CUDA device's compute capability, if it is known.
fn capability(index: usize) -> Option<(i32, i32)> {
    gpus().get(index)?.capability
}

/// The CPU's instructions that fitch computes faster with, each with whether this CPU has it.
pub fn cpu_features() -> [(&'static str, bool); 3] {
    [
        ("AVX2 + FMA", processor::has_fused_multiply_add()),
        ("AVX-512", processor::has_avx512()),
        ("AVX-512 BF16", processor::has_bfloat16_products()),
    ]
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
    Err(cause_of(&detail, || capability(index)))
}

/// Why nothing was computed, from what CUDA says. CUDA 13 has no code for compute capabilities below 7.5.
fn cause_of(detail: &str, capability: impl FnOnce() -> Option<(i32, i32)>) -> NoDevice {
    if detail.contains("no kernel image") {
        return NoDevice::NoCode { capability: capability() };
    }
    NoDevice::ComputesNothing { detail: detail.lines().next().unwrap_or_default().to_string() }
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
    fn the_cpu_is_always_there() {
        let chosen = choose(DeviceChoice::Cpu).unwrap();
        assert_eq!((chosen.device, device_name(chosen.device).as_str()), (Device::Cpu, "cpu"));
        assert_eq!(device_name(Device::Cuda(1)), "cuda:1");
    }

    #[test]
    fn a_process_takes_the_device_of_its_local_rank_or_the_only_one() {
        let device = |local_rank, count| {
            let FirstThatWorks { index, reason } = device_of_process(local_rank, count);
            (index, reason)
        };
        assert_eq!(device(1, 4), (1, "by its local rank, of 4".to_string()));
        assert_eq!(device(3, 1), (0, "the only CUDA device".to_string()));
        // The fifth process of four devices shares one, which their meeting refuses.
        assert_eq!(device(4, 4).0, 0);
    }

    #[test]
    fn a_device_that_computes_nothing_says_why() {
        let Err(NoDevice::ComputesNothing { detail }) = try_device(100) else { panic!("101 CUDA devices") };
        assert!(!detail.is_empty() && !detail.contains('\n'), "{detail}");
    }

    /// In the words of libtorch with CUDA 13 on a Pascal GPU.
    #[test]
    fn a_device_too_old_for_libtorch_is_named_by_its_capability() {
        let detail = "CUDA error: no kernel image is available for execution on the device\nSearch for";
        let cause = cause_of(detail, || Some((6, 1)));
        let fault = Fault { index: Some(0), cause };
        let text = "cannot use cuda:0: this libtorch has no code for compute capability 6.1";
        assert_eq!(fault.to_string(), text);
        let cause = cause_of("CUDA error: out of memory\nSearch for", || panic!("is not asked for"));
        assert_eq!(cause, NoDevice::ComputesNothing { detail: "CUDA error: out of memory".to_string() });
    }

    #[test]
    fn a_device_that_is_not_there_is_a_fault_with_a_reason() {
        let Err(fault) = choose(DeviceChoice::Cuda(99)) else { panic!("100 CUDA devices") };
        assert!(fault.index == Some(99) && fault.to_string().contains("cuda:99"), "{fault}");
    }
}
