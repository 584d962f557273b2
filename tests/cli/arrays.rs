//! Arrays as people have them, from the command to the numbers that it tells.

use crate::place::{Finished, IDX_FILES, Place, idx};
use std::fs;
use tch::{Kind, Tensor};

const QUICK: [&str; 8] =
    ["--layers", "dense 8", "--epochs", "20", "--batch-size", "8", "--learning-rate", "0.01"];

/// 60 images of 4 x 4 whose brightness is that of their class, from 0 to 0.9.
fn unit_images() -> Tensor {
    let value = |row: usize, pixel: usize| {
        let noise = (row * 31 + pixel * 17) % 10;
        (row % 3) as f32 * 0.3 + noise as f32 * 0.03
    };
    let values: Vec<f32> = (0..60).flat_map(|row| (0..16).map(move |pixel| value(row, pixel))).collect();
    Tensor::from_slice(&values).view([60, 4, 4])
}

fn labels() -> Tensor {
    Tensor::from_slice(&(0..60).map(|row| row % 3).collect::<Vec<i64>>())
}

fn write_npz(place: &Place, name: &str, arrays: &[(&str, Tensor)]) {
    let arrays: Vec<(&str, &Tensor)> = arrays.iter().map(|(name, array)| (*name, array)).collect();
    Tensor::write_npz(&arrays, place.path(name)).unwrap();
}

fn train(place: &Place, dataset: &str, out: &str) -> Finished {
    place.train(&[&QUICK[..], &["--dataset", dataset, "--out", out]].concat())
}

fn evaluate(place: &Place, arguments: &[&str]) -> (serde_json::Value, String) {
    let finished = place.run(&[&["evaluate"], arguments, &["--format", "json"]].concat()).well();
    (serde_json::from_str(&finished.stdout).unwrap(), finished.stderr)
}

/// Once, the run was lost after its last epoch.
#[test]
fn floats_of_any_range_are_trained_on_and_exported() {
    let place = Place::new();
    let unit = unit_images();
    for (name, images, maximum) in [
        ("bytes", &unit * 255.0, 255.0),
        ("dark", &unit * 0.9, 1.0),
        ("standardised", (&unit - 0.4) * 3.3, 1.55),
        ("large", &unit * 1e6, 870_000.0),
    ] {
        let file = format!("{name}.npz");
        write_npz(&place, &file, &[("x_train", images), ("y_train", labels())]);
        train(&place, &file, name).well();
        let found = place.record(name)["dataset"]["maximum"].as_f64().unwrap();
        assert!((found / maximum - 1.0).abs() < 0.05, "{name}: {found}");
        assert!(place.path(name).join("model.pt").exists());
        place.run(&["export", name, "--to", "again.pt"]).well();
    }
}

/// Once, bytes of 0 and 1 were divided by 255.
#[test]
fn bytes_that_end_far_below_255_are_scaled_by_what_they_end_at() {
    let place = Place::new();
    let binary = unit_images().gt(0.45);
    for (name, kind) in [("bytes", Kind::Uint8), ("floats", Kind::Float)] {
        let file = format!("{name}.npz");
        write_npz(&place, &file, &[("x_train", binary.to_kind(kind)), ("y_train", labels())]);
        let finished = train(&place, &file, name).well();
        assert_eq!(finished.stderr.contains("the values go from 0 to 1: 1 becomes 1.0"), name == "bytes");
        assert_eq!(place.record(name)["dataset"]["maximum"], 1.0);
    }
    for key in ["test_accuracy", "test_loss", "best_value"] {
        assert_eq!(place.record("bytes")[key], place.record("floats")[key], "{key}");
    }
    place
        .train(&[&QUICK[..], &["--dataset", "bytes.npz", "--maximum", "255", "--out", "other"]].concat())
        .well();
    assert_eq!(place.record("other")["dataset"]["maximum"], 255.0);
    let inspected = place.run(&["data", "inspect", "bytes.npz", "--maximum", "4"]).well();
    assert!(inspected.stdout.contains("4 becomes 1"), "{inspected:?}");
    place.train(&["--maximum", "0"]).with_fault(2, &["--maximum 0", "above 0"]);
}

/// Once, data to evaluate with were scaled by their own maximum, and a tenth of them was taken.
#[test]
fn other_data_are_scaled_as_those_that_the_model_was_trained_on_and_taken_whole() {
    let place = Place::new();
    let whole = (unit_images() * 1000.0).to_kind(Kind::Int16);
    write_npz(&place, "a.npz", &[("x_train", whole.shallow_clone()), ("y_train", labels())]);
    train(&place, "a.npz", "run").well();
    assert_eq!(place.record("run")["dataset"]["maximum"], 1023.0);

    let dim = whole.floor_divide_scalar(4);
    write_npz(&place, "b.npz", &[("x", dim.shallow_clone()), ("y", labels())]);
    let (json, said) = evaluate(&place, &["run", "--dataset", "b.npz"]);
    assert_eq!(json["images"], 60);
    assert!(said.contains("there is no test set: all 60 images are taken as one"), "{said}");
    let mut file = vec![0, 0, 0x0b, 3];
    [60u32, 4, 4].iter().for_each(|size| file.extend(size.to_be_bytes()));
    let values = Vec::<i64>::try_from(dim.to_kind(Kind::Int64).view([-1])).unwrap();
    values.iter().for_each(|&value| file.extend((value as i16).to_be_bytes()));
    place.write(".", "b-images.idx", &file);
    let predicted = place.run(&["predict", "run", "b-images.idx"]).well().stdout;
    let is_right = |(row, line): (usize, &str)| line.split(',').nth(2) == Some(&(row % 3).to_string());
    let right = predicted.lines().skip(1).enumerate().filter(|line| is_right(*line)).count();
    assert_eq!(json["accuracy"].as_f64().unwrap(), right as f64 / 60.0);

    write_npz(&place, "c.npz", &[("x", &whole * 2), ("y", labels())]);
    let (_, said) = evaluate(&place, &["run/model.pt", "--dataset", "c.npz"]);
    assert!(
        said.contains("train images have values up to") && said.contains("but 1023 becomes 1.0"),
        "{said}"
    );

    // The data of the run, here and elsewhere, are split as they were.
    fs::copy(place.path("a.npz"), place.path("moved.npz")).unwrap();
    for dataset in ["a.npz", "moved.npz"] {
        for model in ["run", "run/model.pt"] {
            let (json, said) = evaluate(&place, &[model, "--dataset", dataset]);
            assert_eq!(json["images"], 6, "{said}");
            assert_eq!(json["accuracy"], place.record("run")["test_accuracy"]);
        }
    }
    let (json, _) = evaluate(&place, &["run", "--dataset", "b.npz", "--test-split", "0.5"]);
    assert_eq!(json["images"], 30);
    place.run(&["evaluate", "run", "--maximum", "9"]).with_fault(2, &["--maximum"]);
}

#[test]
fn data_of_some_of_the_classes_and_in_other_colours_are_evaluated() {
    let place = Place::new();
    let bytes = (unit_images() * 255.0).to_kind(Kind::Uint8);
    let colour = bytes.unsqueeze(1).expand([-1, 3, -1, -1], false).contiguous();
    write_npz(&place, "grey.npz", &[("x", bytes.shallow_clone()), ("y", labels())]);
    write_npz(&place, "colour.npz", &[("x", colour), ("y", labels())]);
    train(&place, "grey.npz", "grey").well();
    train(&place, "colour.npz", "colour").well();
    for (run, other, kind) in [("colour", "grey.npz", "colour"), ("grey", "colour.npz", "grey")] {
        let (json, said) = evaluate(&place, &[run, "--dataset", other]);
        assert_eq!(json["images"], 60);
        assert!(said.contains(&format!("are taken in {kind}, as the model takes them")), "{said}");
    }
    let rows = Tensor::from_slice(&[1i64, 4, 7, 2]);
    let some = [("x", bytes.index_select(0, &rows)), ("y", labels().index_select(0, &rows))];
    write_npz(&place, "some.npz", &some);
    let (json, _) = evaluate(&place, &["grey", "--dataset", "some.npz"]);
    assert_eq!((&json["images"], &json["classes"][1]["images"]), (&4.into(), &3.into()));
}

/// As MedMNIST, scikit-learn and people's own scripts write them.
#[test]
fn arrays_of_other_names_and_labels_of_other_forms_are_read() {
    let place = Place::new();
    let bytes = (unit_images() * 255.0).to_kind(Kind::Uint8);
    let one_hot = Tensor::eye(3, (Kind::Double, tch::Device::Cpu)).index_select(0, &labels());
    let gaps = &labels() * &labels() * 3;
    for (name, x, y, of_labels, classes) in [
        ("medical", "train_images", "train_labels", labels().view([60, 1]), ["0", "1", "2"]),
        ("sklearn", "data", "target", labels().to_kind(Kind::Float), ["0", "1", "2"]),
        ("unnamed", "arr_0", "arr_1", labels(), ["0", "1", "2"]),
        ("one-hot", "X_train", "y_train", one_hot, ["0", "1", "2"]),
        ("gaps", "x_train", "y_train", gaps, ["0", "3", "12"]),
    ] {
        let file = format!("{name}.npz");
        write_npz(&place, &file, &[(x, bytes.shallow_clone()), (y, of_labels)]);
        let inspected = place.run(&["data", "inspect", &file]).well();
        assert!(inspected.stdout.contains("54 training images, 6 test images"), "{name}: {inspected:?}");
        let rows: Vec<&str> = inspected.stdout.lines().filter(|line| line.contains(" %")).collect();
        assert!(rows.iter().zip(classes).all(|(row, class)| row.starts_with(class)), "{name}: {rows:?}");
    }
    write_npz(&place, "x.npz", &[("x_train", bytes)]);
    place.train(&["--dataset", "x.npz"]).with_fault(1, &["x.npz: has x_train but no labels for it"]);
}

#[test]
fn images_that_are_sorted_by_class_are_noticed_when_the_last_are_held_out() {
    let place = Place::new();
    let values: Vec<u8> = (0..60 * 16).map(|value| (value % 251) as u8).collect();
    let classes: Vec<u8> = (0..60).map(|row| row / 20).collect();
    fs::create_dir(place.path("set")).unwrap();
    place.write("set", IDX_FILES[0], &idx(&[60, 4, 4], &values));
    place.write("set", IDX_FILES[1], &idx(&[60], &classes));
    let train = |split: &str| {
        let arguments = ["--dataset", "set", "--epochs", "1", "--split", split, "--out", split];
        place.train(&arguments).well().stderr
    };
    let last = train("last");
    assert!(
        last.contains("the images are sorted by class (--split stratified takes some of each)"),
        "{last}"
    );
    let counts =
        "the validation set has no image of 2 of 3 classes: 0 (18 training images), 1 (18 training images)";
    assert!(last.contains(counts), "{last}");
    let stratified = train("stratified");
    assert!(!stratified.contains("sorted by class") && !stratified.contains("no image of"), "{stratified}");
}

/// Once, 59 of 60 images could change without a word.
#[test]
fn a_run_does_not_go_on_with_images_that_changed_anywhere() {
    let place = Place::new();
    place.write_idx_set("set");
    place.train_quickly("run", &["--dataset", "set"]).well();
    let whole = fs::read(place.path("set").join(IDX_FILES[0])).unwrap();
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    place.write("set", IDX_FILES[0], &changed);
    let resume = ["--resume", "run", "--epochs", "4"];
    place.train(&resume).with_fault(1, &["was trained on other images"]);
    place.write("set", IDX_FILES[0], &whole);
    place.train(&resume).well();
}
