//! A trained model as a file for other programs: TorchScript, PyTorch's .pt2 and ONNX, generated from the layer
//! specification, and TorchScript read back. It must not know how a model was trained, nor where files go.

mod card;
mod image_input;
pub mod onnx;
pub mod pt2;
mod script_heads;
mod script_model;
mod script_network;
pub mod torchscript;
mod trace;
mod verification;
mod written_here;

pub(crate) use card::CARD_NAME;
pub use card::{InputCard, ModelCard, NetworkCard};
pub use image_input::ImageInput;
pub use script_model::ScriptModel;
pub use trace::trace;
pub use verification::verify_torchscript;

use crate::model::{Model, PlacedLayer};
use anyhow::Result;
use std::collections::HashMap;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

/// A tensor of a model, as files hold it.
struct Weight {
    /// `dense_1.weight`.
    name: String,
    shape: Vec<i64>,
    /// In row-major order.
    values: Vec<f32>,
}

impl Weight {
    fn little_endian_bytes(&self) -> Vec<u8> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }
}

/// The weights of a layer, in the order of its parameters.
fn weights_of(layer: &PlacedLayer, variables: &HashMap<String, Tensor>) -> Result<Vec<Weight>> {
    let weight = |(name, tensor): (String, Tensor)| -> Result<Weight> {
        let flat = tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_reshape([-1])?;
        Ok(Weight { name, shape: tensor.size(), values: Vec::try_from(&flat)? })
    };
    layer.variables(variables)?.into_iter().map(weight).collect()
}

/// A trained model with its description.
#[derive(Clone, Copy, Debug)]
pub struct TrainedModel<'a> {
    /// The layers.
    pub model: &'a Model,
    /// Their weights, as [`Model::build`] named them.
    pub variables: &'a VarStore,
    /// The description for the file.
    pub card: &'a ModelCard,
}

#[cfg(test)]
mod tests;
