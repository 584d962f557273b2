//! Outputs and gradients computed layer by layer, without autograd: faster on a CPU, and in bfloat16 if asked
//! for.

use super::layers::{ByAutograd, Gradients, LayerGradients, are_frozen};
use super::{Backpropagation, Model};
use crate::kernels::has_own_code;
use anyhow::{Context, Result, ensure};
use tch::nn::VarStore;
use tch::{Kind, Tensor};

/// The layers of a built [`Model`] up to the logits, over the variables that it was built with.
#[derive(Debug)]
pub struct ExplicitGradients {
    layers: Vec<BuiltLayer>,
    /// The index of the first layer that has a parameter to move: nothing before it needs gradients.
    first_trained: usize,
    /// Of a sample: channels, height and width of images.
    input: Vec<i64>,
    kind: Kind,
}

/// A layer over its variables.
#[derive(Debug)]
struct BuiltLayer {
    layer: Box<dyn LayerGradients>,
    /// The names of its parameters in the variable store, and whether they are moved.
    parameters: Vec<(String, bool)>,
}

impl Model {
    /// Gradients over the variables that [`Model::build`] made at the root of a store. Layers compute in
    /// `kind`, float32 or bfloat16; variables are float32.
    ///
    /// Variables that do not require gradients are frozen: there are none for them, and the first frozen layers
    /// compute as in inference.
    ///
    /// None if a layer has no code of its own for the variables' device: in float32, autograd is faster for the
    /// whole network then; bfloat16 is possible on GPUs.
    ///
    /// # Errors
    /// A variable that is missing or of another shape.
    pub fn explicit_gradients(&self, variables: &VarStore, kind: Kind) -> Result<Option<ExplicitGradients>> {
        let device = variables.device();
        let is_on_gpu = !has_own_code(device);
        let variables = variables.variables();
        let mut layers: Vec<BuiltLayer> = Vec::new();
        for placed in &self.layers {
            let (layer, input) = (&placed.layer, &placed.input);
            if let Some(next) = layer.fusible()
                && let Some(last) = layers.last_mut()
                && last.layer.fuse(next)
            {
                continue;
            }
            let (names, parameters): (Vec<_>, Vec<Tensor>) =
                placed.variables(&variables)?.into_iter().unzip();
            let copies = parameters.iter().map(Tensor::shallow_clone).collect();
            let mut gradients =
                match layer.explicit_gradients(input, copies, device).with_context(|| placed.name.clone())? {
                    Some(gradients) => gradients,
                    None if is_on_gpu && kind != Kind::Float => {
                        Box::new(ByAutograd::new(layer.clone(), input, parameters))
                    }
                    None => return Ok(None),
                };
            let built: Vec<&Tensor> = names.iter().map(|name| &variables[name]).collect();
            if are_frozen(&placed.parameters(), built.iter().copied()) {
                gradients.freeze();
            }
            let is_moved: Vec<bool> = built.iter().map(|variable| variable.requires_grad()).collect();
            layers
                .push(BuiltLayer { layer: gradients, parameters: names.into_iter().zip(is_moved).collect() });
        }
        let is_trained = |built: &BuiltLayer| built.parameters.iter().any(|(_, is_moved)| *is_moved);
        let first_trained = layers.iter().position(is_trained).unwrap_or(layers.len());
        Ok(Some(ExplicitGradients { layers, first_trained, input: self.first_shape().to_vec(), kind }))
    }
}

impl ExplicitGradients {
    /// Inputs [b, ...] in the shape and the order of memory of the first layer.
    fn arranged(&self, inputs: &Tensor) -> Result<Tensor> {
        let (shape, values) = (inputs.size(), self.input.iter().product::<i64>());
        let samples = *shape.first().context("there is no dimension of samples")?;
        ensure!(
            inputs.numel() as i64 == samples * values,
            "{samples} samples of the shape {:?} do not have {values} values each",
            &shape[1..]
        );
        let inputs = inputs.f_reshape([&[samples], &self.input[..]].concat())?;
        let inputs = if self.input.len() == 3 { inputs.f_permute([0, 2, 3, 1])? } else { inputs };
        Ok(inputs.f_contiguous()?)
    }

    /// The outputs [b, ...] for inputs [b, ...] as they are in inference, in float32.
    ///
    /// # Errors
    /// Inputs of the wrong shape, or a fault of the device.
    pub fn infer(&self, inputs: &Tensor) -> Result<Tensor> {
        let _no_gradient = tch::no_grad_guard();
        self.layers.iter().try_fold(self.arranged(inputs)?, |values, built| built.layer.infer(values))
    }
}

impl Backpropagation for ExplicitGradients {
    fn forward(&mut self, inputs: &Tensor) -> Result<Tensor> {
        let _no_gradient = tch::no_grad_guard();
        let mut values = self.arranged(inputs)?;
        for (index, BuiltLayer { layer, .. }) in self.layers.iter_mut().enumerate() {
            let kind = if layer.takes_float32() { Kind::Float } else { self.kind };
            values = values.f_to_kind(kind)?;
            // Without gradients, there is nothing to keep for them.
            let is_inference = index < self.first_trained && !layer.is_random();
            values = if is_inference { layer.infer(values)? } else { layer.forward(values)? };
        }
        Ok(values.f_to_kind(Kind::Float)?)
    }

    fn backward(&mut self, outputs: Tensor) -> Result<Vec<(&str, Tensor)>> {
        let _no_gradient = tch::no_grad_guard();
        let mut gradients = Vec::new();
        let mut of_outputs = outputs.f_to_kind(self.kind)?;
        for (index, built) in self.layers.iter_mut().enumerate().skip(self.first_trained).rev() {
            let Gradients { inputs, parameters } =
                built.layer.backward(of_outputs, index > self.first_trained)?;
            let named = built.parameters.iter().zip(parameters);
            let moved = named.filter(|((_, is_moved), _)| *is_moved);
            gradients.extend(moved.map(|((name, _), gradient)| (name.as_str(), gradient)));
            // The first layer leaves these out.
            of_outputs = inputs.unwrap_or_else(Tensor::new);
        }
        Ok(gradients)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::without_own_code;
    use crate::model::Layers;
    use crate::model::layers::{self, InputKind};
    use std::collections::BTreeMap;
    use tch::Device;
    use tch::nn::ModuleT;

    /// Outputs and gradients by name, of a network and a batch.
    type Outcome = (Tensor, BTreeMap<String, Tensor>);

    fn batch() -> (Tensor, Tensor) {
        let inputs = (Tensor::arange(40 * 9, (Kind::Float, Device::Cpu)) * 0.618).frac().view([40, 3, 3]);
        (inputs, Tensor::arange(40, (Kind::Int64, Device::Cpu)).remainder(4))
    }

    /// Gives the variables the same values in every run: other tests draw from libtorch's random state too,
    /// and in bfloat16 some weights put many values on the wrong side of relu.
    fn settle(variables: &VarStore) {
        let _no_gradient = tch::no_grad_guard();
        for (_, mut variable) in variables.variables() {
            if !variable.requires_grad() {
                let _ = variable.fill_(0.75);
                continue;
            }
            let numbers = Tensor::arange(variable.numel() as i64, (Kind::Float, Device::Cpu));
            variable.copy_(&((numbers * 0.618034).frac() - 0.5).view_as(&variable));
        }
    }

    fn by_autograd(network: &dyn ModuleT, variables: &VarStore) -> Outcome {
        let (inputs, targets) = batch();
        let outputs = network.forward_t(&inputs, true);
        let trained = variables.variables().into_iter().filter(|(_, variable)| variable.requires_grad());
        let (names, values): (Vec<_>, Vec<_>) = trained.unzip();
        let loss = outputs.cross_entropy_for_logits(&targets);
        let gradients = Tensor::run_backward(&[loss], &values, false, false);
        (outputs.detach(), names.into_iter().zip(gradients).collect())
    }

    fn by_ourselves(network: &mut ExplicitGradients) -> Outcome {
        let (inputs, targets) = batch();
        let outputs = network.forward(&inputs).unwrap().set_requires_grad(true);
        assert_eq!(outputs.kind(), Kind::Float);
        let loss = outputs.cross_entropy_for_logits(&targets);
        let [gradient] = Tensor::run_backward(&[loss], &[&outputs], false, false).try_into().unwrap();
        let gradients = network.backward(gradient).unwrap().into_iter();
        (outputs.detach(), gradients.map(|(name, gradient)| (name.to_string(), gradient)).collect())
    }

    /// The largest difference of two tensors, as a share of the largest value. Where all gradients cancel out,
    /// as those of biases before a normalisation do, only rounding is left, which in bfloat16 differs from processor
    /// to processor.
    fn distance(a: &Tensor, b: &Tensor, computed_in: Kind) -> f64 {
        let max = |tensor: Tensor| f64::try_from(tensor.abs().max().to_kind(Kind::Double)).unwrap();
        let least = if computed_in == Kind::BFloat16 { 0.03 } else { 0.01 };
        max(a - b) / max(b.shallow_clone()).max(least)
    }

    /// Compares outputs and gradients of a network with those of autograd, in that type.
    fn compare(hidden: &str, computed_in: Kind, tolerance: f64) {
        compare_frozen(hidden, &[], computed_in, tolerance);
    }

    /// The same with variables frozen whose names have one of the parts.
    fn compare_frozen(hidden: &str, frozen: &[&str], computed_in: Kind, tolerance: f64) {
        // Dropout draws from the generator that all tests share: with a rate of 0 it drops nothing.
        let hidden = hidden.replace("0.5", "0");
        let model = Model::classifier(&[3, 3], Layers::parse(&hidden).unwrap(), 4).unwrap();
        let variables = VarStore::new(Device::Cpu);
        let network = model.build(&variables.root()).unwrap();
        settle(&variables);
        for (name, variable) in variables.variables() {
            let _ = variable.set_requires_grad(
                variable.requires_grad() && !frozen.iter().any(|part| name.contains(part)),
            );
        }
        let kept = |name: &str| name.contains("running").then(|| variables.variables()[name].copy());
        let running: Vec<String> =
            variables.variables().into_keys().filter(|name| kept(name).is_some()).collect();
        let before: Vec<Tensor> = running.iter().filter_map(|name| kept(name)).collect();
        let (outputs, gradients) = by_autograd(&network, &variables);
        let moved: Vec<Tensor> = running.iter().filter_map(|name| kept(name)).collect();
        for (name, before) in running.iter().zip(before) {
            tch::no_grad(|| variables.variables()[name].shallow_clone().copy_(&before));
        }
        let mut gradients_of = model.explicit_gradients(&variables, computed_in).unwrap().unwrap();
        let (our_outputs, our_gradients) = by_ourselves(&mut gradients_of);
        assert!(distance(&our_outputs, &outputs, computed_in) < tolerance, "{hidden} in {computed_in:?}");
        assert!(gradients.keys().eq(our_gradients.keys()), "{hidden}");
        for (name, gradient) in gradients {
            let distance = distance(&our_gradients[&name], &gradient, computed_in);
            assert!(distance < tolerance, "{hidden} in {computed_in:?}: {name} is off by {distance}");
        }
        for (name, moved) in running.iter().zip(moved) {
            let distance = distance(&variables.variables()[name], &moved, computed_in);
            assert!(distance < tolerance, "{hidden} in {computed_in:?}: {name} is off by {distance}");
        }
        if let Some(layers) = model.explicit_gradients(&variables, Kind::Float).unwrap() {
            let inputs = batch().0;
            let expected = tch::no_grad(|| network.forward_t(&inputs, false));
            let distance = distance(&layers.infer(&inputs).unwrap(), &expected, Kind::Float);
            assert!(distance < 1e-5, "{hidden}: in inference off by {distance}");
        }
    }

    #[test]
    fn gradients_of_every_layer_kind_are_those_of_autograd() {
        for kind in layers::KINDS {
            let layer = kind.example;
            let on_rows = format!("dense 8, tanh, {layer}, dense 7, {layer}");
            let on_images = format!("conv2d 5 2, {layer}, conv2d 7 3 padding same, {layer}");
            let takes = Layers::parse(layer).unwrap().0[0].input_kind();
            for (hidden, input_kind) in [(on_rows, InputKind::Images), (on_images, InputKind::Rows)] {
                if takes != input_kind
                    && Model::classifier(&[3, 3], Layers::parse(&hidden).unwrap(), 4).is_ok()
                {
                    compare(&hidden, Kind::Float, 2e-5);
                    compare(&hidden, Kind::BFloat16, 0.06);
                    // As on a GPU.
                    without_own_code(|| compare(&hidden, Kind::BFloat16, 0.06));
                }
            }
        }
    }

    #[test]
    fn layers_that_are_computed_at_once_give_the_same() {
        for hidden in [
            "conv2d 5 2, relu, maxpool2d 2, relu, dense 6",
            "conv2d 5 2, maxpool2d 2, relu",
            "conv2d 5 2, gelu, relu, maxpool2d 2, maxpool2d 1",
            "conv2d 5 1, maxpool2d 2, maxpool2d 1, conv2d 3 1, relu",
            "conv2d 4 2, batchnorm, relu, maxpool2d 2",
            "conv2d 6 1 stride 2, relu, avgpool2d 2",
            "dense 6, batchnorm, relu",
            "conv2d 4 2, layernorm, maxpool2d 1, gelu, layernorm",
        ] {
            compare(hidden, Kind::Float, 2e-5);
            // Rounding puts some values that are normalised around 0 on the other side of relu.
            if !hidden.contains("norm, relu") {
                compare(hidden, Kind::BFloat16, 0.06);
            }
        }
    }

    #[test]
    fn what_is_frozen_has_no_gradients_and_those_of_others_stay() {
        let on_images = "conv2d 5 2, batchnorm, relu, dropout 0.5, conv2d 6 2, layernorm, dense 7, tanh";
        let on_rows = "dense 8, batchnorm, relu, dense 7, batchnorm, tanh";
        for (hidden, frozen) in [
            (on_images, &["conv2d_1", "batchnorm_1"][..]),
            (on_images, &["batchnorm", "layernorm"]),
            (on_images, &["conv2d", "norm", "dense_1"]),
            (on_images, &["bias"]),
            (on_images, &["conv2d_2", "batchnorm_1.weight"]),
            (on_rows, &["batchnorm_1", "dense_2"]),
            (on_rows, &["dense_3", "batchnorm_2"]),
        ] {
            compare_frozen(hidden, frozen, Kind::Float, 2e-5);
        }
        for (hidden, frozen) in [
            ("conv2d 5 2, batchnorm, conv2d 6 2, dense 7, tanh", &["conv2d_1", "batchnorm"][..]),
            ("conv2d 5 2, batchnorm, conv2d 6 2", &["batchnorm", "conv2d_2"]),
            ("dense 8, batchnorm, dense 7, tanh", &["dense_1", "dense_2"]),
        ] {
            compare_frozen(hidden, frozen, Kind::BFloat16, 0.06);
            // As on a GPU.
            without_own_code(|| compare_frozen(hidden, frozen, Kind::BFloat16, 0.06));
        }
    }

    #[test]
    fn inputs_may_lie_in_memory_as_they_like() {
        let hidden = Layers::parse("dropout 0, relu").unwrap();
        let model = Model::classifier(&[40], hidden, 4).unwrap();
        let variables = VarStore::new(Device::Cpu);
        let network = model.build(&variables.root()).unwrap();
        let mut gradients_of = model.explicit_gradients(&variables, Kind::Float).unwrap().unwrap();
        let transposed = batch().0.view([40, 9]).tr();
        let distance = distance(
            &gradients_of.forward(&transposed).unwrap(),
            &network.forward_t(&transposed, true),
            Kind::Float,
        );
        assert!(distance < 1e-5, "{distance}");
    }

    #[test]
    fn a_variable_that_is_missing_and_a_second_backward_pass_are_errors() {
        let model = Model::classifier(&[3, 3], Layers::default(), 4).unwrap();
        let variables = VarStore::new(Device::Cpu);
        let fault = model.explicit_gradients(&variables, Kind::Float).unwrap_err().to_string();
        assert!(fault.contains("dense_1.weight"), "{fault}");

        model.build(&variables.root()).unwrap();
        let mut network = model.explicit_gradients(&variables, Kind::Float).unwrap().unwrap();
        let _ = by_ourselves(&mut network);
        let gradient = Tensor::ones([40, 4], (Kind::Float, Device::Cpu));
        assert!(network.backward(gradient).is_err());
    }
}
