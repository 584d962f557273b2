//! The library that nccl.cpp becomes, where libtorch has CUDA.

use super::Fault;
use super::exchanges::Exchanges;
use anyhow::{Context, Result};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use std::ffi::{c_char, c_int, c_void};
use std::path::PathBuf;

const NAME: &str = "libfitch_nccl.so";

type Join = unsafe extern "C" fn(*mut c_void, c_int, c_int, c_int, i64, *mut *mut c_void) -> *mut c_char;

/// Its functions.
#[derive(Debug)]
pub struct Nccl {
    pub join: Join,
    pub exchanges: Exchanges,
}

/// Opens the library for the life of the process. CUDA must be loaded.
///
/// # Errors
/// [`Fault::NoNccl`].
pub fn open() -> Result<Nccl> {
    open_first(places())
}

fn open_first(mut places: impl Iterator<Item = PathBuf>) -> Result<Nccl> {
    let path = places.find(|path| path.exists());
    let path = path.ok_or_else(|| Fault::NoNccl { detail: format!("there is no {NAME}") })?;
    // SAFETY: its initialisers, and those of what it needs, only register what they offer.
    let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) };
    let library = library.map_err(|fault| {
        // The reason is a cause of the error, in some versions of libloading.
        Fault::NoNccl { detail: format!("{}: {:#}", path.display(), anyhow::Error::new(fault)) }
    })?;
    // A thread of its own may run.
    let library: &'static Library = Box::leak(Box::new(library));
    // SAFETY: the signatures are those in nccl.cpp.
    let functions = || unsafe {
        anyhow::Ok(Nccl {
            join: *library.get("fitch_nccl_join")?,
            exchanges: Exchanges {
                gather: *library.get("fitch_nccl_gather")?,
                broadcast: *library.get("fitch_nccl_broadcast")?,
                check: Some(*library.get("fitch_nccl_check")?),
                free: *library.get("fitch_nccl_free")?,
            },
        })
    };
    functions().with_context(|| format!("{} is of another version of fitch", path.display()))
}

/// Where it may be: where the build script has left it, or beside the program.
fn places() -> impl Iterator<Item = PathBuf> {
    let built = option_env!("FITCH_NCCL_LIBRARY").map(PathBuf::from);
    let program = std::env::current_exe().ok();
    built.into_iter().chain(program.and_then(|program| Some(program.parent()?.join(NAME))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_that_is_missing_or_broken_is_a_fault_with_the_reason() {
        let detail = |places: Vec<PathBuf>| match open_first(places.into_iter()).unwrap_err().downcast_ref() {
            Some(Fault::NoNccl { detail }) => detail.clone(),
            other => panic!("{other:?}"),
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        assert_eq!(detail(vec![path.clone()]), "there is no libfitch_nccl.so");
        std::fs::write(&path, "no library").unwrap();
        assert!(detail(vec![path]).contains(NAME));
    }
}
