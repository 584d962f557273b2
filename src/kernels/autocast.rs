//! libtorch's own mixed precision (autocast) in bfloat16. tch can only switch it on for CUDA devices, where it
//! then computes in float16, which needs its losses scaled. The settings are C++ functions, found by their names
//! in the libraries that the process has loaded.

use anyhow::Result;
use tch::Device;

/// Does work in which libtorch computes products and convolutions in bfloat16, and the rest as it sees fit.
///
/// # Errors
/// Those of the work; a device that is neither a CPU nor a CUDA device; a libtorch that lacks the settings.
pub fn in_bfloat16<T>(device: Device, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let _guard = Autocast::begin(device)?;
    work()
}

#[cfg(unix)]
type Setter = unsafe extern "C" fn(i8, i8);

/// Autocast that ends when this is dropped.
#[cfg(unix)]
struct Autocast {
    device: i8,
    enable: Setter,
    clear_cache: unsafe extern "C" fn(),
}

#[cfg(unix)]
impl Autocast {
    fn begin(device: Device) -> Result<Autocast> {
        use anyhow::{Context, bail};
        use libloading::os::unix::Library;

        /// `c10::ScalarType::BFloat16`.
        const BFLOAT16: i8 = 15;
        let device = match device {
            Device::Cpu => 0,
            Device::Cuda(_) => 1,
            other => bail!("libtorch has no bfloat16 for {other:?}"),
        };
        let process = Library::this();
        let lacks = || "this libtorch has no autocast";
        // SAFETY: by these names libtorch has functions of namespaces that take a c10::DeviceType and a
        // c10::ScalarType or bool, each of one byte, or one bool, or nothing, and return nothing; they write
        // settings of the thread, that of the scripts one of the process.
        unsafe {
            let found = process
                .get::<Setter>("_ZN2at8autocast18set_autocast_dtypeEN3c1010DeviceTypeENS1_10ScalarTypeE");
            let set_type = found.with_context(lacks)?;
            let found = process.get::<Setter>("_ZN2at8autocast20set_autocast_enabledEN3c1010DeviceTypeEb");
            let enable = *found.with_context(lacks)?;
            let found = process.get::<unsafe extern "C" fn()>("_ZN2at8autocast11clear_cacheEv");
            let clear_cache = *found.with_context(lacks)?;
            let found = process.get::<unsafe extern "C" fn(bool)>("_ZN5torch3jit15setAutocastModeEb");
            let rewrite_scripts = found.with_context(lacks)?;
            // What libtorch makes of scripts for it lacks the casts of some operators.
            rewrite_scripts(false);
            set_type(device, BFLOAT16);
            enable(device, 1);
            Ok(Autocast { device, enable, clear_cache })
        }
    }
}

#[cfg(unix)]
impl Drop for Autocast {
    fn drop(&mut self) {
        // SAFETY: as in `begin`.
        unsafe {
            (self.enable)(self.device, 0);
            // Weights that were cast are kept in it, and change with the next step.
            (self.clear_cache)();
        }
    }
}

#[cfg(not(unix))]
struct Autocast;

#[cfg(not(unix))]
impl Autocast {
    fn begin(_: Device) -> Result<Autocast> {
        anyhow::bail!("bfloat16 of libtorch's can be set on Unix systems only")
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use tch::{Kind, Tensor};

    #[test]
    fn products_are_bfloat16_within_only() {
        let values = Tensor::rand([4, 4], (Kind::Float, Device::Cpu));
        let product = || values.mm(&values).kind();
        assert_eq!(in_bfloat16(Device::Cpu, || Ok(product())).unwrap(), Kind::BFloat16);
        assert_eq!(product(), Kind::Float);
        assert!(in_bfloat16(Device::Mps, || Ok(())).is_err());
    }
}
