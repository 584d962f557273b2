//! A network that another program made, in a model file: its own code and the trained weights, in a module that
//! takes pixels and gives probabilities.

use super::script_heads::{end, heads};
use super::{CARD_NAME, ModelCard};
use crate::kernels::script::archive::{Archive, PACKAGE};
use crate::kernels::script::pickle::Pickle;
use crate::model::{Normalization, ScriptParts};
use anyhow::Result;

/// The class of the module around the network.
const CLASS: &str = "Classifier";

/// float32, as TorchScript has types: by their numbers.
const FLOAT: &str = "6";

/// The bytes of the file. The same weights give the same bytes.
///
/// # Errors
/// Too little memory.
pub fn archive(parts: &ScriptParts, card: &ModelCard) -> Result<Vec<u8>> {
    let is_taken = |package: &str| parts.files.iter().any(|(name, _)| *name == code_file(package));
    let mut package = PACKAGE.to_string();
    while is_taken(&package) {
        package.push('_');
    }
    let statistics = match &parts.preparation.normalization {
        None => Vec::new(),
        Some(Normalization { mean, deviation }) => vec![("mean", mean), ("deviation", deviation)],
    };
    let mut pickle = Pickle::new();
    pickle.object(&format!("__torch__.{package}"), CLASS, |fields| {
        fields.text("training");
        fields.boolean(false);
        for (name, values) in &statistics {
            fields.text(name);
            fields.tensor(name, &[values.len() as i64, 1, 1], false);
        }
        fields.text("network");
        fields.content_of(&parts.pickle);
    });

    let mut code = format!(
        "class {CLASS}(Module):\n  __parameters__ = []\n  __buffers__ = [{}]\n{}  training : bool\n  network : {}\n",
        statistics.iter().map(|(name, _)| format!("\"{name}\", ")).collect::<String>(),
        statistics.iter().map(|(name, _)| format!("  {name} : Tensor\n")).collect::<String>(),
        parts.class
    );
    // Values take the type and the device of a weight, if there is one.
    let like = parts.weight.as_deref().unwrap_or(FLOAT);
    let class = format!("__torch__.{package}.{CLASS}");
    code += &heads(&class, "torch.softmax(logits, -1)", like, card.input.maximum);
    code += &parts.preparation.torchscript();
    match card.temperature {
        None => code += "    return (self.network).forward(x, )\n",
        temperature => {
            code += "    x = (self.network).forward(x, )\n";
            code += &end(temperature);
        }
    }

    let mut archive = Archive::new();
    archive.put("data.pkl", &pickle.finish())?;
    archive.put(&code_file(&package), code.as_bytes())?;
    for (name, values) in statistics {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        archive.put(&format!("data/{name}"), &bytes)?;
    }
    for (name, content) in &parts.files {
        archive.put(name, content)?;
    }
    archive.put(&format!("extra/{CARD_NAME}"), &serde_json::to_vec_pretty(card)?)?;
    archive.close()
}

fn code_file(package: &str) -> String {
    format!("code/__torch__/{package}.py")
}
