//! The fully connected layer.

use super::{
    AtenArgument, AtenOperator, Attribute, Gradients, InputKind, Layer, LayerGradients, LayerKind,
    OnnxOperator, Parameter,
};
use crate::kernels::matmul::{linear, matmul};
use anyhow::{Result, bail};
use std::sync::Arc;
use tch::nn::Init;
use tch::{Device, Kind, Tensor};

pub(super) const KIND: LayerKind = LayerKind { keyword: "dense", usage: "N", example: "dense 6", parse };

/// More units are taken for a slip of the finger: such a layer alone would fill most machines.
const MAX_UNITS: i64 = 1 << 20;

/// `dense N`: N weighted sums of all inputs, plus N biases.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    /// The number of outputs.
    pub units: i64,
}

fn parse(arguments: &[&str]) -> Result<Arc<dyn Layer>, String> {
    let rule = format!("needs the number of its units, a whole number from 1 to {MAX_UNITS}: dense 512");
    match arguments {
        [units] => match units.parse() {
            Ok(units) if (1..=MAX_UNITS).contains(&units) => Ok(Arc::new(Dense { units })),
            _ => Err(rule),
        },
        _ => Err(rule),
    }
}

impl Layer for Dense {
    fn keyword(&self) -> &'static str {
        KIND.keyword
    }

    fn type_name(&self) -> &'static str {
        "Dense"
    }

    fn arguments(&self) -> String {
        self.units.to_string()
    }

    fn input_kind(&self) -> InputKind {
        InputKind::Rows
    }

    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>> {
        match input {
            [_] => Ok(vec![self.units]),
            _ => bail!("a dense layer takes one row of values, not the shape {input:?}"),
        }
    }

    fn parameters(&self, input: &[i64]) -> Vec<Parameter> {
        self.weight_and_bias(input).into()
    }

    fn apply(&self, values: &Tensor, parameters: &[Tensor], _: bool) -> Tensor {
        values.linear(&parameters[0], Some(&parameters[1]))
    }

    fn explicit_gradients(
        &self,
        _: &[i64],
        parameters: Vec<Tensor>,
        _: Device,
    ) -> Result<Option<Box<dyn LayerGradients>>> {
        let [weight, bias] = super::parameters(parameters)?;
        Ok(Some(Box::new(DenseGradients { weight, bias, is_frozen: false, used: None })))
    }

    fn torchscript(&self, _: &[i64]) -> String {
        "torch.linear(x, self.weight, self.bias)".to_string()
    }

    fn onnx(&self, _: &[i64]) -> Vec<OnnxOperator> {
        vec![OnnxOperator { name: "Gemm", attributes: vec![("transB", Attribute::Integer(1))] }]
    }

    fn aten(&self, _: &[i64]) -> Vec<AtenOperator> {
        let arguments = vec![("weight", AtenArgument::Parameter(0)), ("bias", AtenArgument::Parameter(1))];
        vec![AtenOperator { name: "linear.default", values: "input", arguments }]
    }
}

impl Dense {
    /// Keras's initialisation: Glorot uniform weights, +-sqrt(6 / (inputs + outputs)) (Glorot and
    /// Bengio, 2010), and zeros as biases.
    fn weight_and_bias(&self, input: &[i64]) -> [Parameter; 2] {
        let inputs: i64 = input.iter().product();
        let bound = (6.0 / (inputs + self.units) as f64).sqrt();
        let init = Init::Uniform { lo: -bound, up: bound };
        [
            Parameter::trained("weight", vec![self.units, inputs], init),
            Parameter::trained("bias", vec![self.units], Init::Const(0.0)),
        ]
    }
}

#[derive(Debug)]
struct DenseGradients {
    weight: Tensor,
    bias: Tensor,
    is_frozen: bool,
    /// The inputs of the last forward pass, and the weights in their type.
    used: Option<(Tensor, Tensor)>,
}

impl LayerGradients for DenseGradients {
    fn freeze(&mut self) {
        self.is_frozen = true;
    }

    fn infer(&self, inputs: Tensor) -> Result<Tensor> {
        let kind = inputs.kind();
        linear(&inputs, &self.weight.f_to_kind(kind)?, &self.bias.f_to_kind(kind)?)
    }

    fn forward(&mut self, inputs: Tensor) -> Result<Tensor> {
        let kind = inputs.kind();
        let (weight, bias) = (self.weight.f_to_kind(kind)?, self.bias.f_to_kind(kind)?);
        let outputs = linear(&inputs, &weight, &bias)?;
        self.used = Some((inputs, weight));
        Ok(outputs)
    }

    fn backward(&mut self, outputs: Tensor, needs_inputs: bool) -> Result<Gradients> {
        let Some((inputs, weight)) = self.used.take() else { bail!("there was no forward pass") };
        let parameters = match self.is_frozen {
            true => Vec::new(),
            false => {
                let of_weight = matmul(&outputs.tr(), &inputs)?;
                vec![of_weight, outputs.f_sum_dim_intlist(&[0i64][..], false, Kind::Float)?]
            }
        };
        let inputs = needs_inputs.then(|| matmul(&outputs, &weight)).transpose()?;
        Ok(Gradients { inputs, parameters })
    }
}
