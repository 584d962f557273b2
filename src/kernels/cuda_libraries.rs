//! The libraries that register CUDA with libtorch. The linker leaves them out of a program, which names none
//! of their symbols; loaded when they are needed, they let one program serve machines with and without CUDA.

/// Why CUDA cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The machine has no NVIDIA driver.
    Driver,
    /// This libtorch was built without CUDA, or its libraries cannot be loaded; with the loader's reason.
    LibtorchWithCuda(String),
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
    if unsafe { Library::open(Some("libcuda.so.1"), RTLD_LAZY) }.is_err() {
        return Err(Missing::Driver);
    }
    // SAFETY: the initialisers of libtorch's own library only register what it offers.
    match unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) } {
        Ok(library) => {
            std::mem::forget(library);
            Ok(())
        }
        Err(fault) => {
            let fault = fault.to_string();
            Err(Missing::LibtorchWithCuda(fault.lines().next().unwrap_or_default().to_string()))
        }
    }
}

/// On other systems they are part of the program, or there are none.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn load() -> Result<(), Missing> {
    Ok(())
}
