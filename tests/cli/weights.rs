//! Training that starts from weights which are there already, and parameters that stay as they are.

use crate::place::{Finished, Place, python};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use tch::{Device, Kind, Tensor};

const NETWORK: &str = "conv2d 6 3, batchnorm, relu, maxpool2d 2, dense 16, relu, dropout 0.2";

impl Place {
    /// The tensors of a run.
    fn tensors(&self, run: &str) -> BTreeMap<String, Tensor> {
        let read = Tensor::read_safetensors(self.path(run).join("weights.safetensors"));
        read.unwrap().into_iter().collect()
    }

    fn train_network(&self, out: &str, arguments: &[&str]) -> Finished {
        self.train(&[&["--layers", NETWORK, "--epochs", "2", "--out", out], arguments].concat())
    }

    fn content(&self, file: &str) -> Vec<u8> {
        fs::read(self.path(file)).unwrap()
    }
}

#[test]
fn weights_are_taken_from_a_run_and_from_any_of_its_files() {
    let place = Place::new();
    place.train_network("first", &[]).well();
    let digits = ["--classes", "0,1,2", "--keep-last-weights"];
    let mut told = Vec::new();
    for (out, from) in
        [("run", "first"), ("safetensors", "first/weights.safetensors"), ("script", "first/model.pt")]
    {
        let finished = place.train_network(out, &[&digits[..], &["--weights", from]].concat()).well();
        for line in [
            &format!("weights of {from}: 8 of 10 tensors"),
            "not taken: dense_2.bias [10], here [3], dense_2.weight [10, 16], here [3, 16]",
            "not in it, left as initialised: dense_2.bias, dense_2.weight",
        ] {
            assert!(finished.stderr.contains(line), "no {line} in {finished:#?}");
        }
        told.push(place.record(out)["weights"].clone());
        assert_eq!(
            place.content(&format!("{out}/weights.safetensors")),
            place.content("run/weights.safetensors")
        );
    }
    let file = place.path("first/weights.safetensors").canonicalize().unwrap();
    assert_eq!(told[0]["file"], json!(file));
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0]["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(told[0]["taken"].as_array().unwrap().len(), 8);
    place.train_network("fresh", &digits).well();
    assert!(place.content("fresh/weights.safetensors") != place.content("run/weights.safetensors"));
    assert!(place.record("fresh").get("weights").is_none());

    // The file need not be there any more when the run goes on.
    let longer = ["--epochs", "4", "--patience", "9"];
    place.train_network("whole", &[&["--weights", "first"], &longer[..]].concat()).well();
    place.train_network("parts", &["--weights", "first", "--patience", "9"]).well();
    fs::rename(place.path("first"), place.path("moved")).unwrap();
    place.train(&[&["--resume", "parts", "--weights", "first"], &longer[..]].concat()).well();
    assert!(place.content("parts/weights.safetensors") == place.content("whole/weights.safetensors"));
    assert_eq!(place.record("parts")["weights"], place.record("whole")["weights"]);
}

#[test]
fn weights_that_do_not_fit_are_an_error_that_says_why() {
    let place = Place::new();
    place.train_quickly("first", &[]).well();
    let fault = |weights: &str, code: i32, parts: &[&str]| {
        let finished = place.train(&["--layers", "conv2d 6 3", "--out", "run", "--weights", weights]);
        finished.with_fault(code, parts);
        assert!(!place.path("run").exists());
    };
    fault("first", 1, &["none of its 4 tensors fits", "dense_1.bias [32], here [10]", "conv2d_1.weight"]);
    fault("nowhere.pt", 1, &["cannot read nowhere.pt"]);
    fault(".", 1, &["run.json"]);
    let whole = place.content("first/model.pt");
    place.write(".", "cut.pt", &whole[..whole.len() / 2]);
    fault("cut.pt", 1, &["cut.pt: is a cut or damaged zip archive"]);
    let mut altered = whole.clone();
    let place_of_values = whole.windows(6).position(|bytes| bytes == b"data/0").unwrap() + 200;
    altered[place_of_values] ^= 1;
    place.write(".", "altered.pt", &altered);
    fault("altered.pt", 1, &["altered.pt: is damaged: fitch/data/0 is not as it was written"]);
    place.write(".", "notes.txt", b"dense_1");
    fault("notes.txt", 1, &["notes.txt: is a text file", "a .safetensors file"]);
    fs::remove_file(place.path("first/weights.safetensors")).unwrap();
    fault("first", 1, &["cannot read first/weights.safetensors", "fitch report first makes it"]);
}

#[test]
fn frozen_parameters_do_not_move_and_are_counted_so() {
    let place = Place::new();
    place.train_network("first", &[]).well();
    let arguments = [
        "--weights",
        "first",
        "--freeze",
        "conv2d_*, batchnorm_1",
        "--optimizer",
        "adamw",
        "--weight-decay",
        "0.1",
        "--keep-last-weights",
    ];
    let said = place.train_network("tuned", &arguments).well().stderr;
    assert!(!said.contains("initialised"), "{said}");
    let said = place.train_network("fresh", &["--freeze", "conv2d_1"]).well().stderr;
    assert!(said.contains("--freeze without --weights"), "{said}");
    // Of other shapes: what is frozen is not in the file.
    let other =
        ["--weights", "first", "--layers", "conv2d 5 3, dense 16", "--freeze", "conv2d_1, dense_1.bias"];
    let said = place.train(&[&other[..], &["--epochs", "1", "--out", "other"]].concat()).well().stderr;
    assert!(
        said.contains("--freeze: frozen as initialised, at random: conv2d_1.bias, conv2d_1.weight"),
        "{said}"
    );
    let mut broken = place.tensors("first");
    broken.insert("dense_1.bias".to_string(), Tensor::full([16], f64::NAN, (Kind::Float, Device::Cpu)));
    let broken: Vec<(String, Tensor)> = broken.into_iter().collect();
    Tensor::write_safetensors(&broken, place.path("nan.safetensors")).unwrap();
    place
        .train_network("none", &["--weights", "nan.safetensors"])
        .with_fault(1, &["--weights nan.safetensors: dense_1.bias holds NaN or infinite values"]);
    let (before, after) = (place.tensors("first"), place.tensors("tuned"));
    let stays: Vec<&str> =
        before.keys().map(String::as_str).filter(|name| before[*name] == after[*name]).collect();
    let frozen = [
        "batchnorm_1.bias",
        "batchnorm_1.running_mean",
        "batchnorm_1.running_var",
        "batchnorm_1.weight",
        "conv2d_1.bias",
        "conv2d_1.weight",
    ];
    assert_eq!(stays, frozen);
    let summary = place.read("tuned/summary.txt");
    assert!(summary.contains("Non-trainable params: 84 "), "{summary}");
    let checkpoint = place.names("tuned/checkpoint").into_iter().rfind(|name| name.starts_with('0')).unwrap();
    let kept =
        Tensor::read_safetensors(place.path("tuned/checkpoint").join(checkpoint).join("tensors.safetensors"));
    let of_optimizer = kept.unwrap().into_iter().filter(|(name, _)| name.starts_with("optimizer/"));
    assert!(of_optimizer.map(|(name, _)| name).all(|name| name.contains("/dense_")));

    // The same in bfloat16 and in shards, which goes on to the same bytes.
    for (out, options) in
        [("half", &["--precision", "bf16"][..]), ("shards", &["--shards", "2", "--processes", "2"])]
    {
        let arguments = [&arguments[..], options].concat();
        place.train_network(out, &[&arguments[..], &["--epochs", "3"]].concat()).well();
        let after = place.tensors(out);
        assert!(frozen.iter().all(|name| before[*name] == after[*name]), "{out}");
        let parts = format!("{out}-parts");
        place.train_network(&parts, &arguments).well();
        place.train(&["--resume", &parts, "--epochs", "3"]).well();
        let [parts, whole] = [&parts, out].map(|run| place.content(&format!("{run}/weights.safetensors")));
        assert!(parts == whole, "{out}");
    }
}

#[test]
fn patterns_that_name_nothing_are_an_error() {
    let place = Place::new();
    for (patterns, said) in [
        (
            "conv2d_1,conv",
            "--freeze: 'conv' names no parameter that could be trained; there are conv2d_1, batchnorm_1, dense_1, dense_2",
        ),
        ("*", "--freeze: no parameter is left to train"),
        ("batchnorm_1.running_mean", "'batchnorm_1.running_mean' names no parameter"),
    ] {
        place.train_network("run", &["--freeze", patterns]).with_fault(2, &[said]);
    }
    let summary = place.run(&["summary", "--freeze", "all-but-last"]).well();
    assert!(summary.stdout.contains(" Trainable params: 5,130 "), "{summary:?}");
    place.run(&["summary", "--freeze", "dense_9"]).with_fault(2, &["there are dense_1, dense_2, dense_3"]);
}

#[test]
fn normalised_images_go_into_every_form_of_the_model_raw() {
    let place = Place::new();
    let normalized = ["--normalize", "0.3/0.35", "--epochs", "3"];
    place.train_network("run", &normalized).well();
    let expected = json!({ "mean": [0.3], "deviation": [0.35] });
    assert_eq!(place.record("run")["normalization"], expected);
    let card = place.content("run/model.pt");
    assert!(card.windows(15).any(|bytes| bytes == b"\"normalization\""));
    let tensors = place.tensors("run");
    assert_eq!(tensors["standardize_1.mean"].size(), [1, 1, 1]);
    let of_run = place.run(&["evaluate", "run"]).well().stdout;
    let of_file = place.run(&["evaluate", "run/model.pt", "--dataset", "digits"]).well().stdout;
    assert_eq!(of_run, of_file);
    // The mean and deviation of the training images; another run's are not taken along with its weights.
    let finished = place.train_network("auto", &["--normalize", "auto", "--weights", "run"]).well();
    assert!(finished.stderr.contains("weights of run: 10 of 10 tensors"), "{finished:?}");
    let found = &place.record("auto")["normalization"];
    let number = |name: &str| found[name][0].as_f64().unwrap();
    assert!((number("mean") - 0.305).abs() < 0.005 && (number("deviation") - 0.376).abs() < 0.005, "{found}");
    place.train(&["--resume", "auto", "--epochs", "3", "--normalize", "auto", "--layers", NETWORK]).well();

    let said = place.train(&["--normalize", "127/64", "--epochs", "1", "--out", "bytes"]).well().stderr;
    assert!(said.contains("--normalize: pixels are from 0 to 1"), "{said}");
    let fault = |arguments: &[&str], part: &str| {
        place.train(&[arguments, &["--out", "none"]].concat()).with_fault(2, &[part]);
    };
    fault(&["--normalize", "imagenet"], "--normalize: the means are for 3 channels, and the images have 1");
    fault(&["--normalize", "0.5/0"], "--normalize 0.5/0: must be imagenet, auto");
    fault(&["--normalize", "auto", "--layers", "standardize, dense 4"], "--normalize: the layer standardize");
}

#[test]
fn all_of_it_holds_for_a_network_that_another_program_made() {
    let place = Place::new();
    let network = format!("{}/tests/networks/small.pt", env!("CARGO_MANIFEST_DIR"));
    fs::copy(network, place.path("small.pt")).unwrap();
    let train = |out: &str, arguments: &[&str]| {
        let network = ["--model", "small.pt", "--limit", "300", "--batch-size", "64", "--keep-last-weights"];
        place.train(&[&network, arguments, &["--out", out]].concat())
    };
    train("first", &["--epochs", "2"]).well();
    let frozen =
        ["--freeze", "features.*", "--normalize", "auto", "--optimizer", "adamw", "--weight-decay", "0.1"];
    let tuned = |out: &str, from: &str, arguments: &[&str]| {
        let finished = train(out, &[&frozen[..], &["--weights", from], arguments].concat()).well();
        // Weight, bias, two running values and a count, and twice weight and bias.
        assert!(finished.stderr.contains(&format!("weights of {from}: 9 of 9 tensors")), "{finished:?}");
    };
    tuned("tuned", "first", &["--epochs", "3"]);
    let (before, after) = (place.tensors("first"), place.tensors("tuned"));
    for (name, value) in &before {
        assert_eq!(*value == after[name], name.starts_with("features"), "{name}");
    }
    assert!(place.read("tuned/summary.txt").contains(" Trainable params: 1,290 "));
    let found = &place.record("tuned")["normalization"]["mean"];
    assert_eq!(found.as_array().unwrap().len(), 3, "grey is given to three channels");
    let of_run = place.run(&["evaluate", "tuned"]).well().stdout;
    assert_eq!(of_run, place.run(&["evaluate", "tuned/model.pt", "digits"]).well().stdout);

    // Within the module that prepares the images, whose mean and deviation are not taken along.
    let finished = train("again", &["--weights", "tuned/model.pt", "--epochs", "1"]).well();
    assert!(
        finished.stderr.contains("9 of 9 tensors\nnot taken: deviation [3, 1, 1], mean [3, 1, 1]"),
        "{finished:?}"
    );
    tuned("parts", "first/model.pt", &["--epochs", "2"]);
    fs::remove_dir_all(place.path("first")).unwrap();
    place.train(&["--resume", "parts", "--epochs", "3"]).well();
    for file in ["weights.safetensors", "model.pt"] {
        let [parts, whole] = ["parts", "tuned"].map(|run| place.content(&format!("{run}/{file}")));
        assert!(parts == whole, "{file}");
    }
    train("none", &["--freeze", "layer1"])
        .with_fault(2, &["--freeze: 'layer1' names no parameter", "there are features, head"]);
    train("none", &["--normalize", "0.5,0.5/0.5,0.5"])
        .with_fault(2, &["--normalize: the means are for 2 channels, and the images have 3"]);
}

#[test]
fn weights_that_python_saved_are_taken() {
    let Some(mut python) = python("weights_that_python_saved_are_taken") else { return };
    let place = Place::new();
    place.train_network("first", &[]).well();
    let save = "import torch; torch.save(torch.jit.load('first/model.pt').state_dict(), 'state.pth')";
    Finished::from(python.args(["-c", save]).current_dir(place.path(".")).output().unwrap()).well();
    for (out, from) in [("run", "first"), ("dictionary", "state.pth")] {
        place.train_network(out, &["--weights", from, "--epochs", "1"]).well();
    }
    assert!(place.content("run/weights.safetensors") == place.content("dictionary/weights.safetensors"));
}
