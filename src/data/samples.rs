//! Rows of inputs with their targets, in memory or mapped: what training usually reads its batches from.

use super::batches::{Batch, BatchIterator, BatchSource, Part, sent};
use super::split::{SplitMethod, split};
use crate::device;
use crate::kernels::tensor_slice::{as_slice, filled};
use crate::kernels::threads::for_each_chunk;
use crate::random::{Purpose, shuffle};
use anyhow::{Context, Result, bail, ensure};
use tch::{Device, Kind, TchError, Tensor};

/// Inputs and targets of the same number of rows, or a choice of their rows.
///
/// Inputs stay as they are stored (uint8 pixels, say): a batch is gathered first and converted to float32
/// then, so that a quarter of the memory is moved. Copies ([`Clone`], [`choose`](Samples::choose),
/// [`split`](Samples::split)) share the tensors and differ in their row numbers only.
#[derive(Debug)]
pub struct Samples {
    inputs: Tensor,
    targets: Tensor,
    /// The rows in use, on the CPU; none means all, in order.
    rows: Option<Vec<i64>>,
    divisor: f64,
    /// Where batches go; inputs and targets are there, too, if they fit.
    device: Device,
}

impl Clone for Samples {
    fn clone(&self) -> Samples {
        Samples {
            inputs: self.inputs.shallow_clone(),
            targets: self.targets.shallow_clone(),
            rows: self.rows.clone(),
            ..*self
        }
    }
}

impl Samples {
    /// All rows of `inputs` [n, ...] with their `targets` [n, ...]. Batches come on the device of the inputs.
    ///
    /// # Errors
    /// Different numbers of rows, or inputs without a single value each.
    pub fn new(inputs: &Tensor, targets: &Tensor) -> Result<Samples> {
        let (size, of_targets) = (inputs.size(), targets.size());
        let (Some((count, of_input)), Some(targets_count)) = (size.split_first(), of_targets.first()) else {
            bail!(
                "inputs have the shape {size:?}, targets {of_targets:?}; the first size is the number of rows"
            )
        };
        ensure!(count == targets_count, "there are {count} inputs but {targets_count} targets");
        ensure!(of_input.iter().all(|&size| size > 0), "inputs of the shape {size:?} hold no values");
        Ok(Samples {
            inputs: inputs.f_detach()?,
            targets: targets.f_detach()?.f_to_device(inputs.device())?,
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

    /// Only the rows given, in that order, counted among the rows in use: choosing twice narrows.
    ///
    /// # Errors
    /// A row that does not exist.
    pub fn choose(mut self, rows: &[i64]) -> Result<Samples> {
        let total = self.len() as i64;
        if let Some(row) = rows.iter().find(|row| !(0..total).contains(*row)) {
            bail!("there is no row {row} among {total}");
        }
        self.rows = Some(match &self.rows {
            Some(chosen) => rows.iter().map(|&row| chosen[row as usize]).collect(),
            None => rows.to_vec(),
        });
        Ok(self)
    }

    /// Two parts, to train on and to validate with: `share` of the rows is held out for the second.
    ///
    /// ```
    /// use fitch::data::{Source, SplitMethod};
    ///
    /// let digits = Source::find("digits")?.load()?;
    /// let (train, validation) = digits.train_samples()?.split(0.1, SplitMethod::Stratified, 0)?;
    /// assert_eq!((train.len(), validation.len()), (1_289, 144));
    /// # Ok::<(), anyhow::Error>(())
    /// ```
    ///
    /// # Errors
    /// A share outside [0, 1) or one that leaves a part empty; [`SplitMethod::Stratified`] for targets that
    /// are not one whole number a row.
    pub fn split(&self, share: f64, method: SplitMethod, seed: u64) -> Result<(Samples, Samples)> {
        let labels = match method {
            SplitMethod::Stratified => self.labels()?,
            SplitMethod::Shuffled | SplitMethod::Last => vec![0; self.len()],
        };
        let rows = split(&labels, share, method, seed)?;
        Ok((self.clone().choose(&rows.train)?, self.clone().choose(&rows.validation)?))
    }

    /// The targets of the rows in use as whole numbers: their classes.
    ///
    /// # Errors
    /// Targets that are not one whole number a row.
    pub fn labels(&self) -> Result<Vec<i64>> {
        let (size, kind) = (self.targets.size(), self.targets.kind());
        let is_label =
            size.len() == 1 && !matches!(kind, Kind::Float | Kind::Double | Kind::Half | Kind::BFloat16);
        ensure!(
            is_label,
            "labels are one class number a row, but targets are of shape {size:?} and type \
             {kind:?}"
        );
        let all: Vec<i64> = Vec::try_from(self.targets.f_to_device(Device::Cpu)?.f_to_kind(Kind::Int64)?)?;
        Ok(match &self.rows {
            Some(rows) => rows.iter().map(|&row| all[row as usize]).collect(),
            None => all,
        })
    }

    /// The same samples on a device. On the device where they lie nothing is copied, so a mapped file stays
    /// mapped; to another, the rows in use are copied. If they do not fit there, they stay where they are,
    /// and batches are copied when their turn comes.
    ///
    /// # Errors
    /// Any fault of the device but too little memory for the inputs.
    pub fn to_device(&self, device: Device) -> Result<Samples> {
        if self.inputs.device() == device {
            return Ok(Samples { device, ..self.clone() });
        }
        match self.leave_room_on(device).and_then(|()| self.copy_to(device)) {
            Err(fault) if is_out_of_memory(&fault) => Ok(Samples { device, ..self.clone() }),
            copied => copied,
        }
    }

    /// Fails where the copy would take more than half of the memory that a device has left: training needs some,
    /// too. Asks for twice the memory and gives it back.
    fn leave_room_on(&self, device: Device) -> Result<()> {
        let values = self.len() as i64 * self.inputs.size()[1..].iter().product::<i64>();
        let _ = Tensor::f_empty([values, 2], (self.inputs.kind(), device))?;
        Ok(())
    }

    fn copy_to(&self, device: Device) -> Result<Samples> {
        let copy = |tensor: &Tensor| match &self.rows {
            Some(rows) => chosen_on(tensor, rows, device),
            None => Ok(tensor.f_to_device(device)?),
        };
        Ok(Samples {
            inputs: copy(&self.inputs).context("cannot copy the inputs to the device")?,
            targets: copy(&self.targets).context("cannot copy the targets to the device")?,
            rows: None,
            divisor: self.divisor,
            device,
        })
    }

    /// The number of rows in use.
    pub fn len(&self) -> usize {
        match &self.rows {
            Some(rows) => rows.len(),
            None => self.targets.size().first().map_or(0, |&count| count as usize),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The device that batches come on.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The batches of an epoch (counted from 1): all rows in a fresh order that follows from seed and epoch
    /// alone; the last batch may be smaller. A batch size of 0 counts as 1.
    ///
    /// # Errors
    /// Too little memory on the device.
    pub fn shuffled_batches(&self, batch_size: usize, seed: u64, epoch: usize) -> Result<Batches<'_>> {
        let mut order = match &self.rows {
            Some(rows) => rows.clone(),
            None => (0..self.len() as i64).collect(),
        };
        shuffle(&mut order, seed, Purpose::Order(epoch));
        self.in_order(Some(&order), batch_size)
    }

    /// The batches in the order of the rows; the last one may be smaller. A batch size of 0 counts as 1.
    ///
    /// # Errors
    /// Too little memory on the device.
    pub fn batches(&self, batch_size: usize) -> Result<Batches<'_>> {
        self.in_order(self.rows.as_deref(), batch_size)
    }

    fn in_order(&self, order: Option<&[i64]>, batch_size: usize) -> Result<Batches<'_>> {
        let on_device = |order| Tensor::f_from_slice(order)?.f_to_device(self.inputs.device());
        let order = order.map(on_device).transpose()?;
        Ok(Batches { samples: self, order, batch_size: batch_size.max(1), part: Part::WHOLE, position: 0 })
    }
}

impl BatchSource for Samples {
    fn len(&self) -> usize {
        Samples::len(self)
    }

    fn row_values(&self) -> Result<usize> {
        Ok(self.inputs.size()[1..].iter().product::<i64>() as usize)
    }

    fn batches(&self, batch_size: usize) -> Result<BatchIterator<'_>> {
        Ok(Box::new(Samples::batches(self, batch_size)?))
    }

    fn shuffled_batches(
        &self,
        batch_size: usize,
        seed: u64,
        epoch: usize,
        skip: usize,
    ) -> Result<BatchIterator<'_>> {
        self.shuffled_parts(batch_size, seed, epoch, skip, Part::WHOLE)
    }

    fn shuffled_parts(
        &self,
        batch_size: usize,
        seed: u64,
        epoch: usize,
        skip: usize,
        part: Part,
    ) -> Result<BatchIterator<'_>> {
        let batches = Samples::shuffled_batches(self, batch_size, seed, epoch)?.after(skip);
        Ok(Box::new(Batches { part, ..batches }))
    }

    fn device(&self) -> Device {
        self.device
    }

    fn copied_to(&self, device: Device) -> Result<Option<Box<dyn BatchSource + '_>>> {
        Ok(Some(Box::new(self.to_device(device)?)))
    }
}

/// Whether libtorch had too little memory.
fn is_out_of_memory(fault: &anyhow::Error) -> bool {
    fault.downcast_ref::<TchError>().is_some_and(|fault| device::is_out_of_memory(&fault.to_string()))
}

/// The chosen rows of a tensor, copied to a device a part at a time: the host needs no memory for all of
/// them.
fn chosen_on(tensor: &Tensor, rows: &[i64], device: Device) -> Result<Tensor> {
    const PART_VALUES: usize = 16 << 20;
    let shape: Vec<i64> = [&[rows.len() as i64], &tensor.size()[1..]].concat();
    let copy = Tensor::f_empty(&shape, (tensor.kind(), device))?;
    let width = shape[1..].iter().product::<i64>().max(1) as usize;
    let mut start = 0;
    for part in rows.chunks((PART_VALUES / width).max(1)) {
        let chosen = tensor.f_index_select(0, &Tensor::f_from_slice(part)?.f_to_device(tensor.device())?)?;
        copy.f_narrow(0, start, part.len() as i64)?.f_copy_(&chosen)?;
        start += part.len() as i64;
    }
    Ok(copy)
}

/// An iterator over the batches of an epoch.
#[derive(Debug)]
pub struct Batches<'a> {
    samples: &'a Samples,
    order: Option<Tensor>,
    batch_size: usize,
    /// What of each batch is gathered.
    part: Part,
    position: usize,
}

impl Batches<'_> {
    /// Passes over the first batches without gathering them.
    pub fn after(mut self, batches: usize) -> Self {
        self.position = batches.saturating_mul(self.batch_size).min(self.samples.len());
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
        let rows = self.part.rows(size);
        (size > 0).then(|| self.gather(start + rows.start, rows.len()))
    }

    fn nth(&mut self, skipped: usize) -> Option<Result<Batch>> {
        self.position =
            self.position.saturating_add(skipped.saturating_mul(self.batch_size)).min(self.samples.len());
        self.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = (self.samples.len() - self.position).div_ceil(self.batch_size);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Batches<'_> {}

#[cfg(test)]
mod tests;
