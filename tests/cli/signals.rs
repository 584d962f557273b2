//! How signals end the program, and how its messages look.

use crate::place::{Place, wait_until};
use std::io::{Write, pipe};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
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
fn help_is_pointed_to_by_name_where_several_options_are_wrong() {
    let place = Place::new();
    let one = place.run(&["train", "--epochs", "0"]).with_fault(2, &["--epochs 0: must be"]);
    assert!(!one.stderr.contains("hint:"), "the message says it all: {one:?}");
    place
        .run(&["train", "--epochs", "0", "--batch-size", "0"])
        .with_fault(2, &["hint: fitch train --help lists the options"]);
    place
        .run(&["data", "inspect", "digits", "--test-split", "2", "--image-size", "x"])
        .with_fault(2, &["hint: fitch data inspect --help lists the options"]);
}
