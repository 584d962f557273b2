//! What `fitch doctor` says of a machine. A fake driver stands in for GPUs.

use crate::place::{Place, skipped};
use std::path::Path;
use std::process::Command;

impl Place {
    /// Builds a driver of two GPUs that compute nothing; the folder for LD_LIBRARY_PATH. None, and a message,
    /// without a C compiler.
    pub fn fake_driver(&self, test: &str) -> Option<String> {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/fake_driver.c");
        for library in ["libcuda.so.1", "libnvidia-ml.so.1"] {
            let mut compiler = Command::new("cc");
            compiler.args(["-shared", "-fPIC", "-w", "-o"]).args([&self.path(library), &source]);
            match compiler.status() {
                Ok(status) => assert!(status.success()),
                Err(_) => {
                    skipped(test, "there is no C compiler");
                    return None;
                }
            }
        }
        Some(self.path("").display().to_string())
    }
}

#[test]
fn the_machine_is_described_in_lines_of_80_columns() {
    let place = Place::new();
    std::fs::create_dir_all(place.path(".cache/fitch/mnist")).unwrap();
    place.write(".cache/fitch/mnist", "images", &[0; 2048]);
    let finished = place.command(&["doctor"]).env("OMP_NUM_THREADS", "1").output().unwrap();
    let text = String::from_utf8(finished.stdout).unwrap();
    assert!(finished.status.success() && finished.stderr.is_empty(), "{text}");
    for part in [
        "fitch        0.1.0, a ",
        "libtorch     2.11.0",
        "libtorch_cpu.so",
        "AVX2 + FMA ",
        "AVX-512 BF16 ",
        "threads of fitch\n",
        "data         ~/.cache/fitch, 2.0 KiB\n             mnist 2.0 KiB\n",
        "OMP_NUM_THREADS=1",
    ] {
        assert!(text.contains(part), "no '{part}' in {text}");
    }
    // The folders of libraries have names of any length.
    let wide = text.lines().find(|line| line.chars().count() > 80 && !line.contains('/'));
    assert_eq!(wide, None);
}

#[test]
fn gpus_are_named_in_the_order_of_the_driver_with_the_free_memory_that_nvml_knows() {
    let place = Place::new();
    let Some(folder) = place.fake_driver("doctor") else { return };
    let finished = place.command(&["doctor"]).env("LD_LIBRARY_PATH", &folder).output().unwrap();
    let text = String::from_utf8(finished.stdout).unwrap();
    for part in [
        "driver       NVIDIA 580.65.06\n",
        "cuda:0       Fake GPU A, compute capability 6.1, 5.0 GiB of 8.0 GiB free\n             does not work: ",
        "cuda:1       Fake GPU B, compute capability 9.0, 70 GiB of 80 GiB free\n             does not work: ",
        "libcuda.so.1 libnvidia-ml.so.1",
    ] {
        assert!(text.contains(part), "no '{part}' in {text}");
    }
    let mut asked = place.command(&["doctor", "--working-gpus"]);
    assert_eq!(asked.env("LD_LIBRARY_PATH", &folder).output().unwrap().stdout, b"");
}

#[test]
fn the_devices_that_work_are_trained_on_and_compared() {
    let place = Place::new();
    let text = place.run(&["doctor", "--train"]).well().stdout;
    let row = text.lines().find(|line| line.starts_with("cpu ")).unwrap();
    let cells: Vec<f64> = row.split_whitespace().skip(1).map(|cell| cell.parse().unwrap()).collect();
    assert!(cells[0] < 2.0 && cells[1] > 0.5, "{row}");
    let ends = ["no GPU to compare the CPU with\n", "the losses agree within 0.1 %\n"];
    assert!(ends.iter().any(|end| text.ends_with(end)), "{text}");
    assert!(place.names("").iter().all(|name| name == ".cache"), "it leaves nothing behind");
}
