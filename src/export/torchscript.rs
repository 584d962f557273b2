//! TorchScript, written from the layer specification: a zip archive of a pickled object tree, the code
//! of its classes, and the tensors. libtorch is not needed to write it.
//!
//! Every layer becomes a submodule under its name, with its parameters, as in a module written in Python. No
//! device and no type is written into the code: values follow the weights.

use super::script_heads::{end, heads};
use super::{CARD_NAME, ModelCard, TrainedModel, script_network, weights_of};
use crate::kernels::script::archive::{Archive, PACKAGE};
use crate::kernels::script::pickle::Pickle;
use crate::model::{Body, Model, Network, PlacedLayer};
use anyhow::Result;
use std::fmt::Write as _;

/// The class of the model.
const CLASS: &str = "Classifier";
/// The bytes of the file. The same model gives the same bytes.
///
/// # Errors
/// Weights that do not belong to the model.
pub fn archive(trained: TrainedModel) -> Result<Vec<u8>> {
    let TrainedModel { model, variables, card } = trained;
    let variables = variables.variables();
    let mut archive = Archive::new();
    for (name, code) in code_files(model, card) {
        archive.put(&name, &code)?;
    }
    let mut index = 0;
    for placed in model.all_layers() {
        for weight in weights_of(placed, &variables)? {
            archive.put(&format!("data/{index}"), &weight.little_endian_bytes())?;
            index += 1;
        }
    }
    archive.put(&format!("extra/{CARD_NAME}"), &serde_json::to_vec_pretty(card)?)?;
    archive.finish()
}

/// The bytes of the file of any network, also of one that another program made: then its own code and the trained
/// weights, as the field `network` of the model. The same weights give the same bytes.
///
/// # Errors
/// Variables that were changed to another kind or shape.
pub fn network_archive(network: &Network, card: &ModelCard) -> Result<Vec<u8>> {
    let variables = network.variables();
    match network.body() {
        Body::Layers { model, .. } => archive(TrainedModel { model, variables, card }),
        Body::Script(script) => script_network::archive(&script.parts(variables)?, card),
    }
}

/// The files that say what is computed, with their names: all but the tensors.
pub(super) fn code_files(model: &Model, card: &ModelCard) -> Vec<(String, Vec<u8>)> {
    let mut files = vec![
        ("data.pkl".to_string(), objects(model)),
        (format!("code/__torch__/{PACKAGE}.py"), root_code(model, card).into_bytes()),
    ];
    files.extend(model.all_layers().map(|placed| {
        (format!("code/__torch__/{PACKAGE}/{}.py", placed.name), layer_code(placed).into_bytes())
    }));
    files
}

/// The object tree: the classifier with one object a layer.
fn objects(model: &Model) -> Vec<u8> {
    let mut pickle = Pickle::new();
    let mut index = 0;
    pickle.object(&format!("__torch__.{PACKAGE}"), CLASS, |fields| {
        fields.text("training");
        fields.boolean(false);
        for placed in model.all_layers() {
            fields.text(&placed.name);
            let module = format!("__torch__.{PACKAGE}.{}", placed.name);
            fields.object(&module, placed.layer.type_name(), |fields| {
                fields.text("training");
                fields.boolean(false);
                for parameter in placed.parameters() {
                    fields.text(parameter.name);
                    fields.tensor(&index.to_string(), &parameter.shape, parameter.is_trainable);
                    index += 1;
                }
            });
        }
    });
    pickle.finish()
}

/// The code of a layer.
fn layer_code(placed: &PlacedLayer) -> String {
    let PlacedLayer { name, layer, input, .. } = placed;
    let (type_name, expression) = (layer.type_name(), layer.torchscript(input));
    let parameters = placed.parameters();
    let listed = |are_trainable: bool| -> String {
        let listed = parameters.iter().filter(|parameter| parameter.is_trainable == are_trainable);
        listed.map(|parameter| format!("\"{}\", ", parameter.name)).collect()
    };
    let mut code = format!("class {type_name}(Module):\n");
    let _ = writeln!(code, "  __parameters__ = [{}]", listed(true));
    let _ = writeln!(code, "  __buffers__ = [{}]", listed(false));
    for parameter in &parameters {
        let _ = writeln!(code, "  {} : Tensor", parameter.name);
    }
    code += "  training : bool\n";
    let _ =
        writeln!(code, "  def forward(self: __torch__.{PACKAGE}.{name}.{type_name}, x: Tensor) -> Tensor:");
    let _ = writeln!(code, "    return {expression}");
    code
}

/// The code of the model: `forward` returns probabilities, `logits` what softmax takes.
fn root_code(model: &Model, card: &ModelCard) -> String {
    let mut code =
        format!("class {CLASS}(Module):\n  __parameters__ = []\n  __buffers__ = []\n  training : bool\n");
    for placed in model.all_layers() {
        let (name, type_name) = (&placed.name, placed.layer.type_name());
        let _ = writeln!(code, "  {name} : __torch__.{PACKAGE}.{name}.{type_name}");
    }
    // Values take the type and the device of a weight; a classifier has at least one.
    let weight = model.layers.iter().find_map(|placed| {
        let parameter = placed.parameters().into_iter().next()?;
        Some(format!("{}.{}", placed.name, parameter.name))
    });
    let probabilities = format!("(self.{}).forward(logits, )", model.softmax.name);
    let like = format!("self.{}", weight.unwrap_or_default());
    code += &heads(&format!("__torch__.{PACKAGE}.{CLASS}"), &probabilities, &like, card.input.maximum);
    match model.first_shape() {
        [_] => code += "    x = torch.flatten(scaled, 1, -1)\n",
        shape => {
            let sizes: String = shape.iter().map(|size| format!(", {size}")).collect();
            let _ = writeln!(code, "    x = torch.reshape(scaled, [torch.size(scaled, 0){sizes}])");
        }
    }
    for placed in &model.layers {
        let _ = writeln!(code, "    x = (self.{}).forward(x, )", placed.name);
    }
    code + &end(card.temperature)
}
