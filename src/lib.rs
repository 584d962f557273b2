//! fit for tch: what `fit` is to Keras, for any [`tch::nn::ModuleT`].
//!
//! [`train::Fit`] runs the training loop: a validation set, callbacks such as early stopping with
//! patience, a history. The other modules are what the `fitch` program makes of it: [`data`] loads and
//! splits images, [`model`] builds networks from a specification and summarises them, [`run`] keeps what
//! came of a training in a folder.
//!
//! Nothing here prints, ends the process or reads the command line.

pub mod backpropagation;
mod cross_entropy;
pub mod data;
pub mod device;
pub mod export;
pub mod metrics;
pub mod model;
mod operators;
pub mod optim;
mod parallel;
mod product;
pub mod random;
pub mod report;
pub mod run;
pub mod train;
mod values;

/// The README's example is compiled and run with the documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
