//! The activations: a function applied to each value, no parameters.

use super::{Kind, Layer};
use anyhow::Result;
use tch::{Tensor, nn};

pub(super) const RELU: Kind =
    Kind { word: "relu", usage: "", parse: |arguments| parse(arguments, "relu", "ReLU", Tensor::relu) };

pub(super) const TANH: Kind =
    Kind { word: "tanh", usage: "", parse: |arguments| parse(arguments, "tanh", "Tanh", Tensor::tanh) };

pub(super) const SIGMOID: Kind = Kind {
    word: "sigmoid",
    usage: "",
    parse: |arguments| parse(arguments, "sigmoid", "Sigmoid", Tensor::sigmoid),
};

/// The exact form, x * Phi(x), as Keras's and PyTorch's default (Hendrycks and Gimpel, 2016).
pub(super) const GELU: Kind =
    Kind { word: "gelu", usage: "", parse: |arguments| parse(arguments, "gelu", "GELU", |x| x.gelu("none")) };

#[derive(Clone, Debug)]
struct Activation {
    word: &'static str,
    type_name: &'static str,
    function: fn(&Tensor) -> Tensor,
}

fn parse(
    arguments: &[&str],
    word: &'static str,
    type_name: &'static str,
    function: fn(&Tensor) -> Tensor,
) -> Result<Box<dyn Layer>, String> {
    match arguments {
        [] => Ok(Box::new(Activation { word, type_name, function })),
        _ => Err("takes no argument".to_string()),
    }
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
}
