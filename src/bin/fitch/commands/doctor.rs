//! `fitch doctor`: what a bug report needs to say about a machine, and whether its devices agree.

use super::restart_with_short_spins;
use super::table::table;
use crate::cli::DoctorOptions;
use crate::exit::Exit;
use crate::failure;
use crate::terminal::Terminal;
use anyhow::{Context, Result, ensure};
use fitch::data::{Source, default_folder};
use fitch::device::{self, DeviceChoice, Gpu, device_name};
use fitch::model::{Layers, Model, Network};
use fitch::optim::{Optimizer, keras_adam};
use fitch::text::{byte_size, printable};
use fitch::train::{Fit, evaluate};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::available_parallelism;
use std::time::Instant;
use std::{env, fs};
use tch::Device;

/// The variables that change how fitch computes.
const VARIABLES: [&str; 11] = [
    "CUDA_DEVICE_ORDER",
    "CUDA_VISIBLE_DEVICES",
    "FITCH_DATA_DIR",
    "FITCH_LIBTORCH",
    "GOMP_CPU_AFFINITY",
    "GOMP_SPINCOUNT",
    "LD_LIBRARY_PATH",
    "LIBTORCH",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "OMP_WAIT_POLICY",
];

/// What `--train` trains: without dropout, whose masks differ between devices.
const LAYERS: &str = "conv2d 8 3, relu, maxpool2d 2, dense 64, relu";
const EPOCHS: usize = 5;
/// How far the loss of a device may be from the CPU's, as a share of it. Devices round in different places:
/// a change of the initial weights by a millionth moved this loss by less than a millionth.
const TOLERANCE: f64 = 0.001;

pub fn run(options: &DoctorOptions, terminal: &Terminal) -> Result<Exit> {
    if options.train {
        restart_with_short_spins();
    }
    let gpus = device::gpus();
    // The first calls into libtorch.
    let trials: Vec<Result<(), device::Fault>> =
        (0..gpus.len()).map(|index| device::choose(DeviceChoice::Cuda(index)).map(|_| ())).collect();
    let working: Vec<usize> = (0..gpus.len()).filter(|&index| trials[index].is_ok()).collect();
    if options.working_gpus {
        terminal.result(&working.iter().map(|index| format!("{index}\n")).collect::<String>())?;
        return Ok(Exit::Success);
    }
    let mut facts = Facts::default();
    facts.add_versions();
    facts.add_gpus(&gpus, &trials);
    facts.add_cpu();
    facts.add_surroundings();
    terminal.result(&facts.text)?;
    match options.train {
        true => compare(&working, terminal),
        false => Ok(Exit::Success),
    }
}

/// The GPUs that work, found out by a process of its own: the memory that a trial takes is free again when it
/// has ended, and so is a GPU that serves one process only.
///
/// # Errors
/// The process ended badly.
pub fn working_gpus() -> Result<Vec<usize>> {
    if device::gpus().is_empty() {
        return Ok(Vec::new());
    }
    let program = env::current_exe().context("cannot find the path of this program")?;
    let mut command = Command::new(program);
    let answer = command.args(["doctor", "--working-gpus"]).stdin(Stdio::null()).stderr(Stdio::inherit());
    let answer = answer.output().context("cannot find out which GPUs work")?;
    ensure!(
        answer.status.success(),
        "cannot find out which GPUs work: fitch doctor ended with {}",
        answer.status
    );
    Ok(String::from_utf8_lossy(&answer.stdout).lines().filter_map(|line| line.parse().ok()).collect())
}

/// Names and what is known of them, a line each.
#[derive(Default)]
struct Facts {
    text: String,
}

impl Facts {
    const NAME_COLUMNS: usize = 13;
    const COLUMNS: usize = 80;

    /// A fact, in as many lines as it needs; a word that is longer than a line stays whole.
    fn add(&mut self, name: &str, fact: &str) {
        let mut line = format!("{name:<width$}", width = Self::NAME_COLUMNS);
        let mut is_empty = true;
        for word in fact.split(' ') {
            if !is_empty && line.chars().count() + 1 + word.chars().count() > Self::COLUMNS {
                let _ = writeln!(self.text, "{line}");
                (line, is_empty) = (" ".repeat(Self::NAME_COLUMNS), true);
            }
            if !is_empty {
                line.push(' ');
            }
            line.push_str(word);
            is_empty = false;
        }
        let _ = writeln!(self.text, "{line}");
    }

    fn add_versions(&mut self) {
        let build = if cfg!(debug_assertions) { "a debug build" } else { "a release build" };
        self.add("fitch", &format!("{}, {build}", env!("CARGO_PKG_VERSION")));
        let kernel = read_line("/proc/sys/kernel/osrelease").unwrap_or_default();
        self.add("system", format!("{} {} {kernel}", env::consts::OS, env::consts::ARCH).trim_end());
        let found = libraries(&fs::read_to_string("/proc/self/maps").unwrap_or_default());
        let home = found.iter().find(|(_, names)| names.iter().any(|name| name.starts_with("libtorch_cpu")));
        let cuda = match home {
            Some((folder, _)) if folder.join("libtorch_cuda.so").exists() => ", with CUDA",
            Some(_) => ", without CUDA",
            None => "",
        };
        self.add("libtorch", &format!("{}{cuda}", env!("FITCH_LIBTORCH_VERSION")));
        for (index, (folder, names)) in found.iter().enumerate() {
            let names = names.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
            let name = if index == 0 { "libraries" } else { "" };
            self.add(name, &format!("{}: {names}", shown(folder)));
        }
    }

    fn add_gpus(&mut self, gpus: &[Gpu], trials: &[Result<(), device::Fault>]) {
        if let Some(version) = device::driver_version() {
            self.add("driver", &format!("NVIDIA {version}"));
        }
        if gpus.is_empty() {
            let none = match device::choose(DeviceChoice::AnyCuda) {
                Err(fault) => fault.cause.to_string(),
                Ok(_) => "the driver names none".to_string(),
            };
            self.add("GPUs", &format!("none: {none}"));
        }
        for (index, (gpu, trial)) in gpus.iter().zip(trials).enumerate() {
            self.add(&format!("cuda:{index}"), &describe(gpu));
            self.add(
                "",
                &match trial {
                    Ok(()) => "works: a kernel ran".to_string(),
                    Err(fault) => format!("does not work: {}", fault.cause),
                },
            );
        }
    }

    fn add_cpu(&mut self) {
        let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = values(&information, "model name").next().unwrap_or("unknown");
        self.add("CPU", model);
        let features = device::cpu_features().map(|(name, is_there)| {
            let is_there = if is_there { "yes" } else { "no" };
            format!("{name} {is_there}")
        });
        self.add("", &features.join(", "));
        let threads = available_parallelism().map_or(1, usize::from);
        let cores = match cores(&information) {
            0 => String::new(),
            cores => format!("{cores}, "),
        };
        self.add("cores", &format!("{cores}for {threads} threads of fitch"));
    }

    fn add_surroundings(&mut self) {
        match default_folder() {
            None => self.add("data", "no folder: neither FITCH_DATA_DIR nor a home folder is set"),
            Some(folder) => {
                self.add("data", &format!("{}, {}", shown(&folder), byte_size(size(&folder))));
                let mut parts: Vec<PathBuf> = fs::read_dir(&folder)
                    .into_iter()
                    .flatten()
                    .filter_map(|entry| Some(entry.ok()?.path()))
                    .filter(|path| path.is_dir())
                    .collect();
                parts.sort();
                let part = |path: &PathBuf| {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    format!("{} {}", printable(&name), byte_size(size(path)))
                };
                if !parts.is_empty() {
                    self.add("", &parts.iter().map(part).collect::<Vec<_>>().join(", "));
                }
            }
        }
        let set = VARIABLES.iter().filter_map(|name| {
            let value = env::var_os(name)?;
            Some(format!("{name}={}", printable(&value.to_string_lossy())))
        });
        let set: Vec<String> = set.collect();
        let set = if set.is_empty() { "nothing that matters is set".to_string() } else { set.join(" ") };
        self.add("environment", &set);
    }
}

/// `NVIDIA H100 80GB HBM3, compute capability 9.0, 70 GiB of 79 GiB free`.
fn describe(gpu: &Gpu) -> String {
    let mut parts = vec![match gpu.name.as_str() {
        "" => "a GPU without a name".to_string(),
        name => printable(name).into_owned(),
    }];
    parts.extend(gpu.capability.map(|(major, minor)| format!("compute capability {major}.{minor}")));
    match (gpu.free_memory.map(byte_size), gpu.total_memory.map(byte_size)) {
        (Some(free), Some(total)) => parts.push(format!("{free} of {total} free")),
        (_, total) => parts.extend(total.map(|total| format!("{total} of memory"))),
    }
    parts.join(", ")
}

/// The libraries of libtorch and CUDA that a process has loaded, by folder, from its `/proc/PID/maps`.
fn libraries(maps: &str) -> BTreeMap<PathBuf, BTreeSet<String>> {
    const BEGINNINGS: [&str; 7] =
        ["libtorch", "libc10", "libgomp", "libcu", "libnvidia-ml", "libnvrtc", "libnccl"];
    let mut found: BTreeMap<PathBuf, BTreeSet<String>> = BTreeMap::new();
    for path in maps.lines().filter_map(|line| line.find('/').map(|start| Path::new(&line[start..]))) {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { continue };
        let name = name.to_string_lossy();
        if BEGINNINGS.iter().any(|beginning| name.starts_with(beginning)) {
            found.entry(folder.to_path_buf()).or_default().insert(name.into_owned());
        }
    }
    found
}

/// A path with `~` for the home folder.
fn shown(path: &Path) -> String {
    let below_home =
        env::home_dir().and_then(|home| Some(Path::new("~").join(path.strip_prefix(home).ok()?)));
    printable(&below_home.as_deref().unwrap_or(path).to_string_lossy()).into_owned()
}

fn read_line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim_end().to_string())
}

/// The values under a name in `/proc/cpuinfo`.
fn values<'a>(information: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let pairs = information.lines().filter_map(|line| line.split_once(':'));
    pairs.filter(move |(key, _)| key.trim() == name).map(|(_, value)| value.trim())
}

/// The cores, each counted once however many threads it runs; 0 if that is not known.
fn cores(information: &str) -> usize {
    values(information, "physical id").zip(values(information, "core id")).collect::<BTreeSet<_>>().len()
}

/// The bytes of all files below a folder.
fn size(folder: &Path) -> u64 {
    let entries = walkdir::WalkDir::new(folder).into_iter().filter_map(Result::ok);
    let files = entries.filter_map(|entry| entry.metadata().ok()).filter(fs::Metadata::is_file);
    files.map(|file| file.len()).sum()
}

/// What a short training came to.
struct Trained {
    /// The training loss of the last epoch.
    loss: f64,
    test_accuracy: f64,
    seconds: f64,
}

/// Trains on the CPU and on GPUs, and compares their losses.
fn compare(gpus: &[usize], terminal: &Terminal) -> Result<Exit> {
    let devices = std::iter::once(Device::Cpu).chain(gpus.iter().map(|&index| Device::Cuda(index)));
    let mut rows = Vec::new();
    let mut faults = Vec::new();
    let mut on_cpu = None;
    for device in devices {
        let name = device_name(device);
        let cells = match failure::guard(|| train(device)) {
            Ok(trained) => {
                if device == Device::Cpu {
                    on_cpu = Some(trained.loss);
                }
                faults.extend(on_cpu.and_then(|of_cpu| disagreement(&name, trained.loss, of_cpu)));
                [
                    format!("{:.6}", trained.loss),
                    format!("{:.4}", trained.test_accuracy),
                    format!("{:.1}", trained.seconds),
                ]
            }
            Err(fault) => {
                faults.push(format!("{name}: the training failed: {}", failure::message(&fault)));
                ["failed", "-", "-"].map(str::to_string)
            }
        };
        rows.push([vec![name], cells.to_vec()].concat());
    }
    let conclusion = match (faults.is_empty(), gpus.len()) {
        (false, _) => "not all devices are in order\n".to_string(),
        (true, 0) => "no GPU to compare the CPU with\n".to_string(),
        (true, _) => format!("the losses agree within {} %\n", 100.0 * TOLERANCE),
    };
    let table =
        table(["device", "final loss", "test accuracy", "seconds"], rows).fit(terminal.result_columns());
    terminal.result(&format!("\n{EPOCHS} epochs of the digits with {LAYERS}:\n\n{table}\n{conclusion}"))?;
    faults.iter().for_each(|fault| terminal.error(fault));
    Ok(if faults.is_empty() { Exit::Success } else { Exit::Failure })
}

/// What is wrong if a loss is too far from the CPU's. NaN is far from everything.
fn disagreement(device: &str, loss: f64, of_cpu: f64) -> Option<String> {
    let difference = (loss - of_cpu).abs() / of_cpu;
    let agrees = difference <= TOLERANCE;
    (!agrees).then(|| {
        format!(
            "{device}: the final loss is {loss:.6}, on the CPU {of_cpu:.6}: they may differ by {} %",
            100.0 * TOLERANCE
        )
    })
}

fn train(device: Device) -> Result<Trained> {
    let start = Instant::now();
    let digits = Source::find("digits")?.load()?;
    let network = |device| {
        Network::new(
            Model::classifier(&digits.shape(), Layers::parse(LAYERS)?, digits.classes.len())?,
            device,
        )
    };
    // Each kind of device draws other random numbers, so all begin with the CPU's weights.
    tch::manual_seed(0);
    let initial = network(Device::Cpu)?;
    let mut network = network(device)?;
    network.variables_mut().copy(initial.variables())?;
    let optimizer = Optimizer::new(network.variables(), keras_adam(), 0.001)?;
    let outcome = Fit::network(&network, optimizer)
        .epochs(EPOCHS)
        .batch_size(32)
        .run(&digits.train_samples()?, None)?;
    let test = evaluate(&network, &digits.test_samples()?.to_device(device)?, 128)?;
    let last = outcome.history.epochs.last().context("no epoch was trained")?;
    Ok(Trained {
        loss: last.metrics["loss"],
        test_accuracy: test.accuracy,
        seconds: start.elapsed().as_secs_f64(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_aligned_and_fit_80_columns() {
        let mut facts = Facts::default();
        facts.add("libraries", &"word ".repeat(30));
        facts.add("cuda:0", &"x".repeat(100));
        let lines: Vec<&str> = facts.text.lines().collect();
        assert_eq!(lines[0], format!("libraries    {}", ["word"; 13].join(" ")));
        assert!(lines[1].starts_with("             word word"), "{lines:?}");
        assert_eq!(lines.last().unwrap(), &format!("cuda:0       {}", "x".repeat(100)));
    }

    #[test]
    fn losses_agree_within_the_tolerance_and_nan_with_none() {
        assert_eq!(disagreement("cuda:0", 0.30001, 0.3), None);
        for loss in [0.301, 0.299, f64::NAN, f64::INFINITY] {
            assert!(disagreement("cuda:0", loss, 0.3).unwrap().starts_with("cuda:0: the final loss is "));
        }
        assert!(disagreement("cpu", f64::NAN, f64::NAN).is_some());
    }

    #[test]
    fn libraries_are_listed_once_and_by_folder() {
        let maps = "7f00-7f01 r--p 0 08:01 5  /opt/my torch/lib/libtorch_cpu.so\n\
                    7f01-7f02 r-xp 0 08:01 5  /opt/my torch/lib/libtorch_cpu.so\n\
                    7f02-7f03 r-xp 0 08:01 5  /usr/lib/libm.so.6\n\
                    7f03-7f04 r-xp 0 08:01 5  /usr/lib/libcuda.so.1\n\
                    7f04-7f05 rw-p 0 00:00 0  [heap]\n";
        let found = libraries(maps);
        let names = |folder: &str| Vec::from_iter(found[Path::new(folder)].iter().map(String::as_str));
        assert_eq!((found.len(), names("/usr/lib")), (2, vec!["libcuda.so.1"]));
        assert_eq!(names("/opt/my torch/lib"), ["libtorch_cpu.so"]);
    }

    #[test]
    fn a_core_of_two_threads_counts_once() {
        let thread = |core: usize| format!("physical id\t: 0\ncore id\t\t: {core}\n\n");
        assert_eq!(cores(&[0, 1, 0, 1].map(thread).concat()), 2);
        assert_eq!(cores(""), 0);
    }

    #[test]
    fn a_gpu_is_described_by_what_is_known_of_it() {
        let gpu = Gpu::default();
        assert_eq!(describe(&gpu), "a GPU without a name");
        let gpu = Gpu { name: "NVIDIA A".to_string(), total_memory: Some(80 << 30), ..gpu };
        assert_eq!(describe(&gpu), "NVIDIA A, 80 GiB of memory");
        let gpu = Gpu { capability: Some((9, 0)), free_memory: Some(70 << 30), ..gpu };
        assert_eq!(describe(&gpu), "NVIDIA A, compute capability 9.0, 70 GiB of 80 GiB free");
    }
}
