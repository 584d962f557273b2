use crate::place::{Place, idx};
use std::fs;

#[test]
fn the_numbers_are_those_of_the_run_itself() {
    let place = Place::new();
    place.train_quickly("run", &[]).well();
    let finished = place.run(&["evaluate", "run"]).well();
    let record = place.record("run");
    for (name, key) in [("loss", "test_loss"), ("accuracy", "test_accuracy")] {
        let line = format!("\n{name} {:.6}\n", record[key].as_f64().unwrap());
        assert!(finished.stdout.contains(&line), "no {line:?} in {finished:?}");
    }
    assert!(finished.stdout.starts_with("test set of digits: 364 images\n"));

    // The table: a row a class, the images of all classes add up, recall is right / images.
    let rows: Vec<Vec<&str>> =
        finished.stdout.lines().skip(5).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 10, "{finished:?}");
    let images = |row: &Vec<&str>| row[1].parse::<f64>().unwrap();
    assert_eq!(rows.iter().map(images).sum::<f64>(), 364.0);
    let right: f64 = rows.iter().map(|row| row[3].parse::<f64>().unwrap() * images(row)).sum();
    assert!((right / 364.0 - record["test_accuracy"].as_f64().unwrap()).abs() < 1e-3);
}

#[test]
fn a_run_finds_its_folder_of_pictures_from_anywhere_and_takes_another_one() {
    let place = Place::new();
    place.write_idx_set("pictures");
    place.train_quickly("run", &["--dataset", "pictures", "--epochs", "20"]).well();
    fs::create_dir(place.path("elsewhere")).unwrap();
    let mut command = place.command(&["evaluate", "../run"]);
    let finished = command.current_dir(place.path("elsewhere")).output().unwrap();
    assert!(String::from_utf8(finished.stdout).unwrap().starts_with("test set of pictures: 20 images\n"));

    place.write_idx_set("others");
    place.write("others", "t10k-images-idx3-ubyte", &idx(&[2, 4, 4], &[9; 32]));
    place.write("others", "t10k-labels-idx1-ubyte", &idx(&[2], &[0, 1]));
    let finished = place.run(&["evaluate", "run", "--dataset", "others"]).well();
    assert!(finished.stdout.starts_with("test set of others: 2 images\n"), "{finished:?}");
}

#[test]
fn a_data_set_that_does_not_fit_the_run_is_refused() {
    let place = Place::new();
    place.train_quickly("run", &[]).well();
    place.write_idx_set("pictures");
    let finished = place.run(&["evaluate", "run", "--dataset", "pictures"]);
    finished.with_fault(1, &["the run has 10 classes, but pictures has 2"]);
}

#[test]
fn what_is_no_run_or_damaged_is_named() {
    let place = Place::new();
    place.run(&["evaluate", "nowhere"]).with_fault(1, &["nowhere is not a folder"]);
    place.run(&["evaluate", "."]).with_fault(1, &["is not a run: it has no run.json"]);
    place.run(&["evaluate"]).with_fault(2, &["<RUN>"]);

    place.train_quickly("run", &[]).well();
    let whole = fs::read(place.path("run/weights.safetensors")).unwrap();
    place.write("run", "weights.safetensors", &whole[..whole.len() / 2]);
    place.run(&["evaluate", "run"]).with_fault(1, &["run/weights.safetensors"]);
    fs::remove_file(place.path("run/weights.safetensors")).unwrap();
    place.run(&["evaluate", "run"]).with_fault(1, &["run/weights.safetensors", "No such file"]);
    place.write("run", "run.json", b"{\"fitch_version\": 1");
    place.run(&["evaluate", "run"]).with_fault(1, &["run/run.json is not the record of a run"]);
}
