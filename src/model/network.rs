//! A model with its weights, ready to be trained and used.

use super::{Backpropagation, ExplicitGradients, Model};
use crate::kernels::has_own_code;
use anyhow::{Result, bail, ensure};
use tch::nn::{ModuleT, SequentialT, VarStore};
use tch::{Device, Kind, Tensor};

/// A built [`Model`]: the specification, its variables, the modules over them, and where every layer has
/// them, gradients of its own.
///
/// ```
/// use fitch::model::{Layers, Model, Network};
/// use tch::{Device, Kind, Tensor, nn::ModuleT};
///
/// # fn main() -> anyhow::Result<()> {
/// let model = Model::classifier(&[28, 28], Layers::parse("dense 512, relu, dropout 0.2")?, 10)?;
/// let network = Network::new(model, Device::Cpu)?;
/// let images = Tensor::zeros([3, 28, 28], (Kind::Float, Device::Cpu));
/// assert_eq!(network.forward_t(&images, false).size(), [3, 10]);
/// assert_eq!(network.variables().variables()["dense_1.weight"].size(), [512, 784]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Network {
    model: Model,
    variables: VarStore,
    modules: SequentialT,
    precision: Kind,
}

impl Network {
    /// Builds a model on a device, in float32. Its weights are drawn from libtorch's random state
    /// ([`tch::manual_seed`]) and have the names that [`Model::build`] gives.
    ///
    /// # Errors
    /// Too little memory for the parameters.
    pub fn new(model: Model, device: Device) -> Result<Network> {
        let variables = VarStore::new(device);
        let modules = model.build(&variables.root())?;
        Ok(Network { model, variables, modules, precision: Kind::Float })
    }

    /// Lets training compute in float32 or bfloat16 ([`Kind::BFloat16`]). Weights and evaluation stay in
    /// float32.
    ///
    /// # Errors
    /// Another kind; bfloat16 with a layer that cannot compute in it on this device.
    pub fn with_precision(self, precision: Kind) -> Result<Network> {
        match precision {
            Kind::Float => {}
            Kind::BFloat16 => ensure!(
                self.model.explicit_gradients(&self.variables, precision)?.is_some(),
                "convolutions in bfloat16 need a CPU with AVX2 and FMA, or a GPU"
            ),
            other => bail!("training computes in float32 or bfloat16, not in {other:?}"),
        }
        Ok(Network { precision, ..self })
    }

    /// The specification.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The variables.
    pub fn variables(&self) -> &VarStore {
        &self.variables
    }

    /// The variables, to load or freeze them.
    pub fn variables_mut(&mut self) -> &mut VarStore {
        &mut self.variables
    }

    /// The means and deviations of the inputs, which do not change in training, if the first layer
    /// standardises them.
    pub fn standardization(&self) -> Option<[Tensor; 2]> {
        let first = self.model.layers.first().filter(|first| first.layer.keyword() == "standardize")?;
        let variables = self.variables.variables();
        let variable = |name| Some(variables.get(&format!("{}.{name}", first.name))?.shallow_clone());
        Some([variable("mean")?, variable("deviation")?])
    }

    /// The type that training computes in, float32 or bfloat16.
    pub fn precision(&self) -> Kind {
        self.precision
    }

    /// Fresh gradients of the network's own over its variables, in its precision: faster than autograd on a
    /// CPU. None if a layer leaves its gradients to autograd, as convolutions do on a GPU.
    ///
    /// # Errors
    /// Variables that were changed to another kind or shape.
    pub fn backpropagation(&self) -> Result<Option<Box<dyn Backpropagation>>> {
        for (name, variable) in self.variables.variables() {
            let kind = variable.kind();
            ensure!(kind == Kind::Float, "{name} is {kind:?}; a network is trained in float32 variables");
        }
        let gradients = self.model.explicit_gradients(&self.variables, self.precision)?;
        Ok(gradients.map(|gradients| Box::new(gradients) as Box<dyn Backpropagation>))
    }

    /// The logits [b, classes] of samples [b, ...], both float32, outside of training. Those of wide layers are
    /// computed some samples at a time.
    ///
    /// # Errors
    /// Samples of another shape, or a fault of the device.
    pub fn logits(&self, inputs: &Tensor) -> Result<Tensor> {
        let inference = self.inference(inputs);
        let forward = |inputs: &Tensor| match &inference {
            Some(layers) => layers.infer(inputs),
            None => Ok(self.modules.forward_t(inputs, false)),
        };
        in_parts(inputs, self.model.samples_at_once(inference.is_some()), forward)
    }

    /// What computes outputs outside of training: the layers' own code, if the variables are as they were made
    /// and autograd records nothing.
    fn inference(&self, inputs: &Tensor) -> Option<ExplicitGradients> {
        let mut tensors = self.variables.variables().into_values().chain([inputs.shallow_clone()]);
        if !has_own_code(self.variables.device())
            || tensors.any(|tensor| tensor.kind() != Kind::Float || is_recorded(&tensor))
        {
            return None;
        }
        self.model.explicit_gradients(&self.variables, Kind::Float).ok().flatten()
    }
}

/// The outputs for samples [n, ...], computed from at most `at_once` of them at a time.
pub(crate) fn in_parts(
    inputs: &Tensor,
    at_once: i64,
    forward: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let count = inputs.size().first().copied().unwrap_or(0);
    if count <= at_once {
        return forward(inputs);
    }
    let starts = (0..count).step_by(at_once as usize);
    let parts = starts.map(|start| forward(&inputs.f_narrow(0, start, at_once.min(count - start))?));
    Ok(Tensor::f_cat(&parts.collect::<Result<Vec<_>>>()?, 0)?)
}

/// Whether autograd records what is computed from a tensor now.
fn is_recorded(tensor: &Tensor) -> bool {
    tensor.requires_grad() && (tensor.narrow(0, 0, 0) + 1).requires_grad()
}

impl ModuleT for Network {
    /// The logits [b, classes] in float32 of samples [b, ...] in float32; outside of training those of
    /// [`Network::logits`].
    ///
    /// # Panics
    /// Where that fails, as tch's own modules do.
    fn forward_t(&self, inputs: &Tensor, train: bool) -> Tensor {
        if train {
            return self.modules.forward_t(inputs, train);
        }
        self.logits(inputs).unwrap_or_else(|fault| panic!("{fault:#}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::without_own_code;
    use crate::model::Layers;

    fn network(layers: &str) -> Network {
        let model = Model::classifier(&[4, 4], Layers::parse(layers).unwrap(), 3).unwrap();
        Network::new(model, Device::Cpu).unwrap()
    }

    #[test]
    fn its_gradients_are_over_its_variables() {
        let network = network("dense 5, relu");
        let mut gradients = network.backpropagation().unwrap().unwrap();
        let inputs = Tensor::rand([2, 4, 4], (Kind::Float, Device::Cpu));
        let outputs = gradients.forward(&inputs).unwrap();
        assert!(outputs.allclose(&network.forward_t(&inputs, true), 1e-5, 1e-6, false));
        let names: Vec<&str> =
            gradients.backward(outputs).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["dense_2.weight", "dense_2.bias", "dense_1.weight", "dense_1.bias"]);
    }

    #[test]
    fn convolutions_are_left_to_autograd_on_a_gpu_but_for_bfloat16() {
        let network = network("conv2d 2 3, relu");
        assert!(network.backpropagation().unwrap().is_some());
        without_own_code(|| {
            assert!(network.backpropagation().unwrap().is_none());
            assert!(network.with_precision(Kind::BFloat16).unwrap().backpropagation().unwrap().is_some());
        });
    }

    #[test]
    fn autograd_records_what_is_computed_outside_of_training_too() {
        let network = network("conv2d 2 3, relu");
        let inputs = Tensor::rand([2, 4, 4], (Kind::Float, Device::Cpu));
        assert!(network.forward_t(&inputs, false).requires_grad());
        assert!(network.inference(&inputs).is_none());
        let _no_gradient = tch::no_grad_guard();
        assert!(!network.forward_t(&inputs, false).requires_grad());
        assert!(network.inference(&inputs).is_some());
    }

    #[test]
    fn wide_layers_are_computed_some_samples_at_a_time() {
        let model =
            Model::classifier(&[64, 64], Layers::parse("conv2d 64 1, avgpool2d 32").unwrap(), 3).unwrap();
        assert_eq!([false, true].map(|by_own_code| model.samples_at_once(by_own_code)), [128, 16]);
        let network = Network::new(model, Device::Cpu).unwrap();
        let inputs = Tensor::rand([300, 64, 64], (Kind::Float, Device::Cpu));
        let all = tch::no_grad(|| network.forward_t(&inputs, false));
        let last = tch::no_grad(|| network.forward_t(&inputs.narrow(0, 290, 10), false));
        assert_eq!(all.size(), [300, 3]);
        assert!(all.narrow(0, 290, 10).allclose(&last, 1e-5, 1e-6, false));
    }

    #[test]
    fn precision_is_float32_or_bfloat16() {
        assert_eq!(network("relu").precision(), Kind::Float);
        let half = network("relu").with_precision(Kind::BFloat16).unwrap();
        assert!(half.backpropagation().unwrap().is_some());
        assert!(network("relu").with_precision(Kind::Half).is_err());
    }

    #[test]
    fn variables_of_another_kind_are_an_error() {
        let mut network = network("relu");
        network.variables_mut().double();
        let fault = network.backpropagation().unwrap_err().to_string();
        assert!(fault.contains("is Double"), "{fault}");
    }
}
