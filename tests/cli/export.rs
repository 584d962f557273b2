use crate::place::Place;
use fitch::export::ScriptModel;
use serde_json::Value;
use std::fs;
use tch::{Device, Tensor};

#[test]
fn a_run_is_exported_again_to_the_same_bytes() {
    let place = Place::new();
    place.train_quickly("run", &[]).well();
    let written = fs::read(place.path("run/model.pt")).unwrap();
    fs::remove_file(place.path("run/model.pt")).unwrap();
    let finished = place.run(&["export", "run"]).well();
    assert_eq!(finished.stdout, "written to run/model.pt\n");
    assert!(fs::read(place.path("run/model.pt")).unwrap() == written);
    place.run(&["export", "run", "--to", "copy.pt"]).well();
    assert!(fs::read(place.path("copy.pt")).unwrap() == written);
    for input in ["uint8", "float"] {
        place.run(&["export", "run", "--to", &format!("{input}.onnx"), "--input", input]).well();
        assert!(
            fs::read(place.path(&format!("{input}.onnx"))).unwrap().starts_with(b"\x08\x07\x12\x05fitch")
        );
    }
    place.run(&["export", "run", "--to", "program.pt2"]).well();
    assert!(fs::read(place.path("program.pt2")).unwrap().starts_with(b"PK"));
    assert_eq!(place.names("."), ["copy.pt", "float.onnx", "program.pt2", "run", "uint8.onnx"]);
}

#[test]
fn weights_tell_their_format_version_and_layers() {
    let place = Place::new();
    place.train_quickly("run", &[]).well();
    let bytes = fs::read(place.path("run/weights.safetensors")).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    let metadata = serde_json::json!({
        "format": "pt",
        "fitch_version": env!("CARGO_PKG_VERSION"),
        "layers": "dense 32, relu, dropout 0.2",
    });
    assert_eq!(header["__metadata__"], metadata);
    let read = Tensor::read_safetensors(place.path("run/weights.safetensors")).unwrap();
    let mut shapes: Vec<(String, Vec<i64>)> =
        read.into_iter().map(|(name, tensor)| (name, tensor.size())).collect();
    shapes.sort();
    let expected = [
        ("dense_1.bias", vec![32]),
        ("dense_1.weight", vec![32, 64]),
        ("dense_2.bias", vec![10]),
        ("dense_2.weight", vec![10, 32]),
    ];
    assert_eq!(shapes, expected.map(|(name, shape)| (name.to_string(), shape)));
}

#[test]
fn without_the_images_of_the_run_the_file_is_verified_on_noise() {
    let place = Place::new();
    place.write_idx_set("pictures");
    place.train_quickly("run", &["--dataset", "pictures"]).well();
    let written = fs::read(place.path("run/model.pt")).unwrap();
    fs::rename(place.path("pictures"), place.path("moved")).unwrap();
    let finished = place.run(&["export", "run", "--to", "model.pt"]).well();
    assert!(finished.stderr.contains("warning: the images of pictures are not available"), "{finished:?}");
    assert!(fs::read(place.path("model.pt")).unwrap() == written);
}

#[test]
fn what_cannot_be_exported_leaves_nothing() {
    let place = Place::new();
    place.train_quickly("run", &[]).well();
    place
        .run(&["export", "run", "--to", "model.h5"])
        .with_fault(2, &["--to model.h5: the name must end in .pt, .pt2 or .onnx"]);
    place.run(&["export", "nowhere"]).with_fault(1, &["there is no folder nowhere"]);
    place.run(&["export", "run", "--to", "missing/model.pt"]).with_fault(1, &["missing/model.pt"]);
    fs::remove_file(place.path("run/weights.safetensors")).unwrap();
    place.run(&["export", "run", "--to", "a.pt"]).with_fault(1, &["run/weights.safetensors"]);
    assert_eq!(place.names("."), ["run"]);
}

#[test]
fn a_calibrated_model_gives_other_probabilities_and_the_same_classes() {
    let place = Place::new();
    place.train_quickly("run", &[]).well();
    let evaluated = |model: &[&str]| -> Value {
        let finished = place.run(&[&["evaluate"], model, &["--format", "json"]].concat()).well();
        serde_json::from_str(&finished.stdout).unwrap()
    };
    let before = evaluated(&["run"]);
    let finished = place.run(&["export", "run", "--calibrate"]).well();
    // `temperature 0.6, fitted to 144 validation images: loss 0.5, before 0.6; expected calibration error ...`
    let numbers = finished.stderr.split([' ', ',', ';']).filter_map(|word| word.parse::<f64>().ok());
    let numbers: Vec<f64> = numbers.collect();
    let [temperature, images, loss, loss_before, ..] = numbers[..] else { panic!("{finished:?}") };
    assert!(images == 144.0 && loss < loss_before, "{finished:?}");
    assert!(finished.stderr.contains("; every prediction stays as it was\n"), "{finished:?}");
    let history = place.history("run");
    let best = place.record("run")["best_epoch"].as_u64().unwrap() as usize;
    let column = history[0].iter().position(|name| name == "val_loss").unwrap();
    assert_eq!(format!("{loss_before:.4}"), format!("{:.4}", history[best][column].parse::<f64>().unwrap()));

    let card = ScriptModel::load(&place.path("run/model.pt"), Device::Cpu).unwrap().card().clone();
    assert!((f64::from(card.temperature.unwrap()) - temperature).abs() < 1e-4, "{card:?}");
    assert_eq!(format!("{:.4}", card.metrics["val_loss"].as_f64().unwrap()), format!("{loss:.4}"));
    let after = evaluated(&["run/model.pt", "digits", "--reliability", "reliability.svg"]);
    assert_eq!((&after["confusion"], &after["accuracy"]), (&before["confusion"], &before["accuracy"]));
    // Three epochs leave it too unsure, on the test images, too.
    let less = |name: &str| after[name].as_f64().unwrap() < 0.9 * before[name].as_f64().unwrap();
    assert!(temperature < 0.9 && less("loss") && less("ece"), "{temperature} {before} {after}");
    assert!(place.read("reliability.svg").contains("expected calibration error"));

    place.run(&["export", "run", "--calibrate", "--to", "model.onnx"]).well();
    let text = f64::from(card.temperature.unwrap()).to_string();
    let bytes = fs::read(place.path("model.onnx")).unwrap();
    assert!(
        [&b"calibrate"[..], text.as_bytes()]
            .iter()
            .all(|part| bytes.windows(part.len()).any(|at| at == *part))
    );
    place
        .run(&["evaluate", "run", "--reliability", "a.jpg"])
        .with_fault(2, &["--reliability a.jpg: the name must end"]);
    place.train_quickly("without", &["--validation-split", "0"]).well();
    place
        .run(&["export", "without", "--calibrate"])
        .with_fault(1, &["without has no validation images to fit"]);
}
