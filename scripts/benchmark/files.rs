//! What becomes of a trained network: how long model.pt and a checkpoint take to be written, and how many
//! images a second `fitch predict` classifies.

use crate::table::Table;
use crate::{fitch_seconds, network};
use anyhow::{Context, Result};
use fitch::data::ImageFit;
use fitch::export::{InputCard, ModelCard, TrainedModel, torchscript, verify_torchscript};
use fitch::files::{write_whole, write_whole_with};
use fitch::optim::{Optimizer, keras_adam};
use fitch::run::{CheckpointFolder, GrowingText};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;
use tch::{Device, Tensor};

/// Writes the reference network with random weights as model.pt, and classifies the test images with it.
pub fn export_and_predict(images: &Tensor, rounds: usize, threads: usize, table: &mut Table) -> Result<()> {
    const COPIES: usize = 11;
    let folder = tempfile::tempdir()?;
    let (once, often) = (folder.path().join("once.idx"), folder.path().join("often.idx"));
    write_idx(&once, images, 1)?;
    write_idx(&often, images, COPIES)?;
    let network = network()?;
    let (model, variables) = (network.model().context("no layers")?, network.variables());
    let card = ModelCard {
        fitch_version: env!("CARGO_PKG_VERSION").to_string(),
        classes: (0..10).map(|class| class.to_string()).collect(),
        input: InputCard {
            shape: vec![28, 28],
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
        config: serde_json::Value::Null,
    };
    let path = folder.path().join("model.pt");
    let trained = TrainedModel { model, variables, card: &card };
    let test = images.f_narrow(0, 0, 1_000)?;
    let predict = |images: &Path| fitch_seconds("predict", &[&path, images], threads);
    // The weights, Adam's moments, and the best weights: what a checkpoint holds.
    let optimizer = Optimizer::new(variables, keras_adam(), 0.001)?;
    let mut state = optimizer.state().context("Adam has its state")?;
    state.extend(variables.variables());
    state.extend(variables.variables().into_iter().map(|(name, value)| (format!("best/{name}"), value)));
    let kept = CheckpointFolder::new(folder.path().join("checkpoint"));
    let (mut writing, mut verifying, mut process, mut rates) = (vec![], vec![], vec![], vec![]);
    let mut checkpoints = Vec::new();
    for round in 0..rounds {
        let start = Instant::now();
        kept.prepare((round, 0), String::new(), &state, GrowingText::default().growth())?.write(2)?;
        checkpoints.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        write_whole(&path, &torchscript::archive(trained)?)?;
        writing.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        write_whole_with(&path, |file| {
            file.write_all(&torchscript::archive(trained)?)?;
            verify_torchscript(file.path(), &network, Device::Cpu, &test)
        })?;
        verifying.push(start.elapsed().as_secs_f64());
        let (short, long) = (predict(&once)?, predict(&often)?);
        process.push(short);
        rates.push((COPIES - 1) as f64 * images.size()[0] as f64 / (long - short) / 1e3);
    }
    table.add("model.pt written and flushed, s", writing);
    table.add("the same, loaded back and compared on 1,000 images, s", verifying);
    table.add("a checkpoint written and flushed, s", checkpoints);
    table.add("fitch predict on the 10,000 test images, the whole process, s", process);
    table.add("fitch predict, each further image, thousands/s", rates);
    Ok(())
}

pub fn write_idx(path: &Path, images: &Tensor, copies: usize) -> Result<()> {
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
