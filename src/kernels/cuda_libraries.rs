//! The libraries that register CUDA with libtorch. The linker leaves them out of a program, which names none
//! of their symbols; loaded when they are needed, they let one program serve machines with and without CUDA.

/// Why CUDA cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The machine has no NVIDIA driver.
    Driver,
    /// This libtorch was built without CUDA, or its libraries cannot be loaded; with the loader's reason.
    LibtorchWithCuda(String),
    /// The driver is older than libtorch's CUDA; with the version of CUDA that each is for: `12.8`.
    NewerDriver { has: String, needs: String },
}

/// Loads them for the life of the process.
///
/// # Errors
/// What is missing.
#[cfg(unix)]
pub fn load() -> Result<(), Missing> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_LAZY, RTLD_NOW};
    // The driver first: without it, the large libraries need not be loaded.
    // SAFETY: the initialisers of NVIDIA's driver only register what it offers.
    let Ok(driver) = (unsafe { Library::open(Some("libcuda.so.1"), RTLD_LAZY) }) else {
        return Err(Missing::Driver);
    };
    // SAFETY: the initialisers of libtorch's own library only register what it offers.
    match unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) } {
        Ok(library) => std::mem::forget(library),
        Err(fault) => {
            let fault = fault.to_string();
            return Err(Missing::LibtorchWithCuda(fault.lines().next().unwrap_or_default().to_string()));
        }
    }
    let runtime = Library::this();
    let of_driver = version(&driver, "cuDriverGetVersion");
    check_driver(of_driver, version(&runtime, "cudaRuntimeGetVersion"))
}

/// What a function of CUDA says of its version: 12080 for 12.8. Both may be called before anything else.
#[cfg(unix)]
fn version(library: &libloading::os::unix::Library, function: &str) -> Option<i32> {
    let mut version = 0;
    // SAFETY: both functions take a pointer to an int, write it, and return 0 where they could.
    let status =
        unsafe { library.get::<unsafe extern "C" fn(*mut i32) -> i32>(function).ok()?(&mut version) };
    (status == 0 && version > 0).then_some(version)
}

/// A driver serves every CUDA of its own major version and of those before (NVIDIA's minor version
/// compatibility).
fn check_driver(driver: Option<i32>, runtime: Option<i32>) -> Result<(), Missing> {
    let text = |version: i32| format!("{}.{}", version / 1000, version % 1000 / 10);
    match driver.zip(runtime) {
        Some((has, needs)) if has / 1000 < needs / 1000 => {
            Err(Missing::NewerDriver { has: text(has), needs: text(needs) })
        }
        _ => Ok(()),
    }
}

/// On other systems they are part of the program, or there are none.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn load() -> Result<(), Missing> {
    check_driver(None, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_for_an_older_cuda_is_found_out() {
        let older = check_driver(Some(12080), Some(13000));
        assert_eq!(older, Err(Missing::NewerDriver { has: "12.8".to_string(), needs: "13.0".to_string() }));
        for (driver, runtime) in
            [(Some(13000), Some(13020)), (Some(14010), Some(13000)), (None, Some(13000)), (Some(12080), None)]
        {
            assert_eq!(check_driver(driver, runtime), Ok(()));
        }
    }
}
