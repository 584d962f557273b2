//! The activations: a function without parameters, of each value alone or, for softmax, of all classes.

use super::{Kind, Layer, OnnxOperator};
use anyhow::Result;
use tch::{Tensor, nn};

/// What there is to know of one activation; `torchscript` is an expression over `x`, `onnx` an operator.
#[derive(Clone, Debug)]
struct Activation {
    word: &'static str,
    type_name: &'static str,
    function: fn(&Tensor) -> Tensor,
    torchscript: &'static str,
    onnx: &'static str,
}

const RELU_LAYER: Activation = Activation {
    word: "relu",
    type_name: "ReLU",
    function: Tensor::relu,
    torchscript: "torch.relu(x)",
    onnx: "Relu",
};

const TANH_LAYER: Activation = Activation {
    word: "tanh",
    type_name: "Tanh",
    function: Tensor::tanh,
    torchscript: "torch.tanh(x)",
    onnx: "Tanh",
};

const SIGMOID_LAYER: Activation = Activation {
    word: "sigmoid",
    type_name: "Sigmoid",
    function: Tensor::sigmoid,
    torchscript: "torch.sigmoid(x)",
    onnx: "Sigmoid",
};

/// The exact form, x * Phi(x), as Keras's and PyTorch's default (Hendrycks and Gimpel, 2016).
const GELU_LAYER: Activation = Activation {
    word: "gelu",
    type_name: "GELU",
    function: |x| x.gelu("none"),
    torchscript: "torch.gelu(x)",
    onnx: "Gelu",
};

const SOFTMAX_LAYER: Activation = Activation {
    word: "softmax",
    type_name: "Softmax",
    function: |x| x.softmax(-1, None),
    torchscript: "torch.softmax(x, -1)",
    onnx: "Softmax",
};

pub(super) const RELU: Kind = Kind { word: "relu", usage: "", parse: |given| parse(given, RELU_LAYER) };
pub(super) const TANH: Kind = Kind { word: "tanh", usage: "", parse: |given| parse(given, TANH_LAYER) };
pub(super) const SIGMOID: Kind =
    Kind { word: "sigmoid", usage: "", parse: |given| parse(given, SIGMOID_LAYER) };
pub(super) const GELU: Kind = Kind { word: "gelu", usage: "", parse: |given| parse(given, GELU_LAYER) };

fn parse(arguments: &[&str], activation: Activation) -> Result<Box<dyn Layer>, String> {
    match arguments {
        [] => Ok(Box::new(activation)),
        _ => Err("takes no argument".to_string()),
    }
}

/// From logits [b, classes] to probabilities. Every classifier ends with it, so it is none of the kinds
/// that users write.
pub fn softmax() -> Box<dyn Layer> {
    Box::new(SOFTMAX_LAYER)
}

impl Layer for Activation {
    fn word(&self) -> &'static str {
        self.word
    }

    fn type_name(&self) -> &'static str {
        self.type_name
    }

    fn is_activation(&self) -> bool {
        true
    }

    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>> {
        Ok(input.to_vec())
    }

    fn append_to(&self, sequence: nn::SequentialT, _: &nn::Path, _: &[i64]) -> Result<nn::SequentialT> {
        Ok(sequence.add_fn(self.function))
    }

    fn torchscript(&self) -> String {
        self.torchscript.to_string()
    }

    fn onnx(&self) -> Option<OnnxOperator> {
        Some(OnnxOperator { name: self.onnx, attributes: Vec::new() })
    }
}
