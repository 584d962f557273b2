use crate::place::{Place, idx};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;

/// The rows of the test images that a run is wrong about, as its training wrote them.
fn mistakes(place: &Place, run: &str) -> BTreeSet<usize> {
    let text = place.read(&format!("{run}/mistakes.csv"));
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.records().map(|row| row.unwrap()[0].parse().unwrap()).collect()
}

#[test]
fn models_are_compared_on_the_images_that_one_alone_is_right_about() {
    let place = Place::new();
    place.train_quickly("a", &["--epochs", "2"]).well();
    place.train_quickly("b", &["--seed", "7"]).well();
    let files = ["--differences", "differences.csv", "--sheet", "sheet.png"];
    let finished = place.run(&[&["compare", "a", "b", "--format", "json"], &files[..]].concat()).well();
    let json: Value = serde_json::from_str(&finished.stdout).unwrap();

    let (wrong_a, wrong_b) = (mistakes(&place, "a"), mistakes(&place, "b"));
    let only = |wrong: &BTreeSet<usize>, right: &BTreeSet<usize>| wrong.difference(right).count();
    let (a_only, b_only) = (only(&wrong_b, &wrong_a), only(&wrong_a, &wrong_b));
    assert!(a_only + b_only > 0, "the test needs models that differ");
    assert_eq!((&json["a_only"], &json["b_only"]), (&json!(a_only), &json!(b_only)));
    assert_eq!(json["images"], 364);
    for (index, run) in ["a", "b"].into_iter().enumerate() {
        let (model, record) = (&json["models"][index], place.record(run));
        assert_eq!(model["accuracy"], record["test_accuracy"]);
        assert_eq!(model["accuracy_interval"], record["test_accuracy_interval"]);
    }

    // Every image that they differ on, and no other.
    let text = place.read("differences.csv");
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let head: Vec<String> = reader.headers().unwrap().iter().map(str::to_string).collect();
    assert_eq!(
        head,
        ["row", "true", "right", "predicted by a", "probability by a", "predicted by b", "probability by b"]
    );
    let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.unwrap()).collect();
    let listed: BTreeSet<usize> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
    assert_eq!(listed, wrong_a.symmetric_difference(&wrong_b).copied().collect());
    for row in &rows {
        let wrong = if &row[2] == "a" { &row[5] } else { &row[3] };
        let right = if &row[2] == "a" { &row[3] } else { &row[5] };
        assert!(&row[1] == right && &row[1] != wrong, "{row:?}");
    }
    assert!(fs::read(place.path("sheet.png")).unwrap().starts_with(b"\x89PNG"));

    let finished = place.run(&["compare", "a", "b"]).well();
    assert!(finished.stdout.starts_with("test set of digits: 364 images\n"), "{finished:?}");
    let words = format!("where A is wrong, A on {a_only} where B is wrong: ");
    assert!(finished.stdout.contains(&words), "no {words:?} in {finished:?}");

    // A model is no better than its own file; three comparisons are corrected for.
    let several = ["compare", "a", "b", "a/model.pt", "--dataset", "digits"];
    let text = place.run(&[&several[..], &["--format", "csv"]].concat()).well().stdout;
    let rows: Vec<csv::StringRecord> =
        csv::Reader::from_reader(text.as_bytes()).records().map(|row| row.unwrap()).collect();
    let pairs: Vec<String> =
        rows.iter().map(|row| format!("{} {} {} {}", &row[0], &row[1], &row[2], &row[3])).collect();
    let expected = [
        format!("a b {a_only} {b_only}"),
        "a a/model.pt 0 0".to_string(),
        format!("b a/model.pt {b_only} {a_only}"),
    ];
    assert_eq!(pairs, expected);
    let p = json["p_value"].as_f64().unwrap();
    let corrected: Vec<f64> = rows.iter().map(|row| row[5].parse().unwrap()).collect();
    assert_eq!(corrected, [(3.0 * p).min(1.0), 1.0, (3.0 * p).min(1.0)]);
    let finished = place.run(&several).well();
    assert!(finished.stdout.contains("\nA, B ") && finished.stdout.contains("3 comparisons"), "{finished:?}");
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let place = Place::new();
    for (folder, labels) in [("pictures", [0u8, 1]), ("others", [1, 0]), ("left", [0, 0])] {
        place.write_idx_set(folder);
        let bright = |label: u8| (0..16u8).map(move |at| if (at % 4 < 2) == (label == 0) { 200 } else { 9 });
        place.write(
            folder,
            "t10k-images-idx3-ubyte",
            &idx(&[2, 4, 4], &labels.into_iter().flat_map(bright).collect::<Vec<_>>()),
        );
        place.write(folder, "t10k-labels-idx1-ubyte", &idx(&[2], &labels));
    }
    place.train_quickly("digits", &[]).well();
    place.train_quickly("a", &["--dataset", "pictures"]).well();
    place.train_quickly("b", &["--dataset", "others"]).well();

    place.run(&["compare", "a"]).with_fault(2, &["MODEL", "2 values"]);
    place.run(&["compare", "a", "b", "./a"]).with_fault(2, &["./a is given twice"]);
    place.run(&["compare", "a", "digits"]).with_fault(
        1,
        &["a and digits have different classes; only digits has 2, 3, 4, 5, 6, 7 and 2 more\n"],
    );
    place.run(&["compare", "a", "a/model.pt"]).with_fault(2, &["--dataset is needed"]);
    let parts =
        ["a and b have different test sets, 2 images of pictures and 2 images of others", "hint: --dataset"];
    place.run(&["compare", "a", "b"]).with_fault(1, &parts);
    // A class without test images is no fault.
    let finished = place.run(&["compare", "a", "b", "--dataset", "left"]).well();
    let words = "A and B are right on the same images: no evidence of a difference (p = 1)\n";
    assert!(finished.stdout.starts_with("test set of left: 2 images\n"), "{finished:?}");
    assert!(finished.stdout.ends_with(words), "{finished:?}");
    let finished = place.run(&["compare", "a", "b", "--dataset", "left", "--sheet", "sheet.png"]).well();
    assert!(finished.stderr.contains("sheet.png is not written"), "{finished:?}");
    assert!(!place.path("sheet.png").exists());

    let mut record = place.record("b");
    record["stop_reason"] = Value::Null;
    place.write("b", "run.json", record.to_string().as_bytes());
    fs::remove_file(place.path("b/weights.safetensors")).unwrap();
    place.run(&["compare", "a", "b"]).with_fault(1, &["b is not finished"]);
}
