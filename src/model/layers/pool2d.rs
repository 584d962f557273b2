//! Pooling: the maximum or the mean of each square of an image.

use super::conv2d::{image_shape, output_size};
use super::{
    AtenArgument, AtenOperator, Attribute, ByAutograd, Fusible, Gradients, InputKind, Layer, LayerGradients,
    LayerKind, OnnxOperator,
};
use crate::kernels::{has_own_code, pooling};
use anyhow::{Context, Result, bail};
use std::sync::Arc;
use tch::{Device, Tensor};

pub(super) const MAXIMUM: LayerKind = LayerKind {
    keyword: "maxpool2d",
    usage: "N",
    example: "maxpool2d 2",
    parse: |given| parse(given, Pool::Maximum),
};
pub(super) const AVERAGE: LayerKind = LayerKind {
    keyword: "avgpool2d",
    usage: "N",
    example: "avgpool2d 2",
    parse: |given| parse(given, Pool::Average),
};

const MAX_SIZE: i64 = 1 << 10;

/// `maxpool2d N`, `avgpool2d N`: over squares of N x N pixels side by side. Pixels left over at the right and
/// the bottom are dropped, as in Keras.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool2d {
    pool: Pool,
    size: i64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Pool {
    Maximum,
    Average,
}

fn parse(arguments: &[&str], pool: Pool) -> Result<Arc<dyn Layer>, String> {
    let size = match arguments {
        [size] => size.parse().ok().filter(|size| (1..=MAX_SIZE).contains(size)),
        _ => None,
    };
    match size {
        Some(size) => Ok(Arc::new(Pool2d { pool, size })),
        None => Err(format!("needs the side of its squares in pixels, from 1 to {MAX_SIZE}: 2")),
    }
}

impl Layer for Pool2d {
    fn keyword(&self) -> &'static str {
        match self.pool {
            Pool::Maximum => MAXIMUM.keyword,
            Pool::Average => AVERAGE.keyword,
        }
    }

    fn type_name(&self) -> &'static str {
        match self.pool {
            Pool::Maximum => "MaxPooling2D",
            Pool::Average => "AveragePooling2D",
        }
    }

    fn arguments(&self) -> String {
        self.size.to_string()
    }

    fn settings(&self) -> String {
        format!("{} × {}", self.size, self.size)
    }

    fn input_kind(&self) -> InputKind {
        InputKind::Images
    }

    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>> {
        let [channels, height, width] = image_shape(input, "pooling")?;
        let pooled = |size| output_size(size, self.size, self.size, 0);
        match pooled(height).zip(pooled(width)) {
            Some((height, width)) => Ok(vec![channels, height, width]),
            None => {
                bail!("squares of {0} x {0} pixels do not fit into images of {height} x {width}", self.size)
            }
        }
    }

    fn apply(&self, values: &Tensor, _: &[Tensor], _: bool) -> Tensor {
        let size = [self.size; 2];
        match self.pool {
            Pool::Maximum => values.max_pool2d(size, size, [0, 0], [1, 1], false),
            Pool::Average => values.avg_pool2d(size, size, [0, 0], false, true, None::<i64>),
        }
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
        // Positions in larger squares need more than a byte.
        if self.pool == Pool::Maximum && self.size as usize > pooling::MAX_SIDE {
            return Ok(Some(Box::new(ByAutograd::new(Arc::new(self.clone()), input, parameters))));
        }
        Ok(Some(Box::new(Pool2dGradients { pool: self.pool, side: self.size as usize, used: None })))
    }

    fn fusible(&self) -> Option<Fusible> {
        (self.pool == Pool::Maximum).then_some(Fusible::Maximum { side: self.size as usize })
    }

    fn torchscript(&self, _: &[i64]) -> String {
        let size = self.size;
        match self.pool {
            Pool::Maximum => format!("torch.max_pool2d(x, [{size}, {size}], [{size}, {size}])"),
            Pool::Average => format!("torch.avg_pool2d(x, [{size}, {size}], [{size}, {size}])"),
        }
    }

    fn onnx(&self, _: &[i64]) -> Vec<OnnxOperator> {
        let name = match self.pool {
            Pool::Maximum => "MaxPool",
            Pool::Average => "AveragePool",
        };
        let size = || Attribute::Integers(vec![self.size; 2]);
        vec![OnnxOperator { name, attributes: vec![("kernel_shape", size()), ("strides", size())] }]
    }

    fn aten(&self, _: &[i64]) -> Vec<AtenOperator> {
        let name = match self.pool {
            Pool::Maximum => "max_pool2d.default",
            Pool::Average => "avg_pool2d.default",
        };
        let size = || AtenArgument::Integers(vec![self.size; 2]);
        let arguments = vec![("kernel_size", size()), ("stride", size())];
        vec![AtenOperator { arguments, ..AtenOperator::of_values(name) }]
    }
}

#[derive(Debug)]
struct Pool2dGradients {
    pool: Pool,
    side: usize,
    /// The shape of the inputs of the last forward pass, and where the maxima come from.
    used: Option<(Vec<i64>, Vec<u8>)>,
}

impl Pool2dGradients {
    fn pooled(&self, inputs: &Tensor) -> Result<(Tensor, Vec<u8>)> {
        match self.pool {
            Pool::Maximum => pooling::max_forward(inputs, self.side),
            Pool::Average => Ok((pooling::mean_forward(inputs, self.side)?, Vec::new())),
        }
    }
}

impl LayerGradients for Pool2dGradients {
    fn infer(&self, inputs: Tensor) -> Result<Tensor> {
        Ok(self.pooled(&inputs)?.0)
    }

    fn forward(&mut self, inputs: Tensor) -> Result<Tensor> {
        let (outputs, positions) = self.pooled(&inputs)?;
        self.used = Some((inputs.size(), positions));
        Ok(outputs)
    }

    fn backward(&mut self, outputs: Tensor, _: bool) -> Result<Gradients> {
        let (shape, positions) = self.used.take().context("there was no forward pass")?;
        Ok(Gradients::of_inputs(match self.pool {
            Pool::Maximum => pooling::max_backward(&outputs, &positions, self.side, &shape)?,
            Pool::Average => pooling::mean_backward(&outputs, self.side, &shape)?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::layers;
    use tch::nn;

    #[test]
    fn squares_are_side_by_side_and_pixels_left_over_are_dropped() {
        let variables = nn::VarStore::new(tch::Device::Cpu);
        let values = Tensor::arange(15, (tch::Kind::Float, tch::Device::Cpu)).view([1, 1, 3, 5]);
        for (pool, expected) in [(Pool::Maximum, [6.0f32, 8.0]), (Pool::Average, [3.0, 5.0])] {
            let layer = parse(&["2"], pool).unwrap();
            assert_eq!(layer.output_shape(&[1, 3, 5]).unwrap(), [1, 1, 2]);
            let built = layers::append(layer, nn::seq_t(), &variables.root(), &[1, 3, 5]).unwrap();
            let outputs = nn::ModuleT::forward_t(&built, &values, true);
            assert_eq!(Vec::<f32>::try_from(outputs.view([-1])).unwrap(), expected);
        }
        let fault = parse(&["4"], Pool::Maximum).unwrap().output_shape(&[1, 3, 5]).unwrap_err();
        assert_eq!(fault.to_string(), "squares of 4 x 4 pixels do not fit into images of 3 x 5");
        for wrong in [&[][..], &["0"], &["x"], &["2", "2"]] {
            assert!(parse(wrong, Pool::Average).is_err());
        }
    }
}
