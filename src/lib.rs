//! fit for tch: what `fit` is to Keras, for any [`tch::nn::ModuleT`].
//!
//! ```
//! use fitch::device::{self, DeviceChoice};
//! use fitch::{data::{Source, SplitMethod}, optim::{Optimizer, keras_adam}};
//! use fitch::train::{DiskCheckpoints, Fit, callbacks::{EarlyStopping, ProgressLine}, evaluate};
//! use tch::nn;
//!
//! # fn main() -> anyhow::Result<()> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! // First of all: until then, libtorch looks for CUDA in vain.
//! let device = device::choose(DeviceChoice::Auto)?.device;
//! let digits = Source::find("digits")?.load()?;
//! let (train, validation) = digits.train_samples()?.split(0.1, SplitMethod::Stratified, 0)?;
//!
//! let variables = nn::VarStore::new(device);
//! let model = nn::seq()
//!     .add_fn(|images| images.flatten(1, -1))
//!     .add(nn::linear(variables.root() / "classifier", 64, 10, Default::default()));
//! let optimizer = Optimizer::new(&variables, keras_adam(), 0.01)?;
//!
//! let mut stopping = EarlyStopping::new("val_loss").patience(3);
//! let mut progress = ProgressLine::new(std::io::stderr());
//! let mut checkpoints = DiskCheckpoints::open(folder.join("checkpoints"))?;
//! let outcome = Fit::new(&model, &variables, optimizer)
//!     .epochs(20)
//!     .callback(&mut stopping)
//!     .callback(&mut progress)
//!     .resume_from(&mut checkpoints) // run again, the program goes on where it ended
//!     .run(&train, Some(&validation))?;
//!
//! let test = evaluate(&model, &digits.test_samples()?.to_device(variables.device())?, 128)?;
//! println!("{}; test accuracy {:.3}", outcome.stop.message, test.accuracy);
//! # assert!(test.accuracy > 0.8);
//! # Ok(())
//! # }
//! ```
//!
//! # Building
//! `LIBTORCH` names the folder of a libtorch 2.11.0 when a program is built. To find it when the program
//! runs, let its `build.rs` say where it is:
//!
//! ```text
//! // build.rs
//! fn main() {
//!     println!("cargo:rustc-link-arg=-Wl,-rpath,{}", std::env::var("DEP_FITCH_LIBTORCH_LIB").unwrap());
//! }
//! ```
//!
//! # Your own parts
//! **Data** are two tensors, [`Samples`](data::Samples): inputs of any type and shape, converted to float32
//! batch by batch, and their targets. A [`Source`](data::Source) loads what is built in, and folders of
//! images, IDX, CSV, NumPy and Parquet. Data that do not fit in memory implement
//! [`BatchSource`](data::BatchSource).
//!
//! A **loss** and a **metric** are functions of outputs and targets. A metric is recorded, and can be
//! monitored:
//!
//! ```
//! use fitch::metrics::{Better, Loss, Metric};
//! use tch::{Kind, Reduction};
//!
//! let huber = Loss::new(|outputs, targets| outputs.huber_loss(targets, Reduction::Mean, 1.0));
//! let confidence = Metric::new("confidence", Better::Higher, |logits, _labels| {
//!     logits.softmax(-1, None).amax(-1, false).mean(Kind::Float)
//! });
//! ```
//!
//! A **callback** sees and steers the training at every step or epoch:
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
//! # After training
//! [`evaluate`](train::evaluate) says how good a classifier is, [`evaluate_with`](train::evaluate_with) what
//! any loss and metrics are, and [`predict`](train::predict) returns the outputs. The
//! [`Outcome`](train::Outcome) has the history, and the optimizer to train on with.
//! [`save_weights`](run::save_weights) writes safetensors.
//!
//! # Errors
//! Everything that can go wrong is an error, also where libtorch refuses an operation within a layer, which
//! in tch is a panic. The first batch is tried before training, so that shapes and types that do not fit are
//! found at once. A [`Fault`](train::Fault) in the error says what a caller can do about it.
//!
//! # Modules
//! [`train`] is the heart. [`data`] loads and splits, [`model`] builds networks from a text and describes
//! them, [`optim`] has the optimizers, [`run`] the folder that a training's files go to, [`export`] writes
//! TorchScript, .pt2 and ONNX, and `report` (a feature) draws. The [guide] says more, and `scripts/examples` in the
//! repository has whole programs.
//!
//! Nothing here prints, ends the process or reads the command line.

#![deny(unsafe_code)]

pub mod data;
pub mod device;
pub mod distributed;
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
