//! Why a network from elsewhere cannot be trained. They come inside an [`anyhow::Error`]:
//! `error.downcast_ref::<ScriptFault>()` finds them.

use crate::text::counted;
use std::fmt;

/// What is wrong with a TorchScript file, or with the data for it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScriptFault {
    /// It is a model that fitch has exported, whose outputs are probabilities.
    ExportedHere,
    /// It has nothing to train.
    NoParameters,
    /// It normalises batches or drops values in evaluation mode, too.
    AlwaysInTraining,
    /// Its samples are of another shape.
    OtherSamples {
        /// A shape that it takes, if one was found: channels, height and width.
        takes: Option<Vec<i64>>,
        /// The shape that it was given.
        given: Vec<i64>,
    },
    /// It gives another number of values than there are classes.
    OtherClasses {
        /// Its values for a sample.
        gives: i64,
        /// The classes of the data.
        classes: i64,
    },
    /// It gives something else than a row of values for each sample.
    OtherOutput(
        /// What it gives.
        String,
    ),
}

impl fmt::Display for ScriptFault {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let batch = |shape: &[i64]| {
            let sizes: String = shape.iter().map(|size| format!(", {size}")).collect();
            format!("[n{sizes}]")
        };
        match self {
            ScriptFault::ExportedHere => {
                out.write_str("is a model that fitch has exported, which gives probabilities")
            }
            ScriptFault::NoParameters => out.write_str("has no parameters that could be trained"),
            ScriptFault::AlwaysInTraining => out.write_str(
                "gives other values for the same sample in another batch, in evaluation mode, too",
            ),
            ScriptFault::OtherSamples { takes: Some(takes), given } => {
                write!(out, "takes float {}, but the data are {}", batch(takes), batch(given))
            }
            ScriptFault::OtherSamples { takes: None, given } => {
                write!(out, "does not take the data, float {}", batch(given))
            }
            ScriptFault::OtherClasses { gives, classes } => {
                write!(
                    out,
                    "gives {} for a sample, but the data have {classes} classes",
                    counted(*gives as usize, "value")
                )
            }
            ScriptFault::OtherOutput(what) => {
                write!(out, "gives {what} for two samples, not float32 [2, classes]")
            }
        }
    }
}

impl std::error::Error for ScriptFault {}
