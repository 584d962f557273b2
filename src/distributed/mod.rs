//! Processes that work on one training: how a process learns its place among them, how they meet, how tensors
//! go from each to all, and in which order sums over them are added. The room knows ranks, bytes and tensors; it
//! must not know what is trained.

mod arrival;
#[cfg(all(feature = "distributed", target_os = "linux"))]
#[allow(unsafe_code)]
mod c10d;
#[cfg(not(all(feature = "distributed", target_os = "linux")))]
#[path = "without_c10d.rs"]
mod c10d;
#[cfg(all(feature = "distributed", target_os = "linux"))]
mod exchanges;
mod fault;
mod group;
#[cfg(all(feature = "distributed", target_os = "linux"))]
#[allow(unsafe_code)]
mod memory;
#[cfg(all(feature = "distributed", target_os = "linux"))]
#[allow(unsafe_code)]
mod nccl;
mod place;
mod tree;

pub use fault::Fault;
#[cfg(all(test, feature = "distributed", target_os = "linux"))]
pub(crate) use group::in_group;
pub use group::{DEFAULT_TIMEOUT, Group};
pub use place::{Meeting, Place};
pub(crate) use tree::{parts_of, sum_in_order};
