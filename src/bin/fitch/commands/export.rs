//! `fitch export`: a run's model as a file for other programs.

use super::built_model::{RecordedRun, model_card};
use super::start_libtorch;
use crate::cli::ExportOptions;
use crate::config;
use crate::exit::Exit;
use crate::failure::UsageError;
use crate::terminal::Terminal;
use anyhow::Result;
use fitch::export::onnx;
use fitch::export::{TrainedModel, torchscript};
use fitch::files::{write_whole, write_whole_with};
use std::io::Write;
use std::path::Path;
use tch::nn::ModuleT;
use tch::{Device, Kind, Tensor};

/// How many images an exported file is verified on.
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
    let network = run.load(chosen.device)?;
    let card = model_card(&run.record, network.model());
    let trained = TrainedModel { model: network.model(), variables: network.variables(), card: &card };
    if extension == "onnx" {
        write_whole(&to, &onnx::model_bytes(trained, options.input.0)?)?;
    } else {
        write_torchscript(&to, trained, &network, &test_images(&run, terminal)?)?;
    }
    terminal.result(&format!("written to {}\n", to.display()))?;
    Ok(Exit::Success)
}

/// Writes a TorchScript file, which gets its name only after libtorch has loaded it back and it agreed with
/// the network on the images [n, ..].
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

/// Test images of the run or, where they are not available, noise.
fn test_images(run: &RecordedRun, terminal: &Terminal) -> Result<Tensor> {
    let RecordedRun { record, options, .. } = run;
    // Options that name missing files are no configuration any more.
    let configuration = config::check(options).ok();
    if let Some(configuration) = configuration.filter(|set| set.source.is_here(&set.reading)) {
        let dataset = configuration.source.load_with(&configuration.reading, &mut |_| ())?;
        return dataset.test.slice(0, IMAGES_TO_VERIFY as usize);
    }
    let dataset = &record.dataset;
    terminal.warn(&format!(
        "the images of {} are not available: the file is verified on noise instead of test images",
        dataset.name
    ));
    noise(&dataset.shape, dataset.maximum)
}

/// Images of random values up to the maximum: integers where that is one, as raw pixels are, else floats.
pub fn noise(shape: &[i64], maximum: f64) -> Result<Tensor> {
    /// float32 has every integer up to this one.
    const MAX_EXACT: f64 = 16_777_216.0;
    let shape = [&[IMAGES_TO_VERIFY][..], shape].concat();
    let is_integer = maximum.fract() == 0.0 && (2.0..=MAX_EXACT).contains(&maximum);
    Ok(match is_integer {
        true => Tensor::f_randint(maximum as i64 + 1, shape.as_slice(), (Kind::Int64, Device::Cpu))?,
        false => Tensor::f_rand(shape.as_slice(), (Kind::Double, Device::Cpu))?.f_mul_scalar(maximum)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_spans_the_values_of_any_data() {
        for (maximum, kind) in [
            (255.0, Kind::Int64),
            (3000.0, Kind::Int64),
            (1.0, Kind::Double),
            (0.25, Kind::Double),
            (3.5, Kind::Double),
            (1e300, Kind::Double),
        ] {
            let images = noise(&[4, 3], maximum).unwrap();
            assert_eq!((images.size(), images.kind()), (vec![IMAGES_TO_VERIFY, 4, 3], kind), "{maximum}");
            let [min, max] =
                [images.min(), images.max()].map(|value| f64::try_from(value.to_kind(Kind::Double)).unwrap());
            assert!(min >= 0.0 && max <= maximum && max > 0.9 * maximum, "{min} {max} {maximum}");
        }
    }
}
