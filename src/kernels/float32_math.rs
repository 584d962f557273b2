//! How libtorch computes with float32 on CUDA devices: settings of its global context, which tch does not
//! bind.
//!
//! libtorch's own defaults (2.11, ATen/Context.h) compute convolutions in TF32, with 10 bits of mantissa
//! instead of 23, and let cuDNN choose algorithms whose sums differ from call to call. The settings are C++
//! methods of a type with no fields that callers see, found by their names in the libraries that the process
//! has loaded.

use anyhow::{Context, Result};

/// Lets products and convolutions of float32 be computed in TF32, or not.
///
/// # Errors
/// A libtorch that lacks the setting.
pub fn allow_tf32(allow: bool) -> Result<()> {
    set("_ZN2at7Context17setAllowTF32CuDNNEb", allow)?;
    set("_ZN2at7Context18setAllowTF32CuBLASEb", allow)
}

/// Makes cuDNN choose algorithms that give the same bits at each call.
///
/// # Errors
/// A libtorch that lacks the setting.
pub fn make_deterministic() -> Result<()> {
    set("_ZN2at7Context21setDeterministicCuDNNEb", true)
}

#[cfg(unix)]
fn set(setter: &str, value: bool) -> Result<()> {
    use libloading::os::unix::Library;
    use std::ffi::c_void;

    let process = Library::this();
    let lacks = || "this libtorch cannot be told how precisely to compute on CUDA devices";
    // SAFETY: at::globalContext() takes nothing, returns a reference that lives as long as the process, and
    // may be called at any time. By the C++ ABI of Unix a reference is a pointer.
    let context = unsafe {
        let context = process.get::<unsafe extern "C" fn() -> *mut c_void>("_ZN2at13globalContextEv");
        context.with_context(lacks)?()
    };
    // SAFETY: the names are those of methods of at::Context that take a bool and return nothing; by that ABI
    // the object is the first argument. They write a few fields of the context.
    unsafe {
        let setter = process.get::<unsafe extern "C" fn(*mut c_void, bool)>(setter);
        setter.with_context(lacks)?(context, value);
    }
    Ok(())
}

#[cfg(not(unix))]
fn set(_: &str, _: bool) -> Result<()> {
    anyhow::bail!("how precisely CUDA devices compute can be set on Unix systems only")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use libloading::os::unix::Library;
    use std::ffi::c_void;

    fn read(getter: &str) -> bool {
        // SAFETY: as in `set`; the getters take nothing and return a bool.
        unsafe {
            let process = Library::this();
            let context: libloading::os::unix::Symbol<unsafe extern "C" fn() -> *mut c_void> =
                process.get("_ZN2at13globalContextEv").unwrap();
            let getter: libloading::os::unix::Symbol<unsafe extern "C" fn(*mut c_void) -> bool> =
                process.get(getter).unwrap();
            getter(context())
        }
    }

    #[test]
    fn libtorch_takes_the_settings() {
        for allow in [true, false] {
            allow_tf32(allow).unwrap();
            assert_eq!(read("_ZNK2at7Context15allowTF32CuBLASEv"), allow);
        }
        make_deterministic().unwrap();
        assert!(read("_ZNK2at7Context18deterministicCuDNNEv"));
        assert!(set("_ZN2at7Context9setNothingEb", true).is_err());
    }
}
