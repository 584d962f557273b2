//! How near to the hardware's limit training is, and to other frameworks: the time of an epoch of MNIST in
//! `Fit` (54,000 images, batch 128, the reference network) against that of the matrix products alone that
//! it cannot do without, and against the same training elsewhere (peers.py). Everything takes its turn in
//! each round, so that a noisy machine is noisy to all.

mod convolutions;
mod files;
mod networks;
mod processes;
mod table;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use fitch::data::{self, Samples, Source, split};
use fitch::model::{Layers, Model, Network};
use fitch::optim::{Optimizer, keras_adam};
use fitch::train::{self, Callback, Fit, Outcome, StopReason, Training};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;
use table::{Table, median};
use tch::{Device, Kind, Tensor};

const BATCH_SIZE: usize = 128;
const LAYERS: &str = "dense 512, relu, dropout 0.2, dense 512, relu, dropout 0.2";
/// Inputs and outputs of the reference network's dense layers.
const SHAPES: [(i64, i64); 3] = [(784, 512), (512, 512), (512, 10)];
/// Epochs of a training, and how many of them are only to warm up.
const EPOCHS: usize = 7;
const WARM_UP: usize = 2;
const CONTENDERS: [&str; 5] = ["keras-jax", "jax", "torch", "torch-compile", "keras-tensorflow"];

#[derive(Parser)]
struct Options {
    /// How often everything is timed
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Threads on the CPU [default: the machine's cores]
    #[arg(long)]
    threads: Option<usize>,
    /// Compare with Keras, JAX and PyTorch too, by the python3 that is named
    #[arg(long, value_name = "PYTHON")]
    peers: Option<PathBuf>,
    /// Time `--model cnn` instead of the reference network
    #[arg(long)]
    convolutions: bool,
    /// Time trainings in as many processes as there are threads instead
    #[arg(long)]
    processes: bool,
    /// Train resnet18 on pictures of 64 x 64 pixels instead, against PyTorch by the python3 that is named
    #[arg(long, value_name = "PYTHON")]
    networks: Option<PathBuf>,
    /// Also train with one core kept busy by another process
    #[arg(long)]
    busy: bool,
    /// Also train on 8,100,000 images in a mapped file, which is written into this folder at first (6.4 GB)
    #[arg(long, value_name = "FOLDER")]
    large: Option<PathBuf>,
    /// Write the table as CSV, too
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let threads = options.threads.unwrap_or(std::thread::available_parallelism()?.get());
    tch::set_num_threads(threads as i32);
    if let Some(python) = &options.networks {
        let mut table = Table::default();
        networks::compare(python, threads, &options, &mut table)?;
        print!("\n{}", table.markdown());
        return options.csv.iter().try_for_each(|path| table.write_csv(path));
    }
    let folder = data::default_folder().context("set FITCH_DATA_DIR to the folder that holds mnist/")?;
    let mnist = Source::find("mnist")?.load_with(&data::LoadOptions::with_data_dir(&folder), &mut |_| ())?;
    let rows = split::split(mnist.train.labels(), 0.1, split::SplitMethod::Last, 0)?.train;
    let samples = mnist.train_samples()?.choose(&rows)?;
    let test = mnist.test_samples()?;
    println!("an epoch of MNIST: {} images, batch {BATCH_SIZE}, {threads} threads", samples.len());

    let mut table = Table::default();
    if options.convolutions {
        convolutions::compare(&samples, &test, &folder.join("mnist"), threads, &options, &mut table)?;
        print!("\n{}", table.markdown());
        return options.csv.iter().try_for_each(|path| table.write_csv(path));
    }
    if options.processes {
        processes::compare(&folder, threads, &options, &mut table)?;
        print!("\n{}", table.markdown());
        return options.csv.iter().try_for_each(|path| table.write_csv(path));
    }
    matrix_products(samples.len())?; // to warm up
    for round in 1..=options.rounds.max(1) {
        let products = median(&repeat(3, || matrix_products(samples.len()))?);
        table.add("products of an epoch, s", [products]);
        let single = training(&samples, &test, Kind::Float)?;
        let half = match computes_in_bfloat16() {
            true => Some(training(&samples, &test, Kind::BFloat16)?),
            false => None,
        };
        let evaluation = median(&repeat(5, || evaluation(&test))?);
        let forward = median(&repeat(5, || forward_products(test.len()))?);
        add(&mut table, "fitch, float32", &single, products);
        half.iter().for_each(|half| add(&mut table, "fitch, bfloat16", half, products));
        table.add("evaluation of 10,000 images, s", [evaluation]);
        table.add("evaluation / its products", [evaluation / forward]);
        let mut line = format!("round {round}: products {products:.3} s, epoch {:.3} s", single.epoch);
        half.iter().for_each(|half| line += &format!(", in bfloat16 {:.3} s", half.epoch));
        if options.busy {
            let neighbour = Neighbour::start()?;
            let busy = training(&samples, &test, Kind::Float)?;
            drop(neighbour);
            table.add("fitch, float32, with a busy neighbour, epoch, s", [busy.epoch]);
            table.add("with a busy neighbour / without", [busy.epoch / single.epoch]);
        }
        if let Some(python) = &options.peers {
            let mut fastest = f64::INFINITY;
            for contender in CONTENDERS {
                let peer = peer(python, contender, &folder.join("mnist"), threads)?;
                line += &format!(", {contender} {:.3} s", peer.epoch);
                fastest = fastest.min(peer.epoch);
                add(&mut table, contender, &peer, products);
            }
            table.add("fitch, float32 / the fastest peer", [single.epoch / fastest]);
            let (ours, theirs) = (digits(threads)?, digits_in_keras(python, threads)?);
            table.add("digits, the whole process, fitch, s", [ours]);
            table.add("digits, the whole process, keras on jax, s", [theirs]);
            table.add("digits, fitch / keras", [ours / theirs]);
        }
        println!("{line}");
    }
    if let Some(folder) = &options.large {
        large(folder, &samples, &mnist, options.rounds, &mut table)?;
    }
    files::export_and_predict(&mnist.test.pixels()?, options.rounds.max(1), threads, &mut table)?;
    print!("\n{}", table.markdown());
    options.csv.iter().try_for_each(|path| table.write_csv(path))
}

/// What came of a training.
struct Trained {
    /// The median of its epochs after the first ones, in seconds, validation aside.
    epoch: f64,
    accuracy: f64,
}

fn add(table: &mut Table, name: &str, trained: &Trained, products: f64) {
    table.add(&format!("{name}, epoch, s"), [trained.epoch]);
    table.add(&format!("{name}, epoch / products"), [trained.epoch / products]);
    table.add(&format!("{name}, test accuracy after {EPOCHS} epochs"), [trained.accuracy]);
}

fn repeat(times: usize, mut measure: impl FnMut() -> Result<f64>) -> Result<Vec<f64>> {
    (0..times).map(|_| measure()).collect()
}

/// On other CPUs, bfloat16 is no faster than float32, and PyTorch's takes minutes.
fn computes_in_bfloat16() -> bool {
    fitch::device::has_bfloat16(Device::Cpu)
}

/// The reference network with fresh weights.
fn network() -> Result<Network> {
    network_of(LAYERS)
}

fn network_of(layers: &str) -> Result<Network> {
    Network::new(Model::classifier(&[28, 28], Layers::parse(layers)?, 10)?, Device::Cpu)
}

fn training(samples: &Samples, test: &Samples, kind: Kind) -> Result<Trained> {
    let (network, outcome) = train(LAYERS, samples, kind, EPOCHS, usize::MAX)?;
    let seconds: Vec<f64> = outcome.history.epochs.iter().map(|epoch| epoch.seconds).collect();
    let accuracy = train::evaluate(&network, test, BATCH_SIZE)?.accuracy;
    Ok(Trained { epoch: median(&seconds[WARM_UP..]), accuracy })
}

/// Trains a fresh network as `fitch train` does, with at most `steps` in an epoch.
fn train(
    layers: &str,
    samples: &Samples,
    kind: Kind,
    epochs: usize,
    steps: usize,
) -> Result<(Network, Outcome)> {
    let network = network_of(layers)?.with_precision(kind)?;
    let optimizer = Optimizer::new(network.variables(), keras_adam(), 0.001)?;
    let outcome = Fit::network(&network, optimizer)
        .epochs(epochs)
        .batch_size(BATCH_SIZE)
        .callback(&mut Steps(steps))
        .run(samples, None)?;
    Ok((network, outcome))
}

fn random(rows: i64, columns: i64) -> Tensor {
    Tensor::rand([rows, columns], (Kind::Float, Device::Cpu))
}

/// The seconds that the products of an epoch take: of each dense layer the outputs, the gradients of its
/// weights and, but for the first one, those of its inputs; eight a step.
fn matrix_products(images: usize) -> Result<f64> {
    let operands = |batch: i64| {
        SHAPES
            .map(|(inputs, outputs)| (random(batch, inputs), random(outputs, inputs), random(batch, outputs)))
    };
    let (whole, rest) = (operands(BATCH_SIZE as i64), operands((images % BATCH_SIZE) as i64));
    let steps = images.div_ceil(BATCH_SIZE);
    let start = Instant::now();
    for step in 1..=steps {
        let operands = if step * BATCH_SIZE <= images { &whole } else { &rest };
        for (number, (inputs, weights, gradients)) in operands.iter().enumerate() {
            let _ = inputs.f_mm(&weights.tr())?;
            let _ = gradients.tr().f_mm(inputs)?;
            if number > 0 {
                let _ = gradients.f_mm(weights)?;
            }
        }
    }
    Ok(start.elapsed().as_secs_f64())
}

fn evaluation(test: &Samples) -> Result<f64> {
    let network = network()?;
    let start = Instant::now();
    train::evaluate(&network, test, BATCH_SIZE)?;
    Ok(start.elapsed().as_secs_f64())
}

/// The seconds that the products of an evaluation take.
fn forward_products(images: usize) -> Result<f64> {
    let operands =
        |batch: i64| SHAPES.map(|(inputs, outputs)| (random(batch, inputs), random(outputs, inputs)));
    let size = train::evaluation_batch_size(BATCH_SIZE);
    let batches = (0..images).step_by(size).map(|start| size.min(images - start) as i64);
    let batches: Vec<_> = batches.map(operands).collect();
    let start = Instant::now();
    for (inputs, weights) in batches.iter().flatten() {
        let _ = inputs.f_mm(&weights.tr())?;
    }
    Ok(start.elapsed().as_secs_f64())
}

/// Another process that keeps a core busy.
struct Neighbour(Child);

impl Neighbour {
    fn start() -> Result<Neighbour> {
        Ok(Neighbour(Command::new("sh").args(["-c", "while :; do :; done"]).spawn()?))
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

/// The line that peers.py prints.
#[derive(Deserialize)]
struct PeerReport {
    seconds: Vec<f64>,
    accuracy: f64,
    version: String,
    /// The seconds of an evaluation of the test set, where it was timed.
    evaluation: Option<f64>,
}

fn peer_report(python: &Path, contender: &str, data: &Path, threads: usize) -> Result<PeerReport> {
    let output = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/benchmark/peers.py"))
        .arg(contender)
        .arg(data)
        .args(["--epochs", &EPOCHS.to_string(), "--threads", &threads.to_string()])
        // The settings of fitch's threads are none of theirs.
        .env_remove("GOMP_SPINCOUNT")
        .env("FITCH_PEERS", "1")
        .stderr(Stdio::null())
        .output()
        .with_context(|| python.display().to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().last().unwrap_or_default();
    serde_json::from_str(line).with_context(|| format!("peers.py {contender} failed: {line}"))
}

fn peer(python: &Path, contender: &str, data: &Path, threads: usize) -> Result<Trained> {
    let PeerReport { seconds, accuracy, version, .. } = peer_report(python, contender, data, threads)?;
    ensure!(seconds.len() == EPOCHS && accuracy > 0.97, "{version}: {seconds:?} s, accuracy {accuracy}");
    Ok(Trained { epoch: median(&seconds[WARM_UP..]), accuracy })
}

/// The seconds of the whole process of `fitch`.
fn fitch_seconds(command: &str, arguments: &[&Path], threads: usize) -> Result<f64> {
    let mut program = Command::new(env!("CARGO_BIN_EXE_fitch"));
    program.arg(command).args(arguments).args(["--threads", &threads.to_string()]);
    let start = Instant::now();
    let status = program.stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    ensure!(status.success(), "fitch {command} failed");
    Ok(start.elapsed().as_secs_f64())
}

/// The seconds of `fitch train` with no option, all files written.
fn digits(threads: usize) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    fitch_seconds("train", &[Path::new("--out"), &folder.path().join("run")], threads)
}

fn digits_in_keras(python: &Path, threads: usize) -> Result<f64> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/data/digits.csv.gz");
    let start = Instant::now();
    let report = peer_report(python, "keras-digits", &file, threads)?;
    ensure!(report.accuracy > 0.95, "{}: accuracy {}", report.version, report.accuracy);
    Ok(start.elapsed().as_secs_f64())
}

/// Stops after a number of steps.
#[derive(Debug)]
struct Steps(usize);

impl Callback for Steps {
    fn step_end(&mut self, training: &mut Training) -> Result<()> {
        if training.step() == self.0 {
            training.stop(StopReason::Interrupted, "enough".to_string());
        }
        Ok(())
    }
}

/// The time for an image of a set that is far larger than the caches, against that of MNIST's.
fn large(
    folder: &Path,
    samples: &Samples,
    mnist: &data::Dataset,
    rounds: usize,
    table: &mut Table,
) -> Result<()> {
    const COPIES: usize = 135;
    const STEPS: usize = 10_000;
    std::fs::create_dir_all(folder)?;
    let images = folder.join("train-images-idx3-ubyte");
    if !images.exists() {
        files::write_idx(&images, &mnist.train.pixels()?, COPIES)?;
    }
    let labels = Tensor::from_slice(mnist.train.labels()).repeat([COPIES as i64]);
    let pixels = data::idx_file::read_images(&images)?;
    let large = Samples::new(&pixels, &labels)?.scaled_by(255.0);
    let seconds = |samples: &Samples, epochs: usize, steps: usize| -> Result<f64> {
        Ok(train(LAYERS, samples, Kind::Float, epochs, steps)?.1.seconds)
    };
    for _ in 0..rounds.max(1) {
        // The shuffled order of all images is made before the first step.
        let start = seconds(&large, 1, 1)?;
        let (of_large, of_small) = (seconds(&large, 1, STEPS)? - start, seconds(samples, 5, usize::MAX)?);
        let per_image = of_large / (STEPS - 1) as f64 / BATCH_SIZE as f64;
        table.add("8,100,000 images: up to the first step, s", [start]);
        table.add(
            "an image of 8,100,000 / one of 54,000",
            [per_image / (of_small / 5.0 / samples.len() as f64)],
        );
    }
    Ok(())
}
