//! Rows that come batch by batch, from one process or several, put together in the order of the samples.

use crate::distributed::Group;
use anyhow::{Result, ensure};
use tch::{Kind, Tensor};

/// What this process has of the rows [n, ...] of all samples.
#[derive(Debug, Default)]
pub struct BatchRows {
    own: Vec<Tensor>,
}

impl BatchRows {
    /// Adds those of its next batch [b, ...]: integers as int64, other numbers as float32 or float64.
    ///
    /// # Errors
    /// Too little memory.
    pub fn push(&mut self, rows: &Tensor) -> Result<()> {
        self.own.push(rows.f_detach()?.f_to_kind(sent_kind(rows.kind()))?);
        Ok(())
    }

    /// The rows of all samples. Of several processes, the first has the first batch, the second the next one, and
    /// so on; all get all rows.
    ///
    /// # Errors
    /// A process that cannot be reached, or too little memory.
    pub fn in_order(&self, samples: usize, batch_size: usize, group: Option<&Group>) -> Result<Tensor> {
        let Some(group) = group else { return Ok(Tensor::f_cat(&self.own, 0)?) };
        let size = |batch: usize| batch_size.min(samples - batch * batch_size) as i64;
        let batches = samples.div_ceil(batch_size);
        // A process without a batch cannot know what a row is like.
        let (kind, row) = self.announced(group)?;
        let shape = |rows: i64| [&[rows], row.as_slice()].concat();
        // The first process has the most rows, and all send as many.
        let most: i64 = (0..batches).step_by(group.size()).map(size).sum();
        let sent = Tensor::f_zeros(shape(most), (kind, group.device()))?;
        if !self.own.is_empty() {
            let own = Tensor::f_cat(&self.own, 0)?;
            sent.f_narrow(0, 0, own.size()[0])?.f_copy_(&own)?;
        }
        let all = group.gather(&sent)?;
        let mut starts = vec![0; group.size()]; // of the next batch of each
        let of_batch = |batch: usize| {
            let rank = batch % group.size();
            starts[rank] += size(batch);
            all[rank].f_view(shape(most).as_slice())?.f_narrow(0, starts[rank] - size(batch), size(batch))
        };
        Ok(Tensor::f_cat(&(0..batches).map(of_batch).collect::<Result<Vec<_>, _>>()?, 0)?)
    }

    /// The type and the shape of a row, as the first process has them.
    fn announced(&self, group: &Group) -> Result<(Kind, Vec<i64>)> {
        let own = match self.own.first() {
            Some(rows) => format!("{:?} {:?}", rows.kind(), &rows.size()[1..]),
            None => String::new(),
        };
        let announced = String::from_utf8(group.bytes_of_first(own.as_bytes())?)?;
        ensure!(
            own.is_empty() || own == announced,
            "the rows of one process are {own}, of the first one {announced}"
        );
        let (kind, shape) = announced.split_once(' ').unwrap_or_default();
        let kind = [Kind::Int64, Kind::Double].into_iter().find(|known| format!("{known:?}") == kind);
        Ok((kind.unwrap_or(Kind::Float), serde_json::from_str(shape)?))
    }
}

/// The type in which values of a type can be sent without loss.
fn sent_kind(kind: Kind) -> Kind {
    match kind {
        Kind::Uint8 | Kind::Int8 | Kind::Int16 | Kind::Int | Kind::Int64 | Kind::Bool => Kind::Int64,
        Kind::Double => Kind::Double,
        _ => Kind::Float,
    }
}
