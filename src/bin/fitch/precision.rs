//! What `--precision` chooses: the type that layers compute in while training.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tch::Kind;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    Float32,
    // float32 whose products CUDA devices round to 10 bits of mantissa.
    Tf32,
    Bf16,
}

impl Precision {
    /// The type of the values that layers exchange.
    pub fn kind(self) -> Kind {
        match self {
            Precision::Float32 | Precision::Tf32 => Kind::Float,
            Precision::Bf16 => Kind::BFloat16,
        }
    }
}
