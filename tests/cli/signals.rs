//! How signals end the program, and how its messages look.

use crate::place::{Place, wait_until};
use std::io::{Read, Write, pipe};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

fn interrupt(child: &Child) {
    signal(child, "-INT");
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// A training that goes on until it is stopped; the limit is for a test that fails to.
const ENDLESS: [&str; 12] = [
    "train",
    "--threads",
    "1",
    "--layers",
    "dense 8",
    "--epochs",
    "1000000",
    "--time-limit",
    "100s",
    "--no-early-stopping",
    "--out",
    "run",
];

fn start(place: &Place, arguments: &[&str]) -> Child {
    let mut command = place.command(&[&ENDLESS[..], arguments].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// The exit code, if the program ends within ten seconds.
fn code_soon(child: &mut Child) -> Option<i32> {
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    None
}

fn wait_for_epochs(place: &Place, epochs: usize) {
    wait_until("epochs", || {
        let history = std::fs::read_to_string(place.path("run/history.csv")).unwrap_or_default();
        history.lines().count() > epochs
    });
}

fn assert_interrupted(place: &Place) {
    assert_eq!(place.record("run")["stop_reason"], "interrupted");
    for file in ["weights.safetensors", "model.pt", "loss.svg"] {
        assert!(place.path("run").join(file).exists(), "no {file}");
    }
}

/// The handler was set over what `nohup` had ignored.
#[cfg(target_os = "linux")]
#[test]
fn what_was_ignored_at_the_start_stays_ignored() {
    let place = Place::new();
    let program = env!("CARGO_BIN_EXE_fitch");
    let script = format!("trap '' HUP; exec {program} \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh"]).args(ENDLESS).current_dir(place.path("")).env_clear();
    command.env("HOME", place.path("")).env("GOMP_SPINCOUNT", "2000");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for_epochs(&place, 1);
    signal(&child, "-HUP");
    let rows = || std::fs::read_to_string(place.path("run/history.csv")).unwrap().lines().count();
    let before = rows();
    wait_until("two more epochs", || rows() > before + 2);
    signal(&child, "-TERM");
    assert_eq!(code_soon(&mut child), Some(130));
    assert_interrupted(&place);
}

/// They ended the process with nothing saved.
#[cfg(target_os = "linux")]
#[test]
fn the_signals_of_batch_systems_end_a_training_with_its_files() {
    for name in ["-USR1", "-USR2", "-XCPU", "-HUP"] {
        let place = Place::new();
        let mut child = start(&place, &[]);
        wait_for_epochs(&place, 1);
        signal(&child, name);
        assert_eq!(code_soon(&mut child), Some(130), "{name}");
        assert_interrupted(&place);
    }
}

/// The second one ended the process while the first checkpoint was being written.
#[cfg(target_os = "linux")]
#[test]
fn the_same_signal_from_several_senders_is_one() {
    for name in ["-TERM", "-HUP", "-USR1"] {
        let place = Place::new();
        // An epoch of a few seconds.
        let mut child = start(&place, &["--batch-size", "1", "--layers", "dense 1000, dense 1000"]);
        wait_for_epochs(&place, 0);
        sleep(Duration::from_millis(100));
        for _ in 0..5 {
            signal(&child, name);
        }
        assert_eq!(code_soon(&mut child), Some(130), "{name}");
        assert_interrupted(&place);
        let resumed = place.run(&["train", "--resume", "run", "--time-limit", "1ms"]).well();
        assert!(resumed.stderr.contains("resuming run in epoch"), "{resumed:?}");
    }
}

/// Only a Ctrl-C counts as the second one, and not one that a program around this one has passed on.
#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_after_a_signal_to_end_is_the_first_one() {
    let place = Place::new();
    // With early stopping, which has nothing to restore then.
    let with_stopping = ENDLESS.iter().filter(|argument| **argument != "--no-early-stopping");
    let slow = ["--batch-size", "1", "--layers", "dense 1000, dense 1000"];
    let arguments: Vec<&str> = with_stopping.chain(&slow).copied().collect();
    let mut command = place.command(&arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_epochs(&place, 0);
    sleep(Duration::from_millis(100));
    signal(&child, "-TERM");
    // By one shell, so that they follow each other at once.
    let twice = format!("kill -INT {0}; kill -INT {0}", child.id());
    assert!(Command::new("sh").args(["-c", &twice]).status().unwrap().success());
    assert_eq!(code_soon(&mut child), Some(130));
    assert_interrupted(&place);
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    // It was said that no value had been finite.
    let is_first_epoch = place.record("run")["epochs_run"] == 0;
    assert_eq!(told.contains("no epoch was completed"), is_first_epoch, "{told}");
    assert!(is_first_epoch, "the epoch was too short for this test");
}

/// The training waited in its print, and never ended.
#[cfg(target_os = "linux")]
#[test]
fn a_full_pipe_that_nobody_reads_does_not_keep_a_training_from_ending() {
    for name in ["-INT", "-TERM"] {
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(&[b'x'; 40_960]).unwrap(); // of 64 KiB
        let place = Place::new();
        let mut command = place.command(&[&ENDLESS[..], &["--progress", "lines"]].concat());
        let mut child = command.stdout(Stdio::null()).stderr(writer).spawn().unwrap();
        wait_for_epochs(&place, 1);
        let rows = || std::fs::read_to_string(place.path("run/history.csv")).unwrap().lines().count();
        wait_until("standstill", || {
            let before = rows();
            sleep(Duration::from_millis(400));
            rows() == before
        });
        signal(&child, name);
        assert_eq!(code_soon(&mut child), Some(130), "{name}");
        assert_interrupted(&place);
        drop(reader);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_device_and_a_folder_that_is_gone_are_told_in_plain_words() {
    let place = Place::new();
    place.train_quickly("run", &[]).well();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = place.command(&["runs", "."]).stdout(full).stderr(Stdio::piped()).output().unwrap();
    let finished = crate::place::Finished::from(output);
    finished.with_fault(1, &["error: cannot write to standard output: No space left"]);

    std::fs::create_dir(place.path("gone")).unwrap();
    let script = format!("cd gone; rmdir ../gone; exec {} train --out ../x", env!("CARGO_BIN_EXE_fitch"));
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(place.path("")).env("GOMP_SPINCOUNT", "2000");
    let finished = crate::place::Finished::from(command.output().unwrap());
    finished.with_fault(1, &["the current folder was removed", "hint: change to another one"]);
}

/// SIGXFSZ ended the process.
#[cfg(target_os = "linux")]
#[test]
fn a_limit_on_the_size_of_files_is_as_a_full_disk() {
    let place = Place::new();
    let program = env!("CARGO_BIN_EXE_fitch");
    // In blocks of 512 bytes: enough for the weights and the model, too little for a picture.
    let script =
        format!("ulimit -f 60; exec {program} train --layers 'dense 8' --epochs 2 --threads 1 --out run");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).current_dir(place.path("")).env("GOMP_SPINCOUNT", "2000");
    let finished = crate::place::Finished::from(command.output().unwrap()).well();
    assert!(finished.stderr.contains("warning: cannot make loss.png"), "{finished:?}");
    assert!(finished.stderr.contains("File too large"), "{finished:?}");
    assert!(finished.stderr.contains("fitch report run makes the rest"), "{finished:?}");
    let made = place.run(&["report", "run"]).well();
    assert!(made.stdout.starts_with("written to run: loss.png, accuracy.png"), "{made:?}");
}

#[test]
fn a_second_interrupt_ends_a_program_that_waits_for_the_reader_of_its_results() {
    // A pipe that is full, and that nobody reads: Linux gives it room for 64 KiB.
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(&[b'x'; 65_536]).unwrap();
    let place = Place::new();
    let quick = ["train", "--layers", "dense 8", "--epochs", "1", "--threads", "1", "--out", "run"];
    let mut command = place.command(&quick);
    let mut child = command.stdout(writer).stderr(Stdio::null()).spawn().unwrap();
    wait_until("record of an ended run", || {
        let record = std::fs::read_to_string(place.path("run/run.json")).unwrap_or_default();
        record.contains("\"stop_reason\": \"completed\"")
    });
    sleep(Duration::from_millis(300)); // It goes on to print its results.
    assert_eq!(child.try_wait().unwrap(), None, "it does not wait");
    interrupt(&child);
    sleep(Duration::from_millis(200));
    interrupt(&child);
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if start.elapsed() > Duration::from_secs(10) {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it has not ended");
        }
        sleep(Duration::from_millis(20));
    };
    assert_eq!(status.code(), Some(130));
    drop(reader);
}

#[test]
fn colours_follow_the_usual_variables() {
    let place = Place::new();
    let error = |variables: &[(&str, &str)]| {
        let mut command = place.command(&["evaluate", "nowhere"]);
        String::from_utf8(command.envs(variables.iter().copied()).output().unwrap().stderr).unwrap()
    };
    assert!(error(&[]).starts_with("error: "), "no colours in a pipe");
    assert!(error(&[("CLICOLOR_FORCE", "1")]).starts_with("\x1b[31m\x1b[1merror:\x1b[0m "));
    assert!(error(&[("CLICOLOR_FORCE", "0")]).starts_with("error: "));
}

#[test]
fn help_is_pointed_to_where_several_options_are_wrong_by_their_names() {
    let place = Place::new();
    let one = place.run(&["train", "--epochs", "0"]).with_fault(2, &["--epochs 0: must be"]);
    assert!(!one.stderr.contains("hint:"), "the message says it all: {one:?}");
    place
        .run(&["train", "--epochs", "0", "--batch-size", "0"])
        .with_fault(2, &["hint: `fitch train --help` describes --epochs and --batch-size\n"]);
    place
        .run(&["data", "inspect", "digits", "--test-split", "2", "--image-size", "x"])
        .with_fault(2, &["hint: `fitch data inspect --help` describes --image-size and --test-split\n"]);
}
