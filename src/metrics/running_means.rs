//! Means of the loss and the metrics over an epoch.

use super::Metric;
use crate::kernels::has_own_code;
use anyhow::{Result, bail, ensure};
use tch::{Device, Kind, Tensor};

/// Means over samples that come in batches, weighted by batch size. The sums stay on the device:
/// adding to them makes the host wait for nothing.
#[derive(Debug)]
pub(crate) struct RunningMeans {
    sums: Sums,
    samples: usize,
}

/// The sums of values times batch sizes, float64, the loss first.
#[derive(Debug)]
pub(crate) enum Sums {
    Host(Vec<f64>),
    Device(Tensor),
}

impl Sums {
    /// As a tensor; the live one, if it is.
    pub fn as_tensor(&self) -> Tensor {
        match self {
            Sums::Host(sums) => Tensor::from_slice(sums),
            Sums::Device(sums) => sums.shallow_clone(),
        }
    }

    /// From a tensor, as sums on its device are kept.
    pub fn from_tensor(sums: &Tensor) -> Result<Sums> {
        Ok(match has_own_code(sums.device()) {
            true => Sums::Host(Vec::try_from(sums)?),
            false => Sums::Device(sums.shallow_clone()),
        })
    }
}

impl RunningMeans {
    /// Zeros for a number of metrics, the loss among them.
    ///
    /// # Errors
    /// Too little memory.
    pub fn new(metrics: usize, device: Device) -> Result<RunningMeans> {
        let sums = match has_own_code(device) {
            true => Sums::Host(vec![0.0; metrics]),
            false => Sums::Device(Tensor::f_zeros(metrics as i64, (Kind::Double, device))?),
        };
        Ok(RunningMeans { sums, samples: 0 })
    }

    /// Adds a batch: its loss (a mean) first, then each of the metrics.
    ///
    /// # Errors
    /// A metric that returns more than one value.
    pub fn add(
        &mut self,
        loss: &Tensor,
        metrics: &[Metric],
        outputs: &Tensor,
        targets: &Tensor,
        batch_size: usize,
    ) -> Result<()> {
        self.add_sums(self.sums_of(loss, metrics, outputs, targets, batch_size)?, batch_size)
    }

    /// What [`RunningMeans::add`] would add.
    ///
    /// # Errors
    /// As there.
    pub fn sums_of(
        &self,
        loss: &Tensor,
        metrics: &[Metric],
        outputs: &Tensor,
        targets: &Tensor,
        batch_size: usize,
    ) -> Result<Sums> {
        let _no_gradient = tch::no_grad_guard();
        let mut values = vec![(loss.shallow_clone(), batch_size)];
        for metric in metrics {
            let value = metric.call(outputs, targets);
            let shape = value.size();
            ensure!(value.numel() == 1, "metric {}: returns the shape {shape:?}, not one value", metric.name);
            values.push((value.f_reshape([0i64; 0])?, metric.weight(batch_size)));
        }
        let values = values.into_iter();
        Ok(match &self.sums {
            Sums::Host(_) => {
                let weighted =
                    |(value, weight): (Tensor, usize)| Ok(value.f_double_value(&[])? * weight as f64);
                Sums::Host(values.map(weighted).collect::<Result<_>>()?)
            }
            Sums::Device(_) => {
                let weighted = |(value, weight): (Tensor, usize)| {
                    value.f_to_kind(Kind::Double)?.f_mul_scalar(weight as f64)
                };
                Sums::Device(Tensor::f_stack(&values.map(weighted).collect::<Result<Vec<_>, _>>()?, 0)?)
            }
        })
    }

    /// Adds sums over so many samples.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn add_sums(&mut self, added: Sums, samples: usize) -> Result<()> {
        match (&mut self.sums, added) {
            (Sums::Host(sums), Sums::Host(added)) => {
                sums.iter_mut().zip(added).for_each(|(sum, added)| *sum += added);
            }
            (Sums::Device(sums), Sums::Device(added)) => {
                let _no_gradient = tch::no_grad_guard();
                let _ = sums.f_add_(&added)?;
            }
            _ => bail!("the sums are on another device"),
        }
        self.samples += samples;
        Ok(())
    }

    /// The sums (float64, one per metric, the loss first) and the number of samples, to go on from.
    pub fn parts(&self) -> (Tensor, usize) {
        (self.sums.as_tensor(), self.samples)
    }

    /// Goes on from what [`RunningMeans::parts`] returned.
    ///
    /// # Errors
    /// Sums of another number of metrics.
    pub fn restore(&mut self, sums: &Tensor, samples: usize) -> Result<()> {
        let (is, needed) = (sums.size(), self.parts().0.size());
        ensure!(is == needed, "there are sums of {is:?} metrics, not {needed:?}");
        match &mut self.sums {
            Sums::Host(of) => *of = Vec::try_from(sums)?,
            Sums::Device(of) => of.f_copy_(sums)?,
        }
        self.samples = samples;
        Ok(())
    }

    /// The means so far, in the order they were added. This waits for the device.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn read(&self) -> Result<Vec<f64>> {
        let sums = match &self.sums {
            Sums::Host(sums) => sums.clone(),
            Sums::Device(sums) => Vec::try_from(sums)?,
        };
        Ok(sums.into_iter().map(|sum| sum / self.samples as f64).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Better;

    fn logits(rows: &[[f32; 3]]) -> Tensor {
        Tensor::from_slice(rows.as_flattened()).view([-1, 3])
    }

    #[test]
    fn means_are_weighted_by_batch_size() {
        let spread = Metric::new("spread", Better::Lower, |outputs, _| outputs.max() - outputs.min());
        let metrics = [Metric::accuracy(), spread];
        let mut means = RunningMeans::new(3, Device::Cpu).unwrap();
        let first = logits(&[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]);
        means.add(&Tensor::from(2.0), &metrics, &first, &Tensor::from_slice(&[0i64, 0, 1]), 3).unwrap();
        means
            .add(&Tensor::from(6.0), &metrics, &logits(&[[0.0, 5.0, 0.0]]), &Tensor::from_slice(&[1i64]), 1)
            .unwrap();
        assert_eq!(means.read().unwrap(), [3.0, 0.75, 2.0]);
    }

    #[test]
    fn a_metric_of_many_values_is_an_error_that_names_it() {
        let metric = Metric::new("odd", Better::Lower, |outputs, _| outputs.shallow_clone());
        let mut means = RunningMeans::new(2, Device::Cpu).unwrap();
        let outputs = logits(&[[1.0, 0.0, 0.0]]);
        let fault =
            means.add(&Tensor::from(1.0), &[metric], &outputs, &Tensor::from_slice(&[0i64]), 1).unwrap_err();
        assert!(fault.to_string().contains("metric odd"), "{fault}");
    }

    #[test]
    fn means_go_on_from_their_parts() {
        let add = |means: &mut RunningMeans, loss: f64| {
            means.add(&Tensor::from(loss), &[], &Tensor::new(), &Tensor::new(), 2).unwrap();
        };
        let mut whole = RunningMeans::new(1, Device::Cpu).unwrap();
        add(&mut whole, 0.1);
        let mut resumed = RunningMeans::new(1, Device::Cpu).unwrap();
        let (sums, samples) = whole.parts();
        resumed.restore(&sums, samples).unwrap();
        add(&mut whole, 0.7);
        add(&mut resumed, 0.7);
        assert_eq!(whole.read().unwrap(), resumed.read().unwrap());
        assert!(RunningMeans::new(2, Device::Cpu).unwrap().restore(&sums, samples).is_err());
    }
}
