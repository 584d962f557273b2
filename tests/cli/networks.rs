//! Networks that other programs made: TorchScript files. `tests/networks/make.py` made those that are used here.

use crate::place::{Finished, Place, idx, python, skipped, wait_until};
use std::fs;
use std::process::{Command, Stdio};

/// A few steps an epoch, of a network with running means, a count of batches and dropout.
const TRAINING: [&str; 10] = [
    "--model",
    "small.pt",
    "--limit",
    "300",
    "--batch-size",
    "64",
    "--patience",
    "9",
    "--checkpoint-every",
    "3",
];

impl Place {
    fn with_networks(names: &[&str]) -> Place {
        let place = Place::new();
        for name in names {
            let from = format!("{}/tests/networks/{name}", env!("CARGO_MANIFEST_DIR"));
            fs::copy(from, place.path(name)).unwrap();
        }
        place
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }
}

#[track_caller]
fn assert_same(place: &Place, run: &str, other: &str) {
    assert_eq!(place.history(run), place.history(other));
    for file in ["weights.safetensors", "model.pt"] {
        let bytes = |run: &str| place.bytes(&format!("{run}/{file}"));
        assert!(bytes(run) == bytes(other), "{file} differs");
    }
}

#[test]
fn a_network_of_another_program_is_trained_and_used_without_its_file() {
    let place = Place::with_networks(&["small.pt"]);
    let trained = place.train(&["--model", "small.pt", "--epochs", "12", "--out", "run"]).well();
    assert!(trained.stderr.contains("takes three channels: grey is given to all of them"), "{trained:?}");
    let record = place.record("run");
    assert!(record["test_accuracy"].as_f64().unwrap() > 0.8, "{record}");
    assert_eq!(record["parameters"], 1546, "224 + 16 + 1290, and 16 running values");
    assert!(record["config"]["layers"].is_null() && record["network_sha256"].is_string(), "{record}");
    assert!(place.bytes("run/network.pt") == place.bytes("small.pt"));
    let summary = place.read("run/summary.txt");
    for part in ["features.0 (Conv2d)", "head.2 (Linear)", " 1,290 ", "Non-trainable params: 16 "] {
        assert!(summary.contains(part), "no {part} in {summary}");
    }
    assert_eq!(place.run(&["summary", "--model", "small.pt"]).well().stdout, summary);

    fs::remove_file(place.path("small.pt")).unwrap();
    let of_run = place.run(&["evaluate", "run"]).well().stdout;
    assert_eq!(of_run, place.run(&["evaluate", "run/model.pt", "digits"]).well().stdout);
    assert!(of_run.contains(&format!("accuracy {:.6}", record["test_accuracy"].as_f64().unwrap())));
    place.write("", "three.idx", &idx(&[3, 8, 8], &[9; 3 * 64]));
    let predicted = place.run(&["predict", "run", "three.idx", "--format", "csv"]).well().stdout;
    assert_eq!(predicted.lines().count(), 4, "{predicted}");
    let again = place.bytes("run/model.pt");
    fs::remove_file(place.path("run/model.pt")).unwrap();
    place.run(&["export", "run"]).well();
    assert!(again == place.bytes("run/model.pt"), "the same weights give the same file");
    let calibrated = place.run(&["export", "run", "--to", "calibrated.pt", "--calibrate"]).well();
    assert!(calibrated.stderr.contains("; every prediction stays as it was\n"), "{calibrated:?}");
    let of_file = place.run(&["evaluate", "calibrated.pt", "digits"]).well().stdout;
    // The scores of the classes and the matrix, without what is measured on probabilities.
    let scores = |text: &str| -> Vec<String> {
        let blocks = text.split("\n\n").skip(1).filter(|block| !block.starts_with("metric "));
        blocks.map(str::to_string).collect()
    };
    assert!(scores(&of_file) == scores(&of_run) && of_file != of_run, "{of_file}");
    place
        .run(&["export", "run", "--to", "a.onnx"])
        .with_fault(1, &["ONNX is written for fitch's own layers only", "torch.onnx.export"]);
    let page = place.read("run/report.html");
    assert!(page.contains("features.1 (BatchNorm2d)"));
}

#[test]
fn it_goes_on_to_the_same_bytes_after_an_interruption() {
    let place = Place::with_networks(&["small.pt"]);
    place.train(&[&TRAINING[..], &["--epochs", "8", "--out", "whole"]].concat()).well();
    let arguments = ["train", "--threads", "1", "--progress", "none", "--epochs", "8", "--out", "parts"];
    let mut command = place.command(&[&arguments, &TRAINING[..]].concat());
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("checkpoint", || place.names("parts/checkpoint").iter().any(|name| name.starts_with('0')));
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let interrupted: Finished = child.wait_with_output().unwrap().into();
    assert_eq!(interrupted.code, Some(130), "{interrupted:?}");
    fs::remove_file(place.path("small.pt")).unwrap();
    place.train(&["--resume", "parts"]).well();
    assert_same(&place, "parts", "whole");

    let network = place.bytes("parts/network.pt");
    fs::copy(
        format!("{}/tests/networks/probabilities.pt", env!("CARGO_MANIFEST_DIR")),
        place.path("parts/network.pt"),
    )
    .unwrap();
    let other = ["is another network than the one that the run began with"];
    place.train(&["--resume", "parts", "--epochs", "9"]).with_fault(1, &other);
    place.run(&["evaluate", "parts"]).with_fault(1, &other);
    let repeated = place.run(&["train", "--repeat", "parts", "--epochs", "1", "--out", "other"]).well();
    assert!(repeated.stderr.contains("the digest of the network's file is "), "{repeated:?}");
    fs::remove_file(place.path("parts/network.pt")).unwrap();
    let gone = ["there is no parts/network.pt; --model FILE names the same network"];
    place.run(&["train", "--repeat", "parts", "--out", "third"]).with_fault(2, &gone);
    place.write("parts", "network.pt", &network);
    place.train(&["--resume", "parts", "--epochs", "9"]).well();
}

#[test]
fn shards_and_bfloat16_are_the_same_in_two_processes() {
    let place = Place::with_networks(&["small.pt"]);
    for precision in ["float32", "bf16"] {
        for processes in ["1", "2"] {
            let out = format!("{precision}-{processes}");
            let arguments =
                ["--shards", "2", "--processes", processes, "--precision", precision, "--out", &out];
            place.train(&[&TRAINING[..], &["--epochs", "2"], &arguments].concat()).well();
            assert_same(&place, &out, &format!("{precision}-1"));
        }
    }
    let last = |run: &str| place.history(run)[2][1].parse::<f64>().unwrap();
    let [whole, half] = ["float32-1", "bf16-1"].map(last);
    assert!(whole != half && (whole - half).abs() < 0.1, "accuracies {whole} and {half}");
}

#[test]
fn a_last_batch_of_one_image_is_trained_on() {
    let place = Place::with_networks(&["small.pt"]);
    place
        .train(&[
            "--model",
            "small.pt",
            "--limit",
            "65",
            "--batch-size",
            "64",
            "--epochs",
            "1",
            "--out",
            "run",
        ])
        .well();
}

#[test]
fn what_cannot_be_trained_is_one_error() {
    let networks = [
        "three-classes.pt",
        "frozen.pt",
        "large-images.pt",
        "half.pt",
        "pair.pt",
        "probabilities.pt",
        "small.pt",
    ];
    let place = Place::with_networks(&networks);
    for (network, parts) in [
        ("three-classes.pt", ["gives 3 values for a sample, but the data have 10 classes", "num_classes=10"]),
        ("frozen.pt", ["has no parameters that could be trained", "torch.jit.freeze"]),
        (
            "large-images.pt",
            ["takes float [n, 1, 28, 28], but the data are [n, 1, 8, 8]", "--image-size 28x28"],
        ),
        ("half.pt", ["is Half; networks are trained in float32", ".float()"]),
        ("pair.pt", ["gives a tuple for two samples, not float32 [2, classes]", "the logits alone"]),
    ] {
        place.train(&["--model", network, "--out", "run"]).with_fault(1, &[&parts[..], &[network]].concat());
        assert!(!place.path("run").exists(), "{network} left a folder");
    }
    place.write(".", "weights.bin", &[0xff, 0xfe, 0]);
    place
        .train(&["--model", "weights.bin"])
        .with_fault(2, &["--model weights.bin: is neither TOML with layers nor TorchScript", "--weights"]);
    place
        .train(&["--model", "small.pt", "--layers", "relu"])
        .with_fault(2, &["--model small.pt: cannot be used with --layers"]);
    let whole = place.bytes("small.pt");
    place.write("", "cut.pt", &whole[..whole.len() / 2]);
    place.train(&["--model", "cut.pt"]).with_fault(1, &["cut.pt: is a cut or damaged zip archive"]);
    let mut damaged = whole;
    let place_of_weights = damaged.len() / 2;
    damaged[place_of_weights] ^= 1;
    place.write("", "damaged.pt", &damaged);
    place.train(&["--model", "damaged.pt"]).with_fault(1, &["damaged.pt: is damaged"]);

    let arguments = ["--model", "probabilities.pt", "--epochs", "1", "--out", "run"];
    let warned = place.train(&arguments).well();
    assert!(warned.stderr.contains("warning: the network seems to give probabilities"), "{warned:?}");
    place
        .train(&["--model", "run/model.pt"])
        .with_fault(1, &["is a model that fitch has exported", "network.pt"]);
}

/// About 25 s, most of it Python's.
#[test]
fn networks_of_torchvision_and_timm_are_trained_and_read_back() {
    let test = "networks_of_torchvision_and_timm_are_trained_and_read_back";
    let place = Place::new();
    let run_python = |what: &str| {
        let mut python = python(test)?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/real_networks.py");
        Some(Finished::from(
            python.arg(script).args([what.as_ref(), place.path("").as_os_str()]).output().unwrap(),
        ))
    };
    let Some(made) = run_python("make") else { return };
    if made.stderr.contains("No module named") {
        return skipped(
            test,
            "there is no torchvision, timm or safetensors; `scripts/python --version` brings them",
        );
    }
    made.well();
    let networks = ["resnet18", "mobilenet_v3_small", "efficientnet_b0", "timm"];
    for network in networks {
        let file = format!("{network}.pt");
        let arguments = ["--limit", "64", "--batch-size", "32", "--epochs", "1", "--out", network];
        place.train(&[&["--model", &file], &arguments[..]].concat()).well();
        let of_run = place.run(&["evaluate", network]).well().stdout;
        assert_eq!(of_run, place.run(&["evaluate", &format!("{network}/model.pt"), "digits"]).well().stdout);
    }
    assert!(run_python("check").unwrap().well().stdout.contains("all is well"));
}
