//! A step: from a batch to gradients, and from gradients to moved weights.

use super::gradients::Gradients as OfModel;
use super::sharing::ShardSums;
use super::{StopReason, Training, mixed_loss};
use crate::data::Batch;
use crate::metrics::Sums;
use crate::optim::Gradients;
use crate::random::shard_seed;
use anyhow::{Context, Result, ensure};
use tch::{Device, Kind, Tensor};

/// What a step moves the weights by.
#[derive(Debug)]
pub enum Step {
    /// Of batches that are computed as a whole. Their metrics are added already.
    Whole(Gradients),
    /// Of shards of them: those of this process, each for itself until the last batch; once exchanged, of all.
    Shards(Vec<ShardSums>),
}

/// The number of reasons for which a process may wish that all stop.
const WISHES: usize = StopReason::ALL.len();

/// On a CUDA device, the host waits for the wishes of other processes once in so many steps.
const STEPS_BETWEEN_WISHES: usize = 16;

impl Training<'_> {
    /// The gradients of the batches of the next step, of which these are the parts of this process, each with the seed
    /// of what is random in it. None after the last step.
    pub(super) fn compute(
        &mut self,
        batches: &mut impl Iterator<Item = (Result<Batch>, i64)>,
    ) -> Result<Option<Step>> {
        let Some((batch, seed)) = batches.next() else { return Ok(None) };
        self.begin_step();
        let mut step = self.with_batch(None, 0, &batch?, seed)?;
        for index in 1..self.batches_in_step() {
            let (batch, seed) = batches.next().context("the source gave fewer batches than are due")?;
            step = self.with_batch(Some(step), index, &batch?, seed)?;
        }
        Ok(Some(step))
    }

    /// A step with one more of its batches, counted from 0.
    fn with_batch(&mut self, earlier: Option<Step>, index: usize, batch: &Batch, seed: i64) -> Result<Step> {
        let sharing = self.sharing();
        let is_alone = self.batches_in_step() == 1;
        let whole = self.size_of_batch(index);
        let part = sharing.part().rows(whole);
        ensure!(
            batch.size == part.len() || is_alone && !sharing.is_in_shards(),
            "the source gave a batch of {} rows where {} are due",
            batch.size,
            part.len()
        );
        let samples = self.size_of_step() as f64;
        if !sharing.is_in_shards() {
            tch::manual_seed(seed);
            let share = if is_alone { 1.0 } else { batch.size as f64 / samples };
            let (outputs, targets, loss, gradients) = self.differentiate(batch, share)?;
            self.means.add(&loss, &self.metrics, &outputs, &targets, batch.size)?;
            return Ok(Step::Whole(match earlier {
                Some(Step::Whole(earlier)) => earlier.plus(gradients)?,
                _ => gradients,
            }));
        }
        // They are those of the process: its first shard takes them along.
        let mut wishes = if index == 0 { self.wishes() } else { Default::default() };
        let is_last = index + 1 == self.batches_in_step();
        let earlier = if let Some(Step::Shards(earlier)) = earlier { earlier } else { Vec::new() };
        let mut earlier = earlier.into_iter();
        let mut shard = |shard| {
            let rows = sharing.rows(shard, whole);
            let batch = batch.rows(rows.start - part.start..rows.end - part.start)?;
            tch::manual_seed(shard_seed(seed, shard));
            let sums = self.shard(&batch, batch.size as f64 / samples, std::mem::take(&mut wishes))?;
            // Whoever adds the shards first comes to other sums in another number of processes.
            match earlier.next() {
                Some(earlier) => earlier.plus(sums),
                None => Ok(sums),
            }
        };
        Ok(Step::Shards(match is_last {
            true => sharing.compute(shard)?,
            false => sharing.own_shards().map(&mut shard).collect::<Result<_>>()?,
        }))
    }

    /// What comes of a shard, which is that share of the step.
    fn shard(&mut self, batch: &Batch, share: f64, wishes: [f64; WISHES]) -> Result<ShardSums> {
        let _no_gradient = tch::no_grad_guard();
        let device = self.variables.device();
        let variables = self.optimizer.variables();
        let before = self.statistics.iter().map(Tensor::copy).collect::<Vec<_>>();
        let zeros = |value: &Tensor| Tensor::f_zeros([value.numel() as i64], (Kind::Float, device));
        let (sums, mut values): (Tensor, Vec<Tensor>) = match batch.size {
            0 => {
                let sums = Tensor::f_zeros([self.means.count() as i64], (Kind::Double, device))?;
                (sums, variables.iter().map(zeros).collect::<Result<_, _>>()?)
            }
            _ => {
                let (outputs, targets, loss, gradients) =
                    tch::with_grad(|| self.differentiate(batch, share))?;
                let sums =
                    self.means.sums_of(&loss, &self.metrics, &outputs, &targets, batch.size)?.as_tensor();
                let Gradients::Each(gradients) = gradients else { unreachable!("checked before training") };
                let defined = |(gradient, value): (Tensor, &Tensor)| match gradient.defined() {
                    true => Ok(gradient),
                    false => zeros(value),
                };
                (sums, gradients.into_iter().zip(&variables).map(defined).collect::<Result<_, _>>()?)
            }
        };
        for (value, before) in self.statistics.iter().zip(&before) {
            values.push(value.f_sub(before)?.f_mul_scalar(share)?);
            value.shallow_clone().f_copy_(before)?;
        }
        let wishes = match wishes.iter().all(|wish| *wish == 0.0) {
            // The host would wait for a CUDA device to take them.
            true => Tensor::f_zeros([WISHES as i64], (Kind::Double, device))?,
            false => Tensor::f_from_slice(&wishes)?.f_to_device(device)?,
        };
        ShardSums::pack(&values, &Tensor::f_cat(&[sums, wishes], 0)?)
    }

    /// Outputs, the targets that metrics take, loss and gradients of a batch; the gradients of `share` times the
    /// loss.
    fn differentiate(&mut self, batch: &Batch, share: f64) -> Result<(Tensor, Tensor, Tensor, Gradients)> {
        let batch = self.transformed(batch)?;
        let targets = batch.main_targets().shallow_clone();
        let scaled = |value: &Tensor| match share {
            1.0 => Ok(value.shallow_clone()),
            share => value.f_mul_scalar(share),
        };
        match self.gradients.as_mut().map(OfModel::as_mut) {
            None => {
                let outputs = self.model.forward_t(&batch.inputs, true);
                let loss = mixed_loss::value(&self.loss, &outputs, &batch);
                let gradients = self.optimizer.differentiate(&scaled(&loss)?)?;
                Ok((outputs, targets, loss, gradients))
            }
            Some(model) => {
                let outputs = model.forward(&batch.inputs)?;
                let (loss, gradient) = mixed_loss::value_and_gradient(&self.loss, &outputs, &batch)?;
                let gradients = self.optimizer.collect(model.backward(scaled(&gradient)?)?)?;
                Ok((outputs, targets, loss, gradients))
            }
        }
    }

    /// What every process of a step knows.
    pub(super) fn exchange(&self, step: Step) -> Result<Step> {
        match step {
            Step::Shards(own) => Ok(Step::Shards(vec![self.sharing().exchange(own)?])),
            whole => Ok(whole),
        }
    }

    /// Moves the weights by what came of a step.
    pub(super) fn update(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Whole(gradients) => self.optimizer.move_by(gradients)?,
            Step::Shards(sums) => sums.into_iter().try_for_each(|sums| self.move_by_shards(sums))?,
        }
        self.end_step()
    }

    fn move_by_shards(&mut self, shards: ShardSums) -> Result<()> {
        let _no_gradient = tch::no_grad_guard();
        let (values, sums) = (shards.values()?, shards.sums()?);
        let mut start = 0;
        let mut next = |like: &Tensor| {
            let count = like.numel() as i64;
            start += count;
            values.f_narrow(0, start - count, count)?.f_view(like.size().as_slice())
        };
        let gradients = self.optimizer.variables().iter().map(&mut next).collect::<Result<_, _>>()?;
        for value in &self.statistics {
            let change = next(value)?;
            let change = if value.kind() == Kind::Int64 { change.f_round()? } else { change };
            let _ = value.shallow_clone().f_add_(&change.f_to_kind(value.kind())?)?;
        }
        self.optimizer.move_by(Gradients::Each(gradients))?;
        let metrics = sums.numel() as i64 - WISHES as i64;
        let samples = self.size_of_step();
        self.means.add_sums(Sums::from_tensor(&sums.f_narrow(0, 0, metrics)?)?, samples)?;
        if sums.device() == Device::Cpu || self.step().is_multiple_of(STEPS_BETWEEN_WISHES) {
            let wishes: Vec<f64> = Vec::try_from(sums.f_narrow(0, metrics, WISHES as i64)?)?;
            self.sharing().check()?;
            self.grant(&wishes);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
