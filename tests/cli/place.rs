//! A fresh folder to run the program in, and what came of a run.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The names of the four files of an IDX set.
pub const IDX_FILES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// A training whose epochs last long enough to be looked at, and that goes on until it is stopped. The limit is for a
/// test that fails to.
pub const ENDLESS: [&str; 12] = [
    "train",
    "--threads",
    "1",
    "--layers",
    "dense 200",
    "--batch-size",
    "1",
    "--epochs",
    "9999",
    "--time-limit",
    "100s",
    "--no-early-stopping",
];

/// An empty folder, the working directory and home of the program.
pub struct Place {
    folder: TempDir,
}

/// Waits for something for a minute at most.
#[track_caller]
pub fn wait_until(what: &str, has_come: impl Fn() -> bool) {
    let start = Instant::now();
    while !has_come() {
        assert!(start.elapsed() < Duration::from_secs(60), "no {what} after a minute");
        sleep(Duration::from_millis(5));
    }
}

/// Whoever runs the tests in the background may have them ignore Ctrl-C, and so would the programs that they
/// start.
#[cfg(target_os = "linux")]
fn heed_signals() {
    for signal in [libc::SIGINT, libc::SIGHUP, libc::SIGTERM] {
        // SAFETY: the default action is set, which is no function of ours.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// What a finished program left.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Finished {
    fn from(output: Output) -> Finished {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Finished { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Finished {
    /// Ends the test unless the program ended well.
    #[track_caller]
    pub fn well(self) -> Finished {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self
    }

    /// Ends the test unless the program failed with that exit code and a message of that content, short
    /// and without a panic.
    #[track_caller]
    pub fn with_fault(self, code: i32, parts: &[&str]) -> Finished {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(self.stderr.contains("error: "), "{self:#?}");
        for part in parts {
            assert!(self.stderr.contains(part), "no '{part}' in {self:#?}");
        }
        assert!(!self.stderr.contains("panicked") && !self.stderr.contains("internal fault"), "{self:#?}");
        assert!(self.stderr.len() < 2_000, "{self:#?}");
        self
    }
}

impl Place {
    pub fn new() -> Place {
        #[cfg(target_os = "linux")]
        heed_signals();
        Place { folder: TempDir::new().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program, not yet started, in an environment of its own.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fitch"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        // Without this variable a training starts anew to have it, which takes time.
        command.env_clear().env("HOME", self.folder.path()).env("GOMP_SPINCOUNT", "2000");
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.command(arguments).output().unwrap().into()
    }

    /// Runs `train` on one thread, so that tests side by side do not slow one another down.
    pub fn train(&self, arguments: &[&str]) -> Finished {
        self.run(&[&["train", "--threads", "1"], arguments].concat())
    }

    /// A training of well below a second into the folder of that name.
    pub fn train_quickly(&self, out: &str, arguments: &[&str]) -> Finished {
        let quick = ["--layers", "dense 32, relu, dropout 0.2", "--epochs", "3", "--out", out];
        self.train(&[&quick, arguments].concat())
    }

    /// The names in a folder, sorted; none if it is not there.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).into_iter().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The run.json of a run.
    pub fn record(&self, run: &str) -> serde_json::Value {
        serde_json::from_str(&self.read(&format!("{run}/run.json"))).unwrap()
    }

    /// The rows of a run's history by column, `seconds` aside.
    pub fn history(&self, run: &str) -> Vec<csv::StringRecord> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .from_path(self.path(run).join("history.csv"))
            .unwrap();
        let rows = reader.records().map(|row| row.unwrap());
        rows.map(|row| row.iter().take(row.len() - 1).collect()).collect()
    }

    /// Writes an IDX set that is easy to learn into a folder: pictures of 4 x 4 pixels, bright on the left
    /// (class 0) or on the right (class 1); 60 to train on, 20 to test with.
    pub fn write_idx_set(&self, folder: &str) {
        fs::create_dir(self.path(folder)).unwrap();
        for (names, count) in [(&IDX_FILES[..2], 60u8), (&IDX_FILES[2..], 20)] {
            let labels: Vec<u8> = (0..count).map(|number| number % 2).collect();
            let pixel =
                |label: u8, x: u8, number: u8| if (x < 2) == (label == 0) { 150 + number } else { number };
            let pixels =
                (0..count).flat_map(|number| (0..16).map(move |place| pixel(number % 2, place % 4, number)));
            self.write(folder, names[0], &idx(&[count.into(), 4, 4], &pixels.collect::<Vec<_>>()));
            self.write(folder, names[1], &idx(&[count.into()], &labels));
        }
    }

    pub fn write(&self, folder: &str, name: &str, bytes: &[u8]) {
        fs::write(self.path(folder).join(name), bytes).unwrap();
    }
}

/// An IDX file of uint8 values.
pub fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, sizes.len() as u8];
    sizes.iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(values);
    bytes
}

/// The folder that holds the four real files of MNIST as `mnist/`; where there is none the test says so.
pub fn real_mnist(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("FITCH_DATA_DIR").map(PathBuf::from);
    let there = |folder: &Path, name: &&str| {
        let path = folder.join("mnist").join(name);
        path.exists() || path.with_extension("gz").exists()
    };
    let found = folder.filter(|folder| IDX_FILES.iter().all(|name| there(folder, name)));
    if found.is_none() {
        skipped(test, "FITCH_DATA_DIR has no mnist");
    }
    found
}

/// Says that a test was skipped.
pub fn skipped(test: &str, why: &str) {
    // Not by eprintln!, which the test harness keeps to itself when all is well.
    std::io::stderr().write_all(format!("SKIPPED {test}: {why}\n").as_bytes()).unwrap();
}

/// Python with the packages, if `scripts/python` has brought them.
pub fn python(test: &str) -> Option<Command> {
    let packages = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".python"));
    let mut packages = packages.into_iter().flatten().map(|entry| entry.unwrap().path());
    let is_whole = |path: &PathBuf| {
        path.extension().is_none() && path.join("torch").exists() && path.join("onnx").exists()
    };
    let Some(packages) = packages.find(is_whole) else {
        skipped(test, "there are no Python packages; `scripts/python --version` brings them");
        return None;
    };
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", packages).env("PYTHONDONTWRITEBYTECODE", "1");
    Some(command)
}
