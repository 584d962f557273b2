//! Gradients computed layer by layer, without autograd: with faster matrix products on a CPU, and in bfloat16
//! if asked for.

use super::layers::{Gradients, LayerGradients};
use super::{Backpropagation, Model};
use anyhow::{Context, Result};
use tch::nn::VarStore;
use tch::{Kind, Tensor};

/// The layers of a built [`Model`] up to the logits, over the variables that it was built with.
#[derive(Debug)]
pub struct ExplicitGradients {
    /// Each with the names of its parameters in the variable store.
    layers: Vec<(Box<dyn LayerGradients>, Vec<String>)>,
    kind: Kind,
}

impl Model {
    /// Gradients over the variables that [`Model::build`] made at the root of a store. Layers compute in
    /// `kind`, float32 or bfloat16; variables are float32. None if a layer leaves its gradients to autograd.
    ///
    /// # Errors
    /// A variable that is missing or of another shape.
    pub fn explicit_gradients(&self, variables: &VarStore, kind: Kind) -> Result<Option<ExplicitGradients>> {
        let variables = variables.variables();
        let mut layers = Vec::new();
        for placed in &self.layers {
            let (names, parameters) = placed.variables(&variables)?.into_iter().unzip();
            if !placed.layer.has_gradients() {
                return Ok(None);
            }
            let gradients =
                placed.layer.explicit_gradients(parameters).with_context(|| placed.name.clone())?;
            layers.push((gradients, names));
        }
        Ok(Some(ExplicitGradients { layers, kind }))
    }
}

impl Backpropagation for ExplicitGradients {
    fn forward(&mut self, inputs: &Tensor) -> Result<Tensor> {
        let _no_gradient = tch::no_grad_guard();
        // Layers go through the values in the order of memory.
        let mut values = inputs.f_flatten(1, -1)?.f_contiguous()?;
        for (layer, _) in &mut self.layers {
            let kind = if layer.takes_float32() { Kind::Float } else { self.kind };
            values = layer.forward(values.f_to_kind(kind)?)?;
        }
        Ok(values.f_to_kind(Kind::Float)?)
    }

    fn backward(&mut self, outputs: Tensor) -> Result<Vec<(&str, Tensor)>> {
        let _no_gradient = tch::no_grad_guard();
        let mut gradients = Vec::new();
        let mut of_outputs = outputs.f_to_kind(self.kind)?;
        for (index, (layer, names)) in self.layers.iter_mut().enumerate().rev() {
            let Gradients { inputs, parameters } = layer.backward(of_outputs, index > 0)?;
            for (name, gradient) in names.iter().zip(parameters) {
                gradients.push((name.as_str(), gradient));
            }
            // The first layer leaves these out.
            of_outputs = inputs.unwrap_or_else(Tensor::new);
        }
        Ok(gradients)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Layers, layers};
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

    /// The largest difference of two tensors, as a share of the largest value.
    fn distance(a: &Tensor, b: &Tensor) -> f64 {
        let max = |tensor: Tensor| f64::try_from(tensor.abs().max().to_kind(Kind::Double)).unwrap();
        max(a - b) / max(b.shallow_clone())
    }

    #[test]
    fn gradients_of_every_layer_kind_are_those_of_autograd() {
        for kind in layers::KINDS {
            let parsed = Layers::parse(kind.example).unwrap();
            if !parsed.0[0].has_gradients() {
                let model = Model::classifier(&[3, 3], parsed, 4).unwrap();
                let variables = VarStore::new(Device::Cpu);
                model.build(&variables.root()).unwrap();
                let gradients = model.explicit_gradients(&variables, Kind::Float).unwrap();
                assert!(gradients.is_none(), "{}", kind.keyword);
                continue;
            }
            // Dropout draws from the generator that all tests share: with a rate of 0 it drops nothing.
            let text = kind.example.replace("0.5", "0");
            let hidden = Layers::parse(&format!("dense 8, tanh, {text}, dense 7, {text}")).unwrap();
            let model = Model::classifier(&[3, 3], hidden, 4).unwrap();
            let variables = VarStore::new(Device::Cpu);
            let network = model.build(&variables.root()).unwrap();
            settle(&variables);
            for (computed_in, tolerance) in [(Kind::Float, 1e-5), (Kind::BFloat16, 0.05)] {
                let mut gradients_of = model.explicit_gradients(&variables, computed_in).unwrap().unwrap();
                let (outputs, gradients) = by_autograd(&network, &variables);
                let (our_outputs, our_gradients) = by_ourselves(&mut gradients_of);
                assert!(distance(&our_outputs, &outputs) < tolerance, "{text} in {computed_in:?}");
                assert!(gradients.keys().eq(our_gradients.keys()), "{text}");
                for (name, gradient) in gradients {
                    let distance = distance(&our_gradients[&name], &gradient);
                    assert!(distance < tolerance, "{text} in {computed_in:?}: {name} is off by {distance}");
                }
            }
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
        let distance =
            distance(&gradients_of.forward(&transposed).unwrap(), &network.forward_t(&transposed, true));
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
