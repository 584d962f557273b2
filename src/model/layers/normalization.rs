//! Normalisation: of each channel or feature over a batch, or of each sample.

use super::{
    AtenArgument, AtenOperator, Attribute, ByAutograd, Fusible, Gradients, Layer, LayerGradients, LayerKind,
    OnnxOperator, Parameter, by_pixels,
};
use crate::kernels::has_own_code;
use crate::kernels::normalization::batch::{self, BatchStatistics, Channels};
use crate::kernels::normalization::layer::{self, SampleStatistics};
use crate::kernels::tensor_slice::as_slice;
use anyhow::{Context, Result, ensure};
use std::sync::Arc;
use tch::nn::Init;
use tch::{Device, Kind, Tensor};

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
        device: Device,
    ) -> Result<Option<Box<dyn LayerGradients>>> {
        if !has_own_code(device) {
            return Ok(None);
        }
        let copies = parameters.iter().map(Tensor::shallow_clone).collect();
        let by_running_values = ByAutograd::new(Arc::new(self.clone()), input, copies);
        let parameters = super::parameters(parameters)?;
        let (relu, is_frozen) = (false, false);
        Ok(Some(Box::new(BatchGradients { parameters, relu, is_frozen, used: None, by_running_values })))
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

    fn aten(&self, _: &[i64]) -> Vec<AtenOperator> {
        let arguments = vec![
            ("weight", AtenArgument::Parameter(0)),
            ("bias", AtenArgument::Parameter(1)),
            ("running_mean", AtenArgument::Parameter(2)),
            ("running_var", AtenArgument::Parameter(3)),
            ("training", AtenArgument::Boolean(false)),
            ("momentum", AtenArgument::Real(MOMENTUM)),
            ("eps", AtenArgument::Real(EPSILON)),
            ("cudnn_enabled", AtenArgument::Boolean(true)),
        ];
        vec![AtenOperator { name: "batch_norm.default", values: "input", arguments }]
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
        _: &[i64],
        parameters: Vec<Tensor>,
        device: Device,
    ) -> Result<Option<Box<dyn LayerGradients>>> {
        if !has_own_code(device) {
            return Ok(None);
        }
        let parameters = super::parameters(parameters)?;
        Ok(Some(Box::new(SampleGradients { parameters, used: None })))
    }

    fn torchscript(&self, input: &[i64]) -> String {
        format!("torch.layer_norm(x, {input:?}, self.weight, self.bias, {EPSILON:?}, True)")
    }

    fn onnx(&self, _: &[i64]) -> Vec<OnnxOperator> {
        let attributes = vec![("axis", Attribute::Integer(1)), ("epsilon", Attribute::Real(EPSILON as f32))];
        vec![OnnxOperator { name: "LayerNormalization", attributes }]
    }

    fn aten(&self, input: &[i64]) -> Vec<AtenOperator> {
        let arguments = vec![
            ("normalized_shape", AtenArgument::Integers(input.to_vec())),
            ("weight", AtenArgument::Parameter(0)),
            ("bias", AtenArgument::Parameter(1)),
            ("eps", AtenArgument::Real(EPSILON)),
        ];
        vec![AtenOperator { name: "layer_norm.default", values: "input", arguments }]
    }
}

#[derive(Debug)]
struct BatchGradients {
    /// Weight, bias, running mean and running variance.
    parameters: [Tensor; 4],
    relu: bool,
    is_frozen: bool,
    used: Option<Normalized>,
    /// For a batch with one value in a channel.
    by_running_values: ByAutograd,
}

/// What the last forward pass normalised by.
#[derive(Debug)]
enum Normalized {
    Batch(Tensor, BatchStatistics),
    /// With the outputs.
    RunningValues(Tensor),
    /// As in inference, with the outputs.
    Frozen(Tensor),
}

impl BatchGradients {
    fn channels(&self) -> Result<Channels<'_>> {
        let [weight, bias, ..] = &self.parameters;
        let (weight, bias) = (values(weight)?, values(bias)?);
        Ok(Channels { weight, bias, epsilon: EPSILON, relu: self.relu })
    }

    /// As PyTorch does, and with the unbiased variance as it has.
    fn move_running_values(&mut self, statistics: &BatchStatistics, count: usize) -> Result<()> {
        let unbiased = count as f64 / (count - 1) as f64;
        let [_, _, mean, variance] = &mut self.parameters;
        let found = [(mean, &statistics.mean, 1.0), (variance, &statistics.variance, unbiased)];
        for (running, of_batch, factor) in found {
            let of_batch = Tensor::from_slice(of_batch).f_mul_scalar(MOMENTUM * factor)?;
            let _ = running.f_mul_scalar_(1.0 - MOMENTUM)?.f_add_(&of_batch)?;
        }
        Ok(())
    }
}

impl BatchGradients {
    /// The gradients of the inputs from those of the outputs of [`LayerGradients::infer`].
    fn through_inference(&self, values: &Tensor, outputs: &Tensor) -> Result<Tensor> {
        let [weight, _, _, variance] = &self.parameters;
        let slopes = weight.f_div(&variance.f_add_scalar(EPSILON)?.f_sqrt()?)?;
        let gradients =
            if self.relu { values.f_threshold_backward(outputs, 0)? } else { outputs.shallow_clone() };
        // The channels come last, as they do in rows.
        Ok(gradients.f_mul(&slopes)?.f_to_kind(outputs.kind())?)
    }
}

impl LayerGradients for BatchGradients {
    fn freeze(&mut self) {
        self.is_frozen = true;
    }

    fn fuse(&mut self, next: Fusible) -> bool {
        self.relu |= next == Fusible::Relu;
        next == Fusible::Relu
    }

    fn infer(&self, inputs: Tensor) -> Result<Tensor> {
        let [_, _, mean, variance] = &self.parameters;
        batch::infer(&inputs, values(mean)?, values(variance)?, self.channels()?)
    }

    fn forward(&mut self, inputs: Tensor) -> Result<Tensor> {
        if self.is_frozen {
            let outputs = self.infer(inputs)?;
            self.used = Some(Normalized::Frozen(outputs.shallow_clone()));
            return Ok(outputs);
        }
        let count = inputs.numel() / self.parameters[0].numel();
        if count == 1 {
            let outputs = self.by_running_values.forward(inputs)?;
            let outputs = if self.relu { outputs.f_relu()? } else { outputs };
            self.used = Some(Normalized::RunningValues(outputs.shallow_clone()));
            return Ok(outputs);
        }
        let (outputs, statistics) = batch::forward(&inputs, self.channels()?)?;
        self.move_running_values(&statistics, count)?;
        self.used = Some(Normalized::Batch(inputs, statistics));
        Ok(outputs)
    }

    fn backward(&mut self, outputs: Tensor, needs_inputs: bool) -> Result<Gradients> {
        match self.used.take().context("there was no forward pass")? {
            Normalized::Batch(inputs, statistics) => {
                let (inputs, weight, bias) =
                    batch::backward(&inputs, &outputs, &statistics, self.channels()?, needs_inputs)?;
                let parameters = [weight, bias].map(|gradient| Tensor::from_slice(&gradient)).into();
                Ok(Gradients { inputs, parameters })
            }
            Normalized::RunningValues(values) if self.relu => {
                self.by_running_values.backward(values.f_threshold_backward(&outputs, 0)?, needs_inputs)
            }
            Normalized::RunningValues(_) => self.by_running_values.backward(outputs, needs_inputs),
            Normalized::Frozen(values) => {
                Ok(Gradients::of_inputs(self.through_inference(&values, &outputs)?))
            }
        }
    }
}

#[derive(Debug)]
struct SampleGradients {
    /// Weight and bias.
    parameters: [Tensor; 2],
    /// The inputs of the last forward pass, and the weight in their order.
    used: Option<(Tensor, Tensor, SampleStatistics)>,
}

impl SampleGradients {
    fn normalized(&self, inputs: &Tensor) -> Result<(Tensor, Tensor, SampleStatistics)> {
        let [weight, bias] =
            self.parameters.each_ref().map(|parameter| anyhow::Ok(by_pixels(parameter)?.f_contiguous()?));
        let (weight, bias) = (weight?, bias?);
        let (outputs, statistics) = layer::forward(inputs, values(&weight)?, values(&bias)?, EPSILON)?;
        Ok((outputs, weight, statistics))
    }
}

impl LayerGradients for SampleGradients {
    fn infer(&self, inputs: Tensor) -> Result<Tensor> {
        Ok(self.normalized(&inputs)?.0)
    }

    fn forward(&mut self, inputs: Tensor) -> Result<Tensor> {
        let (outputs, weight, statistics) = self.normalized(&inputs)?;
        self.used = Some((inputs, weight, statistics));
        Ok(outputs)
    }

    fn backward(&mut self, outputs: Tensor, needs_inputs: bool) -> Result<Gradients> {
        let (inputs, weight, statistics) = self.used.take().context("there was no forward pass")?;
        let (of_inputs, of_weight, of_bias) =
            layer::backward(&inputs, &outputs, values(&weight)?, &statistics, needs_inputs)?;
        let parameters = [of_weight, of_bias].map(|gradient| -> Result<Tensor> {
            let gradient = Tensor::from_slice(&gradient).f_view(weight.size().as_slice())?;
            let is_image = gradient.dim() == 3;
            Ok(if is_image { gradient.f_permute([2, 0, 1])?.f_contiguous()? } else { gradient })
        });
        Ok(Gradients { inputs: of_inputs, parameters: parameters.into_iter().collect::<Result<_>>()? })
    }
}

fn values(parameter: &Tensor) -> Result<&[f32]> {
    as_slice(parameter).context("a parameter is not contiguous float32 on the CPU")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::layers;
    use tch::nn::{self, ModuleT};
    use tch::no_grad;

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
