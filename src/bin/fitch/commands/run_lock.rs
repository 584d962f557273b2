//! The lock of a run folder, as commands take it.

use crate::terminal::Terminal;
use anyhow::Result;
use fitch::run::{RunFolder, RunLock};

/// Locks a run folder, with a warning where that keeps nobody out.
///
/// # Errors
/// Another process has it, or it cannot be written.
pub fn take_lock(folder: &RunFolder, terminal: &Terminal) -> Result<RunLock> {
    let lock = RunLock::take(folder)?;
    if !lock.keeps_others_out() {
        terminal.warn(&format!(
            "the file system of {} has no locks: see to it that no other process uses that folder",
            folder.path().display()
        ));
    }
    Ok(lock)
}
