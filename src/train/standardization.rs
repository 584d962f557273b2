//! What is found out about the inputs of a network before its training: their means and deviations.

use crate::data::BatchSource;
use crate::model::{Network, Normalization};
use anyhow::{Context, Result, ensure};
use tch::{Device, Kind};

/// Samples that are looked at in one go, and their values.
const BATCH: usize = 1024;
const VALUES: usize = 4 << 20;

/// Gives a network whose first layer standardises its inputs their means and standard deviations in the training
/// samples, of each value or of each channel; a network without such a layer stays as it is. A value that never
/// changes has the deviation 1.
///
/// ```
/// use fitch::data::Samples;
/// use fitch::model::{Layers, Model, Network};
/// use tch::{Device, Tensor};
///
/// # fn main() -> anyhow::Result<()> {
/// let rows = Tensor::from_slice(&[1.0f32, 500.0, 3.0, 500.0]).view([2, 2]);
/// let samples = Samples::new(&rows, &Tensor::from_slice(&[0i64, 1]))?;
/// let model = Model::classifier(&[2], Layers::parse("standardize, dense 8, relu")?, 2)?;
/// let network = Network::new(model, Device::Cpu)?;
/// fitch::train::standardize(&network, &samples)?;
/// let [mean, deviation] = network.standardization().unwrap();
/// assert_eq!(Vec::<f32>::try_from(mean)?, [2.0, 500.0]);
/// assert_eq!(Vec::<f32>::try_from(deviation)?, [1.0, 1.0]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Samples of another shape, or values that are no finite numbers.
pub fn standardize(network: &Network, samples: &dyn BatchSource) -> Result<()> {
    let Some([mean, _]) = network.standardization() else { return Ok(()) };
    let (means, deviations) = statistics(samples, network.sample_shape(), mean.numel())?;
    network.set_standardization(&means, &deviations)
}

/// Normalises the channels of images by their means and standard deviations in the training samples, before whatever
/// network: see [`Network::set_normalization`].
///
/// # Errors
/// A network or samples of no images, values that are no finite numbers.
pub fn normalize(network: &mut Network, samples: &dyn BatchSource) -> Result<()> {
    let needed = network.image_channels().context("the network does not take images")?;
    let shape = network.sample_shape().to_vec();
    let channels = if let [channels, _, _] = shape[..] { channels as usize } else { 1 };
    let (mut mean, mut deviation) = statistics(samples, &shape, channels)?;
    if channels == 1 {
        // Grey that is given to all channels.
        mean.resize(needed, mean[0]);
        deviation.resize(needed, deviation[0]);
    }
    network.set_normalization(Normalization { mean, deviation })
}

/// Means and deviations of samples of a shape: `width` of each, of single values or of as many values that follow each
/// other.
fn statistics(samples: &dyn BatchSource, shape: &[i64], width: usize) -> Result<(Vec<f32>, Vec<f32>)> {
    let (of_sample, count) = (shape.iter().product::<i64>() as usize, samples.len().max(1) as f64);
    // Values that share a mean, those of a channel, follow each other.
    let shared = of_sample / width.max(1);
    let batch = (VALUES / of_sample.max(1)).clamp(1, BATCH);
    // Summed in order, so that the sums do not depend on the number of threads.
    let mean_of = |term: &dyn Fn(usize, f64) -> f64| -> Result<Vec<f64>> {
        let mut sums = vec![0.0; width];
        for batch in samples.batches(batch)? {
            let inputs = batch?.inputs.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
            let values = Vec::<f32>::try_from(inputs.f_contiguous()?.f_view([-1])?)?;
            ensure!(values.len().is_multiple_of(of_sample), "samples do not have {of_sample} values each");
            for sample in values.chunks(of_sample) {
                for (index, (sum, values)) in sums.iter_mut().zip(sample.chunks(shared)).enumerate() {
                    values.iter().for_each(|value| *sum += term(index, f64::from(*value)));
                }
            }
        }
        Ok(sums.into_iter().map(|sum| sum / (count * shared as f64)).collect())
    };
    let means = mean_of(&|_, value| value)?;
    let variances = mean_of(&|index, value| (value - means[index]).powi(2))?;
    ensure!(
        variances.iter().all(|variance| variance.is_finite()),
        "the samples have values that are not finite"
    );
    let deviations = variances.iter().map(|variance| variance.sqrt() as f32);
    let deviations: Vec<f32> =
        deviations.map(|deviation| if deviation > 0.0 { deviation } else { 1.0 }).collect();
    let means: Vec<f32> = means.iter().map(|mean| *mean as f32).collect();
    Ok((means, deviations))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Samples;
    use crate::model::{Layers, Model};
    use tch::Tensor;

    #[test]
    fn channels_of_images_have_one_mean_each() {
        let model = Model::classifier(&[3, 1, 2], Layers::parse("standardize channels").unwrap(), 2).unwrap();
        let network = Network::new(model, Device::Cpu).unwrap();
        let images = Tensor::from_slice(&[1.0f32, 3.0, 0.5, 0.5, -4.0, 4.0, 5.0, 7.0, 0.5, 0.5, 4.0, -4.0]);
        let samples = Samples::new(&images.view([2, 3, 1, 2]), &Tensor::from_slice(&[0i64, 1])).unwrap();
        standardize(&network, &samples).unwrap();
        let [mean, deviation] = network.standardization().unwrap();
        assert_eq!(mean.size(), [3, 1, 1]);
        assert_eq!(Vec::<f32>::try_from(mean.view([-1])).unwrap(), [4.0, 0.5, 0.0]);
        let expected = [5f32.sqrt(), 1.0, 4.0];
        assert_eq!(Vec::<f32>::try_from(deviation.view([-1])).unwrap(), expected);
    }
}
