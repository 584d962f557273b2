//! What a run leaves when something fails after training, and how the rest is made.

use crate::place::{Finished, Place, wait_until};
use std::fs;
use std::process::{Child, Command, Stdio};

fn start(place: &Place, arguments: &[&str]) -> Child {
    let endless =
        ["train", "--threads", "1", "--layers", "dense 8", "--epochs", "1000000", "--no-early-stopping"];
    let mut command = place.command(&[&endless[..], &["--out", "run"], arguments].concat());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn wait_for_checkpoint(place: &Place) {
    wait_until("checkpoint", || place.names("run/checkpoint").iter().any(|name| name.starts_with('0')));
}

/// Any picture that failed ended the run, with its record unfinished and no accuracy told.
#[test]
fn a_picture_that_cannot_be_written_is_a_warning_and_made_later() {
    let place = Place::new();
    let child = start(&place, &["--time-limit", "2s"]);
    wait_for_checkpoint(&place);
    for name in ["confusion.png", "history.xlsx", "loss.svg"] {
        // Not even a full disk is as stubborn as a folder of that name.
        let _ = fs::remove_file(place.path("run").join(name));
        fs::create_dir_all(place.path("run").join(name).join("x")).unwrap();
    }
    let finished = Finished::from(child.wait_with_output().unwrap()).well();
    for name in ["confusion.png", "history.xlsx", "loss.svg"] {
        assert!(finished.stderr.contains(name), "{finished:?}");
        fs::remove_dir_all(place.path("run").join(name)).unwrap();
    }
    assert!(finished.stderr.contains("warning: cannot make "), "{finished:?}");
    assert!(finished.stderr.contains("hint: the model and the results are saved; fitch report run"));
    assert!(finished.stdout.contains("test accuracy"), "{finished:?}");
    assert_eq!(place.record("run")["stop_reason"], "time_limit");
    for name in ["model.pt", "weights.safetensors", "confusion.csv", "confusion.svg", "mistakes.png"] {
        assert!(place.path("run").join(name).exists(), "no {name}");
    }
    let before = place.read("run/run.json");
    let made = place.run(&["report", "run"]).well();
    assert_eq!(made.stdout, "written to run: loss.svg, confusion.png, history.xlsx\n");
    assert_eq!(place.read("run/run.json"), before);
    assert_eq!(place.run(&["report", "run"]).well().stdout, "run lacks none of its files\n");
}

#[test]
fn what_is_made_again_is_what_training_made() {
    let place = Place::new();
    place.train_quickly("run", &["--csv-separator", ";", "--csv-decimal", ","]).well();
    let kept = ["run.json", "weights.safetensors", "checkpoint", "tensorboard"];
    let names: Vec<String> =
        place.names("run").into_iter().filter(|name| !kept.contains(&name.as_str())).collect();
    assert!(names.len() >= 13, "{names:?}");
    let bytes =
        || names.iter().map(|name| fs::read(place.path("run").join(name)).unwrap()).collect::<Vec<_>>();
    let before = bytes();
    names.iter().for_each(|name| fs::remove_file(place.path("run").join(name)).unwrap());
    place.run(&["report", "run"]).well();
    for ((name, before), after) in names.iter().zip(before).zip(bytes()) {
        assert!(before == after, "{name} differs");
    }
}

/// They failed with an internal error of libtorch's.
#[test]
fn a_run_that_was_killed_is_not_finished_and_can_be_ended_or_resumed() {
    let place = Place::new();
    let mut child = start(&place, &["--time-limit", "100s"]);
    wait_for_checkpoint(&place);
    child.kill().unwrap();
    child.wait().unwrap();
    for command in [&["evaluate", "run"][..], &["export", "run"], &["predict", "run", "a.png"]] {
        let finished = place.run(command);
        let parts = [
            "run is not finished: run/weights.safetensors is not there yet",
            "fitch train --resume run goes on",
            "fitch report run makes its files with the best weights so far",
        ];
        finished.with_fault(1, &parts);
    }
    let made = place.run(&["report", "run"]).well();
    assert!(made.stdout.contains("weights.safetensors, model.pt, "), "{made:?}");
    let record = place.record("run");
    assert_eq!(record["stop_reason"], "interrupted");
    assert!(record["test_accuracy"].is_number() && record["epochs_run"].as_u64().unwrap() > 0);
    // Epochs after the last checkpoint are in none of the files.
    assert_eq!(record["epochs_run"], place.history("run").len() - 1);
    place.run(&["evaluate", "run"]).well();
    let resumed = place.train(&["--resume", "run", "--time-limit", "1ms"]).well();
    assert!(resumed.stderr.contains("resuming run in epoch"), "{resumed:?}");
}

#[test]
fn the_best_weights_of_a_checkpoint_are_those_that_the_run_would_have_restored() {
    let place = Place::new();
    let settings = ["--epochs", "8", "--learning-rate", "0.3", "--patience", "9"];
    place.train_quickly("run", &settings).well();
    let best = place.record("run")["best_epoch"].as_u64().unwrap();
    assert!(best < 8, "the best epoch is the last");
    let weights = fs::read(place.path("run/weights.safetensors")).unwrap();
    for name in ["weights.safetensors", "model.pt"] {
        fs::remove_file(place.path("run").join(name)).unwrap();
    }
    place.run(&["report", "run"]).well();
    assert!(fs::read(place.path("run/weights.safetensors")).unwrap() == weights);
    let record = place.record("run");
    assert_eq!((&record["weights_epoch"], &record["stop_reason"]), (&best.into(), &"completed".into()));
}

#[test]
fn a_run_that_was_killed_after_its_last_epoch_is_completed() {
    let place = Place::new();
    place.train_quickly("run", &[]).well();
    let whole = place.record("run");
    let mut record = whole.clone();
    for key in ["stop_reason", "epochs_run", "best_epoch", "best_value", "test_loss", "test_accuracy"] {
        record[key] = serde_json::Value::Null;
    }
    place.write("run", "run.json", record.to_string().as_bytes());
    place.write("run", "confusion.svg", b"of an earlier end");
    let history = place.read("run/history.csv");
    fs::remove_file(place.path("run/history.csv")).unwrap();
    place.run(&["report", "run"]).well();
    assert_eq!(place.read("run/history.csv"), history);
    let made = place.record("run");
    for key in ["stop_reason", "epochs_run", "best_epoch", "best_value", "test_loss", "test_accuracy"] {
        assert_eq!(made[key], whole[key], "{key}");
    }
    assert!(place.read("run/confusion.svg").starts_with("<svg"));
    // Files that hold nothing, or no whole model.
    fs::write(place.path("run/loss.svg"), "").unwrap();
    fs::write(place.path("run/history.csv"), "").unwrap();
    for name in ["model.pt", "weights.safetensors"] {
        let bytes = fs::read(place.path("run").join(name)).unwrap();
        fs::write(place.path("run").join(name), &bytes[..bytes.len() / 2]).unwrap();
    }
    place.run(&["predict", "run", "a.png"]).with_fault(1, &["fitch report run makes it again"]);
    place.run(&["evaluate", "run"]).with_fault(1, &["fitch report run makes it again"]);
    let again = place.run(&["report", "run"]).well();
    assert_eq!(again.stdout, "written to run: history.csv, weights.safetensors, model.pt, loss.svg\n");
    assert!(again.stderr.contains("the last checkpoint takes their place"), "{again:?}");
    assert_eq!(place.read("run/history.csv"), history);
    place.run(&["evaluate", "run"]).well();
}

/// The disk was full, or somebody had cleaned up.
#[test]
fn neither_a_record_nor_a_checkpoint_nor_a_line_that_cannot_be_written_loses_the_run() {
    let place = Place::new();
    let child = start(&place, &["--time-limit", "100s"]);
    wait_for_checkpoint(&place);
    let send = |signal: &str| {
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    };
    send("-STOP");
    fs::rename(place.path("run/checkpoint"), place.path("checkpoint")).unwrap();
    fs::write(place.path("run/checkpoint"), "").unwrap();
    fs::remove_file(place.path("run/run.json")).unwrap();
    fs::create_dir_all(place.path("run/run.json/x")).unwrap();
    send("-INT");
    send("-CONT");
    let finished = Finished::from(child.wait_with_output().unwrap());
    assert_eq!(finished.code, Some(130), "{finished:?}");
    for part in
        ["the last checkpoint is not kept", "the results are not recorded", "fitch report run records"]
    {
        assert!(finished.stderr.contains(part), "no '{part}' in {finished:?}");
    }
    assert!(finished.stdout.contains("test accuracy"), "{finished:?}");
    assert!(place.path("run/model.pt").exists() && place.path("run/loss.svg").exists());
    #[cfg(target_os = "linux")]
    {
        let mut command = place.command(&["train", "--layers", "dense 8", "--epochs", "1", "--out", "full"]);
        let output = command.stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap()).output();
        let finished = Finished::from(output.unwrap()).well();
        assert!(finished.stderr.contains("the results are not printed"), "{finished:?}");
    }
}

#[test]
fn a_run_whose_data_were_moved_or_grew_says_so() {
    let place = Place::new();
    let rows = |count: usize| -> String {
        (0..count)
            .map(|row| format!("{},{},{}\n", ["a", "b"][row % 2], row * 3 % 200, row * 7 % 255))
            .collect()
    };
    place.write(".", "rows.csv", rows(60).as_bytes());
    place.train_quickly("run", &["--dataset", "rows.csv", "--data-dir", "kept"]).well();
    assert!(!place.run(&["evaluate", "run"]).well().stderr.contains("warning"));
    fs::rename(place.path("rows.csv"), place.path("moved.csv")).unwrap();
    fs::remove_file(place.path("run/mistakes.png")).ok();
    fs::remove_file(place.path("run/confusion.svg")).unwrap();
    let without = place.run(&["report", "run"]).well();
    assert!(without.stderr.contains("--dataset PATH says where they are now"), "{without:?}");
    let made = place.run(&["report", "run", "--dataset", "moved.csv"]).well();
    assert!(made.stdout.contains("confusion.svg"), "{made:?}");
    place.write(".", "rows.csv", rows(70).as_bytes());
    let grown = place.run(&["evaluate", "run"]).well();
    let warning =
        "holds other images than when run was trained, or others are set aside: test images may be among";
    assert!(grown.stderr.contains(warning), "{grown:?}");
}

#[test]
fn options_without_effect_are_named() {
    let place = Place::new();
    let said = |arguments: &[&str]| {
        place.train(&[&["--epochs", "1", "--layers", "relu"], arguments].concat()).well()
    };
    let digits = said(&["--image-size", "4x4", "--label-column", "a", "--missing", "mean"]).stderr;
    assert!(
        digits.contains("--image-size, --label-column, --missing: without effect on the built-in digits"),
        "{digits}"
    );
    assert!(!said(&["--limit", "500"]).stderr.contains("without effect"));
}

#[test]
fn without_its_images_a_run_gets_what_needs_none() {
    let place = Place::new();
    place.write_idx_set("pictures");
    place.train_quickly("run", &["--dataset", "pictures"]).well();
    for name in ["loss.png", "confusion.png", "model.pt"] {
        fs::remove_file(place.path("run").join(name)).unwrap();
    }
    fs::rename(place.path("pictures"), place.path("elsewhere")).unwrap();
    let made = place.run(&["report", "run"]).well();
    assert!(made.stderr.contains("the images of pictures are not available"), "{made:?}");
    assert_eq!(made.stdout, "written to run: model.pt, loss.png\n");
}

/// A table of many classes whose names are long, or have what no file of pictures can have.
fn write_table(place: &Place, classes: usize) {
    let mut table = "label,pixel0,pixel1,pixel2,pixel3\n".to_string();
    for class in 0..classes {
        let name = if class == 7 { "c\u{1b}at".to_string() } else { format!("class{class:0>115}") };
        for copy in 0..3 {
            table += &format!("{name},{},{},{},{}\n", class % 256, class / 4 % 256, copy, class % 16 * 16);
        }
    }
    place.write(".", "many.csv", table.as_bytes());
}

/// A cell of the workbook was too small for their names, and the run was lost after its last epoch.
#[test]
fn a_thousand_classes_of_long_names_leave_a_whole_run() {
    let place = Place::new();
    write_table(&place, 1_000);
    let finished = place
        .train(&["--dataset", "many.csv", "--layers", "dense 8", "--epochs", "1", "--out", "run"])
        .well();
    assert!(!finished.stderr.contains("cannot make"), "{finished:?}");
    assert_eq!(place.record("run")["stop_reason"], "completed");
    let confusion = place.read("run/confusion.svg");
    assert!(confusion.contains("the 40 of 1,000 classes with the most mistakes"));
    assert!(confusion.len() < 2_000_000 && !confusion.contains('\u{1b}'));
    for name in ["confusion.png", "history.xlsx", "model.pt", "confusion.csv", "mistakes.png"] {
        assert!(place.path("run").join(name).exists(), "no {name}");
    }
    let page = place.read("run/report.html");
    assert!(page.contains("the 60 classes with the most mistakes, of 1,000") && page.len() < 2_000_000);
    let table = place.run(&["evaluate", "run"]).well().stdout;
    assert!(table.contains("the confusion matrix of 1,000 classes is left out; --matrix prints it\n"));
    assert!(table.len() < 400_000, "{}", table.len());
    let whole = place.run(&["evaluate", "run", "--matrix"]).well().stdout;
    assert!(whole.len() > 2_000_000 && whole.contains("true \\ predicted"), "{}", whole.len());
}
