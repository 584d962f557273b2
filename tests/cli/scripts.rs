//! What `scripts/libtorch` says before it downloads.

use crate::place::{Finished, Place, skipped};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// The script in a checkout of its own, beside an nvidia-smi with that answer. What is to be downloaded fits no
/// disk, so that it ends before that; its messages.
fn messages(place: &Place, libtorch: &str, gpus: &str) -> Option<String> {
    let script = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/libtorch")).unwrap();
    let pin = format!(
        "torch==1 --hash=sha256:{}  # any, 1 bytes\n# unpacked: 1{} bytes\n",
        "0".repeat(64),
        "0".repeat(18)
    );
    for folder in ["scripts", "bin"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    place.write("scripts", "libtorch", &script);
    for set in ["cpu", "cuda"] {
        place.write("scripts", &format!("libtorch-{set}.txt"), pin.as_bytes());
    }
    place.write("bin", "nvidia-smi", format!("#!/bin/sh\necho '{gpus}'\n").as_bytes());
    fs::set_permissions(place.path("bin/nvidia-smi"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut python = Command::new("python3");
    python.arg(place.path("scripts/libtorch")).env_remove("LIBTORCH").env("FITCH_LIBTORCH", libtorch);
    let python = python.env("PATH", format!("{}:{path}", place.path("bin").display())).output();
    let Ok(output) = python else {
        skipped("scripts/libtorch", "there is no python3");
        return None;
    };
    Some(Finished::from(output).with_fault(1, &["are needed"]).stderr)
}

/// It said so only where it chose the set itself.
#[test]
fn a_gpu_that_cannot_use_the_set_with_cuda_is_named_before_the_download() {
    let place = Place::new();
    let gpus = [
        ("Quadro P4000, 580.65.06, 6.1", "compute capability 6.1, but needs 7.5"),
        ("NVIDIA H100, 550.54.15, 9.0", "driver 550, but needs 580"),
    ];
    for (gpu, reason) in gpus {
        for (asked, beginning) in
            [("cuda", "warning: no GPU here can use"), ("", "warning: no set with CUDA")]
        {
            let Some(text) = messages(&place, asked, gpu) else { return };
            assert!(text.contains(beginning) && text.contains(reason), "{text}");
        }
    }
    let both = "Quadro P4000, 580.65.06, 6.1\nNVIDIA H100, 580.65.06, 9.0";
    for asked in ["cuda", "cpu", ""] {
        let Some(text) = messages(&place, asked, both) else { return };
        assert!(!text.contains("warning"), "{text}");
    }
}
