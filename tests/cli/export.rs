use crate::place::Place;
use std::fs;
use tch::Tensor;

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
