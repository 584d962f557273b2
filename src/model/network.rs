//! A model with its weights, ready to be trained and used.

use super::script::ScriptNetwork;
use super::{Backpropagation, ExplicitGradients, Model, Normalization, Outline, PlacedLayer};
use crate::files::write_whole;
use crate::kernels::autocast::in_bfloat16;
use crate::kernels::has_own_code;
use crate::kernels::script::file::digest;
use crate::text::counted;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tch::nn::{ModuleT, SequentialT, VarStore};
use tch::{Device, Kind, TchError, Tensor};

/// A built [`Model`], or a network that another program made: the variables, what computes over them, and where
/// every layer has them, gradients of its own.
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
    body: Body,
    variables: VarStore,
    precision: Kind,
}

/// What computes.
#[derive(Debug)]
pub(crate) enum Body {
    Layers { model: Model, modules: SequentialT },
    Script(Box<ScriptNetwork>),
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
        hold(model.frozen(), &variables);
        Ok(Network { body: Body::Layers { model, modules }, variables, precision: Kind::Float })
    }

    /// A network that another program made, with the weights that it has: a TorchScript module whose `forward`
    /// takes float32 [n, channels, height, width] and gives logits [n, classes]. It is tried with samples of
    /// `sample_shape`, as [`Model::classifier`] takes it: grey images [height, width] are given to all channels
    /// of a network that takes three. Parameters and buffers become variables under the names that PyTorch
    /// gives them, `layer1.0.conv1.weight`.
    ///
    /// A TorchScript file is code, which computes as soon as it is loaded: load only files that you trust. For
    /// this process, libtorch's profiling executor is switched off: once it knows a network it computes other
    /// bits.
    ///
    /// # Errors
    /// A file that is not TorchScript, or that needs operators which this libtorch does not have; a
    /// [`ScriptFault`](super::ScriptFault) says what does not fit.
    pub fn scripted(path: &Path, sample_shape: &[i64], classes: usize, device: Device) -> Result<Network> {
        let shown = || path.display().to_string();
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let variables = VarStore::new(device);
        let script = ScriptNetwork::load(bytes, sample_shape, classes, &variables).with_context(shown)?;
        Ok(Network { body: Body::Script(Box::new(script)), variables, precision: Kind::Float })
    }

    /// Freezes the parameters that patterns name, as [`Model::freeze`] takes them: an optimizer that is made
    /// afterwards does not move them, and normalisation layers that are frozen as a whole normalise in training as
    /// they do otherwise.
    ///
    /// ```
    /// use fitch::model::{Layers, Model, Network};
    ///
    /// # fn main() -> anyhow::Result<()> {
    /// let model = Model::classifier(&[8, 8], Layers::parse("conv2d 4 3, relu, dense 16, relu")?, 10)?;
    /// let mut network = Network::new(model, tch::Device::Cpu)?;
    /// network.freeze("conv2d_*, dense_1.bias")?;
    /// assert!(!network.variables().variables()["conv2d_1.weight"].requires_grad());
    /// assert!(network.variables().variables()["dense_1.weight"].requires_grad());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn freeze(&mut self, patterns: &str) -> Result<()> {
        match &mut self.body {
            Body::Layers { model, .. } => {
                model.freeze(patterns)?;
                hold(model.frozen(), &self.variables);
                Ok(())
            }
            Body::Script(script) => script.freeze(patterns, &mut self.variables),
        }
    }

    /// The name of a variable that holds a value which is not finite, if there is one. This waits for the device.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn infinite(&self) -> Result<Option<String>> {
        let variables: BTreeMap<String, Tensor> = self.variables.variables().into_iter().collect();
        for (name, value) in variables {
            if !bool::try_from(value.f_isfinite()?.f_all()?)? {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Lets training compute in float32 or bfloat16 ([`Kind::BFloat16`]). Weights and evaluation stay in
    /// float32. For networks that another program made, libtorch's autocast decides what is computed in bfloat16.
    ///
    /// # Errors
    /// Another kind; bfloat16 with a layer that cannot compute in it on this device.
    pub fn with_precision(self, precision: Kind) -> Result<Network> {
        match (precision, &self.body) {
            (Kind::Float, _) => {}
            (Kind::BFloat16, Body::Layers { model, .. }) => ensure!(
                model.explicit_gradients(&self.variables, precision)?.is_some(),
                "convolutions in bfloat16 need a CPU with AVX2 and FMA, or a GPU"
            ),
            // That libtorch can do it is found out at once.
            (Kind::BFloat16, Body::Script(_)) => in_bfloat16(self.variables.device(), || Ok(()))?,
            (other, _) => bail!("training computes in float32 or bfloat16, not in {other:?}"),
        }
        Ok(Network { precision, ..self })
    }

    /// The specification; none of a network that another program made.
    pub fn model(&self) -> Option<&Model> {
        match &self.body {
            Body::Layers { model, .. } => Some(model),
            Body::Script(_) => None,
        }
    }

    /// What computes.
    pub(crate) fn body(&self) -> &Body {
        &self.body
    }

    pub(super) fn script(&self) -> Option<&ScriptNetwork> {
        match &self.body {
            Body::Layers { .. } => None,
            Body::Script(script) => Some(script),
        }
    }

    /// The SHA-256 of the file of a network that another program made, in hexadecimal digits.
    pub fn file_digest(&self) -> Option<&str> {
        self.script().map(ScriptNetwork::digest)
    }

    /// The class of a network that another program made: `ResNet`.
    pub fn class_name(&self) -> Option<&str> {
        self.script().map(ScriptNetwork::type_name)
    }

    /// What users should know about a network that another program made.
    pub fn notes(&self) -> &[String] {
        self.script().map_or(&[], ScriptNetwork::notes)
    }

    /// What is probably wrong with a network that another program made.
    pub fn warnings(&self) -> &[String] {
        self.script().map_or(&[], ScriptNetwork::warnings)
    }

    /// Copies the file of a network that another program made, if it is still the one that was loaded.
    ///
    /// # Errors
    /// Another file by now, or one that cannot be read or written.
    pub fn copy_file(&self, from: &Path, to: &Path) -> Result<()> {
        let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
        let is_same = self.file_digest() == Some(&digest(&bytes));
        ensure!(is_same, "{} has changed since it was loaded", from.display());
        write_whole(to, &bytes)
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
        let first = self.standardizing()?;
        let variables = self.variables.variables();
        let variable = |name| Some(variables.get(&format!("{}.{name}", first.name))?.shallow_clone());
        Some([variable("mean")?, variable("deviation")?])
    }

    /// The first layer, if it standardises its inputs.
    fn standardizing(&self) -> Option<&PlacedLayer> {
        self.model()?.layers.first().filter(|first| first.layer.keyword() == "standardize")
    }

    /// Sets what [`Network::standardization`] gives: a mean and a deviation for each of its values.
    ///
    /// # Errors
    /// No such layer; another number of values.
    pub fn set_standardization(&self, mean: &[f32], deviation: &[f32]) -> Result<()> {
        let variables = self.standardization().context("the first layer does not standardise its inputs")?;
        let _no_gradient = tch::no_grad_guard();
        for (mut variable, values) in variables.into_iter().zip([mean, deviation]) {
            let needed = variable.numel();
            ensure!(values.len() == needed, "there are {} values for {needed}", values.len());
            variable.f_copy_(&Tensor::f_from_slice(values)?.f_view(variable.size().as_slice())?)?;
        }
        Ok(())
    }

    /// Whether a variable holds what [`Network::standardization`] gives, which belongs to the data.
    pub fn is_of_standardization(&self, name: &str) -> bool {
        let rest = |first: &PlacedLayer| name.strip_prefix(&first.name).map(|rest| rest.starts_with('.'));
        self.standardizing().and_then(rest).unwrap_or(false)
    }

    /// How the channels of images are normalised, if they are: by a first layer `standardize channels`, or before a
    /// network that another program made.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn normalization(&self) -> Result<Option<Normalization>> {
        if let Body::Script(script) = &self.body {
            return Ok(script.normalization().cloned());
        }
        let is_by_channel = self.standardizing().is_some_and(|first| !first.layer.arguments().is_empty());
        let Some([mean, deviation]) = self.standardization().filter(|_| is_by_channel) else {
            return Ok(None);
        };
        let values = |tensor: Tensor| Vec::<f32>::try_from(tensor.f_to_device(Device::Cpu)?.f_reshape([-1])?);
        Ok(Some(Normalization { mean: values(mean)?, deviation: values(deviation)? }))
    }

    /// Normalises the channels of images so; the layers of a [`Model`] need a first one, `standardize channels`.
    ///
    /// # Errors
    /// Another number of channels; no such layer.
    pub fn set_normalization(&mut self, normalization: Normalization) -> Result<()> {
        let channels = self.image_channels().context("the network does not take images")?;
        let given = normalization.mean.len();
        ensure!(
            given == channels && normalization.deviation.len() == channels,
            "the means are for {}, and the images have {channels}",
            counted(given, "channel")
        );
        match &mut self.body {
            Body::Script(script) => script.set_normalization(normalization),
            Body::Layers { .. } => self.set_standardization(&normalization.mean, &normalization.deviation)?,
        }
        Ok(())
    }

    /// The channels of the images that go into the first layer, if they are images: grey ones may be given to several.
    pub fn image_channels(&self) -> Option<usize> {
        let shape = match &self.body {
            Body::Layers { model, .. } => model.first_shape().to_vec(),
            Body::Script(script) => script.rows().0,
        };
        (shape.len() == 3).then(|| shape[0] as usize)
    }

    /// The shape of a sample, as it was given: height and width, channels before them, or a row of values.
    pub fn sample_shape(&self) -> &[i64] {
        match &self.body {
            Body::Layers { model, .. } => &model.sample_shape,
            Body::Script(script) => script.sample_shape(),
        }
    }

    /// The type that training computes in, float32 or bfloat16.
    pub fn precision(&self) -> Kind {
        self.precision
    }

    /// Fresh gradients of the network's own over its variables, in its precision: faster than autograd on a
    /// CPU. None if a layer leaves its gradients to autograd, as convolutions do on a GPU and networks do that
    /// another program made.
    ///
    /// # Errors
    /// Variables that were changed to another kind or shape.
    pub fn backpropagation(&self) -> Result<Option<Box<dyn Backpropagation>>> {
        let Body::Layers { model, .. } = &self.body else { return Ok(None) };
        for (name, variable) in self.variables.variables() {
            let kind = variable.kind();
            ensure!(kind == Kind::Float, "{name} is {kind:?}; a network is trained in float32 variables");
        }
        let gradients = model.explicit_gradients(&self.variables, self.precision)?;
        Ok(gradients.map(|gradients| Box::new(gradients) as Box<dyn Backpropagation>))
    }

    /// The logits [b, classes] of samples [b, ...], both float32, outside of training. Those of wide layers are
    /// computed some samples at a time.
    ///
    /// # Errors
    /// Samples of another shape, or a fault of the device.
    pub fn logits(&self, inputs: &Tensor) -> Result<Tensor> {
        match &self.body {
            Body::Layers { model, modules } => {
                let inference = self.inference(model, inputs);
                let forward = |inputs: &Tensor| match &inference {
                    Some(layers) => layers.infer(inputs),
                    None => Ok(modules.forward_t(inputs, false)),
                };
                in_parts(inputs, model.samples_at_once(inference.is_some()), forward)
            }
            Body::Script(script) => {
                let at_once = script.samples_at_once(self.variables.device());
                in_parts(inputs, at_once, |inputs| script.forward(inputs, false))
            }
        }
    }

    /// What computes outputs outside of training: the layers' own code, if the variables are as they were made
    /// and autograd records nothing.
    fn inference(&self, model: &Model, inputs: &Tensor) -> Option<ExplicitGradients> {
        let mut tensors = self.variables.variables().into_values().chain([inputs.shallow_clone()]);
        if !has_own_code(self.variables.device())
            || tensors.any(|tensor| tensor.kind() != Kind::Float || is_recorded(&tensor))
        {
            return None;
        }
        model.explicit_gradients(&self.variables, Kind::Float).ok().flatten()
    }

    fn train_forward(&self, inputs: &Tensor) -> Result<Tensor> {
        match &self.body {
            Body::Layers { modules, .. } => Ok(modules.forward_t(inputs, true)),
            Body::Script(script) if self.precision == Kind::BFloat16 => {
                let outputs = in_bfloat16(self.variables.device(), || script.forward(inputs, true))?;
                Ok(outputs.f_to_kind(Kind::Float)?)
            }
            Body::Script(script) => script.forward(inputs, true),
        }
    }
}

impl From<&Network> for Outline {
    fn from(network: &Network) -> Outline {
        match &network.body {
            Body::Layers { model, .. } => Outline::from(model),
            Body::Script(script) => {
                let (input, rows) = script.rows();
                let (parameters, trainable) = counts(&network.variables);
                Outline { input, rows, parameters, trainable }
            }
        }
    }
}

/// Lets variables require no gradients.
fn hold<'a>(names: impl Iterator<Item = &'a str>, variables: &VarStore) {
    let variables = variables.variables();
    for variable in names.filter_map(|name| variables.get(name)) {
        let _ = variable.set_requires_grad(false);
    }
}

/// The number of values in all variables, tied ones once, and of those that are trained.
fn counts(variables: &VarStore) -> (i64, i64) {
    let mut places = std::collections::HashSet::new();
    let mut counts = (0, 0);
    for value in variables.variables().into_values() {
        let is_number = matches!(value.kind(), Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16);
        if is_number && places.insert(value.data_ptr() as usize) {
            let count = value.numel() as i64;
            counts.0 += count;
            counts.1 += if value.requires_grad() { count } else { 0 };
        }
    }
    counts
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
        let outputs = if train { self.train_forward(inputs) } else { self.logits(inputs) };
        outputs.map_err(|fault| TchError::Torch(format!("{fault:#}"))).unwrap()
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
        assert!(network.inference(network.model().unwrap(), &inputs).is_none());
        let _no_gradient = tch::no_grad_guard();
        assert!(!network.forward_t(&inputs, false).requires_grad());
        assert!(network.inference(network.model().unwrap(), &inputs).is_some());
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
