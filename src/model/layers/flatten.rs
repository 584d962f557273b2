//! From images to rows of values.

use super::{Gradients, Layer, LayerGradients, LayerKind, OnnxOperator};
use anyhow::Result;
use std::sync::Arc;
use tch::{Tensor, nn};

pub(super) const KIND: LayerKind = LayerKind { keyword: "flatten", usage: "", example: "flatten", parse };

/// `flatten`: all values of a sample in one row, channel by channel, each row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Flatten;

fn parse(arguments: &[&str]) -> Result<Arc<dyn Layer>, String> {
    match arguments {
        [] => Ok(Arc::new(Flatten)),
        _ => Err("takes no argument".to_string()),
    }
}

impl Layer for Flatten {
    fn keyword(&self) -> &'static str {
        KIND.keyword
    }

    fn type_name(&self) -> &'static str {
        "Flatten"
    }

    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>> {
        Ok(vec![input.iter().product()])
    }

    fn append_to(&self, sequence: nn::SequentialT, _: &nn::Path, _: &[i64]) -> Result<nn::SequentialT> {
        Ok(sequence.add_fn(|values: &Tensor| values.flatten(1, -1)))
    }

    fn has_gradients(&self) -> bool {
        true
    }

    fn explicit_gradients(&self, _: Vec<Tensor>) -> Result<Box<dyn LayerGradients>> {
        Ok(Box::new(FlattenGradients { shape: Vec::new() }))
    }

    fn torchscript(&self, _: &[i64]) -> String {
        "torch.flatten(x, 1, -1)".to_string()
    }

    fn onnx(&self, _: &[i64]) -> Vec<OnnxOperator> {
        // Axis 1 is the standard's default.
        vec![OnnxOperator { name: "Flatten", attributes: Vec::new() }]
    }
}

#[derive(Debug)]
struct FlattenGradients {
    /// Of the last inputs.
    shape: Vec<i64>,
}

impl LayerGradients for FlattenGradients {
    fn forward(&mut self, inputs: Tensor) -> Result<Tensor> {
        self.shape = inputs.size();
        Ok(inputs.f_flatten(1, -1)?)
    }

    fn backward(&mut self, outputs: Tensor, _: bool) -> Result<Gradients> {
        Ok(Gradients::of_inputs(outputs.f_reshape(self.shape.as_slice())?))
    }
}
