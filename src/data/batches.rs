//! Batches, and the trait of everything that training can read batches from.

use anyhow::{Context, Result};
use std::fmt;
use std::ops::Range;
use tch::{Device, Tensor};

/// One batch.
#[derive(Debug)]
pub struct Batch {
    /// float32 inputs, [b, ...].
    pub inputs: Tensor,
    /// Targets, [b, ...], in the type they are stored in: int64 class numbers for a classifier.
    pub targets: Tensor,
    /// The number of rows, b.
    pub size: usize,
}

impl Batch {
    /// A batch on another device. The host does not wait for the copy: while a CUDA device computes one step,
    /// the next batch is prepared and on its way.
    ///
    /// # Errors
    /// Too little memory on the device.
    pub fn to_device(self, device: Device) -> Result<Batch> {
        let Batch { inputs, targets, size } = self;
        Ok(Batch { inputs: sent(inputs, device)?, targets: sent(targets, device)?, size })
    }
}

/// One of equal shares of each batch, for one of several processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 0.
    pub index: usize,
    /// The number of parts.
    pub of: usize,
}

impl Part {
    /// The whole batch.
    pub const WHOLE: Part = Part { index: 0, of: 1 };

    /// The rows of this part in a batch of that size.
    pub fn rows(self, size: usize) -> Range<usize> {
        size * self.index / self.of..size * (self.index + 1) / self.of
    }
}

impl Batch {
    /// Some rows of the batch.
    ///
    /// # Errors
    /// Rows that it does not have.
    pub fn rows(&self, rows: Range<usize>) -> Result<Batch> {
        let (start, size) = (rows.start as i64, rows.len());
        Ok(Batch {
            inputs: self.inputs.f_narrow(0, start, size as i64)?,
            targets: self.targets.f_narrow(0, start, size as i64)?,
            size,
        })
    }
}

/// The batches of an epoch, in order.
pub type BatchIterator<'a> = Box<dyn Iterator<Item = Result<Batch>> + 'a>;

/// Data that can be trained on, batch by batch.
///
/// [`Samples`](super::Samples) implements it for tensors in memory. Implement it for data that do not fit in
/// memory, or that are made up as they are needed: three methods are enough.
///
/// ```
/// use fitch::data::{Batch, BatchIterator, BatchSource};
/// use tch::{Device, Kind, Tensor};
///
/// /// Points on a line, computed when they are needed.
/// #[derive(Debug)]
/// struct Line { points: usize }
///
/// impl BatchSource for Line {
///     fn len(&self) -> usize {
///         self.points
///     }
///
///     fn batches(&self, batch_size: usize) -> anyhow::Result<BatchIterator<'_>> {
///         let starts = (0..self.points).step_by(batch_size);
///         Ok(Box::new(starts.map(move |start| {
///             let size = batch_size.min(self.points - start);
///             let inputs = Tensor::f_arange_start(
///                 start as i64, (start + size) as i64, (Kind::Float, Device::Cpu),
///             )?.f_view([-1, 1])?;
///             Ok(Batch { targets: &inputs * 2.0, inputs, size })
///         })))
///     }
///
///     // Every epoch in the same order, whatever the seed: allowed, if seldom wise.
///     fn shuffled_batches(
///         &self, batch_size: usize, _seed: u64, _epoch: usize, skip: usize,
///     ) -> anyhow::Result<BatchIterator<'_>> {
///         Ok(Box::new(self.batches(batch_size)?.skip(skip)))
///     }
/// }
///
/// let line = Line { points: 10 };
/// let sizes: Vec<usize> = line.batches(4)?.map(|batch| Ok(batch?.size)).collect::<anyhow::Result<_>>()?;
/// assert_eq!(sizes, [4, 4, 2]);
/// # Ok::<(), anyhow::Error>(())
/// ```
pub trait BatchSource: fmt::Debug {
    /// The number of rows: of all batches together.
    fn len(&self) -> usize;

    /// Whether there is no row.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of values in the inputs of a row; without an implementation of its own, the first row is
    /// read for it.
    ///
    /// # Errors
    /// A row that cannot be read.
    fn row_values(&self) -> Result<usize> {
        match self.batches(1)?.next() {
            Some(first) => Ok(first?.inputs.numel()),
            None => Ok(0),
        }
    }

    /// All rows in a fixed order, `batch_size` to a batch; the last batch may be smaller.
    ///
    /// # Errors
    /// What cannot be read; later faults come in place of a batch.
    fn batches(&self, batch_size: usize) -> Result<BatchIterator<'_>>;

    /// The batches of an epoch, counted from 1: all rows, in an order that follows from `seed` and `epoch`
    /// alone. The first `skip` batches are left out, ideally without reading them: a resumed training goes on
    /// there.
    ///
    /// # Errors
    /// What cannot be read; later faults come in place of a batch.
    fn shuffled_batches(
        &self,
        batch_size: usize,
        seed: u64,
        epoch: usize,
        skip: usize,
    ) -> Result<BatchIterator<'_>>;

    /// One part of each of these batches, which is empty where a batch has fewer rows than there are parts;
    /// ideally without reading the others.
    ///
    /// # Errors
    /// As [`shuffled_batches`](BatchSource::shuffled_batches).
    fn shuffled_parts(
        &self,
        batch_size: usize,
        seed: u64,
        epoch: usize,
        skip: usize,
        part: Part,
    ) -> Result<BatchIterator<'_>> {
        let batches = self.shuffled_batches(batch_size, seed, epoch, skip)?;
        if part == Part::WHOLE {
            return Ok(batches);
        }
        Ok(Box::new(batches.map(move |batch| {
            let batch = batch?;
            batch.rows(part.rows(batch.size))
        })))
    }

    /// The device that batches come on.
    fn device(&self) -> Device {
        Device::Cpu
    }

    /// The same data kept on a device, where that is possible and saves time. Without it, each batch is
    /// copied when its turn comes.
    ///
    /// # Errors
    /// Any fault of the device.
    fn copied_to(&self, _device: Device) -> Result<Option<Box<dyn BatchSource + '_>>> {
        Ok(None)
    }
}

impl<'a> dyn BatchSource + 'a {
    /// The same data with batches on that device.
    ///
    /// # Errors
    /// Those of [`copied_to`](BatchSource::copied_to).
    pub fn on_device(&self, device: Device) -> Result<Box<dyn BatchSource + '_>> {
        Ok(match self.copied_to(device)? {
            Some(copied) => copied,
            None => Box::new(OnDevice { source: self, device }),
        })
    }
}

/// Copies each batch to a device when its turn comes.
#[derive(Debug)]
struct OnDevice<'a> {
    source: &'a dyn BatchSource,
    device: Device,
}

impl OnDevice<'_> {
    fn moved<'b>(&self, batches: BatchIterator<'b>) -> BatchIterator<'b> {
        let device = self.device;
        Box::new(batches.map(move |batch| batch?.to_device(device)))
    }
}

impl BatchSource for OnDevice<'_> {
    fn len(&self) -> usize {
        self.source.len()
    }

    fn row_values(&self) -> Result<usize> {
        self.source.row_values()
    }

    fn batches(&self, batch_size: usize) -> Result<BatchIterator<'_>> {
        Ok(self.moved(self.source.batches(batch_size)?))
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
        Ok(self.moved(self.source.shuffled_parts(batch_size, seed, epoch, skip, part)?))
    }

    fn device(&self) -> Device {
        self.device
    }
}

/// The tensor on a device; the host does not wait for the copy.
pub(super) fn sent(tensor: Tensor, device: Device) -> Result<Tensor> {
    if tensor.device() == device {
        return Ok(tensor);
    }
    if tensor.device() != Device::Cpu {
        return tensor.f_to_device(device).context("cannot copy a batch to the device");
    }
    // Not `pin_memory`: for each tensor, libtorch 2.11 prints that its argument, the device, is out of use.
    let pinned = tensor.f_internal_pin_memory(device)?;
    Ok(pinned.f_to_device_(device, pinned.kind(), true, false)?)
}
