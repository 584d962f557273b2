//! The layer kinds. Each is one `impl Layer` in this folder, with all that is particular to it: parsing,
//! shapes, parameters, building, gradients of its own, its form in TorchScript and ONNX. A new kind needs its
//! file, and its `mod` line and its row of [`KINDS`] here. The folder knows nothing of the network around a
//! layer.

mod activation;
mod by_autograd;
mod conv2d;
mod dense;
mod dropout;
mod flatten;
mod normalization;
mod pool2d;
mod standardize;

pub use activation::softmax;
pub use by_autograd::ByAutograd;
pub use dense::Dense;
pub use flatten::Flatten;
pub use standardize::Standardize;

use anyhow::{Context, Result};
use std::fmt::Debug;
use std::sync::Arc;
use tch::{Device, Tensor, nn};

/// A layer of a known kind with its settings, not yet built: no weights, no name.
pub trait Layer: Debug + Send + Sync {
    /// What users write before the arguments, and what the names of such layers begin with: `dense`.
    fn keyword(&self) -> &'static str;

    /// The type as a summary shows it: `Dense`.
    fn type_name(&self) -> &'static str;

    /// The arguments as users write them; empty if there are none.
    fn arguments(&self) -> String {
        String::new()
    }

    /// The arguments as a drawing shows them: `16, 3 × 3`.
    #[cfg_attr(not(feature = "report"), allow(dead_code))]
    fn settings(&self) -> String {
        self.arguments()
    }

    /// Whether the layer only applies a function to each value.
    fn is_activation(&self) -> bool {
        false
    }

    /// The shape that the layer needs its input in.
    fn input_kind(&self) -> InputKind {
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

    /// The outputs [b, ...] for inputs [b, ...] by libtorch's operators, which autograd can record. Images are
    /// [b, channels, height, width].
    fn apply(&self, values: &Tensor, parameters: &[Tensor], train: bool) -> Tensor;

    /// The layer with its own gradients, over its parameters in their order, for samples of that input shape.
    /// None if it has none on that device.
    ///
    /// # Errors
    /// Other parameters.
    fn explicit_gradients(
        &self,
        input: &[i64],
        parameters: Vec<Tensor>,
        device: Device,
    ) -> Result<Option<Box<dyn LayerGradients>>>;

    /// What a layer before this one can do in its place.
    fn fusible(&self) -> Option<Fusible> {
        None
    }

    /// The layer as an expression of TorchScript over `x`, its input [b, ...], `self.NAME` for each of
    /// its parameters, and `self.training`; for samples of that input shape.
    fn torchscript(&self, input: &[i64]) -> String;

    /// The layer as operators of ONNX in inference, one after another, for samples of that input shape; none
    /// if it passes values unchanged then. The layer's parameters are shared out evenly, in their order.
    fn onnx(&self, input: &[i64]) -> Vec<OnnxOperator>;

    /// The layer as operators of PyTorch in inference, one after another, for samples of that input shape; none if it
    /// passes values unchanged then.
    fn aten(&self, input: &[i64]) -> Vec<AtenOperator>;
}

/// The shape that a layer needs its input in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// Any shape.
    Anything,
    /// One row of values per sample; images are flattened before it.
    Rows,
    /// Images: channels, height, width.
    Images,
}

/// What a layer can do with its outputs while they are at hand, in place of the layer after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fusible {
    /// Sets negative values to 0.
    Relu,
    /// Takes the maximum of squares of that side, side by side.
    Maximum {
        /// In pixels.
        side: usize,
    },
}

/// A layer computed by code of its own: its outputs and, in training, its gradients. Values are float32 or
/// bfloat16, on any device, and libtorch records nothing meanwhile. Images are [b, height, width, channels],
/// contiguous: with the channels of a pixel side by side, they need not be copied for convolutions.
pub trait LayerGradients: Debug {
    /// Whether inputs are float32, whatever training computes in.
    fn takes_float32(&self) -> bool {
        false
    }

    /// Whether outputs in training differ from those in inference even if no parameter is trained.
    fn is_random(&self) -> bool {
        false
    }

    /// The parameters are not trained: their gradients may be left out, and running values do not move.
    fn freeze(&mut self) {}

    /// Does from now on what the next layer would do, too. False if it cannot.
    fn fuse(&mut self, _next: Fusible) -> bool {
        false
    }

    /// The outputs [b, ...] for inputs [b, ...] as they are in inference.
    ///
    /// # Errors
    /// As [`LayerGradients::forward`].
    fn infer(&self, inputs: Tensor) -> Result<Tensor>;

    /// The outputs in training mode; keeps what [`backward`](LayerGradients::backward) needs.
    ///
    /// # Errors
    /// Inputs of the wrong shape, or a fault of the device.
    fn forward(&mut self, inputs: Tensor) -> Result<Tensor>;

    /// The other gradients of the loss, from those with respect to the outputs of the last forward pass.
    /// Those with respect to the inputs may be left out unless `needs_inputs`.
    ///
    /// # Errors
    /// As [`LayerGradients::forward`].
    fn backward(&mut self, outputs: Tensor, needs_inputs: bool) -> Result<Gradients>;
}

/// The gradients of a loss with respect to a layer's inputs and parameters.
#[derive(Debug)]
pub struct Gradients {
    /// With respect to the inputs, if they were needed.
    pub inputs: Option<Tensor>,
    /// With respect to the parameters that are trained, in their order.
    pub parameters: Vec<Tensor>,
}

impl Gradients {
    /// For a layer without parameters.
    fn of_inputs(inputs: Tensor) -> Gradients {
        Gradients { inputs: Some(inputs), parameters: Vec::new() }
    }
}

/// Creates the parameters of a layer below `path` and appends it to a sequence.
///
/// # Errors
/// Too little memory for the parameters.
pub fn append(
    layer: Arc<dyn Layer>,
    sequence: nn::SequentialT,
    path: &nn::Path,
    input: &[i64],
) -> Result<nn::SequentialT> {
    let kinds = layer.parameters(input);
    let tensors = kinds.iter().map(|parameter| parameter.create(path)).collect::<Result<Vec<_>>>()?;
    Ok(sequence.add_fn_t(move |values, train| {
        layer.apply(values, &tensors, train && !are_frozen(&kinds, tensors.iter()))
    }))
}

/// Whether a layer has parameters that the optimizer could move, and moves none of them. Such a layer computes in
/// training as it does otherwise.
pub fn are_frozen<'a>(kinds: &[Parameter], tensors: impl Iterator<Item = &'a Tensor>) -> bool {
    let trainable = || kinds.iter().filter(|kind| kind.is_trainable);
    let mut moved =
        kinds.iter().zip(tensors).filter(|(kind, tensor)| kind.is_trainable && tensor.requires_grad());
    trainable().next().is_some() && moved.next().is_none()
}

/// The parameters of a layer that has `N`.
fn parameters<const N: usize>(parameters: Vec<Tensor>) -> Result<[Tensor; N]> {
    let count = parameters.len();
    parameters.try_into().ok().with_context(|| format!("there are {count} parameters, not {N}"))
}

/// A variable's values in the order of memory that images have here; others are left as they are.
fn by_pixels(variable: &Tensor) -> Result<Tensor> {
    match variable.dim() {
        3 => Ok(variable.f_permute([1, 2, 0])?),
        _ => Ok(variable.shallow_clone()),
    }
}

/// An operator of ONNX, as opset 17 has it, or Gelu. Its inputs are the layer's input,
/// or the output of the operator before, and then its share of the layer's parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxOperator {
    /// Its name in the standard: `Gemm`.
    pub name: &'static str,
    /// Attributes that differ from the standard's defaults.
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// An operator of PyTorch. Its first argument are the layer's inputs, or the outputs of the operator before.
#[derive(Clone, Debug, PartialEq)]
pub struct AtenOperator {
    /// Its name and overload in the namespace `aten`: `linear.default`.
    pub name: &'static str,
    /// The name of the first argument.
    pub values: &'static str,
    /// The others by name.
    pub arguments: Vec<(&'static str, AtenArgument)>,
}

impl AtenOperator {
    /// One that only takes values.
    fn of_values(name: &'static str) -> AtenOperator {
        AtenOperator { name, values: "self", arguments: Vec::new() }
    }
}

/// The value of an argument of an [`AtenOperator`].
#[derive(Clone, Debug, PartialEq)]
pub enum AtenArgument {
    /// A parameter of the layer, by its index.
    Parameter(usize),
    /// A whole number.
    Integer(i64),
    /// A list of whole numbers.
    Integers(Vec<i64>),
    /// A real number.
    Real(f64),
    /// A truth value.
    Boolean(bool),
}

/// The value of an attribute of an [`OnnxOperator`].
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A whole number.
    Integer(i64),
    /// A list of whole numbers.
    Integers(Vec<i64>),
    /// A real number.
    Real(f32),
}

/// A tensor that belongs to a layer.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Its name within the layer: `weight`.
    pub name: &'static str,
    /// Its shape.
    pub shape: Vec<i64>,
    /// Its initial values.
    pub init: nn::Init,
    /// Whether the optimizer moves it; otherwise the layer itself does, in training.
    pub is_trainable: bool,
}

impl Parameter {
    /// A parameter that the optimizer moves.
    fn trained(name: &'static str, shape: Vec<i64>, init: nn::Init) -> Parameter {
        Parameter { name, shape, init, is_trainable: true }
    }

    /// A parameter that the layer itself keeps up to date.
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
            // tch keeps such a tensor with the others but never trains it.
            false => path.add(
                self.name,
                nn::f_init(self.init, &self.shape, path.device(), tch::Kind::Float)?,
                false,
            ),
        };
        Ok(values)
    }
}

/// Makes a layer from its arguments, one string each, or returns the rule that they break.
pub type ParseArguments = fn(&[&str]) -> Result<Arc<dyn Layer>, String>;

/// A layer kind as users write it.
#[derive(Debug)]
pub struct LayerKind {
    /// The word that they write: `dense`.
    pub keyword: &'static str,
    /// Its arguments in help and errors: `N`; empty if there are none.
    pub usage: &'static str,
    /// A layer of this kind as users write it.
    pub example: &'static str,
    /// Reads the arguments.
    pub parse: ParseArguments,
}

/// Every kind, in the order in which help lists them.
pub const KINDS: &[LayerKind] = &[
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
    standardize::KIND,
];

/// All kinds with their arguments, for help and errors: `dense N, relu, ...`.
pub fn usage() -> String {
    let kinds = KINDS.iter().map(|kind| format!("{} {}", kind.keyword, kind.usage).trim_end().to_string());
    kinds.collect::<Vec<_>>().join(", ")
}
