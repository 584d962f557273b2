//! What NVIDIA's driver says of the GPUs, without libtorch: in the order, and with the numbers, that libtorch
//! gives them.
//!
//! Free memory comes from NVML, the library beneath nvidia-smi. The driver's own function for it,
//! `cuMemGetInfo`, needs a context on each GPU that is asked: some hundred megabytes that other programs lack
//! meanwhile, and refused where a GPU serves one process only. NVML counts all GPUs in the order of the PCI
//! bus, while the driver's order follows `CUDA_VISIBLE_DEVICES` and `CUDA_DEVICE_ORDER`; a UUID is the name of
//! a GPU in both.

/// A GPU that `CUDA_VISIBLE_DEVICES` shows. What the driver does not say is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gpu {
    /// Its name: `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// What sets it apart from every other GPU: `GPU-12345678-9abc-def0-0102-030405060708`.
    pub uuid: Option<String>,
    /// Its compute capability, such as (9, 0).
    pub capability: Option<(i32, i32)>,
    /// Bytes of memory.
    pub total_memory: Option<u64>,
    /// Bytes of memory that no program uses.
    pub free_memory: Option<u64>,
}

#[cfg(unix)]
pub use unix::{driver_version, gpus};

/// Not known on other systems.
#[cfg(not(unix))]
pub fn gpus() -> Vec<Gpu> {
    Vec::new()
}

/// Not known on other systems.
#[cfg(not(unix))]
pub fn driver_version() -> Option<String> {
    None
}

/// The name of a GPU, or of a part of one that MIG has divided, as NVML takes it.
fn uuid_text(kind: &str, uuid: [u8; 16]) -> String {
    let digits: Vec<String> = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    let groups = [0..4, 4..6, 6..8, 8..10, 10..16].map(|group| digits[group].concat());
    format!("{kind}-{}", groups.join("-"))
}

#[cfg(unix)]
mod unix {
    use super::{Gpu, uuid_text};
    use libloading::os::unix::{Library, RTLD_LAZY};
    use std::ffi::{CStr, CString, c_char, c_void};

    /// Calls a function that returns 0 if it could; leaves the caller with none if it could not, or is not
    /// there.
    macro_rules! call {
        ($library:expr, $function:literal, $($argument:expr => $kind:ty),*) => {{
            // SAFETY: the signatures are those of cuda.h and nvml.h, and pointers lead to variables that live
            // as long as the call, with room for what the function writes.
            let status = unsafe {
                let function = $library.get::<unsafe extern "C" fn($($kind),*) -> i32>($function).ok()?;
                function($($argument),*)
            };
            (status == 0).then_some(())?
        }};
    }

    /// A library, kept for the life of the process: threads of its own may run.
    fn open(name: &str) -> Option<&'static Library> {
        // SAFETY: the initialisers of NVIDIA's libraries only register what they offer.
        let library = unsafe { Library::open(Some(name), RTLD_LAZY) }.ok()?;
        Some(Box::leak(Box::new(library)))
    }

    /// NVML, ready for questions.
    fn nvml() -> Option<&'static Library> {
        let nvml = open("libnvidia-ml.so.1")?;
        call!(nvml, "nvmlInit_v2",);
        Some(nvml)
    }

    /// The GPUs by number; none without a driver, or if it refuses to start.
    pub fn gpus() -> Vec<Gpu> {
        let all = || {
            let driver = open("libcuda.so.1")?;
            let mut count = 0;
            call!(driver, "cuInit", 0 => u32);
            call!(driver, "cuDeviceGetCount", &mut count => *mut i32);
            let nvml = nvml();
            Some((0..count).map(|index| gpu(driver, nvml, index).unwrap_or_default()).collect())
        };
        all().unwrap_or_default()
    }

    fn gpu(driver: &Library, nvml: Option<&Library>, index: i32) -> Option<Gpu> {
        let mut device = 0;
        call!(driver, "cuDeviceGet", &mut device => *mut i32, index => i32);
        let capability = attribute(driver, device, CAPABILITY_MAJOR);
        Some(Gpu {
            name: name(driver, device).unwrap_or_default(),
            capability: capability.zip(attribute(driver, device, CAPABILITY_MINOR)),
            uuid: uuid(driver, device).map(|uuid| uuid_text("GPU", uuid)),
            total_memory: total_memory(driver, device),
            free_memory: nvml.and_then(|nvml| free_memory(nvml, uuid(driver, device)?)),
        })
    }

    fn name(driver: &Library, device: i32) -> Option<String> {
        let mut name: [c_char; 256] = [0; 256];
        call!(driver, "cuDeviceGetName", name.as_mut_ptr() => *mut c_char, 255 => i32, device => i32);
        Some(text(&name))
    }

    const CAPABILITY_MAJOR: i32 = 75;
    const CAPABILITY_MINOR: i32 = 76;

    fn attribute(driver: &Library, device: i32, attribute: i32) -> Option<i32> {
        let mut value = 0;
        call!(driver, "cuDeviceGetAttribute", &mut value => *mut i32, attribute => i32, device => i32);
        Some(value)
    }

    fn total_memory(driver: &Library, device: i32) -> Option<u64> {
        let mut bytes = 0;
        call!(driver, "cuDeviceTotalMem_v2", &mut bytes => *mut usize, device => i32);
        u64::try_from(bytes).ok()
    }

    /// The second version of the function also names a part of a GPU that MIG has divided.
    fn uuid(driver: &Library, device: i32) -> Option<[u8; 16]> {
        let mut uuid = [0; 16];
        call!(driver, "cuDeviceGetUuid_v2", &mut uuid => *mut [u8; 16], device => i32);
        Some(uuid)
    }

    fn free_memory(nvml: &Library, uuid: [u8; 16]) -> Option<u64> {
        let of = |kind: &str| {
            let name = CString::new(uuid_text(kind, uuid)).ok()?;
            let mut device = std::ptr::null_mut();
            call!(nvml, "nvmlDeviceGetHandleByUUID",
                name.as_ptr() => *const c_char, &mut device => *mut *mut c_void);
            // Total, free and used.
            let mut bytes = [0; 3];
            call!(nvml, "nvmlDeviceGetMemoryInfo", device => *mut c_void, &mut bytes => *mut [u64; 3]);
            Some(bytes[1])
        };
        of("GPU").or_else(|| of("MIG"))
    }

    /// The driver's version, as nvidia-smi gives it: `580.65.06`.
    pub fn driver_version() -> Option<String> {
        let mut version: [c_char; 96] = [0; 96];
        call!(nvml()?, "nvmlSystemGetDriverVersion", version.as_mut_ptr() => *mut c_char, 95 => u32);
        Some(text(&version))
    }

    /// A text that ends with a zero.
    fn text(buffer: &[c_char]) -> String {
        let bytes: Vec<u8> = buffer.iter().map(|&sign| sign as u8).collect();
        CStr::from_bytes_until_nul(&bytes).map_or(String::new(), |text| text.to_string_lossy().into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_written_as_nvidia_smi_writes_it() {
        let uuid = [0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(uuid_text("GPU", uuid), "GPU-12345678-9abc-def0-0102-030405060708");
    }
}
