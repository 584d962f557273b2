//! From images to rows of values.

use super::{AtenArgument, AtenOperator, Gradients, Layer, LayerGradients, LayerKind, OnnxOperator};
use anyhow::Result;
use std::sync::Arc;
use tch::{Device, Tensor};

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

    fn apply(&self, values: &Tensor, _: &[Tensor], _: bool) -> Tensor {
        values.flatten(1, -1)
    }

    fn explicit_gradients(
        &self,
        input: &[i64],
        _: Vec<Tensor>,
        _: Device,
    ) -> Result<Option<Box<dyn LayerGradients>>> {
        Ok(Some(Box::new(FlattenGradients { input: input.to_vec() })))
    }

    fn torchscript(&self, _: &[i64]) -> String {
        "torch.flatten(x, 1, -1)".to_string()
    }

    fn onnx(&self, _: &[i64]) -> Vec<OnnxOperator> {
        // Axis 1 is the standard's default.
        vec![OnnxOperator { name: "Flatten", attributes: Vec::new() }]
    }

    fn aten(&self, _: &[i64]) -> Vec<AtenOperator> {
        let arguments = vec![("start_dim", AtenArgument::Integer(1))];
        vec![AtenOperator { arguments, ..AtenOperator::of_values("flatten.using_ints") }]
    }
}

#[derive(Debug)]
struct FlattenGradients {
    /// The shape of a sample: channels, height and width of images.
    input: Vec<i64>,
}

impl LayerGradients for FlattenGradients {
    fn infer(&self, inputs: Tensor) -> Result<Tensor> {
        let inputs = if self.input.len() == 3 { inputs.f_permute([0, 3, 1, 2])? } else { inputs };
        Ok(inputs.f_flatten(1, -1)?)
    }

    fn forward(&mut self, inputs: Tensor) -> Result<Tensor> {
        self.infer(inputs)
    }

    fn backward(&mut self, outputs: Tensor, _: bool) -> Result<Gradients> {
        let outputs = outputs.f_unflatten(1, &self.input)?;
        let is_images = self.input.len() == 3;
        let outputs = if is_images { outputs.f_permute([0, 2, 3, 1])?.f_contiguous()? } else { outputs };
        Ok(Gradients::of_inputs(outputs))
    }
}
