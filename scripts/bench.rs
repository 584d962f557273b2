//! How near to the hardware's limit training is: the time of an epoch of MNIST in `Fit` (54,000 images,
//! batch 128, the reference network) over that of the matrix products alone that it cannot do without,
//! both in this process, one after the other, several times. Then how long it takes to write that network
//! as model.pt and as a checkpoint, and how many images a second `fitch predict` classifies with it.

use anyhow::{Context, Result};
use clap::Parser;
use fitch::data::{self, Samples, Source, split};
use fitch::export::{InputCard, ModelCard, TrainedModel, torchscript};
use fitch::model::{Model, specification};
use fitch::optim::Optimizer;
use fitch::run::{CheckpointFolder, write_whole, write_whole_with};
use fitch::train::Fit;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

const BATCH_SIZE: usize = 128;
const LAYERS: &str = "dense 512, relu, dropout 0.2, dense 512, relu, dropout 0.2";
/// Inputs and outputs of the reference network's dense layers.
const SHAPES: [(i64, i64); 3] = [(784, 512), (512, 512), (512, 10)];

#[derive(Parser)]
struct Options {
    /// How often both are timed
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Threads on the CPU [default: the machine's cores]
    #[arg(long)]
    threads: Option<usize>,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let threads = options.threads.unwrap_or(std::thread::available_parallelism()?.get());
    tch::set_num_threads(threads as i32);
    let folder = data::default_folder().context("set FITCH_DATA_DIR to the folder that holds mnist/")?;
    let mnist = Source::find("mnist")?.load(&folder, &mut |_| ())?;
    let rows = split::split(&mnist.train.labels, 0.1, split::SplitMethod::Last, 0)?.train;
    let samples = mnist.train_samples()?.choose(&rows)?;
    println!("an epoch of MNIST: {} images, batch {BATCH_SIZE}, {threads} threads", samples.len());

    matrix_products(samples.len())?; // to warm up
    epoch(&samples)?;
    let (mut floors, mut epochs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=options.rounds.max(1) {
        let (floor, epoch) = (matrix_products(samples.len())?, epoch(&samples)?);
        println!("round {round}: products {floor:.3} s, epoch {epoch:.3} s, ratio {:.3}", epoch / floor);
        floors.push(floor);
        epochs.push(epoch);
        ratios.push(epoch / floor);
    }
    show("products, s", floors);
    show("epoch, s", epochs);
    show("ratio", ratios);
    export_and_predict(&mnist.test.pixels, options.rounds.max(1), threads)
}

/// Writes the reference network with random weights as model.pt, and classifies the test images with it.
fn export_and_predict(images: &Tensor, rounds: usize, threads: usize) -> Result<()> {
    const COPIES: usize = 11;
    let folder = tempfile::tempdir()?;
    let (once, often) = (folder.path().join("once.idx"), folder.path().join("often.idx"));
    write_idx(&once, images, 1)?;
    write_idx(&often, images, COPIES)?;
    let variables = VarStore::new(Device::Cpu);
    let model = Model::classifier(&[28, 28], specification::parse(LAYERS)?, 10)?;
    let network = model.build(&variables.root())?;
    let card = ModelCard {
        fitch_version: env!("CARGO_PKG_VERSION").to_string(),
        classes: (0..10).map(|class| class.to_string()).collect(),
        input: InputCard { shape: vec![28, 28], maximum: 255.0, border: 0.0 },
        layers: model.hidden_layers(),
        metrics: serde_json::Map::new(),
        config: serde_json::Value::Null,
    };
    let path = folder.path().join("model.pt");
    let trained = TrainedModel { model: &model, variables: &variables, card: &card };
    let test = images.f_narrow(0, 0, 1_000)?;
    let predict = |images: &Path| -> Result<f64> {
        let mut program = Command::new(env!("CARGO_BIN_EXE_fitch"));
        program.arg("predict").arg(&path).arg(images).args(["--threads", &threads.to_string()]);
        let start = Instant::now();
        let status = program.stdout(Stdio::null()).status()?;
        anyhow::ensure!(status.success(), "fitch predict failed");
        Ok(start.elapsed().as_secs_f64())
    };
    // The weights, Adam's moments, and the best weights: what a checkpoint holds.
    let optimizer = Optimizer::adam(&variables, 0.001)?;
    let mut state = optimizer.fused().context("Adam is the fused one")?.state();
    state.extend(variables.variables());
    state.extend(variables.variables().into_iter().map(|(name, value)| (format!("best/{name}"), value)));
    let kept = CheckpointFolder::new(folder.path().join("checkpoint"));
    let (mut writing, mut verifying, mut process, mut rates) = (vec![], vec![], vec![], vec![]);
    let mut checkpoints = Vec::new();
    for round in 0..rounds {
        let start = Instant::now();
        kept.write((round, 0), "", &state, 2)?;
        checkpoints.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        write_whole(&path, &torchscript::archive(trained)?)?;
        writing.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        write_whole_with(&path, |file| {
            file.write_all(&torchscript::archive(trained)?)?;
            torchscript::verify(file.path(), &network, Device::Cpu, &test)
        })?;
        verifying.push(start.elapsed().as_secs_f64());
        let (short, long) = (predict(&once)?, predict(&often)?);
        process.push(short);
        rates.push((COPIES - 1) as f64 * images.size()[0] as f64 / (long - short) / 1e3);
    }
    show("model.pt written and flushed, s", writing);
    show("the same, loaded back and compared on 1,000 images, s", verifying);
    show("a checkpoint written and flushed, s", checkpoints);
    show("fitch predict on the 10,000 test images, the whole process, s", process);
    show("fitch predict, each further image, thousands/s", rates);
    Ok(())
}

fn write_idx(path: &Path, images: &Tensor, copies: usize) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let [count, height, width] = images.size()[..] else { anyhow::bail!("no images") };
    file.write_all(&[0, 0, 8, 3])?;
    for size in [count * copies as i64, height, width] {
        file.write_all(&(size as u32).to_be_bytes())?;
    }
    let pixels: Vec<u8> = Vec::try_from(images.f_reshape([-1])?)?;
    (0..copies).try_for_each(|_| file.write_all(&pixels))?;
    Ok(file.flush()?)
}

fn show(what: &str, values: Vec<f64>) {
    let [least, median, greatest] = spread(values);
    println!("{what:<11} median {median:.3} (least {least:.3}, greatest {greatest:.3})");
}

/// The seconds of one epoch, validation aside.
fn epoch(samples: &Samples) -> Result<f64> {
    let variables = VarStore::new(Device::Cpu);
    let layers = specification::parse(LAYERS)?;
    let network = Model::classifier(&[28, 28], layers, 10)?.build(&variables.root())?;
    let optimizer = Optimizer::adam(&variables, 0.001)?;
    let outcome = Fit::new(&network, &variables, optimizer).batch_size(BATCH_SIZE).run(samples, None)?;
    Ok(outcome.history.epochs[0].seconds)
}

/// The seconds that the products of as many steps take: of each dense layer the outputs, the gradients
/// of its weights and, but for the first one, those of its inputs; eight a step.
fn matrix_products(images: usize) -> Result<f64> {
    let random = |rows: i64, columns: i64| Tensor::rand([rows, columns], (Kind::Float, Device::Cpu));
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

fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [values[0], values[values.len() / 2], values[values.len() - 1]]
}
