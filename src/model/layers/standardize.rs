//! Standardisation of the features of a table or of the channels of images: by means and deviations that are found
//! out before training, or given.

use super::conv2d::image_shape;
use super::{
    AtenArgument, AtenOperator, Gradients, InputKind, Layer, LayerGradients, LayerKind, OnnxOperator,
    Parameter, by_pixels,
};
use anyhow::{Result, ensure};
use std::sync::Arc;
use tch::nn::Init;
use tch::{Device, Kind, Tensor};

pub(super) const KIND: LayerKind =
    LayerKind { keyword: "standardize", usage: "[channels]", example: "standardize", parse };

/// `standardize`: each value minus its mean and divided by its standard deviation, both those of the training
/// samples. `standardize channels` takes those of each channel of images. Training leaves them as they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Standardize {
    /// Whether there is one mean for a channel, not one for a value.
    pub by_channel: bool,
}

const BY_CHANNEL: &str = "channels";

fn parse(arguments: &[&str]) -> Result<Arc<dyn Layer>, String> {
    match arguments {
        [] => Ok(Arc::new(Standardize { by_channel: false })),
        [BY_CHANNEL] => Ok(Arc::new(Standardize { by_channel: true })),
        _ => Err(format!("takes no argument but {BY_CHANNEL}")),
    }
}

impl Standardize {
    fn all(&self, input: &[i64]) -> [Parameter; 2] {
        let shape = match input {
            [channels, _, _] if self.by_channel => vec![*channels, 1, 1],
            _ => input.to_vec(),
        };
        let mean = Parameter::kept("mean", shape.clone(), Init::Const(0.0));
        [mean, Parameter::kept("deviation", shape, Init::Const(1.0))]
    }
}

impl Layer for Standardize {
    fn keyword(&self) -> &'static str {
        KIND.keyword
    }

    fn type_name(&self) -> &'static str {
        "Standardization"
    }

    fn arguments(&self) -> String {
        if self.by_channel { BY_CHANNEL.to_string() } else { String::new() }
    }

    fn input_kind(&self) -> InputKind {
        if self.by_channel { InputKind::Images } else { InputKind::Anything }
    }

    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>> {
        ensure!(!input.is_empty(), "there is nothing to standardise");
        if self.by_channel {
            image_shape(input, "it")?;
        }
        Ok(input.to_vec())
    }

    fn parameters(&self, input: &[i64]) -> Vec<Parameter> {
        self.all(input).into()
    }

    fn apply(&self, values: &Tensor, parameters: &[Tensor], _: bool) -> Tensor {
        (values - &parameters[0]) / &parameters[1]
    }

    fn explicit_gradients(
        &self,
        _: &[i64],
        parameters: Vec<Tensor>,
        _: Device,
    ) -> Result<Option<Box<dyn LayerGradients>>> {
        let [mean, deviation] = super::parameters(parameters)?;
        let gradients = StandardizeGradients { mean: by_pixels(&mean)?, deviation: by_pixels(&deviation)? };
        Ok(Some(Box::new(gradients)))
    }

    fn torchscript(&self, _: &[i64]) -> String {
        "torch.div(torch.sub(x, self.mean), self.deviation)".to_string()
    }

    fn onnx(&self, _: &[i64]) -> Vec<OnnxOperator> {
        // They have a parameter each.
        ["Sub", "Div"].map(|name| OnnxOperator { name, attributes: Vec::new() }).into()
    }

    fn aten(&self, _: &[i64]) -> Vec<AtenOperator> {
        let by = |(index, name)| AtenOperator {
            arguments: vec![("other", AtenArgument::Parameter(index))],
            ..AtenOperator::of_values(name)
        };
        [(0, "sub.Tensor"), (1, "div.Tensor")].map(by).into()
    }
}

#[derive(Debug)]
struct StandardizeGradients {
    mean: Tensor,
    deviation: Tensor,
}

impl LayerGradients for StandardizeGradients {
    /// bfloat16 would round features away that are small beside their mean.
    fn takes_float32(&self) -> bool {
        true
    }

    fn infer(&self, inputs: Tensor) -> Result<Tensor> {
        Ok(inputs.f_sub(&self.mean)?.f_div(&self.deviation)?)
    }

    fn forward(&mut self, inputs: Tensor) -> Result<Tensor> {
        self.infer(inputs)
    }

    fn backward(&mut self, outputs: Tensor, needs_inputs: bool) -> Result<Gradients> {
        let inputs = needs_inputs.then(|| -> Result<Tensor> {
            Ok(outputs.f_to_kind(Kind::Float)?.f_div(&self.deviation)?.f_to_kind(outputs.kind())?)
        });
        Ok(Gradients { inputs: inputs.transpose()?, parameters: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::layers;
    use tch::nn::{self, ModuleT};
    use tch::no_grad;

    #[test]
    fn values_are_standardised_and_nothing_is_trained() {
        let variables = nn::VarStore::new(Device::Cpu);
        let layer =
            layers::append(Arc::new(Standardize { by_channel: false }), nn::seq_t(), &variables.root(), &[2])
                .unwrap();
        let built = variables.variables();
        let set = |name: &str, values: [f32; 2]| {
            no_grad(|| built[name].shallow_clone().copy_(&Tensor::from_slice(&values)))
        };
        set("mean", [1_000.0, 0.5]);
        set("deviation", [100.0, 0.25]);
        let rows = Tensor::from_slice(&[900.0f32, 1.0]).view([1, 2]);
        for train in [false, true] {
            let outputs = Vec::<f32>::try_from(layer.forward_t(&rows, train).view([-1])).unwrap();
            assert_eq!(outputs, [-1.0, 2.0]);
        }
        assert!(variables.trainable_variables().is_empty());
    }
}
