//! What training reads its batches from: rows of inputs with their targets. It must not know models,
//! nor what a row shows.

use crate::kernels::tensor_slice::{as_slice, filled};
use crate::kernels::threads::for_each_chunk;
use crate::random::{Purpose, shuffle};
use anyhow::{Context, Result, bail};
use tch::{Device, Kind, Tensor};

/// Inputs and targets of the same number of rows, or a choice of their rows.
///
/// Inputs stay as they are stored (uint8 pixels, say): a batch is gathered first and converted to
/// float32 then, so that a quarter of the memory is moved.
#[derive(Debug)]
pub struct Samples {
    inputs: Tensor,
    targets: Tensor,
    /// The rows in use, int64; none means all, in order.
    rows: Option<Tensor>,
    divisor: f64,
    /// Where batches go; all else is there, too, if it fits.
    device: Device,
}

impl Samples {
    /// All rows of `inputs` [n, ...] with their `targets` [n, ...].
    ///
    /// # Errors
    /// Different numbers of rows.
    pub fn new(inputs: &Tensor, targets: &Tensor) -> Result<Samples> {
        let rows = |tensor: &Tensor| tensor.size().first().copied().unwrap_or(0);
        if rows(inputs) != rows(targets) {
            bail!("there are {} inputs but {} targets", rows(inputs), rows(targets));
        }
        Ok(Samples {
            inputs: inputs.shallow_clone(),
            targets: targets.shallow_clone(),
            rows: None,
            divisor: 1.0,
            device: inputs.device(),
        })
    }

    /// Divides every input by `maximum`, so that stored values from 0 to `maximum` become 0 to 1.
    pub fn scaled_by(mut self, maximum: f64) -> Samples {
        self.divisor = maximum;
        self
    }

    /// Only the rows given, in that order.
    ///
    /// # Errors
    /// A row that does not exist.
    pub fn choose(mut self, rows: &[i64]) -> Result<Samples> {
        let total = self.inputs.size().first().copied().unwrap_or(0);
        if let Some(row) = rows.iter().find(|row| !(0..total).contains(*row)) {
            bail!("there is no row {row} among {total}");
        }
        self.rows = Some(Tensor::from_slice(rows).to_device(self.inputs.device()));
        Ok(self)
    }

    /// The same samples on a device. On the CPU nothing is copied, so a mapped file stays mapped. What
    /// does not fit on another device stays where it is, and batches are copied when their turn comes.
    ///
    /// # Errors
    /// Too little memory on the device even for the numbers of the rows.
    pub fn to_device(&self, device: Device) -> Result<Samples> {
        let inputs = self.inputs.f_to_device(device).unwrap_or_else(|_| self.inputs.shallow_clone());
        let beside = |tensor: &Tensor| {
            tensor.f_to_device(inputs.device()).context("cannot copy the samples to the device")
        };
        Ok(Samples {
            targets: beside(&self.targets)?,
            rows: self.rows.as_ref().map(beside).transpose()?,
            divisor: self.divisor,
            device,
            inputs,
        })
    }

    /// The number of rows in use.
    pub fn len(&self) -> usize {
        let rows = self.rows.as_ref().unwrap_or(&self.targets);
        rows.size().first().map_or(0, |&n| n as usize)
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the batches are.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The batches of an epoch (counted from 1): all rows in a fresh order that follows from seed and
    /// epoch alone; the last batch may be smaller.
    pub fn shuffled_batches(&self, batch_size: usize, seed: u64, epoch: usize) -> Result<Batches<'_>> {
        let mut order: Vec<i64> = match &self.rows {
            Some(rows) => Vec::try_from(&rows.to_device(Device::Cpu))?,
            None => (0..self.len() as i64).collect(),
        };
        shuffle(&mut order, seed, Purpose::Order(epoch));
        let order = Tensor::from_slice(&order).f_to_device(self.inputs.device())?;
        Ok(Batches { samples: self, order: Some(order), batch_size, position: 0 })
    }

    /// The batches in the order of the rows; the last one may be smaller.
    pub fn batches(&self, batch_size: usize) -> Batches<'_> {
        let order = self.rows.as_ref().map(Tensor::shallow_clone);
        Batches { samples: self, order, batch_size, position: 0 }
    }
}

/// One batch: float32 inputs [b, ...] and their targets [b, ...].
#[derive(Debug)]
pub struct Batch {
    /// Inputs, scaled.
    pub inputs: Tensor,
    /// Targets, in the type they are stored in.
    pub targets: Tensor,
    /// The number of rows, b.
    pub size: usize,
}

/// An iterator over the batches of an epoch.
#[derive(Debug)]
pub struct Batches<'a> {
    samples: &'a Samples,
    order: Option<Tensor>,
    batch_size: usize,
    position: usize,
}

impl Batches<'_> {
    /// Passes over the first batches without gathering them.
    pub fn after(mut self, batches: usize) -> Self {
        self.position = (batches * self.batch_size).min(self.samples.len());
        self
    }

    fn gather(&self, start: usize, size: usize) -> Result<Batch> {
        let Samples { inputs, targets, divisor, device, .. } = self.samples;
        let (first, count) = (start as i64, size as i64);
        let rows = self.order.as_ref().map(|order| order.f_narrow(0, first, count)).transpose()?;
        let pick = |all: &Tensor| match &rows {
            Some(rows) => sent(all.f_index_select(0, rows)?, *device),
            None => sent(all.f_narrow(0, first, count)?, *device),
        };
        let pixels = as_slice(inputs).filter(|_| *device == Device::Cpu);
        let inputs = match pixels.zip(rows.as_ref()) {
            Some((pixels, rows)) => gather_pixels(pixels, &inputs.size(), rows, *divisor)?,
            None => scaled(&pick(inputs)?, *divisor)?,
        };
        Ok(Batch { inputs, targets: pick(targets)?, size })
    }
}

/// The tensor on a device. The host does not wait for the copy: while a CUDA device computes one step, the
/// batch of the next is gathered and on its way.
fn sent(tensor: Tensor, device: Device) -> Result<Tensor> {
    if tensor.device() == device {
        return Ok(tensor);
    }
    let pinned = tensor.f_pin_memory(device)?;
    Ok(pinned.f_to_device_(device, pinned.kind(), true, false)?)
}

fn scaled(inputs: &Tensor, divisor: f64) -> Result<Tensor> {
    let inputs = inputs.f_to_kind(Kind::Float)?;
    Ok(if divisor == 1.0 { inputs } else { inputs.f_div_scalar(divisor)? })
}

/// What libtorch would do in three passes (gather, convert, divide), in one.
fn gather_pixels(pixels: &[u8], size: &[i64], rows: &Tensor, divisor: f64) -> Result<Tensor> {
    let shape: Vec<i64> = rows.size().iter().chain(&size[1..]).copied().collect();
    let rows: Vec<i64> = Vec::try_from(rows)?;
    let width = size[1..].iter().product::<i64>() as usize;
    let scaled: [f32; 256] = std::array::from_fn(|byte| byte as f32 / divisor as f32);
    filled(&shape, |gathered| {
        for_each_chunk(gathered, width.max(1), |index, row| {
            let start = rows[index] as usize * width;
            for (value, byte) in row.iter_mut().zip(&pixels[start..start + width]) {
                *value = scaled[usize::from(*byte)];
            }
        });
    })
}

impl Iterator for Batches<'_> {
    type Item = Result<Batch>;

    fn next(&mut self) -> Option<Result<Batch>> {
        let start = self.position;
        let size = self.batch_size.min(self.samples.len() - start);
        self.position += size;
        (size > 0).then(|| self.gather(start, size))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.samples.len() - self.position).div_ceil(self.batch_size);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Batches<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(n: i64) -> Samples {
        let inputs = Tensor::arange(n * 4, (Kind::Int64, Device::Cpu)).to_kind(Kind::Uint8).view([n, 2, 2]);
        Samples::new(&inputs, &Tensor::arange(n, (Kind::Int64, Device::Cpu))).unwrap()
    }

    fn targets(batches: Batches) -> Vec<Vec<i64>> {
        batches.map(|batch| Vec::try_from(batch.unwrap().targets).unwrap()).collect()
    }

    #[test]
    fn the_last_smaller_batch_is_kept() {
        assert_eq!(targets(samples(7).batches(3)), [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
        assert_eq!(samples(7).batches(3).len(), 3);
        assert_eq!(samples(6).batches(3).len(), 2);
    }

    #[test]
    fn batches_can_begin_later() {
        assert_eq!(targets(samples(7).batches(3).after(1)), [vec![3, 4, 5], vec![6]]);
        assert!(targets(samples(7).batches(3).after(3)).is_empty());
    }

    #[test]
    fn inputs_are_gathered_with_their_targets_and_scaled() {
        let samples = samples(5).scaled_by(16.0).choose(&[3, 1]).unwrap();
        let batch = samples.batches(10).next().unwrap().unwrap();
        assert_eq!(Vec::<i64>::try_from(&batch.targets).unwrap(), [3, 1]);
        assert_eq!(batch.inputs.size(), [2, 2, 2]);
        let values: Vec<f32> = Vec::try_from(batch.inputs.view([-1])).unwrap();
        assert_eq!(values, [12.0, 13.0, 14.0, 15.0, 4.0, 5.0, 6.0, 7.0].map(|v: f32| v / 16.0));
    }

    #[test]
    fn every_epoch_has_an_order_of_its_own_that_the_seed_repeats() {
        let samples = samples(50).choose(&(10..50).collect::<Vec<_>>()).unwrap();
        let order = |seed, epoch| targets(samples.shuffled_batches(16, seed, epoch).unwrap()).concat();
        assert_eq!(order(0, 1), order(0, 1));
        assert_ne!(order(0, 1), order(0, 2));
        assert_ne!(order(0, 1), order(1, 1));
        let mut sorted = order(0, 1);
        sorted.sort();
        assert_eq!(sorted, (10..50).collect::<Vec<_>>());
    }

    #[test]
    fn rows_that_do_not_exist_and_unequal_counts_are_errors() {
        assert!(samples(5).choose(&[5]).is_err());
        assert!(samples(5).choose(&[-1]).is_err());
        let inputs = Tensor::zeros([3, 2], (Kind::Float, Device::Cpu));
        assert!(Samples::new(&inputs, &Tensor::zeros([4], (Kind::Int64, Device::Cpu))).is_err());
    }
}
