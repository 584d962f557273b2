//! Dropout (Srivastava et al., 2014), inverted: while training, each value is set to 0 with probability
//! P and the others are scaled by 1 / (1 - P); otherwise values pass unchanged.

use super::{AtenOperator, Gradients, Layer, LayerGradients, LayerKind, OnnxOperator};
use crate::kernels::has_own_code;
use crate::kernels::mask::{draw_kept, drop_values};
use anyhow::{Context, Result};
use std::sync::Arc;
use tch::{Device, Kind, Tensor};

pub(super) const KIND: LayerKind =
    LayerKind { keyword: "dropout", usage: "P", example: "dropout 0.5", parse };

#[derive(Clone, Debug)]
struct Dropout {
    rate: f64,
}

fn parse(arguments: &[&str]) -> Result<Arc<dyn Layer>, String> {
    let rule = "needs the share of values to drop, from 0 to below 1: dropout 0.2";
    match arguments {
        [rate] => match rate.parse() {
            Ok(rate) if (0.0..1.0).contains(&rate) => Ok(Arc::new(Dropout { rate })),
            _ => Err(rule.to_string()),
        },
        _ => Err(rule.to_string()),
    }
}

impl Layer for Dropout {
    fn keyword(&self) -> &'static str {
        KIND.keyword
    }

    fn type_name(&self) -> &'static str {
        "Dropout"
    }

    fn arguments(&self) -> String {
        self.rate.to_string()
    }

    fn output_shape(&self, input: &[i64]) -> Result<Vec<i64>> {
        Ok(input.to_vec())
    }

    fn apply(&self, values: &Tensor, _: &[Tensor], train: bool) -> Tensor {
        if train { dropout(values, self.rate) } else { values.shallow_clone() }
    }

    fn explicit_gradients(
        &self,
        _: &[i64],
        _: Vec<Tensor>,
        _: Device,
    ) -> Result<Option<Box<dyn LayerGradients>>> {
        Ok(Some(Box::new(DropoutGradients { rate: self.rate, used: None })))
    }

    fn torchscript(&self, _: &[i64]) -> String {
        // With its decimal point the number is a float to TorchScript.
        format!("torch.dropout(x, {:?}, self.training)", self.rate)
    }

    fn onnx(&self, _: &[i64]) -> Vec<OnnxOperator> {
        Vec::new()
    }

    fn aten(&self, _: &[i64]) -> Vec<AtenOperator> {
        Vec::new()
    }
}

#[derive(Debug)]
struct DropoutGradients {
    rate: f64,
    /// Of the last forward pass: what drops the same values again.
    used: Option<Dropped>,
}

#[derive(Debug)]
enum Dropped {
    /// 1 for each value that was kept, 0 for the others.
    Kept(Vec<u8>),
    /// On other devices than a CPU: libtorch's mask.
    Mask(Tensor),
}

impl LayerGradients for DropoutGradients {
    fn is_random(&self) -> bool {
        true
    }

    fn infer(&self, inputs: Tensor) -> Result<Tensor> {
        Ok(inputs)
    }

    fn forward(&mut self, inputs: Tensor) -> Result<Tensor> {
        if !has_own_code(inputs.device()) {
            let (outputs, mask) = inputs.f_native_dropout(self.rate, true)?;
            self.used = Some(Dropped::Mask(mask));
            return Ok(outputs);
        }
        let kept = draw_kept(inputs.numel(), self.rate, mask_seed());
        // A copy, because other layers may have kept these values.
        let mut outputs = inputs.copy();
        drop_values(&mut outputs, self.rate, &kept)?;
        self.used = Some(Dropped::Kept(kept));
        Ok(outputs)
    }

    fn backward(&mut self, mut outputs: Tensor, _: bool) -> Result<Gradients> {
        match self.used.take().context("there was no forward pass")? {
            Dropped::Mask(mask) => {
                outputs = Tensor::f_native_dropout_backward(&outputs, &mask, 1.0 / (1.0 - self.rate))?;
            }
            Dropped::Kept(kept) => drop_values(&mut outputs, self.rate, &kept)?,
        }
        Ok(Gradients::of_inputs(outputs))
    }
}

/// Dropout that libtorch can differentiate: on a CPU with a mask of ours.
fn dropout(values: &Tensor, rate: f64) -> Tensor {
    if !has_own_code(values.device()) || values.kind() != Kind::Float {
        return values.dropout(rate, true);
    }
    let mut mask = Tensor::ones(values.size(), (Kind::Float, Device::Cpu));
    match drop_values(&mut mask, rate, &draw_kept(values.numel(), rate, mask_seed())) {
        Ok(()) => values * mask,
        Err(_) => values.dropout(rate, true),
    }
}

/// A number from libtorch's generator, so that a mask follows from the seed that a step sets, and every
/// layer and step has its own.
fn mask_seed() -> u64 {
    Tensor::randint(i64::MAX, [1], (Kind::Int64, Device::Cpu)).int64_value(&[0]) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_pass_or_are_dropped_forwards_and_backwards_alike() {
        let mut layer = DropoutGradients { rate: 0.3, used: None };
        for (kind, exact) in [(Kind::Float, 1e-7), (Kind::BFloat16, 4e-3)] {
            let values = Tensor::arange(5_000, (Kind::Float, Device::Cpu)).to_kind(kind) + 1.0;
            let outputs = layer.forward(values.shallow_clone()).unwrap();
            let gradients = layer.backward(values.ones_like(), true).unwrap().inputs.unwrap();
            let ratio = (&outputs.to_kind(Kind::Float) / values.to_kind(Kind::Float)).view([-1]);
            let ratios: Vec<f32> = Vec::try_from(ratio).unwrap();
            let gradients: Vec<f32> = Vec::try_from(gradients.to_kind(Kind::Float)).unwrap();
            for (ratio, gradient) in ratios.into_iter().zip(gradients) {
                let expected = if gradient == 0.0 { 0.0 } else { 1.0 / 0.7 };
                assert!((ratio - expected).abs() <= exact * 1.5, "{kind:?}: {ratio}");
                assert!((gradient - expected).abs() <= exact * 1.5, "{kind:?}: {gradient}");
            }
        }
        assert!(layer.backward(Tensor::ones([1], (Kind::Float, Device::Cpu)), true).is_err());
    }
}
