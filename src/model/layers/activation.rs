//! The activations: functions without parameters, of each value alone or, for softmax, of all classes.

use super::{AtenArgument, AtenOperator, Fusible, Gradients, Layer, LayerGradients, LayerKind, OnnxOperator};
use anyhow::{Context, Result};
use std::sync::Arc;
use tch::{Device, Tensor};

/// An activation; `torchscript` is an expression over `x`, `aten` and `onnx` are operators.
#[derive(Clone, Debug)]
struct Activation {
    keyword: &'static str,
    type_name: &'static str,
    function: fn(&Tensor) -> Tensor,
    derivative: Option<Derivative>,
    torchscript: &'static str,
    aten: &'static str,
    onnx: &'static str,
}

/// From the gradients of the outputs to those of the inputs.
#[derive(Clone, Copy, Debug)]
enum Derivative {
    /// With the outputs as second argument.
    OfOutputs(fn(&Tensor, &Tensor) -> Tensor),
    /// With the inputs as second argument.
    OfInputs(fn(&Tensor, &Tensor) -> Tensor),
}

const RELU_LAYER: Activation = Activation {
    keyword: "relu",
    type_name: "ReLU",
    function: Tensor::relu,
    derivative: Some(Derivative::OfOutputs(|gradients, y| y.threshold_backward(gradients, 0))),
    torchscript: "torch.relu(x)",
    aten: "relu.default",
    onnx: "Relu",
};

const TANH_LAYER: Activation = Activation {
    keyword: "tanh",
    type_name: "Tanh",
    function: Tensor::tanh,
    derivative: Some(Derivative::OfOutputs(Tensor::tanh_backward)),
    torchscript: "torch.tanh(x)",
    aten: "tanh.default",
    onnx: "Tanh",
};

const SIGMOID_LAYER: Activation = Activation {
    keyword: "sigmoid",
    type_name: "Sigmoid",
    function: Tensor::sigmoid,
    derivative: Some(Derivative::OfOutputs(Tensor::sigmoid_backward)),
    torchscript: "torch.sigmoid(x)",
    aten: "sigmoid.default",
    onnx: "Sigmoid",
};

/// The exact form, x * Phi(x), as Keras's and PyTorch's default (Hendrycks and Gimpel, 2016).
const GELU_LAYER: Activation = Activation {
    keyword: "gelu",
    type_name: "GELU",
    function: |x| x.gelu("none"),
    derivative: Some(Derivative::OfInputs(|gradients, x| x.gelu_backward(gradients, "none"))),
    torchscript: "torch.gelu(x)",
    aten: "gelu.default",
    onnx: "Gelu",
};

const SOFTMAX_LAYER: Activation = Activation {
    keyword: "softmax",
    type_name: "Softmax",
    function: |x| x.softmax(-1, None),
    derivative: None,
    torchscript: "torch.softmax(x, -1)",
    aten: "softmax.int",
    onnx: "Softmax",
};

pub(super) const RELU: LayerKind =
    LayerKind { keyword: "relu", usage: "", example: "relu", parse: |given| parse(given, RELU_LAYER) };
pub(super) const TANH: LayerKind =
    LayerKind { keyword: "tanh", usage: "", example: "tanh", parse: |given| parse(given, TANH_LAYER) };
pub(super) const SIGMOID: LayerKind = LayerKind {
    keyword: "sigmoid",
    usage: "",
    example: "sigmoid",
    parse: |given| parse(given, SIGMOID_LAYER),
};
pub(super) const GELU: LayerKind =
    LayerKind { keyword: "gelu", usage: "", example: "gelu", parse: |given| parse(given, GELU_LAYER) };

fn parse(arguments: &[&str], activation: Activation) -> Result<Arc<dyn Layer>, String> {
    match arguments {
        [] => Ok(Arc::new(activation)),
        _ => Err("takes no argument".to_string()),
    }
}

/// From logits [b, classes] to probabilities. Every classifier ends with it, so users do not write it.
pub fn softmax() -> Arc<dyn Layer> {
    Arc::new(SOFTMAX_LAYER)
}

impl Layer for Activation {
    fn keyword(&self) -> &'static str {
        self.keyword
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

    fn apply(&self, values: &Tensor, _: &[Tensor], _: bool) -> Tensor {
        (self.function)(values)
    }

    fn explicit_gradients(
        &self,
        _: &[i64],
        _: Vec<Tensor>,
        _: Device,
    ) -> Result<Option<Box<dyn LayerGradients>>> {
        let Some(derivative) = self.derivative else { return Ok(None) };
        Ok(Some(Box::new(ActivationGradients { function: self.function, derivative, used: None })))
    }

    fn fusible(&self) -> Option<Fusible> {
        (self.keyword == RELU_LAYER.keyword).then_some(Fusible::Relu)
    }

    fn torchscript(&self, _: &[i64]) -> String {
        self.torchscript.to_string()
    }

    fn onnx(&self, _: &[i64]) -> Vec<OnnxOperator> {
        vec![OnnxOperator { name: self.onnx, attributes: Vec::new() }]
    }

    fn aten(&self, _: &[i64]) -> Vec<AtenOperator> {
        let last = ("dim", AtenArgument::Integer(-1));
        let arguments = if self.keyword == SOFTMAX_LAYER.keyword { vec![last] } else { Vec::new() };
        vec![AtenOperator { arguments, ..AtenOperator::of_values(self.aten) }]
    }
}

#[derive(Debug)]
struct ActivationGradients {
    function: fn(&Tensor) -> Tensor,
    derivative: Derivative,
    /// What the derivative needs from the last forward pass.
    used: Option<Tensor>,
}

impl LayerGradients for ActivationGradients {
    fn infer(&self, inputs: Tensor) -> Result<Tensor> {
        Ok((self.function)(&inputs))
    }

    fn forward(&mut self, inputs: Tensor) -> Result<Tensor> {
        let outputs = (self.function)(&inputs);
        self.used = Some(match self.derivative {
            Derivative::OfInputs(_) => inputs,
            Derivative::OfOutputs(_) => outputs.shallow_clone(),
        });
        Ok(outputs)
    }

    fn backward(&mut self, outputs: Tensor, _: bool) -> Result<Gradients> {
        let used = self.used.take().context("there was no forward pass")?;
        let (Derivative::OfInputs(derivative) | Derivative::OfOutputs(derivative)) = self.derivative;
        Ok(Gradients::of_inputs(derivative(&outputs, &used)))
    }
}
