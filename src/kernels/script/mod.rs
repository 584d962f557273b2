//! The container of TorchScript: a zip archive and the pickle in it.

pub(crate) mod archive;
pub(crate) mod pickle;
