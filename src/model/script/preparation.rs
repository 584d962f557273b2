//! What happens to samples before a network from elsewhere takes them: in training, in use, and in the code of
//! an exported model.

use crate::model::normalization::Normalization;
use anyhow::Result;
use tch::Tensor;

/// From samples [n, ...], scaled, to what the network takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Preparation {
    /// Grey images [n, h, w] become [n, channels, h, w], all channels alike. Others stay as they are.
    pub channels: Option<i64>,
    /// Of the channels, after that.
    pub normalization: Option<Normalization>,
    /// Whether images [n, channels, h, w] come with the channels of a pixel side by side in memory.
    pub by_pixels: bool,
}

impl Preparation {
    /// The shape of a sample after it.
    pub fn shape(&self, sample_shape: &[i64]) -> Vec<i64> {
        self.channels.into_iter().chain(sample_shape.iter().copied()).collect()
    }

    /// Prepares samples.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn apply(&self, samples: &Tensor) -> Result<Tensor> {
        let images = match self.channels {
            None => samples.shallow_clone(),
            Some(channels) => samples.f_unsqueeze(1)?.f_expand([-1, channels, -1, -1], false)?,
        };
        let images = match &self.normalization {
            None => images,
            Some(Normalization { mean, deviation }) => {
                let [mean, deviation] = [mean, deviation].map(|values| -> Result<Tensor> {
                    Ok(Tensor::f_from_slice(values)?.f_view([-1, 1, 1])?.f_to_device(images.device())?)
                });
                images.f_sub(&mean?)?.f_div(&deviation?)?
            }
        };
        if self.by_pixels { by_pixels(&images) } else { Ok(images) }
    }

    /// The same in TorchScript: lines that make `x` of the scaled samples `scaled`. Mean and deviation are tensors
    /// [channels, 1, 1] of the module.
    pub fn torchscript(&self) -> String {
        let mut code = match self.channels {
            None => "    x = scaled\n".to_string(),
            Some(channels) => {
                format!("    x = torch.expand(torch.unsqueeze(scaled, 1), [-1, {channels}, -1, -1])\n")
            }
        };
        if self.normalization.is_some() {
            code += "    x = torch.div(torch.sub(x, self.mean), self.deviation)\n";
        }
        if self.by_pixels {
            code += "    x = torch.contiguous(torch.permute(x, [0, 2, 3, 1]))\n";
            code += "    x = torch.permute(x, [0, 3, 1, 2])\n";
        }
        code
    }
}

/// The same values with the channels of a pixel side by side in memory (PyTorch's channels_last), if the tensor is
/// one of four dimensions: convolutions are faster so.
///
/// # Errors
/// Too little memory.
pub fn by_pixels(tensor: &Tensor) -> Result<Tensor> {
    match tensor.dim() {
        4 => Ok(tensor.f_permute([0, 2, 3, 1])?.f_contiguous()?.f_permute([0, 3, 1, 2])?),
        _ => Ok(tensor.shallow_clone()),
    }
}
