//! What happens to samples before a network from elsewhere takes them: in training, in use, and in the code of
//! an exported model.

use anyhow::Result;
use tch::Tensor;

/// From samples [n, ...], scaled, to what the network takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preparation {
    /// Grey images [n, h, w] become [n, channels, h, w], all channels alike. Others stay as they are.
    pub channels: Option<i64>,
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
        Ok(match self.channels {
            None => samples.shallow_clone(),
            Some(channels) => samples.f_unsqueeze(1)?.f_expand([-1, channels, -1, -1], false)?,
        })
    }

    /// The same in TorchScript: lines that make `x` of the scaled samples `scaled`.
    pub fn torchscript(&self) -> String {
        match self.channels {
            None => "    x = scaled\n".to_string(),
            Some(channels) => {
                format!("    x = torch.expand(torch.unsqueeze(scaled, 1), [-1, {channels}, -1, -1])\n")
            }
        }
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
