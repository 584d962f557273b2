//! A TorchScript file loaded for use: any file with the interface of those that fitch writes.

use super::{CARD_NAME, ModelCard, written_here};
use crate::files::kind_of_file;
use crate::kernels::script::message_line;
use crate::model::{Layers, Model, Network, in_parts, samples_of_unknown_width};
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::fs::File;
use std::io::{BufReader, Read, copy, sink};
use std::path::Path;
use tch::nn::ModuleT;
use tch::{CModule, Device, IValue, Kind, Tensor};
use zip::ZipArchive;

/// No card comes near this many bytes.
const MAX_CARD: u64 = 16 << 20;

/// A classifier loaded from TorchScript.
///
/// Loading runs code from the file, within what TorchScript can express: load only files that you trust.
#[derive(Debug)]
pub struct ScriptModel {
    module: CModule,
    card: ModelCard,
    device: Device,
    /// If its layers are known.
    images_at_once: Option<i64>,
    /// If the file was written here, on a CPU: computes the same, faster.
    network: Option<Network>,
}

impl ScriptModel {
    /// Loads a file onto a device, sets it to evaluation mode and tries its interface: `forward` and `logits`
    /// take images [n, ..], integer or float32, and return float32 [n, classes]; `fitch.json` inside has the
    /// shape of an image.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, is something else, or has another interface; the message says
    /// which.
    pub fn load(path: &Path, device: Device) -> Result<ScriptModel> {
        let mut model = ScriptModel::load_code(path, device)?;
        if device == Device::Cpu && model.card.network.is_none() {
            model.network = written_here::network(path, &model.card);
        }
        Ok(model)
    }

    /// The same, and leaves all computing to the code in the file.
    ///
    /// # Errors
    /// As [`ScriptModel::load`].
    pub fn load_code(path: &Path, device: Device) -> Result<ScriptModel> {
        ScriptModel::load_unnamed(path, device).with_context(|| path.display().to_string())
    }

    fn load_unnamed(path: &Path, device: Device) -> Result<ScriptModel> {
        let card = check_archive(path)?;
        // Its fused operators compute other bits than the layers, and are compiled while the user waits.
        tch::jit::set_tensor_expr_fuser_enabled(false);
        let mut module = CModule::load_on_device(path, device).map_err(|fault| {
            anyhow!("libtorch cannot load it as TorchScript: {}", message_line(&fault.to_string()))
        })?;
        // A file that was saved in training mode would drop out values and update means.
        module.f_set_eval().context("cannot be set to evaluation")?;
        let images_at_once = images_at_once(&card, device);
        let model = ScriptModel { module, card, device, images_at_once, network: None };
        model.try_interface().context("does not have the interface of the models that fitch writes")?;
        Ok(model)
    }

    fn try_interface(&self) -> Result<()> {
        let classes = self.card.classes.len() as i64;
        let shape = [&[1][..], &self.card.input.shape].concat();
        for kind in [Kind::Uint8, Kind::Float] {
            let images = Tensor::f_zeros(shape.as_slice(), (kind, self.device))?;
            for method in ["forward", "logits"] {
                let output = self.call(method, &images)?;
                ensure!(
                    output.size() == [1, classes] && output.kind() == Kind::Float,
                    "{method} returns {:?} {:?} for an image {shape:?} {kind:?}, not Float [1, {classes}]",
                    output.kind(),
                    output.size()
                );
            }
        }
        Ok(())
    }

    /// The description inside the file.
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// The probability of each class, float32 [n, classes], for images [n, ..]: integers are raw pixels, floats
    /// are scaled to 0..1 already.
    ///
    /// # Errors
    /// Images of another shape.
    pub fn probabilities(&self, images: &Tensor) -> Result<Tensor> {
        match &self.network {
            Some(_) => Ok(self.logits(images)?.f_softmax(-1, None)?),
            None => self.call("forward", images),
        }
    }

    /// The same before softmax, float32 [n, classes].
    ///
    /// # Errors
    /// Images of another shape.
    pub fn logits(&self, images: &Tensor) -> Result<Tensor> {
        match &self.network {
            Some(network) => tch::no_grad(|| self.card.calibrated(network.logits(&self.scaled(images)?)?)),
            None => self.call("logits", images),
        }
    }

    #[cfg(test)]
    pub(super) fn computes_by_layers(&self) -> bool {
        self.network.is_some()
    }

    /// As the code in the file scales images.
    fn scaled(&self, images: &Tensor) -> Result<Tensor> {
        let values = images.f_to_kind(Kind::Float)?;
        if images.f_is_floating_point()? {
            Ok(values)
        } else {
            Ok(values.f_div_scalar(self.card.input.maximum)?)
        }
    }

    fn call(&self, method: &str, images: &Tensor) -> Result<Tensor> {
        in_parts(images, self.images_at_once.unwrap_or(i64::MAX), |part| self.call_at_once(method, part))
    }

    fn call_at_once(&self, method: &str, images: &Tensor) -> Result<Tensor> {
        let _no_gradient = tch::no_grad_guard();
        let output = self.module.method_is(method, &[IValue::Tensor(images.shallow_clone())]);
        match output.map_err(|fault| anyhow!("{method}: {}", message_line(&fault.to_string())))? {
            IValue::Tensor(tensor) => Ok(tensor),
            _ => bail!("{method} does not return a tensor"),
        }
    }
}

/// As [`Model::samples_at_once`], if the card's layers are ones that are known here.
fn images_at_once(card: &ModelCard, device: Device) -> Option<i64> {
    if card.network.is_some() {
        return Some(samples_of_unknown_width(&card.input.shape, device));
    }
    let layers = Layers::parse(&card.layers).ok()?;
    Some(Model::classifier(&card.input.shape, layers, card.classes.len()).ok()?.samples_at_once(false))
}

impl ModuleT for ScriptModel {
    /// The logits, in evaluation mode whatever the caller says.
    ///
    /// # Panics
    /// Where [`ScriptModel::logits`] fails, as tch's own modules do.
    fn forward_t(&self, images: &Tensor, _train: bool) -> Tensor {
        self.logits(images).unwrap_or_else(|fault| panic!("{fault:#}"))
    }
}

/// Checks a file without running anything in it: it must be a TorchScript archive with correct checksums
/// (libtorch does not check them) and a card, which is returned.
fn check_archive(path: &Path) -> Result<ModelCard> {
    let mut file = File::open(path).context("cannot be opened")?;
    ensure!(file.metadata().context("cannot be read")?.is_file(), "is not a file");
    let mut start = Vec::new();
    file.by_ref().take(16).read_to_end(&mut start).context("cannot be read")?;
    ensure!(start.starts_with(b"PK"), "is {}, not TorchScript", kind_of_file(&start));
    let mut archive = ZipArchive::new(BufReader::new(file)).context("is a cut or damaged zip archive")?;

    let (mut card, mut has_code) = (None, false);
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).context("is a damaged zip archive")?;
        let name = entry.name().to_string();
        has_code |= name.ends_with("/constants.pkl");
        let mut content = Vec::new();
        let is_card = name.split_once('/').is_some_and(|(_, name)| name == format!("extra/{CARD_NAME}"));
        let read = match is_card {
            true => entry.by_ref().take(MAX_CARD).read_to_end(&mut content).map(|_| ()),
            false => copy(&mut entry, &mut sink()).map(|_| ()),
        };
        read.with_context(|| format!("is damaged: {name} is not as it was written"))?;
        if is_card {
            card = Some(
                ModelCard::parse(&content)
                    .with_context(|| format!("has a {CARD_NAME} that does not describe a model"))?,
            );
        }
    }
    ensure!(has_code, "is a zip archive without code, as torch.save writes it, not TorchScript");
    card.with_context(|| {
        format!(
            "has no {CARD_NAME} inside, which describes its images and classes: another program wrote it, it \
             holds variables only, or it was saved again without its extra files"
        )
    })
}
