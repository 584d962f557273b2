//! Exported models in other programs' hands: Python's torch, onnx and onnxruntime, and C++. Each test says
//! that it was skipped where these are not there; `scripts/python` brings the Python packages.

use crate::place::{Finished, Place, python, real_mnist, skipped};
use fitch::data::{Dataset, ImageFit, LoadOptions, Source};
use fitch::export::{ImageInput, InputCard, ModelCard, TrainedModel, onnx, pt2, torchscript};
use fitch::model::{Layers, Model};
use fitch::run::load_weights;
use image::{GrayImage, Rgb, RgbImage};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tch::nn::{ModuleT, VarStore};
use tch::{Device, Kind, Tensor};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A model in every form, with images and what the network itself says of them, for `check_export.py`.
fn write_forms(
    folder: &Path,
    model: &Model,
    variables: &VarStore,
    network: &dyn ModuleT,
    dataset: &Dataset,
    temperature: Option<f32>,
) {
    let card = ModelCard {
        fitch_version: env!("CARGO_PKG_VERSION").to_string(),
        classes: dataset.classes.clone(),
        input: InputCard {
            shape: model.sample_shape.clone(),
            maximum: dataset.maximum,
            border: 0.0,
            table: None,
            fit: ImageFit::Stretch,
            normalization: None,
        },
        layers: model.hidden_layers(),
        network: None,
        temperature,
        metrics: serde_json::Map::new(),
        config: serde_json::json!({ "seed": 0 }),
    };
    let trained = TrainedModel { model, variables, card: &card };
    fs::write(folder.join("model.pt"), torchscript::archive(trained).unwrap()).unwrap();
    fs::write(folder.join("uint8.onnx"), onnx::model_bytes(trained, ImageInput::Uint8).unwrap()).unwrap();
    fs::write(folder.join("uint8.pt2"), pt2::program_bytes(trained, ImageInput::Uint8).unwrap()).unwrap();
    fs::write(folder.join("float.pt2"), pt2::program_bytes(trained, ImageInput::Float).unwrap()).unwrap();
    fs::write(folder.join("float.onnx"), onnx::model_bytes(trained, ImageInput::Float).unwrap()).unwrap();
    fs::write(folder.join("fitch.json"), serde_json::to_string(&card).unwrap()).unwrap();
    let pixels = &dataset.test.pixels().unwrap();
    let values = pixels.to_kind(Kind::Float) / dataset.maximum;
    let logits = tch::no_grad(|| network.forward_t(&values, false));
    let logits = temperature.map_or(logits.shallow_clone(), |temperature| logits / f64::from(temperature));
    let probabilities = logits.softmax(-1, Kind::Float);
    let tensors = [("images", pixels), ("logits", &logits), ("probabilities", &probabilities)];
    Tensor::write_safetensors(&tensors, folder.join("expected.safetensors")).unwrap();
}

fn check_in_python(mut python: Command, folder: &Path) {
    let output = python.arg(root().join("tests/cli/check_export.py")).arg(folder).output().unwrap();
    let finished = Finished::from(output);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    assert!(finished.stdout.contains("all is well"), "{finished:#?}");
}

#[test]
fn python_computes_the_same_on_all_test_images_of_mnist() {
    let test = "python_computes_the_same_on_all_test_images_of_mnist";
    let (Some(python), Some(data)) = (python(test), real_mnist(test)) else { return };
    let place = Place::new();
    let data = data.to_str().unwrap();
    place.train(&["--dataset", "mnist", "--data-dir", data, "--epochs", "1", "--out", "run"]).well();
    let config = place.record("run")["config"].clone();
    let hidden = Layers::parse(config["layers"].as_str().unwrap()).unwrap();
    let dataset =
        Source::find("mnist").unwrap().load_with(&LoadOptions::with_data_dir(data), &mut |_| ()).unwrap();
    let model = Model::classifier(&[28, 28], hidden, 10).unwrap();
    let variables = VarStore::new(Device::Cpu);
    let network = model.build(&variables.root()).unwrap();
    load_weights(&place.path("run/weights.safetensors"), &variables).unwrap();
    write_forms(&place.path("."), &model, &variables, &network, &dataset, None);
    check_in_python(python, &place.path("."));

    // The file that training wrote computes the same as the one that was checked.
    let of_run = place.run(&["evaluate", "run/model.pt", "--dataset", "mnist", "--data-dir", data]).well();
    let checked = place.run(&["evaluate", "model.pt", "--dataset", "mnist", "--data-dir", data]).well();
    assert_eq!(of_run.stdout, checked.stdout);
}

#[test]
fn python_computes_the_same_with_every_layer_kind() {
    let Some(python) = python("python_computes_the_same_with_every_layer_kind") else { return };
    let place = Place::new();
    let all = "conv2d 5 3 padding same, batchnorm, layernorm, maxpool2d 2, conv2d 4 2 stride 1, avgpool2d 2, flatten, \
               standardize, dense 30, relu, dense 30, tanh, dense 30, sigmoid, dense 30, gelu, dense 30, dropout 0.2, dense 30, \
               batchnorm, dense 30, layernorm";
    for example in Layers::examples() {
        let kind = example.split(' ').next();
        assert!(all.split([' ', ',']).any(|word| Some(word) == kind), "no {example}");
    }
    let hidden = Layers::parse(all).unwrap();
    let dataset = Source::find("digits").unwrap().load().unwrap();
    let model = Model::classifier(&[8, 8], hidden, 10).unwrap();
    let variables = VarStore::new(Device::Cpu);
    let network = model.build(&variables.root()).unwrap();
    for (name, mut variable) in variables.variables() {
        // 0 and 1 at first, which change nothing.
        if name.starts_with("standardize") {
            let _ = variable.f_add_scalar_(0.25).unwrap();
        }
    }
    write_forms(&place.path("."), &model, &variables, &network, &dataset, Some(1.3));
    check_in_python(python, &place.path("."));
}

/// An image as PNG and as PGM or PPM, and what `predict` says of it: class and probability.
struct Example {
    png: PathBuf,
    pnm: PathBuf,
    predicted: String,
}

impl Example {
    /// With the run in the folder `run`.
    fn new(place: &Place, png: PathBuf, pnm: PathBuf) -> Example {
        let predicted = place.run(&["predict", "run", png.to_str().unwrap(), "--format", "csv"]).well();
        let cells: Vec<&str> = predicted.stdout.lines().nth(1).unwrap().split(',').collect();
        let predicted = format!("{} {:.6}", cells[2], cells[3].parse::<f64>().unwrap());
        Example { png, pnm, predicted }
    }

    /// Trains on the built-in digits and takes one of their test images.
    fn grey(place: &Place) -> Example {
        place.train_quickly("run", &[]).well();
        let dataset = Source::find("digits").unwrap().load().unwrap();
        let pixels: Vec<u8> = Vec::try_from(dataset.test.gather(&[0]).unwrap().view([-1])).unwrap();
        let bright = pixels.iter().map(|&pixel| (u16::from(pixel) * 255 / 16) as u8).collect();
        let image = GrayImage::from_raw(8, 8, bright).unwrap();
        let (png, pgm) = (place.path("digit.png"), place.path("digit.pgm"));
        image.save(&png).unwrap();
        fs::write(&pgm, [b"P5 8 8 255\n", image.as_raw().as_slice()].concat()).unwrap();
        Example::new(place, png, pgm)
    }

    /// Trains on images of 5 x 4 pixels whose colours tell the class, and takes another one.
    fn colour(place: &Place) -> Example {
        let image = |class: u32, index: u32| {
            RgbImage::from_fn(5, 4, |x, y| {
                let mut pixel = [(20 * x + 10 * y) as u8, (3 * index) as u8, 40];
                pixel[class as usize] = 200 + (x + y) as u8;
                Rgb(pixel)
            })
        };
        for class in 0..2 {
            let folder = place.path("colours").join(["red", "green"][class as usize]);
            fs::create_dir_all(&folder).unwrap();
            (0..20).for_each(|index| image(class, index).save(folder.join(format!("{index}.png"))).unwrap());
        }
        let data = ["--dataset", "colours", "--data-dir", "kept"];
        place.train_quickly("run", &data).well();
        assert_eq!(place.record("run")["dataset"]["shape"], serde_json::json!([3, 4, 5]));
        let (png, ppm) = (place.path("colour.png"), place.path("colour.ppm"));
        let image = image(1, 30);
        image.save(&png).unwrap();
        fs::write(&ppm, [b"P6 5 4 255\n", image.as_raw().as_slice()].concat()).unwrap();
        Example::new(place, png, ppm)
    }
}

#[test]
fn the_python_example_agrees_with_predict() {
    let test = "the_python_example_agrees_with_predict";
    for example in [Example::grey, Example::colour] {
        let (Some(mut python), place) = (python(test), Place::new()) else { return };
        let Example { png, predicted, .. } = example(&place);
        let script = root().join("scripts/classify.py");
        let output = python.arg(script).arg(place.path("run/model.pt")).arg(&png).output().unwrap();
        let finished = Finished::from(output).well();
        assert_eq!(finished.stdout, format!("{predicted} {}\n", png.display()));
    }
}

#[test]
fn the_cpp_example_agrees_with_predict() {
    let test = "the_cpp_example_agrees_with_predict";
    let libtorch = std::env::var_os("LIBTORCH").map(PathBuf::from);
    let Some(libtorch) = libtorch.filter(|folder| folder.join("include/torch/script.h").exists()) else {
        return skipped(test, "LIBTORCH names no folder with libtorch's headers");
    };
    let place = Place::new();
    let (include, libraries) = (libtorch.join("include"), libtorch.join("lib"));
    let program = place.path("classify");
    let mut compiler = Command::new("c++");
    compiler.args(["-std=c++17", "-I"]).arg(&include).arg("-I").arg(include.join("torch/csrc/api/include"));
    compiler.arg(root().join("scripts/classify.cpp")).arg("-L").arg(&libraries);
    compiler.arg(format!("-Wl,-rpath,{}", libraries.display()));
    compiler.args(["-ltorch_cpu", "-lc10", "-o"]).arg(&program);
    Finished::from(compiler.output().unwrap()).well();

    for example in [Example::grey, Example::colour] {
        let place = Place::new();
        let Example { pnm, predicted, .. } = example(&place);
        let classify = |image: &Path| {
            let mut command = Command::new(&program);
            Finished::from(command.arg(place.path("run/model.pt")).arg(image).output().unwrap())
        };
        let said = classify(&pnm).well().stdout;
        let (class, probability) = predicted.split_once(' ').unwrap();
        // It prints the index of the class.
        let classes = &place.record("run")["dataset"]["classes"];
        let index = classes.as_array().unwrap().iter().position(|name| name == class).unwrap();
        let found = said.strip_prefix(&format!("class {index}, probability ")).expect(&said);
        assert!((found.trim().parse::<f64>().unwrap() - probability.parse::<f64>().unwrap()).abs() < 1e-5);
        fs::write(place.path("cut.pgm"), b"P5 8 8 255\nabc").unwrap();
        assert_eq!(classify(&place.path("cut.pgm")).code, Some(1));
    }
}

#[test]
fn tensorboard_reads_the_scalars_of_the_history() {
    let Some(mut python) = python("tensorboard_reads_the_scalars_of_the_history") else { return };
    let place = Place::new();
    place.train_quickly("run", &["--plateau-patience", "1", "--plateau-min-delta", "100"]).well();
    let script = root().join("tests/cli/read_tensorboard.py");
    let output = python.arg(script).arg(place.path("run/tensorboard")).output().unwrap();
    let finished = Finished::from(output).well();
    let read: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
    let history = place.history("run");
    for (column, name) in history[0].iter().enumerate().skip(1) {
        let (folder, tag) = match name.strip_prefix("val_") {
            Some(name) => ("validation", format!("epoch_{name}")),
            None => ("train", format!("epoch_{name}")),
        };
        for (row, values) in history[1..].iter().enumerate() {
            let (step, value) = (&read[folder][&tag][row][0], &read[folder][&tag][row][1]);
            assert_eq!(step.as_u64(), Some(row as u64 + 1), "{tag}: {read}");
            let expected = values[column].parse::<f32>().unwrap();
            assert_eq!(value.as_f64().unwrap() as f32, expected, "{tag} of epoch {}", row + 1);
        }
    }
    let summary = read["text"].as_str().unwrap();
    assert!(summary.contains("Total params: 2,410") && summary.contains("dense_1 (Dense)"), "{summary}");
}
