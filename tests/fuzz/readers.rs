//! What fitch reads from outside, each as a function of bytes that says whether it took them.

use fitch::data::Inversion;
use fitch::data::inputs::{InputSpec, inputs};
use fitch::data::{Fault, LoadOptions, Source, idx_file};
use fitch::export::ModelCard;
use fitch::model::Layers;
use fitch::report::{metric_names, read_curves};
use fitch::run::{CheckpointFolder, GrowingText, load_weights, save_weights};
use fitch::train::TrainingState;
use flate2::{Compression, write::GzEncoder};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use tch::nn::VarStore;
use tch::{Device, Tensor};

/// A reader with bytes that it takes.
pub struct Reader {
    /// Its name.
    pub name: &'static str,
    /// Whole inputs to begin with.
    #[allow(dead_code)]
    pub samples: fn() -> Vec<Vec<u8>>,
    /// Reads the bytes, which it may write to that path first.
    pub read: fn(&[u8], &Path) -> bool,
    /// Whether it also writes what it has read to disk.
    #[allow(dead_code)]
    pub is_slow: bool,
}

const fn quick(name: &'static str, samples: fn() -> Vec<Vec<u8>>, read: fn(&[u8], &Path) -> bool) -> Reader {
    Reader { name, samples, read, is_slow: false }
}

const fn slow(name: &'static str, samples: fn() -> Vec<Vec<u8>>, read: fn(&[u8], &Path) -> bool) -> Reader {
    Reader { name, samples, read, is_slow: true }
}

/// All of them.
pub const READERS: [Reader; 18] = [
    quick("idx", idx_samples, read_idx),
    quick("idx.stream", idx_stream_samples, read_inputs),
    quick("idx.labels", idx_label_samples, read_idx_labels),
    quick("rows.csv", csv_samples, read_inputs),
    quick("scan.png", image_samples, read_inputs),
    quick("scan.webp", webp_samples, read_inputs),
    quick("scan.gif", gif_samples, read_inputs),
    quick("scan.tif", tiff_samples, read_inputs),
    quick("foreign", foreign_samples, read_foreign),
    quick("arrays.npz", npz_samples, read_dataset),
    slow("archive", archive_samples, read_dataset),
    slow("labels.csv", labelled_samples, read_dataset),
    slow("table.parquet", parquet_samples, read_dataset),
    quick("history.csv", history_samples, read_history),
    quick("weights.safetensors", weights_samples, read_weights),
    quick("checkpoint", state_samples, read_checkpoint),
    quick("layers", layers_samples, read_layers),
    quick("fitch.json", card_samples, read_card),
];

fn write(bytes: &[u8], path: &Path) {
    fs::write(path, bytes).expect("the folder can be written");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory can be written")
}

fn idx_stream_samples() -> Vec<Vec<u8>> {
    let pixels: Vec<u8> = (0..24).map(|number| number * 10).collect();
    let raw = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 3], pixels.as_slice()].concat();
    let floats: Vec<u8> = (0..24).flat_map(|number| (number as f32).to_be_bytes()).collect();
    let floats = [&[0, 0, 13, 4, 0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0, 0, 1], floats.as_slice()].concat();
    vec![gzip(&raw), raw, floats]
}

/// Images in colour and rows of values, too.
fn idx_samples() -> Vec<Vec<u8>> {
    let colour = [&[0, 0, 8, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3], &[7; 12][..]].concat();
    let rows = [&[0, 0, 11, 2, 0, 0, 0, 2, 0, 0, 0, 3], &[1; 12][..]].concat();
    [idx_stream_samples(), vec![colour, rows]].concat()
}

fn read_idx(bytes: &[u8], path: &Path) -> bool {
    write(bytes, path);
    let read = idx_file::read_images(path).map(|images| i64::try_from(images.sum(tch::Kind::Int64)));
    let _ = idx_file::read_labels(path);
    read.is_ok()
}

/// Numbers, a column of floats, and rows with a one for the class.
fn idx_label_samples() -> Vec<Vec<u8>> {
    let numbers = [&[0, 0, 12, 1, 0, 0, 0, 4][..], &[0, 0, 0, 5, 0, 0, 0, 9].repeat(2)].concat();
    let floats: Vec<u8> = [1.0f32, 2.0, 1.0, 2.0].iter().flat_map(|label| label.to_be_bytes()).collect();
    let floats = [&[0, 0, 13, 2, 0, 0, 0, 4, 0, 0, 0, 1][..], &floats].concat();
    let one_hot = [&[0, 0, 8, 2, 0, 0, 0, 4, 0, 0, 0, 2][..], &[0, 1, 1, 0, 0, 1, 1, 0]].concat();
    vec![gzip(&numbers), numbers, floats, one_hot]
}

/// Reads the labels of four images, which are names of classes whatever they are.
fn read_idx_labels(bytes: &[u8], path: &Path) -> bool {
    let _ = fs::create_dir(path);
    write(bytes, &path.join("train-labels-idx1-ubyte"));
    let images = [&[0, 0, 8, 3, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0, 0, 2][..], &[9; 16]].concat();
    write(&images, &path.join("train-images-idx3-ubyte"));
    let source = Source::find(path.to_str().expect("it is UTF-8")).expect("it was written");
    source.load_with(&LoadOptions::default().test_share(0.5), &mut |_| ()).is_ok()
}

fn spec() -> InputSpec {
    InputSpec::new(&[4, 3], 255.0, Inversion::Never).expect("it is the shape of an image")
}

fn read_inputs(bytes: &[u8], path: &Path) -> bool {
    write(bytes, path);
    inputs(path, spec()).all(|input| input.is_ok())
}

/// Reads a data set whose format the path's name gives; a test set is set aside if there is none.
fn read_dataset(bytes: &[u8], path: &Path) -> bool {
    write(bytes, path);
    let kept = path.with_extension("kept");
    let options = LoadOptions::with_data_dir(&kept).test_share(0.5);
    // Its content may have become that of another kind of file.
    let Ok(source) = Source::find(path.to_str().expect("it is UTF-8")) else { return false };
    let dataset = source.load_with(&options, &mut |_| ());
    if let Ok(dataset) = &dataset {
        dataset.inspect().expect("what was read can be looked at");
    }
    let _ = fs::remove_dir_all(kept);
    dataset.is_ok()
}

fn npz_samples() -> Vec<Vec<u8>> {
    // Of other types and names; of words as bytes, with images that are mapped.
    let others = [&include_bytes!("samples/kinds.npz")[..], include_bytes!("samples/stored.npz")];
    [&include_bytes!("samples/arrays.npz")[..], include_bytes!("samples/words.npz")]
        .into_iter()
        .chain(others)
        .map(<[u8]>::to_vec)
        .collect()
}

/// Of tables; one of them in an archive within.
fn archive_samples() -> Vec<Vec<u8>> {
    [&include_bytes!("samples/table.zip")[..], include_bytes!("samples/table.tar.gz")]
        .map(<[u8]>::to_vec)
        .into()
}

fn parquet_samples() -> Vec<Vec<u8>> {
    let tables = [&include_bytes!("samples/table.parquet")[..], include_bytes!("samples/words.parquet")];
    // Of two columns of images, with labels that are floats.
    let floats = &include_bytes!("samples/floats.parquet")[..];
    tables.into_iter().chain([floats]).map(<[u8]>::to_vec).collect()
}

fn labelled_samples() -> Vec<Vec<u8>> {
    let text = b"label,p0,p1,p2,p3\ncat,0,1,2,3\ndog,1,1,1,1\ncat,4,5,6,255\ndog,0,0,0,0\n";
    let comma = "a;b;species\n1,5;2;x\n2,5;3;y\n1,25;2;x\n2,75;3;y\n";
    let utf_16 = [0xfeff].into_iter().chain(comma.encode_utf16()).flat_map(u16::to_le_bytes);
    vec![
        text.to_vec(),
        gzip(text),
        b"1,2,3\n0,4,5\n1,6,7\n0,8,9\n".to_vec(),
        comma.into(),
        utf_16.collect(),
        b"  1.5 2 0\n  2.5 3 1\n 1.25 2 0\n2.75 3\t1\n".to_vec(),
        b"emotion,pixels,Usage\n0,1 2 3 4,Training\n1,9 9 9 9,Training\n0,1 2 3 4,Test\n1,5 6 7 8,Test\n"
            .to_vec(),
        b",Unnamed: 0,label,b\n0,0,caf\xe9,300\n1,1,dog,2\n2,2,caf\xe9,7\n3,3,dog,8\n".to_vec(),
    ]
}

fn csv_samples() -> Vec<Vec<u8>> {
    let text =
        b"p0,p1,p2,p3,p4,p5,p6,p7,p8,p9,p10,p11\n0,1,2,3,4,5,6,7,8,9,10,255\n1,1,1,1,1,1,1,1,1,1,1,1\n";
    let labelled =
        "Id;label;0;1;2;3;4;5;6;7;8;9;10;11\n7;x;0;1;2;3;4;5;6;7;8;9;10;255\n8;y;1;1;1;1;1;1;1;1;1;1;1;1\n";
    let utf_16 = labelled.encode_utf16().flat_map(u16::to_be_bytes).collect();
    vec![text.to_vec(), gzip(text), labelled.into(), utf_16]
}

/// Grey, in colour and transparent, with 8 and with 16 bits; JPEGs of one pass and of several, one of them with
/// something behind its end.
fn image_samples() -> Vec<Vec<u8>> {
    [
        &include_bytes!("samples/grey.png")[..],
        include_bytes!("samples/transparent.png"),
        include_bytes!("samples/wide.png"),
        include_bytes!("samples/marker.jpg"),
        include_bytes!("samples/progressive.jpg"),
        include_bytes!("samples/colour.bmp"),
    ]
    .map(<[u8]>::to_vec)
    .into()
}

/// By blocks and by values, with and without alpha; of two frames.
fn webp_samples() -> Vec<Vec<u8>> {
    [
        &include_bytes!("samples/lossy.webp")[..],
        include_bytes!("samples/alpha.webp"),
        include_bytes!("samples/lossless.webp"),
        include_bytes!("samples/animated.webp"),
    ]
    .map(<[u8]>::to_vec)
    .into()
}

/// The first frame alone, and with another one that is transparent in part.
fn gif_samples() -> Vec<Vec<u8>> {
    [&include_bytes!("samples/grey.gif")[..], include_bytes!("samples/animated.gif")]
        .map(<[u8]>::to_vec)
        .into()
}

/// With 16 bits and with one, in four colours for print, packed in every way that is in use.
fn tiff_samples() -> Vec<Vec<u8>> {
    [
        &include_bytes!("samples/wide.tif")[..],
        include_bytes!("samples/fax.tif"),
        include_bytes!("samples/lzw.tif"),
        include_bytes!("samples/deflate.tif"),
        include_bytes!("samples/jpeg.tif"),
        include_bytes!("samples/cmyk.tif"),
    ]
    .map(<[u8]>::to_vec)
    .into()
}

/// Files of kinds that are not read.
fn foreign_samples() -> Vec<Vec<u8>> {
    let record = [&6u64.to_le_bytes()[..], &[1; 4], b"\x0a\x04\x0a\x02\x0a\0", &[1; 4]].concat();
    vec![
        b"\x80\x04}\x94(C\x04data\x94C\x06labels\x94".to_vec(),
        b"MATLAB 5.0 MAT-file, Platform: GLNXA64".to_vec(),
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n".to_vec(),
        b"% a table\n@relation a\n".to_vec(),
        record.repeat(2),
    ]
}

/// Whether the file is known for what it is.
fn read_foreign(bytes: &[u8], path: &Path) -> bool {
    write(bytes, path);
    let found = Source::find(path.to_str().expect("it is UTF-8"));
    found.is_err_and(|fault| matches!(fault.downcast_ref(), Some(Fault::ForeignKind { .. })))
}

fn history_samples() -> Vec<Vec<u8>> {
    vec![
        b"epoch,accuracy,loss,val_accuracy,val_loss,learning_rate,seconds\n1,0.5,nan,,0.25,0.001,1.5\n2,0.7,0.1,,0.2,0.001,1\n".to_vec(),
        b"epoch;acc;loss\n0;0,5;1,25\n1;0,75;1\n".to_vec(),
    ]
}

fn read_history(bytes: &[u8], path: &Path) -> bool {
    write(bytes, path);
    let Ok(curves) = read_curves(path) else { return false };
    let curves = [curves];
    let metrics = metric_names(&curves);
    if !metrics.is_empty() {
        fitch::report::terminal_chart(&curves[0], &metrics[0], fitch::report::Scale::Auto, 60, 8);
        fitch::report::chart(&curves, &metrics, fitch::report::ChartOptions::default()).to_svg();
    }
    true
}

fn variables() -> VarStore {
    let variables = VarStore::new(Device::Cpu);
    let _ = variables.root().zeros("weight", &[3, 2]);
    variables
}

fn weights_samples() -> Vec<Vec<u8>> {
    let file = std::env::temp_dir().join(format!("fitch-readers-{}.safetensors", std::process::id()));
    save_weights(&file, &variables(), &[("format", "pt")]).expect("the folder can be written");
    let bytes = fs::read(&file).expect("it was written");
    let _ = fs::remove_file(file);
    vec![bytes]
}

fn read_weights(bytes: &[u8], path: &Path) -> bool {
    write(bytes, path);
    load_weights(path, &variables()).is_ok()
}

fn state_samples() -> Vec<Vec<u8>> {
    let text = "epoch = 2\nstep = 3\nsteps = 9\nlearning_rate = 0.001\nseconds = 1.5\nepoch_seconds = 0.5\nsamples = 30\n\
                [callbacks.early_stopping]\nwait = 1\n[callbacks.early_stopping.best]\nepoch = 1\nvalue = 0.5\n\
                [history]\nmetric_names = [\"loss\", \"val_loss\"]\n[[history.epochs]]\nepoch = 1\nlearning_rate = 0.001\n\
                seconds = 1.0\n[history.epochs.metrics]\nloss = nan\n";
    vec![text.into()]
}

/// The manifest as it stands, and within a folder of checkpoints whose digests hold for other bytes; so is the
/// history that they share.
fn read_checkpoint(bytes: &[u8], path: &Path) -> bool {
    let folder = CheckpointFolder::new(path);
    if !path.exists() {
        let mut text = GrowingText::default();
        text.append("1\t0.001\t1.0\t0.5\t\n");
        let tensors = BTreeMap::from([("means".to_string(), Tensor::from_slice(&[1.0, 2.0]))]);
        let whole = folder
            .prepare((1, 0), "epoch = 1\n".to_string(), &tensors, text.growth())
            .expect("it can be saved");
        whole.write(2).expect("the folder can be written");
    }
    let of_checkpoint = ["state.toml", "history.toml", "sha256sums.txt"];
    let files = of_checkpoint.map(|file| path.join("00000001-0000000000").join(file));
    for file in files.into_iter().chain([path.join("history.tsv")]) {
        let whole = fs::read(&file).expect("it was written");
        write(bytes, &file);
        assert!(folder.newest(|_| ()).expect("the folder can be read").is_none(), "other bytes are refused");
        write(&whole, &file);
    }
    std::str::from_utf8(bytes).is_ok_and(|text| toml::from_str::<TrainingState>(text).is_ok())
}

fn layers_samples() -> Vec<Vec<u8>> {
    vec![b"dense 512, relu, dropout 0.2, dense 30, tanh, sigmoid, gelu".to_vec(), b"dense 3".to_vec()]
}

fn read_layers(bytes: &[u8], _: &Path) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    match Layers::parse(text) {
        Ok(layers) => Layers::parse(&layers.to_string()).is_ok(),
        Err(fault) => fault.to_string().is_empty(),
    }
}

fn card_samples() -> Vec<Vec<u8>> {
    let text = r#"{"fitch_version": "0.1.0", "classes": ["a", "b"], "input": {"shape": [8, 8], "maximum": 16.0,
        "border": 0.25}, "layers": "dense 5", "metrics": {"test_accuracy": 0.5}, "config": {"epochs": 3}}"#;
    vec![text.into()]
}

fn read_card(bytes: &[u8], _: &Path) -> bool {
    ModelCard::parse(bytes).is_ok()
}
