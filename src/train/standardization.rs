//! What is found out about the inputs of a network before its training: their means and deviations.

use crate::data::BatchSource;
use crate::model::Network;
use anyhow::{Result, ensure};
use tch::{Device, Kind, Tensor};

/// Rows that are looked at in one go.
const BATCH: usize = 1024;

/// Gives a network whose first layer standardises its inputs their means and standard deviations in the
/// training samples; a network without such a layer stays as it is. A value that never changes has the
/// deviation 1.
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
    let Some([mut mean, mut deviation]) = network.standardization() else { return Ok(()) };
    let (width, count) = (mean.numel(), samples.len().max(1) as f64);
    // Summed in order, so that the sums do not depend on the number of threads.
    let sum_of = |term: &dyn Fn(usize, f64) -> f64| -> Result<Vec<f64>> {
        let mut sums = vec![0.0; width];
        for batch in samples.batches(BATCH)? {
            let inputs = batch?.inputs.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
            let values = Vec::<f32>::try_from(inputs.f_contiguous()?.f_view([-1])?)?;
            ensure!(values.len().is_multiple_of(width), "samples do not have {width} values each");
            for row in values.chunks(width) {
                for (index, (sum, value)) in sums.iter_mut().zip(row).enumerate() {
                    *sum += term(index, f64::from(*value));
                }
            }
        }
        Ok(sums.into_iter().map(|sum| sum / count).collect())
    };
    let means = sum_of(&|_, value| value)?;
    let variances = sum_of(&|index, value| (value - means[index]).powi(2))?;
    ensure!(
        variances.iter().all(|variance| variance.is_finite()),
        "the samples have values that are not finite"
    );
    let deviations = variances.iter().map(|variance| variance.sqrt() as f32);
    let deviations = deviations.map(|deviation| if deviation > 0.0 { deviation } else { 1.0 });
    let means: Vec<f32> = means.iter().map(|mean| *mean as f32).collect();
    let _no_gradient = tch::no_grad_guard();
    mean.f_copy_(&Tensor::f_from_slice(&means)?.f_view(mean.size().as_slice())?)?;
    deviation
        .f_copy_(&Tensor::f_from_slice(&deviations.collect::<Vec<_>>())?.f_view(mean.size().as_slice())?)?;
    Ok(())
}
