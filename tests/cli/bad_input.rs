//! Wrong data and wrong options: exit code, message naming file and fault, nothing left behind.

use crate::place::{Finished, IDX_FILES, Place, idx, skipped};
use flate2::{Compression, write::GzEncoder};
use std::fs;
use std::io::Write;
use std::process::Command;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Trains on a set that was spoilt; the fault must name the file.
#[track_caller]
fn with_spoilt_set(file: &str, fault: &str, spoil: impl FnOnce(&Place)) {
    let place = Place::new();
    place.write_idx_set("set");
    spoil(&place);
    place.train(&["--dataset", "set"]).with_fault(1, &[&format!("set/{file}"), fault]);
    assert_eq!(place.names("."), ["set"], "nothing is left behind");
}

#[test]
fn damaged_idx_files_are_named_with_their_fault() {
    let [images, labels, ..] = IDX_FILES;
    let pixels: Vec<u8> = (0..960u32).map(|i| (i * i % 251) as u8).collect();
    let whole = idx(&[60, 4, 4], &pixels);
    let replaced = |position: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[position] = byte;
        bytes
    };
    let long = [whole.clone(), vec![0]].concat();
    for (bytes, fault) in [
        (replaced(0, 7), "is not an IDX file"),
        (b"<html></html>".to_vec(), "is not an IDX file"),
        (replaced(2, 0x0a), "has type code 0x0a; the format's are 0x08"),
        (replaced(3, 5), "has 5 dimensions; images have 2 to 4"),
        (whole[..3].to_vec(), "ends within its header"),
        (whole[..13].to_vec(), "ends within its header"),
        (whole[..500].to_vec(), "is cut short"),
        (long, "is too long"),
        (idx(&[u32::MAX; 3], &pixels), "whose product is too large for any file"),
        (idx(&[1 << 30, 4, 4], &pixels), "is cut short"),
        (idx(&[59, 4, 4], &pixels[..944]), "train-images-idx3-ubyte has 59 images"),
        (Vec::new(), "is empty"),
    ] {
        let named = if fault.contains("59 images") { labels } else { images };
        with_spoilt_set(named, fault, |place| place.write("set", images, &bytes));
    }
    with_spoilt_set(labels, "has 3 dimensions; labels have 1", |place| place.write("set", labels, &whole));
}

#[test]
fn damaged_gzip_files_are_named_with_their_fault() {
    let images = IDX_FILES[0];
    let pixels: Vec<u8> = (0..960u32).map(|i| (i * i % 251) as u8).collect();
    let whole = gzip(&idx(&[60, 4, 4], &pixels));
    let mut corrupt = whole.clone();
    let last = corrupt.len() - 6;
    corrupt[last] ^= 0xff;
    let bomb = gzip(&[idx(&[60, 4, 4], &pixels), vec![0; 50_000_000]].concat());
    for (bytes, fault) in [
        (whole[..whole.len() / 2].to_vec(), "cut short"),
        (whole[..whole.len() - 3].to_vec(), "cut short"),
        (corrupt, "is a corrupt gzip file"),
        (bomb, "expands beyond the 960 bytes that its header states"),
        (gzip(&idx(&[60_000, 28, 28], &pixels)), "more than a gzip file of"),
        (gzip(&idx(&[61, 4, 4], &pixels)), "is cut short"),
    ] {
        let spoil = |place: &Place| {
            fs::remove_file(place.path("set").join(images)).unwrap();
            place.write("set", &format!("{images}.gz"), &bytes);
        };
        with_spoilt_set(&format!("{images}.gz"), fault, spoil);
    }
}

#[test]
fn labels_beyond_the_classes_are_named() {
    let [_, train_labels, _, test_labels] = IDX_FILES;
    let labels = |wrong: u8| idx(&[60], &[&[0, 1].repeat(29)[..], &[0, wrong]].concat());
    // One image of another class is no fault of the labels: numbers may have gaps. The test set lacks it.
    let place = Place::new();
    place.write_idx_set("set");
    place.write("set", train_labels, &labels(9));
    let finished = place.train(&["--dataset", "set"]).well();
    assert!(finished.stderr.contains("3 different numbers from 0 to 9"), "{finished:?}");
    with_spoilt_set(test_labels, "label 2 (of image 19, counted from 0) is beyond the 2 classes", |place| {
        place.write("set", test_labels, &idx(&[20], &[&[0, 1].repeat(9)[..], &[0, 2]].concat()));
    });
}

#[test]
fn a_folder_without_the_files_says_which() {
    let place = Place::new();
    fs::create_dir(place.path("set")).unwrap();
    let finished = place.train(&["--dataset", "set"]);
    let finished = finished.with_fault(1, &["set: has no train-images-idx3-ubyte, no train-labels"]);
    assert!(finished.stderr.contains("(raw or .gz)"));
    assert_eq!(place.names("."), ["set"]);
}

#[cfg(unix)]
#[test]
fn an_unreadable_file_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let images = IDX_FILES[0];
    with_spoilt_set(images, "is not a file", |place| {
        fs::remove_file(place.path("set").join(images)).unwrap();
        fs::create_dir(place.path("set").join(images)).unwrap();
    });
    let place = Place::new();
    place.write_idx_set("set");
    let file = place.path("set").join(images);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(&file).is_ok() {
        skipped("part of an_unreadable_file_is_named", "root may read all");
        return;
    }
    place.train(&["--dataset", "set"]).with_fault(1, &[&format!("set/{images}"), "Permission denied"]);
}

#[test]
fn wrong_options_end_with_2_and_write_nothing() {
    let place = Place::new();
    for (arguments, parts) in [
        (&["--epochs", "0"][..], &["--epochs 0: must be a whole number of at least 1"][..]),
        (&["--epochs", "x"], &["'x' for '--epochs <N>'"]),
        (&["--epochs"], &["'--epochs <N>'", "hint: --epochs <N>: Maximum number of epochs [default: 100]\n"]),
        (&["--seed", "x"], &["'x' for '--seed <N>': must be a whole number\n"]),
        (
            &["--batchsize", "3"],
            &["unexpected argument '--batchsize'", "hint: did you mean --batch-size? `fitch train"],
        ),
        (&["--imgsz", "28"], &["unexpected argument '--imgsz' found\nhint: --image-size 28x28 scales"]),
        (&["mnist", "epochs=3"], &["hint: options begin with two hyphens: --epochs 3\n"]),
        (&["minst"], &["--dataset minst: ", "did you mean mnist?"]),
        (&["mnist", "--dataset", "digits"], &["--dataset digits: the data set is given as mnist already"]),
        (&["--skip-bad", "true"], &["--dataset true: ", "--skip-bad=true"]),
        (&["--layers", "Linear 5"], &["'Linear' is not a layer kind", "did you mean dense?"]),
        (&["--dataset", "nowhere"], &["--dataset nowhere: ", "digits, mnist, fashion-mnist, kmnist"]),
        (&["--dataset", "minst"], &["--dataset minst: ", "did you mean mnist?"]),
        (&["--monitor", "val_acc"], &["--monitor val_acc: must be one of", "did you mean val_accuracy?"]),
        (&["--data-format", "jpg"], &["'jpg' for '--data-format <FORMAT>'", "idx, pictures, csv, npz, "]),
        (&["--layers", "dense 5 relu"], &["--layers: 'dense' needs", "        ^^^^^^"]),
        (&["--split", "first"], &["'first' for '--split <METHOD>'", "stratified, shuffled, last"]),
        (&["--device", "gpu", "--threads", "0"], &["--device gpu: must", "--threads 0: must"]),
    ] {
        place.train(arguments).with_fault(2, parts);
    }
    place
        .run(&["summary", "--direction", "up"])
        .with_fault(2, &["'up' for '--direction <WAY>'", "down, right"]);
    place
        .run(&["export", "run", "--input", "int8"])
        .with_fault(2, &["'int8' for '--input <TYPE>'", "uint8, float"]);
    place.run(&["trian"]).with_fault(2, &["subcommand 'trian'\nhint: did you mean `fitch train`?\n"]);
    place.run(&["mnist"]).with_fault(2, &["hint: `fitch train mnist` trains on it\n"]);
    let conflict = place.run(&["plot", "run", "--terminal", "--to", "a.svg"]);
    let conflict = conflict.with_fault(2, &["'--terminal' cannot be used with '--to <FILE>'"]);
    assert!(!conflict.stderr.contains("hint"), "the message says it all: {conflict:?}");
    place
        .run(&["evaluate"])
        .with_fault(2, &["  <MODEL>\nhint: usage: fitch evaluate [OPTIONS] <MODEL> [DATA]\n"]);
    place.run(&["data", "fetch", "minst"]).with_fault(2, &["did you mean mnist?"]);
    assert!(place.names(".").is_empty());
}

#[test]
fn a_run_folder_that_cannot_be_made_is_told_before_training() {
    let place = Place::new();
    place.write(".", "file", b"");
    place.train_quickly("file", &[]).with_fault(1, &["cannot use file as run folder"]);
    place.train_quickly("file/run", &[]).with_fault(1, &["file/run"]);
    assert_eq!(place.names("."), ["file"]);
}

#[test]
fn without_a_network_the_error_says_which_files_to_put_where() {
    let place = Place::new();
    let mut command = place.command(&["train", "--dataset", "kmnist", "--data-dir", "data"]);
    // A proxy that is not there: nothing leaves this machine.
    let output = command.env("HTTPS_PROXY", "http://127.0.0.1:1").output().unwrap();
    let finished = Finished::from(output).with_fault(1, &["cannot fetch kmnist; without a network, put"]);
    for part in [&IDX_FILES[..], &["into data/kmnist", "https://codh.rois.ac.jp/"]].concat() {
        assert!(finished.stderr.contains(part), "no {part} in {finished:?}");
    }
    assert!(place.names("data/kmnist").is_empty() && !place.path("runs").exists());
}

#[cfg(unix)]
#[test]
fn a_model_too_large_for_the_memory_is_an_error_without_a_dump() {
    let place = Place::new();
    // With limited memory for certain, whatever this machine has.
    let script = "ulimit -v 16000000; exec \"$0\" train --threads 1 --layers 'dense 1000000, dense 1000000'";
    let mut command = Command::new("sh");
    command.args(["-c", script, env!("CARGO_BIN_EXE_fitch")]).current_dir(place.path("."));
    let finished = Finished::from(command.output().unwrap());
    finished.with_fault(1, &["cannot create dense_2", "hint: a smaller --batch-size or smaller --layers"]);
    assert!(place.names(".").is_empty());
}

#[test]
fn faults_of_a_config_file_name_its_options_as_users_write_them() {
    let place = Place::new();
    place.write(".", "options.toml", b"datset = 'mnist'\nlr = 1\nlearning_rate = 'fast'\n");
    place.train(&["--config", "options.toml"]).with_fault(
        2,
        &[
            "options.toml: unknown option 'datset'; did you mean dataset?",
            "options.toml: unknown option 'lr'; did you mean learning-rate?",
            "options.toml: learning-rate: invalid type: string \"fast\", expected a number",
        ],
    );
    place.write(
        ".",
        "options.toml",
        b"layers = ['dense 16', 'relu']\nbatch_size = 64\nepochs = 1\nout = 'run'\n",
    );
    place.train(&["--config", "options.toml"]).well();
    assert_eq!(place.record("run")["config"]["layers"], "dense 16, relu");
    // A run that is resumed with its file is the same run.
    place.train(&["--config", "options.toml", "--resume", "run", "--epochs", "2"]).well();
    assert_eq!(place.record("run")["epochs_run"], 2);
}
