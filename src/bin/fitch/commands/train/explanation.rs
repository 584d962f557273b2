//! What is said of a training that ended with a fault.

use crate::commands::checkpoints::resume_command;
use crate::config::Configuration;
use crate::failure::Hint;
use anyhow::Error;
use fitch::device;
use fitch::distributed;
use fitch::run::RunFolder;
use fitch::train::{Checkpoint, DiskCheckpoints, Fault};

/// A fault of training, with what to do about it.
pub fn explain(fault: Error, folder: &RunFolder, configuration: &Configuration) -> Error {
    let out_of_memory =
        || format!("training ran out of memory with a batch size of {}", configuration.batch_size);
    let message = match fault.downcast_ref() {
        _ if matches!(fault.downcast_ref(), Some(distributed::Fault::Different { .. })) => return fault,
        // It was found before the first step, and resuming would meet it again.
        Some(Fault::BatchDoesNotFit(_) | Fault::OtherVariables | Fault::NothingToTrain) => return fault,
        Some(Fault::OutOfMemory) => out_of_memory(),
        // From a thread of its own.
        _ if device::is_out_of_memory(&format!("{fault:#}")) => out_of_memory(),
        Some(Fault::DeviceLost) => "training ended because the device failed".to_string(),
        _ if fault.is::<distributed::Fault>() => "training ended".to_string(),
        _ => "training ended with a fault".to_string(),
    };
    let newest = DiskCheckpoints::within(folder.checkpoints()).newest();
    let hint = match newest.ok().and_then(|newest| newest.checkpoint) {
        Some(Checkpoint { state, .. }) => {
            let within = if state.step > 0 { format!(", step {}", state.step + 1) } else { String::new() };
            let command = resume_command(folder.path());
            format!("{command} goes on from the last checkpoint, with epoch {}{within}", state.epoch)
        }
        None => "it ended before its first checkpoint".to_string(),
    };
    fault.context(Hint { message, hint })
}
