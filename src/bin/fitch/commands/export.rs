//! `fitch export`: a run's model as a file for other programs.

use super::built_model::{RecordedRun, model_card};
use super::start_libtorch;
use crate::cli::ExportOptions;
use crate::config::{self, Configuration};
use crate::exit::Exit;
use crate::failure::{Hint, UsageError};
use crate::terminal::Terminal;
use anyhow::Result;
use fitch::data::LoadOptions;
use fitch::export::{ImageInput, ModelCard, TrainedModel, onnx, pt2, torchscript, verify_torchscript};
use fitch::files::{write_whole, write_whole_with};
use fitch::model::{Network, Normalization};
use fitch::run::DatasetRecord;
use std::io::Write;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// How many images an exported file is verified on.
const IMAGES_TO_VERIFY: i64 = 1_000;

/// The same for images of that shape: fewer if they are large, or if the network is another program's, which are
/// mostly deep.
pub fn images_to_verify(shape: &[i64], has_layers: bool) -> i64 {
    /// 64 MiB of float32.
    const VALUES: i64 = 16 << 20;
    let values = if has_layers { VALUES } else { VALUES / 16 };
    (values / shape.iter().product::<i64>().max(1)).clamp(1, IMAGES_TO_VERIFY)
}

pub fn run(options: ExportOptions, terminal: &Terminal) -> Result<Exit> {
    let run = RecordedRun::open(&options.run)?;
    let to = options.to.unwrap_or_else(|| run.folder.model_file());
    let extension = to.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if !["pt", "pt2", "onnx"].contains(&extension) {
        let fault = format!("--to {}: the name must end in .pt, .pt2 or .onnx", to.display());
        return Err(UsageError(vec![fault]).into());
    }
    let input = match extension {
        "pt" => ImageInput::Float,
        _ => image_input(options.input.map(|input| input.0), &run.record.dataset)?,
    };
    // A file is the same wherever it is written, and the CPU is always there.
    let chosen = start_libtorch(config::check_machine("cpu", run.options.threads)?)?;
    let network = run.load(chosen.device)?;
    let card = model_card(&run.record, &network);
    if extension == "pt" {
        write_torchscript(&to, &network, &card, &test_images(&run, terminal)?)?;
    } else {
        let model = network.model().ok_or_else(|| without_layers(&run, extension))?;
        let trained = TrainedModel { model, variables: network.variables(), card: &card };
        let write = if extension == "onnx" { onnx::model_bytes } else { pt2::program_bytes };
        write_whole(&to, &write(trained, input)?)?;
    }
    terminal.result(&format!("written to {}\n", to.display()))?;
    Ok(Exit::Success)
}

/// The type of input that is asked for, or that of the data.
fn image_input(asked: Option<ImageInput>, dataset: &DatasetRecord) -> Result<ImageInput> {
    match (asked, why_no_bytes(dataset)) {
        (Some(ImageInput::Uint8), Some(reason)) => {
            let fault = format!(
                "--input uint8: the data of the run are not bytes, but {reason}; --input float takes them"
            );
            Err(UsageError(vec![fault]).into())
        }
        (Some(asked), _) => Ok(asked),
        (None, Some(_)) => Ok(ImageInput::Float),
        (None, None) => Ok(ImageInput::Uint8),
    }
}

/// What data are whose values cannot be written as a byte each.
fn why_no_bytes(dataset: &DatasetRecord) -> Option<String> {
    const MAX_BYTE: f64 = 255.0;
    let DatasetRecord { shape, maximum, value_type, range, .. } = dataset;
    let is_float = matches!(value_type.as_deref(), Some("Float" | "Double"));
    // Pixels that another program stored as floats are bytes all the same.
    let are_pixels = shape.len() > 1 && *maximum == MAX_BYTE;
    match range {
        Some([min, _]) if *min < 0.0 => Some(format!("values from {min}")),
        _ if *maximum > MAX_BYTE => Some(format!("values up to {maximum}")),
        Some([_, max]) if *max > MAX_BYTE => Some(format!("values up to {max}")),
        _ if is_float && !are_pixels => Some("floats".to_string()),
        _ if maximum.fract() != 0.0 => Some(format!("floats up to {maximum}")),
        _ => None,
    }
}

/// Writes a TorchScript file, which gets its name only after libtorch has loaded it back and it agreed with
/// the network on the images [n, ..].
pub fn write_torchscript(path: &Path, network: &Network, card: &ModelCard, images: &Tensor) -> Result<()> {
    let archive = torchscript::network_archive(network, card)?;
    write_whole_with(path, |file| {
        file.write_all(&archive)?;
        verify_torchscript(file.path(), network, network.variables().device(), images)
    })
}

/// ONNX is written from layers, which a network of another program does not have.
fn without_layers(run: &RecordedRun, extension: &str) -> Hint {
    let (form, export) = match extension {
        "onnx" => ("ONNX", "torch.onnx.export(net, ...)"),
        _ => (".pt2", "torch.export.save(torch.export.export(net, ...), ...)"),
    };
    let weights = run.folder.weights_file();
    let normalized = match &run.record.normalization {
        Some(Normalization { mean, deviation }) => {
            format!(", normalised by the means {mean:?} and the deviations {deviation:?},")
        }
        None => String::new(),
    };
    Hint {
        message: format!(
            "{} trained a network that another program made; {form} is written for fitch's own layers only",
            run.folder.path().display()
        ),
        hint: format!(
            "in Python, net.load_state_dict(safetensors.torch.load_file({:?})), net.eval() and {export} write the bare \
             network: it takes pixels from 0 to 1{normalized} and gives logits",
            weights.display().to_string()
        ),
    }
}

/// Test images of the run or, where they are not available, noise.
fn test_images(run: &RecordedRun, terminal: &Terminal) -> Result<Tensor> {
    let RecordedRun { record, options, .. } = run;
    let dataset = &record.dataset;
    // Options that name missing files are no configuration any more.
    let configuration = config::check(options).ok();
    let configuration = configuration.filter(|set| set.source.is_here(&set.reading));
    let found = configuration.map(|Configuration { source, reading, .. }| {
        source.load_with(&LoadOptions { maximum: Some(dataset.maximum), ..reading }, &mut |_| ())
    });
    let reason = match found {
        Some(Ok(found)) if found.shape() == dataset.shape => {
            return found
                .test
                .slice(0, images_to_verify(&dataset.shape, record.network_sha256.is_none()) as usize);
        }
        Some(Ok(found)) => format!("have other sizes now, {:?}", found.shape()),
        Some(Err(fault)) => format!("cannot be read ({fault:#})"),
        None => "are not available".to_string(),
    };
    let name = &dataset.name;
    terminal.warn(&format!(
        "the images of {name} {reason}: the file is verified on noise instead of test images"
    ));
    noise(dataset)
}

/// Images of random values, of the type and in the range of the data.
pub fn noise(dataset: &DatasetRecord) -> Result<Tensor> {
    /// float32 has every integer up to this one.
    const MAX_EXACT: f64 = 16_777_216.0;
    let DatasetRecord { shape, maximum, value_type, range, .. } = dataset;
    let shape = [&[images_to_verify(shape, true)][..], shape].concat();
    let [min, max] = range.unwrap_or([0.0, *maximum]);
    let could_be_whole = maximum.fract() == 0.0 && (2.0..=MAX_EXACT).contains(maximum);
    let kind = match value_type.as_deref() {
        Some("Uint8") => Kind::Uint8,
        Some("Int8") => Kind::Int8,
        Some("Int16") => Kind::Int16,
        Some("Int") => Kind::Int,
        Some("Int64") => Kind::Int64,
        Some("Float") => Kind::Float,
        Some("Double") => Kind::Double,
        // A record of an earlier version does not say.
        _ if could_be_whole => Kind::Int64,
        _ => Kind::Double,
    };
    if matches!(kind, Kind::Float | Kind::Double) {
        let values = Tensor::f_rand(shape.as_slice(), (Kind::Double, Device::Cpu))?;
        return Ok(values.f_mul_scalar(max - min)?.f_add_scalar(min)?.f_to_kind(kind)?);
    }
    Ok(Tensor::f_randint_low(min as i64, max as i64 + 1, shape.as_slice(), (kind, Device::Cpu))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(maximum: f64, value_type: Option<&str>, range: Option<[f64; 2]>) -> DatasetRecord {
        DatasetRecord {
            name: "a".to_string(),
            train: 1,
            validation: 1,
            test: 1,
            classes: vec!["x".to_string(), "y".to_string()],
            shape: vec![4, 3],
            maximum,
            format: None,
            class_counts: Vec::new(),
            notes: Vec::new(),
            value_type: value_type.map(str::to_string),
            range,
            border: 0.0,
            fingerprint: String::new(),
            table: None,
            copies: None,
            copies_dropped: None,
        }
    }

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
            let images = noise(&record(maximum, None, None)).unwrap();
            assert_eq!((images.size(), images.kind()), (vec![IMAGES_TO_VERIFY, 4, 3], kind), "{maximum}");
            let [min, max] =
                [images.min(), images.max()].map(|value| f64::try_from(value.to_kind(Kind::Double)).unwrap());
            assert!(min >= 0.0 && max <= maximum && max > 0.9 * maximum, "{min} {max} {maximum}");
        }
    }

    #[test]
    fn bytes_are_the_input_of_models_of_bytes_only() {
        for (maximum, value_type, range, reason) in [
            (255.0, Some("Uint8"), Some([0.0, 255.0]), None),
            (16.0, Some("Uint8"), Some([0.0, 16.0]), None),
            (255.0, Some("Float"), Some([0.0, 255.0]), None),
            (200.0, Some("Int16"), Some([0.0, 200.0]), None),
            // Earlier versions recorded no more.
            (255.0, None, None, None),
            (1.0, Some("Float"), Some([0.0, 1.0]), Some("floats")),
            (1.0, Some("Double"), Some([-2.5, 7.9]), Some("values from -2.5")),
            (4095.0, Some("Int"), Some([0.0, 4095.0]), Some("values up to 4095")),
            (1.0, Some("Int"), Some([0.0, 900.0]), Some("values up to 900")),
            (0.25, None, None, Some("floats up to 0.25")),
        ] {
            let record = record(maximum, value_type, range);
            assert_eq!(why_no_bytes(&record).as_deref(), reason, "{maximum} {value_type:?}");
            let [default, bytes] =
                [None, Some(ImageInput::Uint8)].map(|asked| image_input(asked, &record).map_err(|_| reason));
            let of_bytes = if reason.is_none() { ImageInput::Uint8 } else { ImageInput::Float };
            assert_eq!(default, Ok(of_bytes));
            assert_eq!(bytes.is_err(), reason.is_some());
            assert_eq!(image_input(Some(ImageInput::Float), &record).unwrap(), ImageInput::Float);
        }
        let features = DatasetRecord { shape: vec![4], ..record(255.0, Some("Float"), Some([0.0, 255.0])) };
        assert_eq!(why_no_bytes(&features).as_deref(), Some("floats"));
    }

    #[test]
    fn noise_is_of_the_type_and_in_the_range_of_the_data() {
        let cases: [(&str, Kind, [f64; 2]); 6] = [
            ("Uint8", Kind::Uint8, [0.0, 1.0]),
            ("Uint8", Kind::Uint8, [0.0, 255.0]),
            ("Int8", Kind::Int8, [-128.0, 127.0]),
            ("Int16", Kind::Int16, [-200.0, 3000.0]),
            ("Float", Kind::Float, [-2.5, 0.5]),
            ("Double", Kind::Double, [0.0, 1.0]),
        ];
        for (value_type, kind, range) in cases {
            let images = noise(&record(range[1].max(-range[0]), Some(value_type), Some(range))).unwrap();
            assert_eq!(images.kind(), kind);
            let [min, max] =
                [images.min(), images.max()].map(|value| f64::try_from(value.to_kind(Kind::Double)).unwrap());
            let width = range[1] - range[0];
            assert!(min >= range[0] && min < range[0] + 0.1 * width, "{min} {range:?}");
            assert!(max <= range[1] && max > range[1] - 0.1 * width, "{max} {range:?}");
        }
    }
}
