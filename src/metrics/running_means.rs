//! Means of the loss and the metrics over an epoch.

use super::Metric;
use crate::kernels::has_own_code;
use anyhow::{Result, bail, ensure};
use std::ops::Range;
use tch::{Device, Kind, Tensor};

/// The sums of a loss and of metrics over samples that come in batches; a mean is weighted by batch size. The sums
/// stay on the device: adding to them makes the host wait for nothing.
#[derive(Debug)]
pub(crate) struct RunningMeans {
    sums: Sums,
    samples: usize,
    /// Where the sums of each metric are. Metrics that share sums have the same place.
    places: Vec<Range<usize>>,
}

/// Sums in float64, the loss first.
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

    fn on_host(&self) -> Result<Vec<f64>> {
        Ok(match self {
            Sums::Host(sums) => sums.clone(),
            Sums::Device(sums) => Vec::try_from(sums)?,
        })
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
    /// Zeros for a loss and these metrics.
    ///
    /// # Errors
    /// Too little memory.
    pub fn new(metrics: &[Metric], device: Device) -> Result<RunningMeans> {
        let mut places: Vec<Range<usize>> = Vec::new();
        let mut end = 1; // after the loss
        for (index, metric) in metrics.iter().enumerate() {
            let same = metrics[..index].iter().position(|earlier| metric.shares_sums_with(earlier));
            places.push(match same {
                Some(same) => places[same].clone(),
                None => end..end + metric.sums(),
            });
            end = end.max(places[index].end);
        }
        let sums = match has_own_code(device) {
            true => Sums::Host(vec![0.0; end]),
            false => Sums::Device(Tensor::f_zeros(end as i64, (Kind::Double, device))?),
        };
        Ok(RunningMeans { sums, samples: 0, places })
    }

    /// The number of sums.
    pub fn count(&self) -> usize {
        self.places.iter().map(|place| place.end).max().unwrap_or(1)
    }

    /// Adds a batch: its loss (a mean) first, then each of the metrics.
    ///
    /// # Errors
    /// A metric that returns another number of values than it should.
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
        let mut values = vec![(loss.f_reshape([-1])?, batch_size)];
        let mut end = 1;
        for (metric, place) in metrics.iter().zip(&self.places) {
            if place.end > end {
                values.extend(metric.of_batch(outputs, targets, batch_size)?);
                end = place.end;
            }
        }
        Ok(match &self.sums {
            Sums::Host(_) => {
                let mut sums = Vec::with_capacity(end);
                for (value, weight) in values {
                    match value.numel() {
                        1 => sums.push(value.f_double_value(&[0])? * weight as f64),
                        _ => {
                            let values = Vec::<f64>::try_from(value.f_to_kind(Kind::Double)?)?;
                            sums.extend(values.into_iter().map(|value| value * weight as f64));
                        }
                    }
                }
                Sums::Host(sums)
            }
            Sums::Device(_) => {
                let weighted = |(value, weight): (Tensor, usize)| {
                    value.f_to_kind(Kind::Double)?.f_mul_scalar(weight as f64)
                };
                let weighted = values.into_iter().map(weighted).collect::<Result<Vec<_>, _>>()?;
                Sums::Device(Tensor::f_cat(&weighted, 0)?)
            }
        })
    }

    /// Adds sums over a number of samples.
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

    /// The sums (float64, the loss first) and the number of samples, to go on from.
    pub fn parts(&self) -> (Tensor, usize) {
        (self.sums.as_tensor(), self.samples)
    }

    /// Goes on from what [`RunningMeans::parts`] returned.
    ///
    /// # Errors
    /// Sums of other metrics.
    pub fn restore(&mut self, sums: &Tensor, samples: usize) -> Result<()> {
        let (are, needed) = (sums.size(), [self.count() as i64]);
        ensure!(
            are == needed,
            "there are sums of the shape {are:?}, not {needed:?}: they are of other metrics"
        );
        match &mut self.sums {
            Sums::Host(of) => *of = Vec::try_from(sums)?,
            Sums::Device(of) => of.f_copy_(sums)?,
        }
        self.samples = samples;
        Ok(())
    }

    /// The loss and the metrics so far, without those of the whole epoch. This waits for the device.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn read(&self, metrics: &[Metric]) -> Result<Vec<f64>> {
        let sums = self.sums.on_host()?;
        let of_samples = metrics.iter().zip(&self.places).filter(|(metric, _)| !metric.is_of_epoch());
        let values = of_samples.map(|(metric, place)| metric.of_all(&sums[place.clone()], self.samples));
        Ok(std::iter::once(sums[0] / self.samples as f64).chain(values).collect())
    }

    /// The mean loss so far. This waits for the device.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn loss(&self) -> Result<f64> {
        Ok(self.sums.on_host()?[0] / self.samples as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::without_own_code;
    use crate::metrics::{Better, ClassMetric, Classification};

    fn logits(rows: &[[f32; 3]]) -> Tensor {
        Tensor::from_slice(rows.as_flattened()).view([-1, 3])
    }

    #[test]
    fn means_are_weighted_by_batch_size() {
        let spread = Metric::new("spread", Better::Lower, |outputs, _| outputs.max() - outputs.min());
        let metrics = [Metric::accuracy(), spread];
        let mut means = RunningMeans::new(&metrics, Device::Cpu).unwrap();
        let first = logits(&[[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]);
        means.add(&Tensor::from(2.0), &metrics, &first, &Tensor::from_slice(&[0i64, 0, 1]), 3).unwrap();
        means
            .add(&Tensor::from(6.0), &metrics, &logits(&[[0.0, 5.0, 0.0]]), &Tensor::from_slice(&[1i64]), 1)
            .unwrap();
        assert_eq!(means.read(&metrics).unwrap(), [3.0, 0.75, 2.0]);
    }

    #[test]
    fn a_metric_of_many_values_is_an_error_that_names_it() {
        let metrics = [Metric::new("odd", Better::Lower, |outputs, _| outputs.shallow_clone())];
        let mut means = RunningMeans::new(&metrics, Device::Cpu).unwrap();
        let outputs = logits(&[[1.0, 0.0, 0.0]]);
        let fault =
            means.add(&Tensor::from(1.0), &metrics, &outputs, &Tensor::from_slice(&[0i64]), 1).unwrap_err();
        assert!(fault.to_string().contains("metric odd"), "{fault}");
    }

    #[test]
    fn means_go_on_from_their_parts() {
        let add = |means: &mut RunningMeans, loss: f64| {
            means.add(&Tensor::from(loss), &[], &Tensor::new(), &Tensor::new(), 2).unwrap();
        };
        let mut whole = RunningMeans::new(&[], Device::Cpu).unwrap();
        add(&mut whole, 0.1);
        let mut resumed = RunningMeans::new(&[], Device::Cpu).unwrap();
        let (sums, samples) = whole.parts();
        resumed.restore(&sums, samples).unwrap();
        add(&mut whole, 0.7);
        add(&mut resumed, 0.7);
        assert_eq!(whole.read(&[]).unwrap(), resumed.read(&[]).unwrap());
        let other = [Metric::accuracy()];
        assert!(RunningMeans::new(&other, Device::Cpu).unwrap().restore(&sums, samples).is_err());
    }

    /// In batches of any size, on a CPU and as on a CUDA device, they are those of all samples at once.
    #[test]
    fn metrics_of_classes_follow_from_the_sums_of_batches() {
        let numbers = Tensor::arange(240, (Kind::Float, Device::Cpu));
        let logits = ((&numbers * 0.618).frac() * 4.0).floor().view([60, 4]);
        let labels = (Tensor::arange(60, (Kind::Int64, Device::Cpu)).square()).remainder(4);
        let named = ClassMetric::all(4);
        let metrics = Metric::of_classes(&named, 4).unwrap();
        let classified = Classification::new(&logits, &labels).unwrap();
        let running = named.iter().filter(|metric| metric.is_running());
        let expected: Vec<f64> = running.map(|metric| classified.value(*metric)).collect();
        let in_batches = |size: usize| {
            let mut means = RunningMeans::new(&metrics, Device::Cpu).unwrap();
            // The loss twice, 3 counts of 4 classes once for 6 metrics, and 4 more sums.
            assert_eq!(means.count(), 1 + 1 + 12 + 4 - 1);
            for start in (0..60).step_by(size) {
                let count = size.min(60 - start);
                let part = |of: &Tensor| of.narrow(0, start as i64, count as i64);
                let loss = part(&logits).cross_entropy_for_logits(&part(&labels));
                means.add(&loss, &metrics, &part(&logits), &part(&labels), count).unwrap();
            }
            means.read(&metrics).unwrap()
        };
        for size in [60, 16, 1] {
            for values in [in_batches(size), without_own_code(|| in_batches(size))] {
                assert_eq!(values[0], values[1]);
                for (name, (value, expected)) in named.iter().zip(values[1..].iter().zip(&expected)) {
                    assert!(
                        (value - expected).abs() < 1e-6,
                        "{name} in batches of {size}: {value}, not {expected}"
                    );
                }
            }
        }
        let auc = metrics.iter().find(|metric| metric.is_of_epoch()).unwrap();
        assert_eq!(auc.of_epoch_outputs(&logits, &labels).unwrap(), classified.value(ClassMetric::Auc));
    }
}
