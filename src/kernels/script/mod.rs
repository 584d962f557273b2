//! The container of TorchScript: a zip archive and the pickle in it, written and read.

pub(crate) mod archive;
pub(crate) mod file;
pub(crate) mod pickle;
pub(crate) mod stored;
pub(crate) mod unpickle;

use anyhow::{Error, anyhow};
use tch::TchError;

/// The line of a message from libtorch that says what is wrong: after a trace of TorchScript code it is the
/// last `RuntimeError: ...`, otherwise the first line.
pub(crate) fn message_line(message: &str) -> String {
    let cut = |line| str::trim(line).trim_start_matches("Internal torch error:").trim_start();
    let lines = || message.lines().map(cut).filter(|line| !line.is_empty());
    let python_error = lines().rfind(|line| line.starts_with("RuntimeError: "));
    let line = python_error.or_else(|| lines().next()).unwrap_or("no message");
    line.trim_start_matches("RuntimeError: ").chars().take(300).collect()
}

/// A fault of libtorch's in one line.
pub(crate) fn torch_fault(fault: &TchError) -> Error {
    anyhow!("libtorch: {}", message_line(&fault.to_string()))
}
