//! A network as tables and drawings show it: its layers in order, whatever they are made of.

use super::layers::Parameter;
use super::{Model, PlacedLayer};

/// The layers of a network, in order.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Outline {
    /// The shape of one sample as the first layer takes it.
    pub input: Vec<i64>,
    /// The layers, softmax included.
    pub rows: Vec<OutlineRow>,
    /// The number of values in all parameters, whether or not they are trained.
    pub parameters: i64,
    /// The number of values that the optimizer moves.
    pub trainable: i64,
}

/// A layer, or several that another program made one module of.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OutlineRow {
    /// `dense_1`, `layer1.0`.
    pub name: String,
    /// `Dense`.
    pub type_name: String,
    /// `512`; empty if there is nothing to say.
    pub settings: String,
    /// Whether it only applies a function to each value.
    pub is_activation: bool,
    /// The shapes of the input and the output of one sample, where they are known.
    pub shapes: Option<[Vec<i64>; 2]>,
    /// The number of values in its parameters.
    pub parameters: i64,
    /// The shapes of its parameters.
    pub(crate) parameter_shapes: Vec<Vec<i64>>,
}

impl From<&PlacedLayer> for OutlineRow {
    fn from(placed: &PlacedLayer) -> OutlineRow {
        OutlineRow {
            name: placed.name.clone(),
            type_name: placed.layer.type_name().to_string(),
            settings: placed.layer.settings(),
            is_activation: placed.layer.is_activation(),
            shapes: Some([placed.input.clone(), placed.output.clone()]),
            parameters: placed.parameter_count(),
            parameter_shapes: placed.parameters().into_iter().map(|Parameter { shape, .. }| shape).collect(),
        }
    }
}

impl From<&Model> for Outline {
    fn from(model: &Model) -> Outline {
        let mut first = model.all_layers().map(|placed| placed.input.as_slice());
        // Grey images get their one channel before the first layer.
        let is_image = |shape: &&[i64]| shape.len() > model.sample_shape.len();
        Outline {
            input: first.next().filter(is_image).unwrap_or(&model.sample_shape).to_vec(),
            rows: model.all_layers().map(OutlineRow::from).collect(),
            parameters: model.parameter_count(),
            trainable: model.trainable_count(),
        }
    }
}

impl From<&Outline> for Outline {
    fn from(outline: &Outline) -> Outline {
        outline.clone()
    }
}
