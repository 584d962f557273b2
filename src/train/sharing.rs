//! Steps that several processes share. The batch of a step is cut into shards; what comes of a shard follows from
//! its number alone, and shards are added in the order of a tree, so that one process or several, a divisor of
//! the shards, come to the same weights, to the last bit.

use crate::data::Part;
use crate::distributed::{Group, parts_of, sum_in_order};
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::ops::Range;
use tch::{Kind, Tensor};

/// Who shares the steps, and how their batches are cut.
#[derive(Clone, Copy, Debug)]
pub struct Sharing<'a> {
    group: Option<&'a Group>,
    shards: usize,
}

/// What comes of some shards: sums, ready to be added to those of others, in one tensor that can be sent as it is.
#[derive(Debug)]
pub struct ShardSums {
    /// float32: first `sums` float64 numbers, bit for bit; then the values; of even length, so that in a row of
    /// several of them float64 begins at a multiple of its size.
    packed: Tensor,
    sums: i64,
    values: i64,
}

impl ShardSums {
    /// Of values of any shapes, as float32: gradients and the changes of running statistics, by the shares of the
    /// shards in the batch. And of float64 sums \[m\]: loss and metrics, by numbers of samples; then what
    /// processes wish.
    ///
    /// # Errors
    /// Too little memory.
    pub fn pack(values: &[Tensor], sums: &Tensor) -> Result<ShardSums> {
        let count: i64 = values.iter().map(|value| value.numel() as i64).sum();
        let mut parts = vec![sums.f_view_dtype(Kind::Float)?];
        for value in values {
            parts.push(value.f_to_kind(Kind::Float)?.f_reshape([-1])?);
        }
        parts.push(Tensor::f_zeros([count % 2], (Kind::Float, sums.device()))?);
        Ok(ShardSums { packed: Tensor::f_cat(&parts, 0)?, sums: sums.numel() as i64, values: count })
    }

    /// The values in a row, float32 [n].
    pub fn values(&self) -> Result<Tensor> {
        Ok(self.packed.f_narrow(0, 2 * self.sums, self.values)?)
    }

    /// The sums, float64 [m].
    pub fn sums(&self) -> Result<Tensor> {
        Ok(self.packed.f_narrow(0, 0, 2 * self.sums)?.f_view_dtype(Kind::Double)?)
    }

    /// The sums of both.
    ///
    /// # Errors
    /// A fault of the device.
    pub fn plus(self, other: ShardSums) -> Result<ShardSums> {
        let _ = self.values()?.f_add_(&other.values()?)?;
        let _ = self.sums()?.f_add_(&other.sums()?)?;
        Ok(self)
    }
}

impl<'a> Sharing<'a> {
    /// By the processes of a group, if there is one, in so many shards.
    ///
    /// # Errors
    /// Shards that the processes cannot share evenly, or more than there are samples in a batch.
    pub fn new(group: Option<&'a Group>, shards: Option<usize>, batch_size: usize) -> Result<Sharing<'a>> {
        let processes = group.map_or(1, Group::size);
        let shards = shards.unwrap_or(processes);
        ensure!(
            shards > 0 && shards.is_multiple_of(processes),
            "{processes} processes cannot share {shards} shards of a batch evenly"
        );
        ensure!(shards <= batch_size, "a batch of {batch_size} cannot be cut into {shards} shards");
        Ok(Sharing { group: group.filter(|group| group.size() > 1), shards })
    }

    /// The processes, if there are several.
    pub fn group(&self) -> Option<&'a Group> {
        self.group
    }

    /// The number of shards of a batch.
    pub fn shards(&self) -> usize {
        self.shards
    }

    /// Whether a batch is computed in several shards.
    pub fn is_in_shards(&self) -> bool {
        self.shards > 1
    }

    /// What of each batch this process computes.
    pub fn part(&self) -> Part {
        self.group.map_or(Part::WHOLE, |group| Part { index: group.rank(), of: group.size() })
    }

    /// The rows of a shard in a batch of that size.
    pub fn rows(&self, shard: usize, batch_size: usize) -> Range<usize> {
        Part { index: shard, of: self.shards }.rows(batch_size)
    }

    /// What this process computes: of each shard by `shard`, added as far as it can be without the others.
    ///
    /// # Errors
    /// Those of `shard`.
    pub fn compute(&self, mut shard: impl FnMut(usize) -> Result<ShardSums>) -> Result<Vec<ShardSums>> {
        let mut value = |range: &Range<usize>| match range.len() {
            1 => shard(range.start).map(Some),
            _ => Ok(None),
        };
        let parts = self.parts_of(self.part().index).into_iter();
        parts.map(|part| sum_in_order(part, &mut value, &ShardSums::plus)).collect()
    }

    /// The sums over all shards, in every process. If there are several, this is where they wait for each other.
    ///
    /// # Errors
    /// A process that cannot be reached.
    pub fn exchange(&self, own: Vec<ShardSums>) -> Result<ShardSums> {
        let mut known = BTreeMap::new();
        match self.group {
            None => {
                known.extend(self.parts_of(0).into_iter().map(|part| (part.start, part.end)).zip(own));
            }
            Some(group) => {
                let ShardSums { sums, values, .. } = own[0];
                let length = own[0].packed.numel() as i64;
                // All send as much.
                let most = (0..group.size()).map(|rank| self.parts_of(rank).len()).max().unwrap_or(1);
                let mut sent: Vec<Tensor> = own.into_iter().map(|part| part.packed).collect();
                while sent.len() < most {
                    sent.push(sent[0].f_zeros_like()?);
                }
                let all =
                    group.gather(&if most == 1 { sent.swap_remove(0) } else { Tensor::f_cat(&sent, 0)? })?;
                for (rank, row) in all.iter().enumerate() {
                    for (index, part) in self.parts_of(rank).into_iter().enumerate() {
                        let packed = row.f_narrow(0, index as i64 * length, length)?;
                        known.insert((part.start, part.end), ShardSums { packed, sums, values });
                    }
                }
            }
        }
        let mut value = |range: &Range<usize>| Ok(known.remove(&(range.start, range.end)));
        sum_in_order(0..self.shards, &mut value, &ShardSums::plus)
    }

    /// Once a value has been read from the device: fails if an exchange before it has failed.
    ///
    /// # Errors
    /// A process that cannot be reached.
    pub fn check(&self) -> Result<()> {
        self.group.map_or(Ok(()), Group::check)
    }

    /// The shards that this process computes.
    pub fn own_shards(&self) -> Range<usize> {
        self.shards_of(self.part().index)
    }

    fn shards_of(&self, rank: usize) -> Range<usize> {
        let each = self.shards / self.group.map_or(1, Group::size);
        rank * each..(rank + 1) * each
    }

    fn parts_of(&self, rank: usize) -> Vec<Range<usize>> {
        parts_of(&self.shards_of(rank), 0..self.shards)
    }
}

#[cfg(all(test, feature = "distributed", target_os = "linux"))]
mod tests;
