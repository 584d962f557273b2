//! Tells the linker where libtorch lies, so that the binary and the tests run without LD_LIBRARY_PATH,
//! and the program which version of libtorch it was built with. Compiles the one file of C++, for processes that
//! train together.

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
    let is_linux = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux");
    if is_linux {
        // What backtraces read is half of the program otherwise.
        println!("cargo:rustc-link-arg-bins=-Wl,--compress-debug-sections=zlib");
    }
    #[cfg(feature = "distributed")]
    if !folder.is_empty() && is_linux {
        compile_c10d(Path::new(&folder));
    }
    println!("cargo:libtorch_lib={folder}");
    println!("cargo:rustc-env=FITCH_LIBTORCH_VERSION={}", libtorch_version(Path::new(&folder)));
}

/// Compiles c10d.cpp against libtorch's headers, and empty ones in the place of gloo's, which are not among them.
#[cfg(feature = "distributed")]
fn compile_c10d(libraries: &Path) {
    const SOURCE: &str = "src/distributed/c10d.cpp";
    const GLOO: [&str; 5] =
        ["algorithm.h", "common/error.h", "context.h", "rendezvous/store.h", "transport/device.h"];
    println!("cargo:rerun-if-changed={SOURCE}");
    let empty = Path::new(&std::env::var("OUT_DIR").expect("cargo sets it")).join("include");
    for header in GLOO {
        let path = empty.join("gloo").join(header);
        std::fs::create_dir_all(path.parent().expect("it has a folder")).expect("OUT_DIR can be written");
        std::fs::write(path, "#pragma once\n").expect("OUT_DIR can be written");
    }
    let include = libraries.join("../include");
    cc::Build::new()
        .cpp(true)
        .std("c++17")
        .opt_level(1)
        .debug(false)
        .warnings(false)
        .define("USE_C10D_GLOO", None)
        .include(empty)
        .include(&include)
        .include(include.join("torch/csrc/api/include"))
        .file(SOURCE)
        .compile("fitch_c10d");
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
