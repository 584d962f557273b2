//! Normalisation: of each channel or feature over a batch, or of each sample.

use super::{Attribute, ByAutograd, Layer, LayerGradients, LayerKind, OnnxOperator, Parameter};
use anyhow::{Result, ensure};
use std::sync::Arc;
use tch::nn::Init;
use tch::{Kind, Tensor};

pub(super) const BATCH: LayerKind = LayerKind {
    keyword: "batchnorm",
    usage: "",
    example: "batchnorm",
    parse: |given| parse(given, Arc::new(BatchNormalization)),
};
pub(super) const LAYER: LayerKind = LayerKind {
    keyword: "layernorm",
    usage: "",
    example: "layernorm",
    parse: |given| parse(given, Arc::new(LayerNormalization)),
};

/// Keras's default for both layers.
const EPSILON: f64 = 1e-3;
/// The weight of a batch in the running mean and variance. Keras's 0.99 is the weight of the old values.
const MOMENTUM: f64 = 0.01;

/// `batchnorm`: each channel of images, or each feature, minus its mean and divided by its standard
/// deviation, then scaled and shifted by learned values (Ioffe and Szegedy, 2015). Mean and deviation are
/// those of the batch in training, and running ones otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchNormalization;

/// `layernorm`: the same over all values of a sample (Ba, Kiros and Hinton, 2016), with a scale and a shift
/// for each. On rows of values it is Keras's; on images, Keras's default normalises each pixel.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNormalization;

fn parse(arguments: &[&str], layer: Arc<dyn Layer>) -> Result<Arc<dyn Layer>, String> {
    if arguments.is_empty() { Ok(layer) } else { Err("takes no argument".to_string()) }
}

fn scale_and_shift(shape: Vec<i64>) -> [Parameter; 2] {
    [
        Parameter::trained("weight", shape.clone(), Init::Const(1.0)),
        Parameter::trained("bias", shape, Init::Const(0.0)),
    ]
}

impl BatchNormalization {
    fn all(&self, input: &[i64]) -> [Parameter; 4] {
        let shape = vec![input.first().copied().unwrap_or(1)];
        let [weight, bias] = scale_and_shift(shape.clone());
        let mean = Parameter::kept("running_mean", shape.clone(), Init::Const(0.0));
        [weight, bias, mean, Parameter::kept("running_var", shape, Init::Const(1.0))]
    }
}

impl Layer for BatchNormalization {
    fn keyword(&self) -> &'static str {
        BATCH.keyword
    }

    fn type_name(&self) -> &'static str {
        "BatchNormalization"
    }

    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>> {
        ensure!(!input.is_empty(), "there is nothing to normalise");
        Ok(input.to_vec())
    }

    fn parameters(&self, input: &[i64]) -> Vec<Parameter> {
        self.all(input).into()
    }

    fn apply(&self, values: &Tensor, parameters: &[Tensor], train: bool) -> Tensor {
        // One value per channel has no deviation, and libtorch refuses it: use the running one.
        let by_batch = train && values.numel() as i64 != values.size()[1];
        let [weight, bias, mean, variance] = [0, 1, 2, 3].map(|index| Some(&parameters[index]));
        let singles = values.to_kind(Kind::Float);
        let outputs = singles.batch_norm(weight, bias, mean, variance, by_batch, MOMENTUM, EPSILON, true);
        outputs.to_kind(values.kind())
    }

    fn explicit_gradients(
        &self,
        input: &[i64],
        parameters: Vec<Tensor>,
    ) -> Result<Option<Box<dyn LayerGradients>>> {
        Ok(Some(Box::new(ByAutograd::new(Arc::new(self.clone()), input, parameters))))
    }

    fn torchscript(&self, _: &[i64]) -> String {
        format!(
            "torch.batch_norm(x, self.weight, self.bias, self.running_mean, self.running_var, self.training, \
             {MOMENTUM:?}, {EPSILON:?}, True)"
        )
    }

    fn onnx(&self, _: &[i64]) -> Vec<OnnxOperator> {
        let attributes = vec![("epsilon", Attribute::Real(EPSILON as f32))];
        vec![OnnxOperator { name: "BatchNormalization", attributes }]
    }
}

impl Layer for LayerNormalization {
    fn keyword(&self) -> &'static str {
        LAYER.keyword
    }

    fn type_name(&self) -> &'static str {
        "LayerNormalization"
    }

    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>> {
        ensure!(!input.is_empty(), "there is nothing to normalise");
        Ok(input.to_vec())
    }

    fn parameters(&self, input: &[i64]) -> Vec<Parameter> {
        scale_and_shift(input.to_vec()).into()
    }

    fn apply(&self, values: &Tensor, parameters: &[Tensor], _: bool) -> Tensor {
        let [weight, bias] = [0, 1].map(|index| Some(&parameters[index]));
        let shape = parameters[0].size();
        values.to_kind(Kind::Float).layer_norm(&shape, weight, bias, EPSILON, true).to_kind(values.kind())
    }

    fn explicit_gradients(
        &self,
        input: &[i64],
        parameters: Vec<Tensor>,
    ) -> Result<Option<Box<dyn LayerGradients>>> {
        Ok(Some(Box::new(ByAutograd::new(Arc::new(self.clone()), input, parameters))))
    }

    fn torchscript(&self, input: &[i64]) -> String {
        format!("torch.layer_norm(x, {input:?}, self.weight, self.bias, {EPSILON:?}, True)")
    }

    fn onnx(&self, _: &[i64]) -> Vec<OnnxOperator> {
        let attributes = vec![("axis", Attribute::Integer(1)), ("epsilon", Attribute::Real(EPSILON as f32))];
        vec![OnnxOperator { name: "LayerNormalization", attributes }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::layers;
    use tch::nn::{self, ModuleT};
    use tch::{Device, no_grad};

    fn built(layer: impl Layer + 'static, variables: &nn::VarStore, input: &[i64]) -> nn::SequentialT {
        layers::append(Arc::new(layer), nn::seq_t(), &variables.root(), input).unwrap()
    }

    #[test]
    fn running_values_move_by_a_hundredth_and_are_used_afterwards() {
        let variables = nn::VarStore::new(Device::Cpu);
        let layer = built(BatchNormalization, &variables, &[2]);
        let values = Tensor::from_slice(&[1.0f32, 10.0, 3.0, 30.0]).view([2, 2]);
        let outputs = Vec::<f32>::try_from(layer.forward_t(&values, true).view([-1])).unwrap();
        // (1 - 2) / sqrt(1 + 0.001), as Keras 3.15.1 computes it.
        assert!((outputs[0] + 0.9995).abs() < 1e-4 && (outputs[2] - 0.9995).abs() < 1e-4, "{outputs:?}");
        let built = variables.variables();
        let kept = |name: &str| Vec::<f32>::try_from(&built[name]).unwrap();
        let means = kept("running_mean");
        assert!((means[0] - 0.02).abs() < 1e-6 && (means[1] - 0.2).abs() < 1e-6, "{means:?}");
        // PyTorch keeps the unbiased variance, 2 here; Keras the biased one.
        assert!((kept("running_var")[0] - 1.01).abs() < 1e-6);
        let used = Vec::<f32>::try_from(layer.forward_t(&values, false).view([-1])).unwrap();
        assert!((used[0] - 0.98 / 1.011f32.sqrt()).abs() < 1e-5, "{used:?}");
        assert_eq!(variables.trainable_variables().len(), 2);
    }

    #[test]
    fn a_batch_of_a_single_row_is_no_fault() {
        let variables = nn::VarStore::new(Device::Cpu);
        let layer = built(BatchNormalization, &variables, &[3]);
        let row = Tensor::ones([1, 3], (Kind::Float, Device::Cpu));
        assert_eq!(layer.forward_t(&row, true).size(), [1, 3]);
    }

    #[test]
    fn a_layer_is_normalised_over_all_values_of_a_sample() {
        let variables = nn::VarStore::new(Device::Cpu);
        let layer = built(LayerNormalization, &variables, &[2, 3, 3]);
        let values = Tensor::arange(36, (Kind::Float, Device::Cpu)).view([2, 2, 3, 3]);
        let outputs = no_grad(|| layer.forward_t(&values, true)).flatten(1, -1);
        let means = Vec::<f32>::try_from(outputs.mean_dim(1, false, Kind::Float)).unwrap();
        assert!(means.iter().all(|mean| mean.abs() < 1e-6), "{means:?}");
    }
}
