use crate::place::{ENDLESS, Place, wait_until};
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};

/// Everything in a folder: names with their contents.
fn content(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.path().is_file());
    let mut files: Vec<_> = files
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

fn start(place: &Place) -> Child {
    let mut command = place.command(&[&ENDLESS[..], &["--out", "run"]].concat());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn a_run_tells_what_it_is_doing_while_it_is_and_afterwards() {
    let place = Place::new();
    let mut child = start(&place);
    let watch = || place.run(&["watch", "run"]);
    wait_until("told step", || watch().stdout.contains("run is in progress: epoch "));
    wait_until("epoch", || watch().stdout.contains("\n   1/9999 "));
    let finished = watch().well();
    let head = "    epoch  accuracy    loss  val_accuracy  val_loss     time\n";
    let first = finished.stdout.strip_prefix(head).unwrap_or_default().split_whitespace().next();
    assert!(first.is_some_and(|first| first.ends_with("/9999")), "{finished:?}");
    assert!(finished.stdout.contains(" of 9999, step ") && !finished.stdout.contains('\x1b'), "{finished:?}");
    // Whoever wants the folder is still told which process has it, in one line.
    let refused = place.run(&["train", "--resume", "run"]);
    refused.with_fault(1, &[&format!("run is in use by process {}; two", child.id())]);

    child.kill().unwrap();
    child.wait().unwrap();
    let before = content(&place.path("run"));
    let finished = watch().well();
    assert!(finished.stdout.contains("run is not in progress, and has not ended"), "{finished:?}");
    assert!(finished.stdout.contains("fitch train --resume run continues it"), "{finished:?}");
    assert_eq!(content(&place.path("run")), before, "it changes nothing");
}

#[test]
fn of_a_run_that_has_ended_the_last_epochs_and_the_results_are_shown() {
    let place = Place::new();
    place.train_quickly("run", &["--epochs", "12"]).well();
    let finished = place.run(&["watch", "run"]).well();
    let lines: Vec<&str> = finished.stdout.lines().collect();
    assert_eq!(lines.len(), 12, "a head, ten epochs and the end: {finished:?}");
    assert!(lines[1].starts_with(" 3/12 ") && lines[10].starts_with("12/12 "), "{finished:?}");
    let accuracy = format!("test accuracy {:.4}", place.record("run")["test_accuracy"].as_f64().unwrap());
    assert!(
        lines[11].starts_with("run has ended: completed after 12 epochs, best val_loss "),
        "{finished:?}"
    );
    assert!(lines[11].contains(&accuracy), "{finished:?}");
    place.run(&["watch", "nowhere"]).with_fault(1, &["there is no folder nowhere"]);
}
