use crate::place::Place;
use std::fs;
use std::path::Path;

#[test]
fn runs_are_listed_with_their_results_the_newest_first() {
    let place = Place::new();
    place.train_quickly("runs/first", &[]).well();
    place.train_quickly("runs/deeper/second", &["--seed", "1"]).well();
    let finished = place.run(&["runs"]).well();
    let lines: Vec<&str> = finished.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{finished:?}");
    assert!(lines[0].starts_with("run ") && lines[0].contains("test accuracy"));
    for (line, run) in [(lines[1], "runs/deeper/second"), (lines[2], "runs/first")] {
        let accuracy = format!("{:.4}", place.record(run)["test_accuracy"].as_f64().unwrap());
        let interval = &place.record(run)["test_accuracy_interval"];
        let interval = [0, 1].map(|end| format!("{:.4}", interval[end].as_f64().unwrap())).join(" to ");
        for part in [run, "digits", "completed", "val_loss", &accuracy, &interval] {
            assert!(line.contains(part), "no {part} in {line}");
        }
    }
    let other_folder = place.run(&["runs", "runs/deeper"]).well();
    assert_eq!(other_folder.stdout.lines().count(), 2);
}

#[test]
fn a_damaged_record_hides_no_other_run() {
    let place = Place::new();
    place.train_quickly("runs/good", &[]).well();
    std::fs::create_dir(place.path("runs/bad")).unwrap();
    place.write("runs/bad", "run.json", b"{");
    let finished = place.run(&["runs"]).well();
    assert!(
        finished.stderr.contains("warning: runs/bad/run.json is not the record of a run"),
        "{finished:?}"
    );
    assert!(finished.stdout.contains("runs/good"));
}

#[test]
fn no_runs_and_no_folder_are_told_apart() {
    let place = Place::new();
    let finished = place.run(&["runs", "."]).well();
    assert!(
        finished.stdout.is_empty() && finished.stderr.contains("there are no runs below ."),
        "{finished:?}"
    );
    place.run(&["runs"]).with_fault(1, &["there is no folder runs", "hint: fitch train"]);
}

#[test]
fn the_record_counts_parameters_as_the_summary_does() {
    let place = Place::new();
    place.train_quickly("run", &["--layers", "dense 8, batchnorm"]).well();
    // 64 * 8 + 8, four times 8 for batchnorm, half of which is running statistics, 8 * 10 + 10.
    assert_eq!(place.record("run")["parameters"], 642);
    let summary = place.read("run/summary.txt");
    assert!(
        summary.contains("Total params: 642 ") && summary.contains("Non-trainable params: 16 "),
        "{summary}"
    );
}

/// Copies a folder with everything in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        let copied = to.join(entry.file_name().unwrap());
        if entry.is_dir() { copy(&entry, &copied) } else { _ = fs::copy(&entry, &copied).unwrap() }
    }
}

/// Each folder of `tests/runs` was written by an earlier version, or by this one. When a version is published, a
/// run of it joins them: `--layers 'dense 4, relu' --epochs 2`, without pictures.
#[test]
fn runs_of_every_version_are_read() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/runs");
    for version in fs::read_dir(kept).unwrap().map(|entry| entry.unwrap().path()) {
        let place = Place::new();
        copy(&version, &place.path("run"));
        let record = place.record("run");
        let evaluated = place.run(&["evaluate", "run", "--format", "json"]).well();
        let evaluated: serde_json::Value = serde_json::from_str(&evaluated.stdout).unwrap();
        assert_eq!(evaluated["accuracy"], record["test_accuracy"], "{}", version.display());
        let of_file =
            place.run(&["evaluate", "run/model.pt", "--dataset", "digits", "--format", "json"]).well();
        let of_file: serde_json::Value = serde_json::from_str(&of_file.stdout).unwrap();
        assert_eq!(of_file["accuracy"], record["test_accuracy"], "{}", version.display());
        place.run(&["export", "run", "--to", "run.onnx"]).well();
        place.run(&["plot", "run"]).well();
        let listed = place.run(&["runs", "."]).well();
        assert!(listed.stdout.contains("completed"), "{listed:?}");
        place.run(&["report", "run"]).well();
        assert!(place.path("run/history.xlsx").exists() && place.path("run/model.svg").exists());
    }
}
