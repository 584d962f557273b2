//! What can go wrong between processes.

use std::fmt;
use std::time::Duration;

/// Why processes do not work together, or no longer do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// A process of the group has ended, or cannot be reached any more.
    PeerLost {
        /// What c10d says.
        detail: String,
    },
    /// A process of the group did nothing for too long.
    PeerSilent {
        /// How long it was waited for.
        after: Duration,
    },
    /// Some processes did not come.
    Missing {
        /// Their ranks.
        ranks: Vec<usize>,
        /// How many there should be.
        size: usize,
        /// How long they were waited for.
        after: Duration,
    },
    /// Two processes have the same rank.
    SameRank {
        /// That rank.
        rank: usize,
    },
    /// Processes were told different numbers of processes.
    SizesDiffer {
        /// What this one was told.
        size: usize,
    },
    /// Only some processes can use a CUDA device.
    DevicesDiffer {
        /// How many can.
        on_cuda: usize,
        /// How many there are.
        size: usize,
    },
    /// Processes would share CUDA devices, which NCCL refuses.
    TooFewGpus {
        /// How many processes there are.
        processes: usize,
        /// How many devices they have, all together.
        gpus: usize,
    },
    /// The library for exchanges between CUDA devices is missing, or cannot be opened.
    NoNccl {
        /// Why.
        detail: String,
    },
    /// Processes that should have been started alike differ.
    Different {
        /// The rank that differs from the first process.
        rank: usize,
        /// In what, in a sentence.
        what: String,
    },
}

impl Fault {
    /// Whether every process fails alike, so that it is enough if one of them says why.
    pub fn is_known_to_all(&self) -> bool {
        matches!(self, Fault::Different { .. } | Fault::DevicesDiffer { .. } | Fault::TooFewGpus { .. })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Fault::PeerLost { detail } => {
                write!(out, "another process of this training has ended or cannot be reached ({detail})")
            }
            Fault::PeerSilent { after } => {
                write!(out, "another process of this training did not answer for {after:?}")
            }
            Fault::Missing { ranks, size, after } => {
                let ranks: Vec<String> = ranks.iter().map(usize::to_string).collect();
                let (noun, verb) = if ranks.len() == 1 { ("rank", "is") } else { ("ranks", "are") };
                write!(out, "of {size} processes, {noun} {} {verb} missing after {after:?}", ranks.join(", "))
            }
            Fault::SameRank { rank } => write!(out, "there is another process of rank {rank}"),
            Fault::SizesDiffer { size } => {
                write!(out, "another process was told that there are not {size} processes, as this one was")
            }
            Fault::DevicesDiffer { on_cuda, size } => {
                write!(out, "only {on_cuda} of {size} processes can use a GPU")
            }
            Fault::TooFewGpus { processes, gpus } => {
                let noun = if *gpus == 1 { "GPU" } else { "GPUs" };
                write!(out, "{processes} processes have only {gpus} {noun}, and each needs one of its own")
            }
            Fault::NoNccl { detail } => {
                write!(out, "this program has no NCCL, by which GPUs train together ({detail})")
            }
            Fault::Different { rank, what } => write!(out, "the process of rank {rank} differs: {what}"),
        }
    }
}

impl std::error::Error for Fault {}
