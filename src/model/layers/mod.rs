//! The layer kinds. Each kind is one `impl Layer` in this folder, which holds all that is particular to
//! it: parsing, shapes, parameters, building, its form in TorchScript and ONNX. A new kind needs its file
//! and its line in [`KINDS`].

mod activation;
mod conv2d;
mod dense;
mod dropout;
mod flatten;
mod normalization;
mod pool2d;

pub use activation::softmax;
pub use dense::Dense;
pub use flatten::Flatten;

use anyhow::Result;
use std::fmt::Debug;
use tch::{Tensor, nn};

/// A layer of a known kind with its settings, not yet built: no weights, no name.
pub trait Layer: Debug + Send + Sync {
    /// What users write before the arguments, and what the names of such layers start with: `dense`.
    fn word(&self) -> &'static str;

    /// The type as a summary shows it: `Dense`.
    fn type_name(&self) -> &'static str;

    /// The arguments as users write them; empty if there are none.
    fn arguments(&self) -> String {
        String::new()
    }

    /// Whether the layer only applies a function to each value.
    fn is_activation(&self) -> bool {
        false
    }

    /// What the layer needs of the shape of its input.
    fn takes(&self) -> InputKind {
        InputKind::Anything
    }

    /// The shape of the output of one sample for that of its input, both without the batch dimension.
    ///
    /// # Errors
    /// An input shape that the layer cannot take.
    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>>;

    /// The parameters for such an input, in the order in which they are created.
    fn parameters(&self, _input: &[i64]) -> Vec<Parameter> {
        Vec::new()
    }

    /// Creates the parameters below `path` and appends the layer to a sequence.
    ///
    /// # Errors
    /// Too little memory for the parameters.
    fn append_to(&self, sequence: nn::SequentialT, path: &nn::Path, input: &[i64])
    -> Result<nn::SequentialT>;

    /// The layer with its own gradients, over its parameters in their order; none where it has only
    /// libtorch's.
    fn manual(&self, _parameters: Vec<Tensor>) -> Option<Box<dyn LayerGradients>> {
        None
    }

    /// The layer as an expression of TorchScript over `x`, its input [b, ...], `self.NAME` for each of
    /// its parameters, and `self.training`; for samples of that input shape.
    fn torchscript(&self, input: &[i64]) -> String;

    /// The layer as an operator of ONNX in inference, for samples of that input shape; none where it then
    /// passes values unchanged.
    fn onnx(&self, input: &[i64]) -> Option<OnnxOperator>;
}

/// What a layer needs of the shape of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// Nothing.
    Anything,
    /// One row of values a sample; pictures are flattened before it.
    Rows,
    /// Pictures: channels, height, width.
    Pictures,
}

/// A layer that computes its own gradients, in training mode. Values are float32 or bfloat16, on any
/// device, and libtorch records nothing meanwhile.
pub trait LayerGradients: Debug {
    /// The outputs [b, ...] for inputs [b, ...]; keeps what [`backward`](LayerGradients::backward) needs.
    ///
    /// # Errors
    /// Inputs of the wrong shape, or a fault of the device.
    fn forward(&mut self, inputs: Tensor) -> Result<Tensor>;

    /// From the gradients of the loss with respect to the outputs of the last forward pass to the others;
    /// `wants_inputs` tells whether those of the inputs are wanted.
    ///
    /// # Errors
    /// As [`LayerGradients::forward`].
    fn backward(&mut self, outputs: Tensor, wants_inputs: bool) -> Result<Gradients>;
}

/// The gradients of a loss with respect to what went into a layer.
#[derive(Debug)]
pub struct Gradients {
    /// With respect to the inputs, if they were wanted.
    pub inputs: Option<Tensor>,
    /// With respect to the parameters, in their order.
    pub parameters: Vec<Tensor>,
}

impl Gradients {
    /// Those of a layer without parameters.
    fn of_inputs(inputs: Tensor) -> Gradients {
        Gradients { inputs: Some(inputs), parameters: Vec::new() }
    }
}

/// An operator of ONNX (opset 20). Its inputs are the layer's input and then the layer's parameters, in
/// their order.
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxOperator {
    /// Its name in the standard: `Gemm`.
    pub name: &'static str,
    /// Attributes that differ from the standard's defaults.
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// The value of an attribute of an [`OnnxOperator`].
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A whole number.
    Integer(i64),
    /// Several of them.
    Integers(Vec<i64>),
    /// A number.
    Real(f32),
}

/// A tensor of a layer.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name within the layer: `weight`.
    pub name: &'static str,
    /// Its shape.
    pub shape: Vec<i64>,
    /// How it is filled at first.
    pub init: nn::Init,
    /// Whether the optimizer moves it; otherwise the layer itself does, in training.
    pub is_trainable: bool,
}

impl Parameter {
    /// One that the optimizer moves.
    fn trained(name: &'static str, shape: Vec<i64>, init: nn::Init) -> Parameter {
        Parameter { name, shape, init, is_trainable: true }
    }

    /// One that the layer keeps.
    fn kept(name: &'static str, shape: Vec<i64>, init: nn::Init) -> Parameter {
        Parameter { name, shape, init, is_trainable: false }
    }

    /// The number of values.
    pub fn count(&self) -> i64 {
        self.shape.iter().product()
    }

    /// Creates the tensor in a variable store.
    ///
    /// # Errors
    /// Too little memory.
    pub fn create(&self, path: &nn::Path) -> Result<Tensor> {
        let values = match self.is_trainable {
            true => path.f_var(self.name, &self.shape, self.init)?,
            // What tch creates so takes part in everything but training.
            false => path.add(
                self.name,
                nn::f_init(self.init, &self.shape, path.device(), tch::Kind::Float)?,
                false,
            ),
        };
        Ok(values)
    }
}

/// Makes a layer from its arguments, one string each, or tells the rule that they break.
pub type ParseArguments = fn(&[&str]) -> Result<Box<dyn Layer>, String>;

/// A layer kind as `--layers` knows it.
#[derive(Debug)]
pub struct Kind {
    /// The word that names it.
    pub word: &'static str,
    /// How its arguments are told in help and errors: `N`; empty if there are none.
    pub usage: &'static str,
    /// A layer of this kind as users write it.
    pub example: &'static str,
    /// Reads the arguments.
    pub parse: ParseArguments,
}

/// Every kind, in the order in which help lists them.
pub const KINDS: &[Kind] = &[
    dense::KIND,
    activation::RELU,
    activation::TANH,
    activation::SIGMOID,
    activation::GELU,
    dropout::KIND,
    conv2d::KIND,
    pool2d::MAXIMUM,
    pool2d::AVERAGE,
    flatten::KIND,
    normalization::BATCH,
    normalization::LAYER,
];

/// All kinds with their arguments, for help and errors: `dense N, relu, ...`.
pub fn usage() -> String {
    let kinds = KINDS.iter().map(|kind| format!("{} {}", kind.word, kind.usage).trim_end().to_string());
    kinds.collect::<Vec<_>>().join(", ")
}
