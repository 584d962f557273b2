//! fit for tch: what `fit` is to Keras, for any [`tch::nn::ModuleT`].
//!
//! Any module in a variable store can be fitted, with a validation set, early stopping and a history:
//!
//! ```
//! use fitch::{data::Samples, optim::{Optimizer, keras_adam}, train::{Fit, callbacks::EarlyStopping}};
//! use tch::{Device, Kind, Tensor, nn};
//!
//! # fn main() -> anyhow::Result<()> {
//! # let inputs = Tensor::rand([300, 4], (Kind::Float, Device::Cpu));
//! # let labels = inputs.argmax(-1, false);
//! # let samples = |from, to| Samples::new(&inputs.slice(0, from, to, 1), &labels.slice(0, from, to, 1));
//! # let (train, validation) = (samples(0, 200)?, samples(200, 300)?);
//! let variables = nn::VarStore::new(Device::cuda_if_available());
//! let model = nn::linear(variables.root(), 4, 4, Default::default());
//! let mut stopping = EarlyStopping::new("val_loss").patience(3);
//! let outcome = Fit::new(&model, &variables, Optimizer::new(&variables, keras_adam(), 0.1)?)
//!     .epochs(20)
//!     .callback(&mut stopping)
//!     .run(&train, Some(&validation))?;
//! println!("{}; the last epoch: {:?}", outcome.stop.message, outcome.history.epochs.last());
//! # Ok(())
//! # }
//! ```
//!
//! **One's own data** are two tensors, [`Samples`](data::Samples): inputs of any type and shape, converted to float32 batch
//! by batch, and their targets. What is built in, or on a disk as pictures, IDX, CSV, NumPy's archive or Parquet, a
//! [`Source`](data::Source) loads.
//!
//! **One's own metric** is a function of outputs and targets; it is recorded, and can be monitored:
//!
//! ```
//! use fitch::metrics::{Better, Metric};
//! use tch::Kind;
//!
//! let confidence = Metric::new("confidence", Better::Higher, |logits, _labels| {
//!     logits.softmax(-1, None).amax(-1, false).mean(Kind::Float)
//! });
//! ```
//!
//! **One's own callback** sees and steers the training at every step or epoch:
//!
//! ```
//! use fitch::train::{Callback, StopReason, Training};
//!
//! /// Stops when the training loss is low enough.
//! #[derive(Debug)]
//! struct LowEnough(f64);
//!
//! impl Callback for LowEnough {
//!     fn epoch_end(&mut self, training: &mut Training) -> anyhow::Result<()> {
//!         if training.record().is_some_and(|record| record.metrics["loss"] < self.0) {
//!             training.stop(StopReason::Completed, format!("a loss below {}", self.0));
//!         }
//!         Ok(())
//!     }
//! }
//! ```
//!
//! An [`Optimizer`](optim::Optimizer) is Adam, SGD or RMSprop, whose state is part of a
//! [`Checkpoint`](train::Checkpoint), or any of tch's.
//!
//! The modules beside [`train`] are what the `fitch` program makes of it: [`data`] loads and splits images,
//! [`model`] builds networks from a specification and summarises them, [`run`] keeps what came of a training
//! in a folder, [`report`] draws it, [`export`] writes TorchScript and ONNX. The folder `scripts/examples` of the
//! repository has whole programs.
//!
//! Nothing here prints, ends the process or reads the command line.

#![deny(unsafe_code)]

pub mod data;
pub mod device;
pub mod export;
pub mod files;
pub mod guide;
#[allow(unsafe_code)]
mod kernels;
pub mod metrics;
pub mod model;
pub mod optim;
mod protobuf;
mod random;
#[cfg(feature = "report")]
pub mod report;
pub mod run;
pub mod text;
pub mod train;

/// The README's example is compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
