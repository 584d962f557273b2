//! Networks by name, from a file, and of every layer kind.

use crate::place::Place;
use std::fs;

/// A network with weights of every sort, running ones included, for pictures of 8 x 8 pixels.
const NETWORK: &str = "\
layers = [
    \"conv2d 6 3 padding same\", \"batchnorm\", \"relu\", \"maxpool2d 2\",
    \"conv2d 8 3\", \"layernorm\", \"gelu\", \"avgpool2d 2\", \"flatten\",
    \"dense 16\", \"batchnorm\", \"relu\", \"dropout 0.2\",
]
";

impl Place {
    fn with_network() -> Place {
        let place = Place::new();
        fs::write(place.path("network.toml"), NETWORK).unwrap();
        place
    }
}

#[test]
fn a_network_from_a_file_is_trained_and_used_without_the_file() {
    let place = Place::with_network();
    place.train(&["--model", "network.toml", "--epochs", "40", "--no-early-stopping", "--out", "run"]).well();
    let record = place.record("run");
    assert_eq!(record["config"]["model"], "network.toml");
    assert!(
        record["config"]["layers"].as_str().unwrap().starts_with("conv2d 6 3 padding same, batchnorm, relu")
    );
    assert!(record["test_accuracy"].as_f64().unwrap() > 0.9, "{record}");
    let summary = place.read("run/summary.txt");
    // 6 + 6 and 16 + 16 running means and variances.
    for part in [
        "conv2d_1 (Conv2D)",
        "(None, 6, 8, 8)",
        "avgpool2d_1 (AveragePooling2D)",
        "Non-trainable params: 44 ",
    ] {
        assert!(summary.contains(part), "no {part} in {summary}");
    }

    fs::remove_file(place.path("network.toml")).unwrap();
    let of_run = place.run(&["evaluate", "run"]).well().stdout;
    let of_file = place.run(&["evaluate", "run/model.pt", "--dataset", "digits"]).well().stdout;
    assert_eq!(of_run, of_file);
    assert!(of_run.contains(&format!("accuracy {:.6}", record["test_accuracy"].as_f64().unwrap())));
}

#[test]
fn a_network_with_running_means_goes_on_to_the_same_bytes() {
    let place = Place::with_network();
    let train = |arguments: &[&str]| {
        place.train(&[&["--patience", "20"], arguments].concat()).well();
    };
    train(&["--model", "network.toml", "--epochs", "6", "--out", "whole"]);
    train(&["--model", "network.toml", "--epochs", "3", "--out", "parts"]);
    place.train(&["--resume", "parts", "--epochs", "6"]).well();
    assert_eq!(place.history("parts"), place.history("whole"));
    for file in ["weights.safetensors", "model.pt"] {
        let bytes = |run: &str| fs::read(place.path(run).join(file)).unwrap();
        assert!(bytes("parts") == bytes("whole"), "{file} differs");
    }
}

#[test]
fn a_preset_is_what_its_layers_are() {
    let place = Place::new();
    let cnn = place.run(&["summary", "--dataset", "mnist", "--model", "cnn"]).well().stdout;
    assert!(cnn.contains("(None, 16, 26, 26)") && cnn.contains("dense_2 (Dense)"), "{cnn}");
    let mlp = place.run(&["summary", "--model", "mlp"]).well().stdout;
    assert_eq!(mlp, place.run(&["summary"]).well().stdout);
    place.train(&["--model", "cnn", "--epochs", "1", "--out", "run"]).well();
    assert_eq!(place.record("run")["config"]["model"], "cnn");
}

#[test]
fn what_is_no_network_or_does_not_fit_is_told() {
    let place = Place::new();
    place
        .train(&["--model", "cnn", "--layers", "relu"])
        .with_fault(2, &["--model cnn: cannot be used with --layers"]);
    place
        .train(&["--model", "rnn"])
        .with_fault(2, &["--model rnn: is neither mlp nor cnn nor a file that is there"]);
    for (content, said) in [
        (vec![0; 2000], "is neither TOML with layers nor TorchScript"),
        (vec![b' '; 2 << 20], "is neither TOML with layers nor TorchScript"),
        (Vec::new(), "is empty"),
        (vec![b'x'; 100_000], "must be TOML with layers"),
    ] {
        fs::write(place.path("a.toml"), content).unwrap();
        let finished = place.train(&["--model", "a.toml"]);
        assert!(finished.stderr.len() < 500, "{} bytes", finished.stderr.len());
        finished.with_fault(2, &["--model a.toml: ", said]);
    }
    fs::write(place.path("a.toml"), "layer = ['relu']").unwrap();
    place
        .train(&["--model", "a.toml"])
        .with_fault(2, &["--model a.toml: must be TOML with layers", "unknown field"]);
    fs::write(place.path("a.toml"), "layers = ['relu', 'conv3d 3']").unwrap();
    place.train(&["--model", "a.toml"]).with_fault(2, &["'conv3d' is not a layer kind"]);
    for (layers, fault) in [
        ("conv2d 4 9", "conv2d_1: filters of 9 x 9 pixels do not fit into images of 8 x 8"),
        (
            "conv2d 4 3, flatten, maxpool2d 2",
            "maxpool2d_1: pooling takes images of channels, height and width",
        ),
        ("maxpool2d 8, maxpool2d 2", "maxpool2d_2: squares of 2 x 2 pixels do not fit into images of 1 x 1"),
    ] {
        place.train(&["--layers", layers]).with_fault(1, &[fault]);
    }
}
