//! The network of a TorchScript file that was written here. Its code says what the layers are, and the layers
//! compute faster than the code.

use super::ModelCard;
use super::torchscript::code_files;
use crate::model::{Layers, Model, Network};
use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use tch::{Device, Tensor};
use zip::ZipArchive;

/// The network of a file with that card, if all its code is what is written for the layers of the card.
/// Another program may have changed the code, and kept the card.
pub fn network(path: &Path, card: &ModelCard) -> Option<Network> {
    read(path, card).ok()
}

fn read(path: &Path, card: &ModelCard) -> Result<Network> {
    let mut archive = ZipArchive::new(BufReader::new(File::open(path)?))?;
    let first = archive.by_index(0)?.name().to_string();
    let (folder, _) = first.split_once('/').context("no folder")?;
    let mut content = |name: &str, size: usize| -> Result<Vec<u8>> {
        let entry = archive.by_name(&format!("{folder}/{name}"))?;
        ensure!(entry.size() == size as u64, "another size");
        let mut content = Vec::with_capacity(size);
        entry.take(size as u64).read_to_end(&mut content)?;
        Ok(content)
    };
    let model = Model::classifier(&card.input.shape, Layers::parse(&card.layers)?, card.classes.len())?;
    let files = code_files(&model, card);
    for (name, code) in &files {
        ensure!(content(name, code.len())? == *code, "other code");
    }
    let network = Network::new(model.clone(), Device::Cpu)?;
    let variables = network.variables().variables();
    let mut index = 0;
    for placed in model.all_layers() {
        for (_, mut variable) in placed.variables(&variables)? {
            let bytes = content(&format!("data/{index}"), variable.numel() * size_of::<f32>())?;
            let values: Vec<f32> =
                bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            tch::no_grad(|| {
                variable.f_copy_(&Tensor::from_slice(&values).f_view(variable.size().as_slice())?)
            })?;
            index += 1;
        }
    }
    let code_count = archive.file_names().filter(|name| name.ends_with(".py")).count();
    ensure!(code_count + 1 == files.len(), "more code");
    Ok(network)
}
