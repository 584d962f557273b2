//! `fit`: the training loop, the callbacks that steer it, checkpoints, evaluation and prediction. The room
//! knows nothing of the command line, of files of data or of how a model was put together: any
//! [`ModuleT`](tch::nn::ModuleT) whose variables are in a store can be fitted.

mod batch_rows;
mod best;
mod callback;
pub mod callbacks;
mod checkpoint;
mod disk_checkpoints;
mod evaluate;
mod fault;
mod first_batch;
mod fit;
mod gradients;
mod history_log;
mod mixed_loss;
mod outcome;
mod predict;
mod saved_state;
mod settings;
mod sharing;
mod standardization;
mod step;
mod stop;
mod thread_count;
mod training;
mod training_state;
mod transform;

pub use crate::metrics::{EpochRecord, History};
pub use best::Best;
pub use callback::{Callback, Stopping};
pub use checkpoint::{Checkpoint, CheckpointStore, Newest};
pub use disk_checkpoints::{DiskCheckpoints, Every};
pub use evaluate::{Evaluation, evaluate, evaluate_in, evaluate_with};
pub use fault::{Fault, torch_message};
pub use fit::Fit;
pub use outcome::Outcome;
pub use predict::predict;
pub(crate) use predict::predict_batch;
pub use saved_state::SavedState;
pub use standardization::{normalize, standardize};
pub use stop::{Stop, StopReason};
pub use training::Training;
pub use training_state::TrainingState;

/// Batches in evaluation have at least this size: without gradients they need little memory.
const MIN_EVALUATION_BATCH: usize = 2048;

/// The batch size of evaluation that goes with a batch size of training.
pub fn evaluation_batch_size(batch_size: usize) -> usize {
    batch_size.max(MIN_EVALUATION_BATCH)
}

#[cfg(test)]
pub(crate) mod tests;
