//! The model as an ordered specification: the one source for names, shapes, parameter counts, the summary and
//! the trainable network. The room knows nothing of data or training.

mod backpropagation;
mod explicit_gradients;
mod freezing;
pub(crate) mod layers;
mod layers_text;
mod network;
mod normalization;
mod outline;
pub mod presets;
mod script;
mod summary;

pub use backpropagation::Backpropagation;
pub use explicit_gradients::ExplicitGradients;
pub use layers::usage as layers_usage;
pub use layers_text::{Layers, ParseError};
pub use network::Network;
pub(crate) use network::{Body, in_parts};
pub use normalization::Normalization;
pub use outline::{Outline, OutlineRow};
pub use script::ScriptFault;
pub(crate) use script::{ScriptParts, samples_of_unknown_width, traced_parts, trial_samples};
pub use summary::{SummaryStyle, summary};

use anyhow::{Context, Result, bail, ensure};
use layers::{Dense, Flatten, InputKind, Layer, Parameter, softmax};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use tch::{Tensor, nn};

/// A layer at its place in a model.
#[derive(Clone, Debug)]
pub(crate) struct PlacedLayer {
    /// Its name, unique in the model: the kind's keyword and a number from 1, as in `dense_2`.
    pub name: String,
    /// Its kind and settings.
    pub layer: Arc<dyn Layer>,
    /// The shape of one sample's input.
    pub input: Vec<i64>,
    /// The shape of one sample's output.
    pub output: Vec<i64>,
}

impl PlacedLayer {
    /// The parameters.
    pub fn parameters(&self) -> Vec<Parameter> {
        self.layer.parameters(&self.input)
    }

    /// The tensors of the parameters, detached, with their names in a built network, in their order.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn variables(&self, built: &HashMap<String, Tensor>) -> Result<Vec<(String, Tensor)>> {
        let find = |parameter: Parameter| {
            let name = format!("{}.{}", self.name, parameter.name);
            let tensor = built.get(&name).with_context(|| format!("the model has no weights {name}"))?;
            let shape = tensor.size();
            ensure!(shape == parameter.shape, "{name} has the shape {shape:?}, not {:?}", parameter.shape);
            Ok((name, tensor.detach()))
        };
        self.parameters().into_iter().map(find).collect()
    }

    /// The number of their values.
    pub fn parameter_count(&self) -> i64 {
        self.parameters().iter().map(Parameter::count).sum()
    }
}

/// A classifier: the layers in order, every shape known and checked.
///
/// The last ones are always the classifier itself, a dense layer with one unit per class, and softmax.
/// Training works on the dense layer's output, the logits, so [`Model::build`] leaves softmax out.
#[derive(Clone, Debug)]
pub struct Model {
    /// The shape of one sample: height and width, channels before them, or a row of values.
    pub sample_shape: Vec<i64>,
    /// The layers up to the logits.
    pub(crate) layers: Vec<PlacedLayer>,
    /// Softmax: from the logits to probabilities.
    pub(crate) softmax: PlacedLayer,
    /// The names of the parameters that are not trained though they could be.
    frozen: BTreeSet<String>,
}

impl Model {
    /// Adds a classifier to the hidden layers, for samples of `sample_shape`. These are images if a layer
    /// needs images, otherwise they are flattened first. Images are flattened before a dense layer.
    ///
    /// # Errors
    /// No pixels, no classes, or shapes that do not fit each other.
    pub fn classifier(sample_shape: &[i64], hidden: Layers, classes: usize) -> Result<Model> {
        ensure!(classes > 0, "a classifier needs at least one class");
        let pixels: i64 = sample_shape.iter().product();
        ensure!(pixels > 0, "a classifier needs at least one input value, not the shape {sample_shape:?}");
        let logits: Arc<dyn Layer> = Arc::new(Dense { units: classes as i64 });
        let has_images = hidden.0.iter().any(|layer| layer.input_kind() == InputKind::Images);
        let first = if has_images { as_image(sample_shape)? } else { vec![pixels] };
        let mut layers: Vec<PlacedLayer> = Vec::new();
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let mut place = |layer: Arc<dyn Layer>, layers: &mut Vec<PlacedLayer>| {
            let number = numbers.entry(layer.keyword()).or_default();
            *number += 1;
            let name = format!("{}_{number}", layer.keyword());
            let input = layers.last().map_or(&first, |previous| &previous.output).clone();
            let output = layer.output_shape(&input).with_context(|| name.clone())?;
            layers.push(PlacedLayer { name, layer, input, output });
            anyhow::Ok(())
        };
        for layer in hidden.0.into_iter().chain([logits]) {
            let dimensions = layers.last().map_or(first.len(), |previous| previous.output.len());
            if layer.input_kind() == InputKind::Rows && dimensions > 1 {
                place(Arc::new(Flatten), &mut layers)?;
            }
            place(layer, &mut layers)?;
        }
        let classes = vec![classes as i64];
        let name = "softmax_1".to_string();
        let softmax = PlacedLayer { name, layer: softmax(), input: classes.clone(), output: classes };
        let (sample_shape, frozen) = (sample_shape.to_vec(), BTreeSet::new());
        Ok(Model { sample_shape, layers, softmax, frozen })
    }

    /// The hidden layers as [`Layers::parse`] reads them.
    pub fn hidden_layers(&self) -> String {
        let hidden = &self.layers[..self.layers.len() - 1];
        layers_text::format(hidden.iter().map(|placed| &placed.layer))
    }

    /// All layers in order, softmax included.
    pub(crate) fn all_layers(&self) -> impl Iterator<Item = &PlacedLayer> {
        self.layers.iter().chain([&self.softmax])
    }

    /// How many samples a network computes at once when it keeps nothing for gradients, so that the outputs of
    /// its widest layer stay within bounds: of memory, or closer to a processor's cache if the layers' own code
    /// computes them.
    pub(crate) fn samples_at_once(&self, by_own_code: bool) -> i64 {
        // 16 and 128 MiB of float32, of which a network holds a few at once.
        let values: i64 = if by_own_code { 4 << 20 } else { 32 << 20 };
        let widths = self.layers.iter().map(|placed| placed.output.iter().product::<i64>());
        (values / widths.max().unwrap_or(1).max(1)).max(1)
    }

    /// The number of values in all parameters, whether or not they are trained.
    pub fn parameter_count(&self) -> i64 {
        self.layers.iter().map(PlacedLayer::parameter_count).sum()
    }

    /// The parameters that could be trained, by their names in a built network and in the order of the layers.
    fn trainable(&self) -> impl Iterator<Item = (String, Parameter)> {
        let named = |placed: &PlacedLayer| {
            let name = placed.name.clone();
            placed
                .parameters()
                .into_iter()
                .map(move |parameter| (format!("{name}.{}", parameter.name), parameter))
        };
        self.layers.iter().flat_map(named).filter(|(_, parameter)| parameter.is_trainable)
    }

    /// The number of values that the optimizer moves.
    pub(crate) fn trainable_count(&self) -> i64 {
        let moved = self.trainable().filter(|(name, _)| !self.frozen.contains(name));
        moved.map(|(_, parameter)| parameter.count()).sum()
    }

    /// Freezes the parameters that patterns name, separated by commas: those of a layer (`conv2d_1`), single ones
    /// (`dense_1.bias`), any text in place of a `*` (`conv2d_*`), or `all-but-last`, which leaves the last layer
    /// that has parameters. [`Network::new`] and [`summary`] heed it.
    ///
    /// # Errors
    /// A pattern that names no parameter; nothing left to train.
    pub fn freeze(&mut self, patterns: &str) -> Result<()> {
        let names: Vec<String> = self.trainable().map(|(name, _)| name).collect();
        self.frozen.extend(freezing::frozen(patterns, &names)?);
        Ok(())
    }

    /// The names of the parameters that are frozen.
    pub fn frozen(&self) -> impl Iterator<Item = &str> {
        self.frozen.iter().map(String::as_str)
    }

    /// The shape that a sample is brought to for the first layer.
    pub(crate) fn first_shape(&self) -> &[i64] {
        self.layers.first().map_or(&self.sample_shape, |first| &first.input)
    }

    /// Builds the network up to the logits, its parameters freshly initialised from libtorch's random
    /// state and named `dense_1.weight` and so on. It takes float32 [n, ...].
    ///
    /// # Errors
    /// Too little memory for the parameters.
    pub fn build(&self, path: &nn::Path) -> Result<nn::SequentialT> {
        let shape = self.first_shape().to_vec();
        let mut sequence =
            nn::seq_t().add_fn(move |samples| samples.reshape([&samples.size()[..1], &shape].concat()));
        for placed in &self.layers {
            let layer = placed.layer.clone();
            let appended = layers::append(layer, sequence, &(path / &placed.name), &placed.input);
            sequence = appended.with_context(|| {
                format!("cannot create {} with {} parameters", placed.name, placed.parameter_count())
            })?;
        }
        Ok(sequence)
    }
}

/// Channels, height and width; grey images have one channel.
fn as_image(sample_shape: &[i64]) -> Result<Vec<i64>> {
    match *sample_shape {
        [height, width] => Ok(vec![1, height, width]),
        [_, _, _] => Ok(sample_shape.to_vec()),
        _ => {
            bail!("samples of the shape {sample_shape:?} are not images, which convolutions and pooling need")
        }
    }
}

#[cfg(test)]
mod tests;
