//! The convolution of images.

use super::{
    AtenArgument, AtenOperator, Attribute, Fusible, Gradients, Layer, LayerGradients, LayerKind,
    OnnxOperator, Parameter,
};
use crate::kernels::convolution::{self, Convolution, Convolved, Needed};
use crate::kernels::has_own_code;
use crate::kernels::pooling::MAX_SIDE;
use anyhow::{Context, Result, bail};
use std::sync::Arc;
use tch::nn::Init;
use tch::{Device, Tensor};

pub(super) const KIND: LayerKind = LayerKind {
    keyword: "conv2d",
    usage: "FILTERS SIZE [stride N] [padding same]",
    example: "conv2d 4 3",
    parse,
};

/// Larger numbers are taken for a slip of the finger.
const MAX_FILTERS: i64 = 1 << 16;
const MAX_SIZE: i64 = 1 << 10;

/// `conv2d FILTERS SIZE`: filters of SIZE x SIZE pixels over all channels, plus a bias for each.
#[derive(Clone, Debug, PartialEq)]
pub struct Conv2d {
    filters: i64,
    size: i64,
    stride: i64,
    /// Zeros around the image, so that the output has its size.
    keeps_size: bool,
}

fn parse(arguments: &[&str]) -> Result<Arc<dyn Layer>, String> {
    let number = |text: &str, max: i64| text.parse().ok().filter(|value| (1..=max).contains(value));
    let rule = || {
        format!(
            "needs its filters (1 to {MAX_FILTERS}) and their size in pixels (1 to {MAX_SIZE}), and may \
             have a stride and padding: conv2d 32 3, conv2d 32 3 stride 2, conv2d 32 3 padding same"
        )
    };
    let [filters, size, settings @ ..] = arguments else { return Err(rule()) };
    let filters = number(filters, MAX_FILTERS).ok_or_else(rule)?;
    let size = number(size, MAX_SIZE).ok_or_else(rule)?;
    let mut layer = Conv2d { filters, size, stride: 1, keeps_size: false };
    for setting in settings.chunks(2) {
        match *setting {
            ["stride", stride] => layer.stride = number(stride, MAX_SIZE).ok_or_else(rule)?,
            ["padding", "same"] => layer.keeps_size = true,
            ["padding", "valid"] => layer.keeps_size = false,
            _ => return Err(rule()),
        }
    }
    if layer.keeps_size && (layer.stride != 1 || layer.size % 2 == 0) {
        return Err("with padding same takes an odd size and no stride: the image keeps its size".to_string());
    }
    Ok(Arc::new(layer))
}

/// The output size of a window that moves over `size` pixels; none if it does not fit.
pub(super) fn output_size(size: i64, window: i64, stride: i64, padding: i64) -> Option<i64> {
    let room = size + 2 * padding - window;
    (room >= 0).then(|| room / stride + 1)
}

/// Channels, height and width of an input.
pub(super) fn image_shape(input: &[i64], what: &str) -> Result<[i64; 3]> {
    match *input {
        [channels, height, width] => Ok([channels, height, width]),
        _ => bail!("{what} takes images of channels, height and width, not the shape {input:?}"),
    }
}

impl Conv2d {
    fn padding(&self) -> i64 {
        if self.keeps_size { self.size / 2 } else { 0 }
    }

    /// Keras's initialisation: Glorot uniform weights (Glorot and Bengio, 2010), inputs and outputs being
    /// those that a pixel has through the filters, and zeros as biases.
    fn weight_and_bias(&self, input: &[i64]) -> [Parameter; 2] {
        let channels = input.first().copied().unwrap_or(1);
        let area = self.size * self.size;
        let bound = (6.0 / (area * (channels + self.filters)) as f64).sqrt();
        let init = Init::Uniform { lo: -bound, up: bound };
        [
            Parameter::trained("weight", vec![self.filters, channels, self.size, self.size], init),
            Parameter::trained("bias", vec![self.filters], Init::Const(0.0)),
        ]
    }
}

impl Layer for Conv2d {
    fn keyword(&self) -> &'static str {
        KIND.keyword
    }

    fn type_name(&self) -> &'static str {
        "Conv2D"
    }

    fn arguments(&self) -> String {
        let stride = if self.stride == 1 { String::new() } else { format!(" stride {}", self.stride) };
        let padding = if self.keeps_size { " padding same" } else { "" };
        format!("{} {}{stride}{padding}", self.filters, self.size)
    }

    fn settings(&self) -> String {
        let stride = if self.stride == 1 { String::new() } else { format!(", stride {}", self.stride) };
        let padding = if self.keeps_size { ", padding same" } else { "" };
        format!("{}, {} × {}{stride}{padding}", self.filters, self.size, self.size)
    }

    fn input_kind(&self) -> super::InputKind {
        super::InputKind::Images
    }

    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>> {
        let [_, height, width] = image_shape(input, "a convolution")?;
        let convolved = |size| output_size(size, self.size, self.stride, self.padding());
        match convolved(height).zip(convolved(width)) {
            Some((height, width)) => Ok(vec![self.filters, height, width]),
            None => {
                bail!("filters of {0} x {0} pixels do not fit into images of {height} x {width}", self.size)
            }
        }
    }

    fn parameters(&self, input: &[i64]) -> Vec<Parameter> {
        self.weight_and_bias(input).into()
    }

    fn apply(&self, values: &Tensor, parameters: &[Tensor], _: bool) -> Tensor {
        let (stride, padding) = (self.stride, self.padding());
        let [weight, bias] = [0, 1].map(|index| parameters[index].to_kind(values.kind()));
        channels_last(values).conv2d(&weight, Some(&bias), [stride; 2], [padding; 2], [1, 1], 1)
    }

    fn explicit_gradients(
        &self,
        input: &[i64],
        parameters: Vec<Tensor>,
        device: Device,
    ) -> Result<Option<Box<dyn LayerGradients>>> {
        let [weight, bias] = super::parameters(parameters)?;
        if !convolution::is_possible(device) {
            return Ok(None);
        }
        let [channels, height, width] = image_shape(input, "a convolution")?;
        let convolution = Convolution {
            height: height as usize,
            width: width as usize,
            channels: channels as usize,
            filters: self.filters as usize,
            size: self.size as usize,
            stride: self.stride as usize,
            padding: self.padding() as usize,
            relu: false,
            pool: 1,
        };
        Ok(Some(Box::new(Conv2dGradients { convolution, weight, bias, is_frozen: false, used: None })))
    }

    fn torchscript(&self, _: &[i64]) -> String {
        let (stride, padding) = (self.stride, self.padding());
        format!(
            "torch.conv2d(x, self.weight, self.bias, [{stride}, {stride}], [{padding}, {padding}], [1, 1], 1)"
        )
    }

    fn onnx(&self, _: &[i64]) -> Vec<OnnxOperator> {
        let attributes = vec![
            ("kernel_shape", Attribute::Integers(vec![self.size; 2])),
            ("strides", Attribute::Integers(vec![self.stride; 2])),
            ("pads", Attribute::Integers(vec![self.padding(); 4])),
        ];
        vec![OnnxOperator { name: "Conv", attributes }]
    }

    fn aten(&self, _: &[i64]) -> Vec<AtenOperator> {
        let arguments = vec![
            ("weight", AtenArgument::Parameter(0)),
            ("bias", AtenArgument::Parameter(1)),
            ("stride", AtenArgument::Integers(vec![self.stride; 2])),
            ("padding", AtenArgument::Integers(vec![self.padding(); 2])),
        ];
        vec![AtenOperator { name: "conv2d.default", values: "input", arguments }]
    }
}

#[derive(Debug)]
struct Conv2dGradients {
    convolution: Convolution,
    weight: Tensor,
    bias: Tensor,
    is_frozen: bool,
    /// The inputs and outputs of the last forward pass.
    used: Option<(Tensor, Convolved)>,
}

impl LayerGradients for Conv2dGradients {
    fn freeze(&mut self) {
        self.is_frozen = true;
    }

    fn fuse(&mut self, next: Fusible) -> bool {
        match next {
            // In any order: of the maxima, those below 0 become 0, too.
            Fusible::Relu => self.convolution.relu = true,
            Fusible::Maximum { side } if self.convolution.pool == 1 && side <= MAX_SIDE => {
                self.convolution.pool = side;
            }
            Fusible::Maximum { .. } => return false,
        }
        true
    }

    fn infer(&self, inputs: Tensor) -> Result<Tensor> {
        Ok(convolution::forward(&self.convolution, &inputs, &self.weight, &self.bias)?.outputs)
    }

    fn forward(&mut self, inputs: Tensor) -> Result<Tensor> {
        let convolved = convolution::forward(&self.convolution, &inputs, &self.weight, &self.bias)?;
        let outputs = convolved.outputs.shallow_clone();
        self.used = Some((inputs, convolved));
        Ok(outputs)
    }

    fn backward(&mut self, outputs: Tensor, needs_inputs: bool) -> Result<Gradients> {
        let (inputs, convolved) = self.used.take().context("there was no forward pass")?;
        let gradients = convolution::backward(
            &self.convolution,
            &inputs,
            &convolved,
            &outputs.f_contiguous()?,
            &self.weight,
            Needed { inputs: needs_inputs, parameters: !self.is_frozen },
        )?;
        let parameters = gradients.parameters.map_or_else(Vec::new, Vec::from);
        Ok(Gradients { inputs: gradients.inputs, parameters })
    }
}

/// On a CPU, the same values in the memory order of pixels, in which convolutions are faster; later layers
/// keep it.
fn channels_last(values: &Tensor) -> Tensor {
    match has_own_code(values.device()) {
        true => values.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2]),
        false => values.shallow_clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::layers;
    use tch::nn;

    #[test]
    fn shapes_follow_size_stride_and_padding() {
        let shape = |arguments: &[&str], input: &[i64]| parse(arguments).unwrap().output_shape(input);
        assert_eq!(shape(&["8", "3"], &[1, 28, 28]).unwrap(), [8, 26, 26]);
        assert_eq!(shape(&["8", "3", "padding", "same"], &[3, 28, 20]).unwrap(), [8, 28, 20]);
        assert_eq!(shape(&["8", "3", "stride", "2"], &[1, 28, 7]).unwrap(), [8, 13, 3]);
        assert_eq!(shape(&["8", "1"], &[1, 1, 1]).unwrap(), [8, 1, 1]);
        let fault = |input: &[i64]| shape(&["8", "5"], input).unwrap_err().to_string();
        assert_eq!(fault(&[1, 4, 9]), "filters of 5 x 5 pixels do not fit into images of 4 x 9");
        assert!(fault(&[64]).contains("takes images of channels, height and width, not the shape [64]"));
    }

    #[test]
    fn arguments_read_back_and_wrong_ones_break_a_rule() {
        for text in ["8 3", "8 3 stride 2", "8 3 padding same"] {
            let words: Vec<&str> = text.split(' ').collect();
            assert_eq!(parse(&words).unwrap().arguments(), text);
        }
        for text in ["8", "0 3", "8 x", "8 3 stride", "8 3 stride 0", "8 3 padding full", "8 3 2", "8 2000"] {
            let words: Vec<&str> = text.split(' ').collect();
            assert!(parse(&words).unwrap_err().contains("needs its filters"), "{text}");
        }
        for text in ["8 4 padding same", "8 3 padding same stride 2"] {
            let words: Vec<&str> = text.split(' ').collect();
            assert!(parse(&words).unwrap_err().contains("takes an odd size"), "{text}");
        }
    }

    #[test]
    fn initial_weights_are_within_the_bounds_of_keras() {
        // Keras 3.15.1: GlorotUniform for a kernel of (3, 3, 16, 32) draws up to sqrt(6 / (9 * 48)).
        let variables = nn::VarStore::new(tch::Device::Cpu);
        let layer = parse(&["32", "3"]).unwrap();
        layers::append(layer, nn::seq_t(), &variables.root(), &[16, 8, 8]).unwrap();
        let max = f64::try_from(variables.variables()["weight"].abs().max()).unwrap();
        assert!(max <= 0.1179 && max > 0.116, "{max}");
    }
}
