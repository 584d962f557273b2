//! What is refused before anything is loaded.

use crate::commands::checkpoints::resume_command;
use crate::failure::{Hint, UsageError};
use crate::terminal::Terminal;
use anyhow::{Result, bail};
use fitch::data::Samples;
use fitch::device::DeviceChoice;
use fitch::distributed::{Meeting, Place};
use fitch::metrics::ClassMetric;
use fitch::run::RunFolder;
use fitch::text::listed;
use std::path::Path;

/// Refuses to start processes from one of several.
pub fn check_processes(place: &Place, processes: usize) -> Result<()> {
    let is_ours = matches!(place.meeting, Meeting::File(_)) && processes == place.size;
    if processes == 1 || is_ours {
        return Ok(());
    }
    let fault = format!("--processes {processes}: this is one of {} processes already", place.size);
    Err(UsageError(vec![fault]).into())
}

/// Refuses one GPU for several processes of this machine.
pub fn check_device(device: DeviceChoice, local_processes: usize) -> Result<()> {
    let DeviceChoice::Cuda(index) = device else { return Ok(()) };
    if local_processes == 1 {
        return Ok(());
    }
    let fault = format!(
        "--device cuda:{index}: is one GPU, but there are {local_processes} processes on this machine; --device cuda \
         gives each of them another, and CUDA_VISIBLE_DEVICES says which GPUs they may have"
    );
    Err(UsageError(vec![fault]).into())
}

pub fn check_shards(shards: usize, processes: usize, batch_size: usize) -> Result<()> {
    let fault = if !shards.is_multiple_of(processes) {
        let divisors = (1..=shards).filter(|count| shards.is_multiple_of(*count));
        let divisors: Vec<String> = divisors.map(|count| count.to_string()).collect();
        let noun = if shards == 1 { "shard" } else { "shards" };
        format!(
            "{processes} processes cannot share {shards} {noun} of a batch evenly: --processes can be {} \
             (--shards is fixed at the first start)",
            divisors.join(", ")
        )
    } else if shards > batch_size {
        format!("--batch-size {batch_size}: cannot be cut into {shards} shards")
    } else {
        return Ok(());
    };
    Err(UsageError(vec![fault]).into())
}

/// Fails before anything is loaded if a new run cannot have that folder.
pub fn check_free(out: &Path) -> Result<()> {
    RunFolder::check_free(out).map_err(|fault| match RunFolder::open(out) {
        Ok(_) => {
            let hint = format!("{} goes on with the run in it", resume_command(out));
            Hint { message: format!("{fault:#}"), hint }.into()
        }
        Err(_) => fault,
    })
}

/// Refuses metrics that are undefined for these data, and says what they leave out.
pub fn check_metrics(
    metrics: &[ClassMetric],
    classes: &[String],
    validation: Option<&Samples>,
    terminal: &Terminal,
) -> Result<()> {
    const NAMED: usize = 6;
    for metric in metrics {
        metric.check(classes.len()).map_err(|fault| UsageError(vec![format!("--metrics {fault}")]))?;
    }
    if !metrics.contains(&ClassMetric::Auc) {
        return Ok(());
    }
    let Some(validation) = validation else {
        bail!("--metrics auc: needs validation images, and there are none")
    };
    let mut counts = vec![0usize; classes.len()];
    validation.labels()?.into_iter().for_each(|label| counts[label as usize] += 1);
    let missing: Vec<&str> = classes
        .iter()
        .zip(&counts)
        .filter(|(_, count)| **count == 0)
        .map(|(class, _)| class.as_str())
        .collect();
    if missing.len() + 1 >= classes.len() {
        bail!("--metrics auc: all validation images are of one class, which cannot be told from any other");
    }
    if !missing.is_empty() {
        terminal.warn(&format!(
            "val_auc leaves out classes without validation images: {}",
            listed(&missing, NAMED)
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_a_machine_do_not_share_a_gpu() {
        let fault = check_device(DeviceChoice::Cuda(1), 2).unwrap_err().to_string();
        assert!(fault.starts_with("--device cuda:1: is one GPU, but there are 2 processes"), "{fault}");
        check_device(DeviceChoice::Cuda(1), 1).unwrap();
        for device in [DeviceChoice::Auto, DeviceChoice::AnyCuda, DeviceChoice::Cpu] {
            check_device(device, 2).unwrap();
        }
    }
}
