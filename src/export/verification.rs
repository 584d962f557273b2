//! A TorchScript file compared with the network that it was written from.

use super::ScriptModel;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use tch::nn::ModuleT;
use tch::{Device, Kind, Tensor};

/// How much an output of the file that is loaded back may differ, as a share of the largest: values of any
/// range go through sums of float32, whose rounding grows with them.
const TOLERANCE: f64 = 1e-5;

/// Loads a file back through libtorch, onto the device of the network, and compares the two on images
/// [n, ..] of the model's shape. Integers are raw pixels and are tried raw and scaled; floating-point images
/// only scaled, because the file takes floating-point input as scaled already.
///
/// # Errors
/// The file cannot be loaded, predicts another class for an image where two are not equally likely, or an
/// output differs by more than rounding explains.
pub fn verify_torchscript(path: &Path, network: &dyn ModuleT, device: Device, images: &Tensor) -> Result<()> {
    let _no_gradient = tch::no_grad_guard();
    let loaded = ScriptModel::load_code(path, device)?;
    let raw = images.f_to_device(device)?;
    let scaled = raw.f_to_kind(Kind::Float)?.f_div_scalar(loaded.card().input.maximum)?;
    let expected = loaded.card().calibrated(network.forward_t(&scaled, false))?;
    compare(&loaded, &scaled, &expected)?;
    if raw.f_is_floating_point()? { Ok(()) } else { compare(&loaded, &raw, &expected) }
}

/// Compares what the file makes of images with the logits that it should give.
fn compare(loaded: &ScriptModel, images: &Tensor, logits: &Tensor) -> Result<()> {
    let (found, probabilities) =
        (loaded.logits(images), loaded.probabilities(images).context("the exported file cannot be used")?);
    let found = found.context("the exported file cannot be used")?;
    let expected = logits.f_softmax(-1, None)?;
    ensure!(
        probabilities.size() == expected.size() && found.size() == logits.size(),
        "the exported file returns the shape {:?}, not {:?}",
        probabilities.size(),
        expected.size()
    );
    let number = |tensor: Tensor| -> Result<f64> { Ok(f64::try_from(tensor.f_to_kind(Kind::Double)?)?) };
    let scale = number(logits.f_abs()?.f_max()?)?.max(1.0);
    let distance = number(found.f_sub(logits)?.f_abs()?.f_max()?)?;
    // What softmax makes of the same difference: it grows with the logits as they do.
    let of_probabilities = number(probabilities.f_sub(&expected)?.f_abs()?.f_max()?)?;
    // The class that the file predicts, by how much the model likes another one better.
    let predicted = probabilities.f_argmax(-1, true)?;
    let behind = logits.f_amax(-1, true)?.f_sub(&logits.f_gather(-1, &predicted, false)?)?;
    let tolerance = TOLERANCE * scale;
    let classes_differ = number(behind.f_gt(2.0 * tolerance)?.f_sum(Kind::Int64)?)?;
    // Written so that NaN fails.
    ensure!(
        distance <= tolerance && of_probabilities <= tolerance && classes_differ == 0.0,
        "the exported file does not compute what the model does: outputs up to {scale:e} differ by up to \
         {distance:e}, probabilities by up to {of_probabilities:e}, and {classes_differ} of {} images get \
         another class",
        images.size()[0]
    );
    Ok(())
}
