use crate::place::{IDX_FILES, Place, idx};
use std::fs;

/// Pictures of 4 x 4 pixels of one value each but for a corner that tells the class; given as value and label.
fn write_set(place: &Place, folder: &str, train: &[(u8, u8)], test: &[(u8, u8)]) {
    fs::create_dir(place.path(folder)).unwrap();
    for (names, pictures) in [(&IDX_FILES[..2], train), (&IDX_FILES[2..], test)] {
        let pixels: Vec<u8> = pictures.iter().flat_map(|&(value, _)| [value; 16]).collect();
        let labels: Vec<u8> = pictures.iter().map(|&(_, label)| label).collect();
        place.write(folder, names[0], &idx(&[pictures.len() as u32, 4, 4], &pixels));
        place.write(folder, names[1], &idx(&[labels.len() as u32], &labels));
    }
}

#[test]
fn copies_are_counted_before_training_and_can_be_dropped() {
    let place = Place::new();
    // 40 pictures, of which two are repeated, one of them under another label.
    let mut train: Vec<(u8, u8)> = (0..40).map(|value| (value, u8::from(value >= 20))).collect();
    train.extend([(3, 0), (30, 0)]);
    write_set(&place, "set", &train, &[(5, 0), (35, 1), (25, 0), (200, 1)]);
    let options = ["--dataset", "set", "--validation-split", "0", "--epochs", "3"];
    let train = |out: &str, more: &[&str]| place.train_quickly(out, &[&options, more].concat());
    let told = train("with", &[]).well().stderr;
    for line in [
        "warning: 3 of 4 test images are also training images: 2 with the same label (test row 0 = training row 5), \
         1 with another (test row 2, 0 = training row 25, 1)\n",
        "warning: 2 of 42 training images repeat earlier ones: 1 with the same label (training row 40 = training \
         row 3), 1 with another (training row 41, 0 = training row 30, 1)\n",
        "--drop-duplicates leaves copies out of the training images\n",
    ] {
        assert!(told.contains(line), "no {line} in {told}");
    }
    let record = place.record("with");
    let count =
        |same: u64, different: u64| serde_json::json!({ "same_label": same, "different_label": different });
    let copies = &record["dataset"]["copies"];
    assert_eq!((&copies["test_in_train"], &copies["within_train"]), (&count(2, 1), &count(1, 1)));
    assert_eq!((&record["dataset"]["train"], record["dataset"].get("copies_dropped")), (&42.into(), None));

    // What was found then is said again.
    let tested = place.run(&["evaluate", "with"]).well().stderr;
    assert!(tested.contains("warning: with: 3 of 4 test images are also training images\n"), "{tested}");

    // The pictures of the test images, one of the two alike, and both that contradict each other.
    let told = train("without", &["--drop-duplicates"]).well().stderr;
    assert!(told.contains("\n6 of 42 training images are left out as copies\n"), "{told}");
    assert!(
        told.contains("set: 36 train, no validation, 4 test\n") && !told.contains("warning: 3 of"),
        "{told}"
    );
    let record = place.record("without");
    assert_eq!(record["dataset"]["copies"], *copies);
    assert_eq!((&record["dataset"]["train"], &record["dataset"]["copies_dropped"]), (&36.into(), &6.into()));

    assert!(!place.run(&["evaluate", "without"]).well().stderr.contains("warning"));

    // A resumed run drops the same ones again, and reports nothing anew.
    train("resumed", &["--drop-duplicates", "--epochs", "1"]).well();
    let told = place.train(&["--resume", "resumed", "--epochs", "3"]).well().stderr;
    assert!(!told.contains("left out as copies") && !told.contains("are also"), "{told}");
    let weights = |run: &str| fs::read(place.path(run).join("weights.safetensors")).unwrap();
    assert_eq!(weights("resumed"), weights("without"));
    assert!(weights("with") != weights("without"));

    write_set(&place, "alike", &[(7, 0), (7, 1), (7, 0), (7, 1)], &[(7, 1)]);
    place
        .train(&["--dataset", "alike", "--validation-split", "0", "--drop-duplicates"])
        .with_fault(1, &["--drop-duplicates leaves no image to train on: all are also"]);
}

/// The built-in digits as CSV rows; every `every`-th row gets the next label. Returns these rows.
fn digits_with_wrong_labels(place: &Place, every: usize) -> Vec<usize> {
    let packed = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/src/data/digits.csv.gz")).unwrap();
    let unpacked = flate2::read::GzDecoder::new(&packed[..]);
    let mut rows = csv::ReaderBuilder::new().has_headers(false).from_reader(unpacked);
    let (mut train, mut test, mut wrong) = (Vec::new(), Vec::new(), Vec::new());
    for (number, row) in rows.records().enumerate() {
        let row: Vec<u32> = row.unwrap().iter().map(|cell| cell.parse().unwrap()).collect();
        let (label, pixels) = row.split_last().unwrap();
        let is_test = number % 4 == 0;
        let lines = if is_test { &mut test } else { &mut train };
        let is_wrong = lines.len() % every == every - 1;
        if is_wrong {
            wrong.push(lines.len() + if is_test { 10_000 } else { 0 });
        }
        let pixels: Vec<String> = pixels.iter().map(u32::to_string).collect();
        lines.push(format!("{},{}\n", (label + u32::from(is_wrong)) % 10, pixels.join(",")));
    }
    let head: Vec<String> = (0..64).map(|pixel| format!("pixel{pixel}")).collect();
    fs::create_dir(place.path("changed")).unwrap();
    for (name, lines) in [("train.csv", train), ("test.csv", test)] {
        place.write("changed", name, format!("label,{}\n{}", head.join(","), lines.concat()).as_bytes());
    }
    wrong
}

#[test]
fn wrong_labels_stand_first_among_the_suspects() {
    let place = Place::new();
    let wrong = digits_with_wrong_labels(&place, 30);
    let train = ["--dataset", "changed", "--data-dir", "kept", "--epochs", "15", "--out", "run"];
    place.train(&train).well();
    let told = place.run(&["evaluate", "run", "--suspects", "suspects.csv", "--on", "all"]).well();
    assert!(told.stdout.starts_with("test set of changed: 450 images\n"), "{told:?}");
    for part in [
        " of 1,797 labels are probably wrong: written to suspects.csv and suspects.png\n",
        "the model was trained on the labels of the training images",
    ] {
        assert!(told.stderr.contains(part), "no {part} in {told:?}");
    }
    assert!(fs::read(place.path("suspects.png")).unwrap().starts_with(b"\x89PNG"));
    let mut reader = csv::Reader::from_path(place.path("suspects.csv")).unwrap();
    let head: Vec<String> = reader.headers().unwrap().iter().map(str::to_string).collect();
    assert_eq!(head, ["split", "row", "label", "predicted", "probability", "probability_of_label", "loss"]);
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.unwrap()).collect();
    let number = |row: &csv::StringRecord| {
        row[1].parse::<usize>().unwrap() + if &row[0] == "test" { 10_000 } else { 0 }
    };
    // Nearly all that are listed were changed, and most that were changed are listed.
    let found = rows.iter().filter(|row| wrong.contains(&number(row))).count();
    assert!(20 * found >= 19 * rows.len(), "{found} of {}: {rows:?}", rows.len());
    assert!(3 * found >= 2 * wrong.len(), "{found} of {}: {rows:?}", wrong.len());
    let margin = |row: &csv::StringRecord| row[4].parse::<f64>().unwrap() - row[5].parse::<f64>().unwrap();
    assert!(rows.windows(2).all(|pair| margin(&pair[0]) >= margin(&pair[1])));
    // The model says what the labels were.
    let right = rows.iter().take(20).filter(|row| {
        let [label, predicted] = [2, 3].map(|cell| row[cell].parse::<u32>().unwrap());
        label == (predicted + 1) % 10
    });
    assert!(right.count() >= 18, "{rows:?}");
    place.run(&["evaluate", "run", "--suspects", "s.png"]).with_fault(2, &["--suspects s.png: is a table"]);
    place.run(&["evaluate", "run", "--on", "train"]).with_fault(2, &["--suspects <FILE>"]);
}

#[test]
fn images_that_a_run_was_trained_on_are_found_in_other_data() {
    let place = Place::new();
    let train: Vec<(u8, u8)> = (0..40).map(|value| (value, u8::from(value >= 20))).collect();
    write_set(&place, "set", &train, &[(60, 0), (90, 1)]);
    write_set(&place, "other", &[(0, 0), (1, 1)], &[(5, 0), (35, 1), (60, 0), (200, 1)]);
    place.train_quickly("run", &["--dataset", "set"]).well();
    let known = "warning: 2 of 4 test images are identical to ones that run was trained or validated with\n";
    for model in ["run", "run/model.pt"] {
        let told = place.run(&["evaluate", model, "other"]).well().stderr;
        assert!(told.contains(known), "{told}");
    }
    write_set(&place, "fresh", &[(0, 0), (1, 1)], &[(100, 0), (200, 1)]);
    assert!(!place.run(&["evaluate", "run", "fresh"]).well().stderr.contains("warning"));
}
