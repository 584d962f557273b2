//! Images of other types than bytes, all the way: they are trained on, evaluated, exported and predicted.

use crate::place::{IDX_FILES, Place};
use std::fs;
use tch::{Kind, Tensor};

const QUICK: [&str; 6] = ["--layers", "dense 8, tanh", "--learning-rate", "0.05", "--epochs", "10"];

/// Values of `count` images of 4 x 4, bright on the left (class 0) or on the right (class 1) in turn.
fn values(count: usize, dark: f32, bright: f32) -> Vec<f32> {
    let pixel = |index: usize, column: usize| {
        let is_bright = (column < 2) == index.is_multiple_of(2);
        (if is_bright { bright } else { dark }) * (1.0 - index as f32 / 100.0)
    };
    (0..count).flat_map(|index| (0..16).map(move |place| pixel(index, place % 4))).collect()
}

fn labels(count: usize) -> Vec<i64> {
    (0..count as i64).map(|index| index % 2).collect()
}

/// An IDX file of 4 x 4 images.
fn idx_images(type_code: u8, values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0, 0, type_code, 3];
    [values.len() as u32 / 16, 4, 4].iter().for_each(|size| bytes.extend(size.to_be_bytes()));
    match type_code {
        0x0b => values.iter().for_each(|&value| bytes.extend((value as i16).to_be_bytes())),
        _ => values.iter().for_each(|value| bytes.extend(value.to_be_bytes())),
    }
    bytes
}

fn write_idx_set(place: &Place, type_code: u8, dark: f32, bright: f32) {
    fs::create_dir(place.path("set")).unwrap();
    for (names, count) in [(&IDX_FILES[..2], 60), (&IDX_FILES[2..], 20)] {
        place.write("set", names[0], &idx_images(type_code, &values(count, dark, bright)));
        let numbers: Vec<u8> = labels(count).iter().map(|&label| label as u8).collect();
        place.write("set", names[1], &crate::place::idx(&[count as u32], &numbers));
    }
}

/// Trains, and checks that evaluation of the run and of its file, prediction and a second export agree.
fn train_and_compare(place: &Place, dataset: &str, test_images: &str) {
    place.train(&[&QUICK[..], &["--dataset", dataset, "--out", "run"]].concat()).well();
    assert_eq!(place.record("run")["test_accuracy"], 1.0);
    let of_run = place.run(&["evaluate", "run", "--format", "json"]).well().stdout;
    let of_file = place.run(&["evaluate", "run/model.pt", "--dataset", dataset, "--format", "json"]).well();
    assert_eq!(of_file.stdout, of_run);
    let predicted = place.run(&["predict", "run", test_images]).well().stdout;
    let classes: Vec<&str> = predicted.lines().skip(1).map(|line| line.split(',').nth(2).unwrap()).collect();
    assert_eq!(classes, ["0", "1"].repeat(10));
    // The mean of -log p over the test images is the loss that evaluation tells.
    let logs =
        predicted.lines().skip(1).map(|line| -line.split(',').nth(3).unwrap().parse::<f64>().unwrap().ln());
    let json: serde_json::Value = serde_json::from_str(&of_run).unwrap();
    assert!((logs.sum::<f64>() / 20.0 - json["loss"].as_f64().unwrap()).abs() < 1e-5);

    let written = fs::read(place.path("run/model.pt")).unwrap();
    place.run(&["export", "run", "--to", "again.pt"]).well();
    assert!(fs::read(place.path("again.pt")).unwrap() == written);
    fs::rename(place.path(dataset), place.path("moved")).unwrap();
    let finished = place.run(&["export", "run", "--to", "on_noise.pt"]).well();
    assert!(finished.stderr.contains("noise"), "{finished:?}");
    assert!(fs::read(place.path("on_noise.pt")).unwrap() == written);
}

#[test]
fn float_images_of_an_npz_archive_are_trained_on() {
    let place = Place::new();
    let array = |count: usize| Tensor::from_slice(&values(count, -0.5, 3.5)).view([-1, 4, 4]);
    let classes = |count: usize| Tensor::from_slice(&labels(count));
    let arrays =
        [("x_train", array(60)), ("y_train", classes(60)), ("x_test", array(20)), ("y_test", classes(20))];
    assert_eq!(arrays[0].1.kind(), Kind::Float);
    Tensor::write_npz(&arrays, place.path("set.npz")).unwrap();
    place.write(".", "images.idx", &idx_images(0x0d, &values(20, -0.5, 3.5)));
    train_and_compare(&place, "set.npz", "images.idx");
}

#[test]
fn float_images_of_an_idx_set_are_trained_on() {
    let place = Place::new();
    write_idx_set(&place, 0x0d, 0.0, 0.25);
    fs::copy(place.path("set").join(IDX_FILES[2]), place.path("images.idx")).unwrap();
    train_and_compare(&place, "set", "images.idx");
}

#[test]
fn int16_images_of_an_idx_set_are_trained_on() {
    let place = Place::new();
    write_idx_set(&place, 0x0b, -200.0, 3000.0);
    fs::copy(place.path("set").join(IDX_FILES[2]), place.path("images.idx")).unwrap();
    train_and_compare(&place, "set", "images.idx");
}
