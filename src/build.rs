//! Tells the linker where libtorch lies, so that the binary and the tests run without LD_LIBRARY_PATH,
//! and the program which version of libtorch it was built with. Compiles the two files of C++, for processes that
//! train together on CPUs and on GPUs.

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
        compile_nccl(Path::new(&folder));
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
    cpp(libraries).define("USE_C10D_GLOO", None).include(empty).file(SOURCE).compile("fitch_c10d");
}

/// Compiles nccl.cpp to a library of its own, where libtorch has CUDA and the headers of CUDA and NCCL lie beside it,
/// as the packages of PyPI put them. Where that fails, fitch does without.
#[cfg(feature = "distributed")]
fn compile_nccl(libraries: &Path) {
    const SOURCE: &str = "src/distributed/nccl.cpp";
    println!("cargo:rerun-if-changed={SOURCE}");
    let nvidia = libraries.join("../../nvidia");
    let (cuda, nccl) = (nvidia.join("cu13"), nvidia.join("nccl/include"));
    let headers =
        ["cuda_runtime.h", "crt/host_defines.h", "nv/target"].map(|name| cuda.join("include").join(name));
    let needed = [libraries.join("libtorch_cuda.so"), nccl.join("nccl.h")].into_iter().chain(headers);
    if !needed.into_iter().all(|path| path.exists()) {
        return;
    }
    let mut build = cpp(libraries);
    build.define("USE_C10D_NCCL", None).include(cuda.join("include")).include(nccl).file(SOURCE);
    let library = Path::new(&std::env::var("OUT_DIR").expect("cargo sets it")).join("libfitch_nccl.so");
    let built = build.try_compile_intermediates().map_err(|fault| fault.to_string()).and_then(|objects| {
        let mut link = build.get_compiler().to_command();
        link.arg("-shared").arg("-o").arg(&library).args(objects);
        link.arg("-L").arg(libraries).args(["-ltorch_cuda", "-lc10_cuda", "-ltorch_cpu", "-lc10"]);
        link.arg("-L").arg(cuda.join("lib")).args(["-l:libcudart.so.13", "-Wl,-z,defs"]);
        let (torch, cuda) = (libraries.display(), cuda.join("lib"));
        match link.arg(format!("-Wl,-rpath,{torch}:{}", cuda.display())).status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("the linker ended with {status}")),
            Err(fault) => Err(fault.to_string()),
        }
    });
    match built {
        Ok(()) => println!("cargo:rustc-env=FITCH_NCCL_LIBRARY={}", library.display()),
        Err(fault) => {
            println!("cargo:warning=several processes will not train on GPUs: {}", fault.replace('\n', " "));
        }
    }
}

/// A compiler for code that uses libtorch.
#[cfg(feature = "distributed")]
fn cpp(libraries: &Path) -> cc::Build {
    println!("cargo:rerun-if-changed=src/distributed/c10d.hpp");
    let include = libraries.join("../include");
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(1).debug(false).warnings(false);
    build.include(&include).include(include.join("torch/csrc/api/include"));
    build
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
