//! Tells the linker where libtorch lies, so that the binary and the tests run without LD_LIBRARY_PATH,
//! and the program which version of libtorch it was built with.

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=src/build.rs");
    println!("cargo:rerun-if-env-changed=DEP_TCH_LIBTORCH_LIB");
    // torch-sys hands its folder on to the build scripts of the crates that depend on it directly.
    let folder = std::env::var("DEP_TCH_LIBTORCH_LIB").unwrap_or_default();
    // On Windows there is no run-time path: there the folder has to be on PATH.
    if !folder.is_empty() && std::env::var_os("CARGO_CFG_UNIX").is_some() {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{folder}");
    }
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        // What backtraces read is half of the program otherwise.
        println!("cargo:rustc-link-arg-bins=-Wl,--compress-debug-sections=zlib");
    }
    println!("cargo:libtorch_lib={folder}");
    println!("cargo:rustc-env=FITCH_LIBTORCH_VERSION={}", libtorch_version(Path::new(&folder)));
}

/// Read from libtorch's own header, since libtorch offers no function that tells.
fn libtorch_version(libraries: &Path) -> String {
    let header = libraries.join("../include/torch/headeronly/version.h");
    let text = std::fs::read_to_string(header).unwrap_or_default();
    let number = |part: &str| {
        let definition = format!("#define TORCH_VERSION_{part} ");
        text.lines().find_map(|line| line.strip_prefix(&definition)).unwrap_or("?").trim().to_string()
    };
    [number("MAJOR"), number("MINOR"), number("PATCH")].join(".")
}
