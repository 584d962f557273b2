use super::*;
use crate::data::ImageFit;
use crate::model::{Layers, layers};
use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use tch::nn::{self, Module, ModuleT, SequentialT};
use tch::{CModule, TrainableCModule};
use tempfile::TempDir;
use zip::write::FileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// A network of random weights for images of 4 x 3 pixels, with its files in a temporary folder.
struct Exported {
    folder: TempDir,
    network: SequentialT,
    variables: VarStore,
    model: Model,
    card: ModelCard,
}

impl Exported {
    fn new(layers: &str) -> Exported {
        let hidden = Layers::parse(layers).unwrap();
        let model = Model::classifier(&[4, 3], hidden, 5).unwrap();
        let variables = VarStore::new(Device::Cpu);
        let network = model.build(&variables.root()).unwrap();
        let card = ModelCard {
            fitch_version: "0.1.0".to_string(),
            classes: ["a", "b", "c", "d", "e"].map(str::to_string).to_vec(),
            input: InputCard {
                shape: vec![4, 3],
                maximum: 255.0,
                border: 0.0,
                table: None,
                fit: ImageFit::Stretch,
                normalization: None,
            },
            layers: model.hidden_layers(),
            network: None,
            temperature: None,
            metrics: serde_json::Map::new(),
            config: serde_json::json!({}),
        };
        let exported = Exported { folder: TempDir::new().unwrap(), network, variables, model, card };
        fs::write(exported.path("model.pt"), exported.archive()).unwrap();
        exported
    }

    fn trained(&self) -> TrainedModel<'_> {
        TrainedModel { model: &self.model, variables: &self.variables, card: &self.card }
    }

    fn archive(&self) -> Vec<u8> {
        torchscript::archive(self.trained()).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn verify(&self, network: &dyn ModuleT) -> Result<()> {
        verify_torchscript(&self.path("model.pt"), network, Device::Cpu, &images(100))
    }

    /// The error from loading other bytes under the same name.
    fn fault(&self, bytes: &[u8]) -> String {
        fs::write(self.path("model.pt"), bytes).unwrap();
        let fault = format!("{:#}", ScriptModel::load(&self.path("model.pt"), Device::Cpu).unwrap_err());
        assert!(fault.contains("model.pt: ") && fault.len() < 700, "{fault}");
        fault
    }
}

fn images(count: i64) -> Tensor {
    Tensor::randint(256, [count, 4, 3], (Kind::Uint8, Device::Cpu))
}

#[test]
fn every_layer_kind_computes_the_same_from_torchscript() {
    for kind in layers::KINDS {
        let before = match Layers::parse(kind.example).unwrap().0[0].input_kind() {
            layers::InputKind::Images => "conv2d 2 1",
            layers::InputKind::Anything | layers::InputKind::Rows => "dense 6",
        };
        let exported = Exported::new(&format!("{before}, {}", kind.example));
        exported.verify(&exported.network).unwrap_or_else(|fault| panic!("{}: {fault:#}", kind.keyword));
    }
}

#[test]
fn every_layer_kind_has_an_onnx_operator_or_passes_values_unchanged() {
    for kind in layers::KINDS {
        let layer = Layers::parse(kind.example).unwrap().0.remove(0);
        let variables = VarStore::new(Device::Cpu);
        let shape: &[i64] = if layer.input_kind() == layers::InputKind::Rows { &[6] } else { &[2, 6, 6] };
        let built = layers::append(layer.clone(), nn::seq_t(), &variables.root(), shape).unwrap();
        let kept = variables.variables().into_values().filter(|variable| !variable.requires_grad());
        // As after training, when they are not those that change nothing.
        tch::no_grad(|| kept.for_each(|mut variable| drop(variable.fill_(0.75))));
        let values = Tensor::randn([&[9], shape].concat(), (Kind::Float, Device::Cpu));
        let outputs = built.forward_t(&values, false);
        let passes_unchanged = outputs.size() == values.size() && outputs == values;
        assert_eq!(layer.onnx(shape).is_empty(), passes_unchanged, "{}", kind.keyword);
    }
}

/// GELU was written as opset 20, and everything as IR version 9, which older programs refuse.
#[test]
fn onnx_files_are_of_versions_that_older_programs_read() {
    for (layers, [version, opset]) in [
        ("dense 6, relu, batchnorm, dropout 0.5", [7, 13]),
        ("conv2d 2 2, maxpool2d 2, flatten, tanh", [7, 13]),
        ("dense 6, gelu", [7, 13]),
        ("dense 6, layernorm", [8, 17]),
        ("gelu, dense 6, layernorm, gelu", [8, 17]),
    ] {
        let exported = Exported::new(layers);
        let bytes = onnx::model_bytes(exported.trained(), ImageInput::Uint8).unwrap();
        // Field 1 of the model, the IR version.
        assert!(bytes.starts_with(&[1 << 3, version]), "{layers}");
        // Field 8 of the model, of two bytes; field 2 within that.
        let opset = [8 << 3 | 2, 2, 2 << 3, opset];
        assert!(bytes.windows(4).any(|window| window == opset), "{layers}");
        assert!(!bytes.windows(4).any(|window| window == b"Gelu"), "{layers}");
    }
}

#[test]
fn a_file_that_computes_something_else_is_an_error() {
    let exported = Exported::new("dense 6, relu");
    let other = Exported::new("dense 6, relu");
    let fault = format!("{:#}", exported.verify(&other.network).unwrap_err());
    assert!(fault.contains("does not compute what the model does"), "{fault}");
    let _ = tch::no_grad(|| exported.variables.variables()["dense_1.bias"].shallow_clone().fill_(f64::NAN));
    assert!(exported.verify(&exported.network).is_err(), "NaN is never equal");
}

/// What a model that was tuned in Python and saved without `eval()` answered was another at each call.
#[test]
fn a_file_in_training_mode_is_used_in_evaluation_mode() {
    let exported = Exported::new("dense 60, relu, batchnorm, dropout 0.5");
    let mut tuned = CModule::load(exported.path("model.pt")).unwrap();
    tuned.set_train();
    let path = exported.path("tuned.pt");
    tuned.save(&path).unwrap();
    // libtorch does not write the file's card.
    let mut archive = ZipArchive::new(fs::File::open(exported.path("model.pt")).unwrap()).unwrap();
    let name = archive.file_names().find(|name| name.ends_with("extra/fitch.json")).unwrap().to_string();
    let mut card = Vec::new();
    archive.by_name(&name).unwrap().read_to_end(&mut card).unwrap();
    let file = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let mut writer = zip::ZipWriter::new_append(file).unwrap();
    writer.start_file("tuned/extra/fitch.json", Default::default()).unwrap();
    std::io::Write::write_all(&mut writer, &card).unwrap();
    writer.finish().unwrap();

    let images = Tensor::rand([50, 4, 3], (Kind::Float, Device::Cpu));
    let loaded = ScriptModel::load(&path, Device::Cpu).unwrap();
    let first = loaded.logits(&images).unwrap();
    assert_eq!(loaded.logits(&images).unwrap(), first);
    assert!(first.allclose(&exported.network.forward_t(&images, false), 1e-5, 1e-6, false));
}

#[test]
fn raw_and_scaled_images_flat_ones_and_any_batch_size_are_taken() {
    let exported = Exported::new("dense 6, relu");
    let loaded = ScriptModel::load(&exported.path("model.pt"), Device::Cpu).unwrap();
    for count in [0, 1, 7, 300] {
        let raw = images(count);
        let scaled = raw.to_kind(Kind::Float) / 255.0;
        let logits = exported.network.forward_t(&scaled, false);
        let inputs =
            [raw.shallow_clone(), raw.to_kind(Kind::Int64), scaled.shallow_clone(), scaled.flatten(1, 2)];
        for input in inputs {
            assert!(loaded.logits(&input).unwrap().allclose(&logits, 0.0, 1e-6, false), "{count}");
            let probabilities = loaded.probabilities(&input).unwrap();
            assert_eq!(probabilities.size(), [count, 5]);
            let sums = probabilities.sum_dim_intlist(-1, false, Kind::Float);
            assert!(sums.allclose(&sums.ones_like(), 0.0, 1e-6, false));
        }
    }
    assert_eq!(loaded.card(), &exported.card);
    let fault = format!("{:#}", loaded.probabilities(&images(2).transpose(0, 1)).unwrap_err());
    assert!(fault.contains("do not have 12 values each") && fault.lines().count() == 1, "{fault}");
}

#[test]
fn parameters_have_their_names_and_can_be_trained() {
    let exported = Exported::new("dense 6, relu, dropout 0.9");
    let store = VarStore::new(Device::Cpu);
    let mut module = TrainableCModule::load(exported.path("model.pt"), store.root()).unwrap();
    let sorted = |store: &VarStore| store.variables().into_iter().collect::<BTreeMap<_, _>>();
    let names = |store: &VarStore| sorted(store).into_keys().collect::<Vec<_>>();
    assert_eq!(names(&store).len(), 4);
    for (name, value) in exported.variables.variables() {
        // A VarStore takes no dots in a name: tch puts _ in their place.
        assert_eq!(sorted(&store)[&name.replace('.', "_")], value, "{name}");
    }
    let images = images(50);
    module.set_train();
    let logits = |module: &TrainableCModule| module.method_ts("logits", &[&images]).unwrap();
    assert_ne!(logits(&module), logits(&module), "dropout is on");
    logits(&module).sum(Kind::Float).backward();
    assert!(store.trainable_variables().iter().all(|variable| variable.grad().defined()));
    module.set_eval();
    assert_eq!(logits(&module), logits(&module));
}

#[test]
fn the_same_model_gives_the_same_bytes_and_tensors_are_aligned() {
    let exported = Exported::new("dense 6, relu");
    assert!(exported.archive() == exported.archive());
    let mut archive = ZipArchive::new(fs::File::open(exported.path("model.pt")).unwrap()).unwrap();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).unwrap();
        assert_eq!(entry.data_start() % 64, 0, "{:?}", entry.name());
    }
    let mut card = String::new();
    archive.by_name("fitch/extra/fitch.json").unwrap().read_to_string(&mut card).unwrap();
    assert_eq!(ModelCard::parse(card.as_bytes()).unwrap(), exported.card);
}

#[test]
fn files_that_are_something_else_are_told_apart() {
    let exported = Exported::new("dense 6, relu");
    let safetensors = exported.path("w.safetensors");
    exported.variables.save(&safetensors).unwrap();
    for (bytes, fault) in [
        (&b""[..], "is empty, not TorchScript"),
        (b"epoch,loss\n1,0.5\n", "is a text file, not TorchScript"),
        (b"\x80\x02}q\x00.", "is a Python pickle, not TorchScript"),
        (b"\x89HDF\r\n\x1a\n", "is an HDF5 file, not TorchScript"),
        (b"\xff\xd8\xff\xe0", "is a file of an unknown kind, not TorchScript"),
        (&fs::read(&safetensors).unwrap(), "is a safetensors file, not TorchScript"),
        (&onnx::model_bytes(exported.trained(), ImageInput::Float).unwrap(), "is an ONNX file"),
    ] {
        let found = exported.fault(bytes);
        assert!(found.contains(fault), "{found}");
    }
    let variables = exported.path("variables.pt");
    exported.variables.save(&variables).unwrap();
    let found = exported.fault(&fs::read(&variables).unwrap());
    assert!(found.contains("holds variables only"), "{found}");
}

#[test]
fn cut_and_altered_files_are_damaged() {
    let exported = Exported::new("dense 600, relu");
    let whole = exported.archive();
    assert!(exported.fault(&whole[..whole.len() / 2]).contains("is a cut or damaged zip archive"));
    assert!(exported.fault(&whole[..whole.len() - 1]).contains("is a cut or damaged zip archive"));
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1; // within the weights
    let found = exported.fault(&altered);
    assert!(found.contains("is damaged: fitch/data/0 is not as it was written"), "{found}");
}

#[test]
fn another_interface_is_told_with_what_it_gives() {
    // A module of somebody else's, given our card.
    let exported = Exported::new("dense 6, relu");
    let with_code = |from: &str, to: &str| {
        let mut replaced = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let mut archive = ZipArchive::new(std::io::Cursor::new(exported.archive())).unwrap();
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).unwrap();
            let name = entry.name().to_string();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            if name.ends_with("/__torch__/fitch.py") {
                let text = String::from_utf8(content).unwrap();
                assert!(text.contains(from));
                content = text.replacen(from, to, 1).into_bytes();
            }
            replaced.start_file(name, zip::write::FileOptions::default()).unwrap();
            std::io::Write::write_all(&mut replaced, &content).unwrap();
        }
        replaced.finish().unwrap().into_inner()
    };
    let found = exported.fault(&with_code("def logits(", "def scores("));
    assert!(found.contains("TorchScript") || found.contains("interface"), "{found}");
    let found = exported.fault(&with_code("    return x\n", "    return torch.sum(x)\n"));
    assert!(found.contains("does not have the interface of the models that fitch writes"), "{found}");
    let found = exported.fault(&with_code("    return x\n", "    return torch.narrow(x, 1, 0, 3)\n"));
    assert!(found.contains("returns Float [1, 3] for an image [1, 4, 3] Uint8, not Float [1, 5]"), "{found}");
}

#[test]
fn a_traced_module_of_another_program_is_no_model_of_ours() {
    let exported = Exported::new("dense 6, relu");
    let path = exported.path("traced.pt");
    let mut double = |inputs: &[Tensor]| vec![&inputs[0] * 2];
    let traced = CModule::create_by_tracing(
        "Double",
        "forward",
        &[Tensor::ones([1], (Kind::Float, Device::Cpu))],
        &mut double,
    );
    traced.unwrap().save(&path).unwrap();
    assert_eq!(CModule::load(&path).unwrap().forward(&Tensor::from(3.0)), Tensor::from(6.0));
    assert!(exported.fault(&fs::read(&path).unwrap()).contains("has no fitch.json inside"));
}

#[test]
fn a_file_that_was_written_here_is_computed_by_its_layers() {
    let exported = Exported::new("conv2d 3 2, batchnorm, relu, maxpool2d 2, flatten, dense 6, tanh");
    let images = images(40);
    let [own, code] = [ScriptModel::load, ScriptModel::load_code].map(|load| {
        let model = load(&exported.path("model.pt"), Device::Cpu).unwrap();
        assert!(!model.logits(&images).unwrap().requires_grad());
        model
    });
    assert!(own.computes_by_layers() && !code.computes_by_layers());
    for images in [images.shallow_clone(), images.to_kind(Kind::Float) / 255.0] {
        for (own, code) in [
            (own.logits(&images).unwrap(), code.logits(&images).unwrap()),
            (own.probabilities(&images).unwrap(), code.probabilities(&images).unwrap()),
        ] {
            assert!(own.allclose(&code, 1e-5, 1e-6, false));
        }
    }
    // With other code, the code counts.
    let mut archive = ZipArchive::new(fs::File::open(exported.path("model.pt")).unwrap()).unwrap();
    let mut changed = ZipWriter::new(fs::File::create(exported.path("changed.pt")).unwrap());
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if entry.name().ends_with("tanh_1.py") {
            content = String::from_utf8(content).unwrap().replace("torch.tanh", "torch.relu").into_bytes();
        }
        let options = FileOptions::default().compression_method(CompressionMethod::Stored);
        changed.start_file(entry.name(), options).unwrap();
        changed.write_all(&content).unwrap();
    }
    changed.finish().unwrap();
    let changed = ScriptModel::load(&exported.path("changed.pt"), Device::Cpu).unwrap();
    assert!(!changed.computes_by_layers());
    assert!(!changed.logits(&images).unwrap().allclose(&own.logits(&images).unwrap(), 1e-3, 1e-3, false));
}
