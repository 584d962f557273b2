//! `fitch export`: a run's model as a file for other programs.

use super::built_model::{BuiltModel, RecordedRun, model_card};
use super::start_libtorch;
use crate::cli::{ExportOptions, InputOption};
use crate::config;
use crate::exit::Exit;
use crate::failure::UsageError;
use crate::terminal::Terminal;
use anyhow::Result;
use fitch::export::onnx::{self, OnnxInput};
use fitch::export::{TrainedModel, torchscript};
use fitch::files::{write_whole, write_whole_with};
use std::io::Write;
use std::path::Path;
use tch::nn::ModuleT;
use tch::{Device, Kind, Tensor};

/// How many images a file that was written is compared on.
pub const IMAGES_TO_VERIFY: i64 = 1_000;

pub fn run(options: ExportOptions, terminal: &Terminal) -> Result<Exit> {
    let run = RecordedRun::open(&options.run)?;
    let to = options.to.unwrap_or_else(|| run.folder.model_file());
    let extension = to.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if !["pt", "onnx"].contains(&extension) {
        let fault = format!("--to {}: the name must end in .pt or .onnx", to.display());
        return Err(UsageError(vec![fault]).into());
    }
    // A file is the same wherever it is written, and the CPU is always there.
    let chosen = start_libtorch(config::check_machine("cpu", run.options.threads)?)?;
    let BuiltModel { model, variables, network } = run.load(chosen.device)?;
    let card = model_card(&run.record, &model);
    let trained = TrainedModel { model: &model, variables: &variables, card: &card };
    if extension == "onnx" {
        let input = match options.input {
            InputOption::Uint8 => OnnxInput::Uint8,
            InputOption::Float => OnnxInput::Float,
        };
        write_whole(&to, &onnx::model_bytes(trained, input)?)?;
    } else {
        write_torchscript(&to, trained, &network, &test_images(&run, terminal)?)?;
    }
    terminal.result(&format!("written to {}\n", to.display()))?;
    Ok(Exit::Success)
}

/// Writes a TorchScript file, which takes its name only when libtorch has loaded it back and it said the
/// same of the images, uint8 [n, height, width], as the network.
pub fn write_torchscript(
    path: &Path,
    trained: TrainedModel,
    network: &dyn ModuleT,
    images: &Tensor,
) -> Result<()> {
    let archive = torchscript::archive(trained)?;
    write_whole_with(path, |file| {
        file.write_all(&archive)?;
        torchscript::verify(file.path(), network, trained.variables.device(), images)
    })
}

/// Test images of the run or, where they are not at hand, noise.
fn test_images(run: &RecordedRun, terminal: &Terminal) -> Result<Tensor> {
    let RecordedRun { record, options, .. } = run;
    // What is no longer there is no longer a configuration either.
    let configuration = config::check(options).ok();
    if let Some(configuration) = configuration.filter(|set| set.source.is_here(&set.reading)) {
        let dataset = configuration.source.load_with(&configuration.reading, &mut |_| ())?;
        return dataset.test.slice(0, IMAGES_TO_VERIFY as usize);
    }
    let dataset = &record.dataset;
    terminal.warn(&format!(
        "the images of {} are not at hand: the file is verified on noise instead of test images",
        dataset.name
    ));
    let shape = [&[IMAGES_TO_VERIFY][..], &dataset.shape].concat();
    Ok(Tensor::f_randint(dataset.maximum as i64 + 1, shape.as_slice(), (Kind::Uint8, Device::Cpu))?)
}
