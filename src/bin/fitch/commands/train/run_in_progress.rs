//! The run folder of a training, new or resumed, and its record when training starts.

use super::Work;
use super::recorded::RecordedOptions;
use crate::cli::TrainOptions;
use crate::commands::built_model::RecordedRun;
use crate::commands::checkpoints;
use crate::commands::run_files::SUMMARY_COLUMNS;
use crate::commands::run_lock::take_lock;
use crate::config::{self, Architecture, Configuration};
use crate::failure::Hint;
use crate::terminal::Terminal;
use anyhow::{Result, ensure};
use fitch::device;
use fitch::files::write_whole;
use fitch::model::{Outline, SummaryStyle, summary};
use fitch::run::{RunFolder, RunLock, RunRecord};
use fitch::text::printable;
use fitch::train::{Checkpoint, TrainingState};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The bytes that the name of a data set has within that of a run. File systems allow 255 in all.
const MAX_NAME: usize = 200;

/// The folder of TensorBoard's files in a run.
pub const TENSORBOARD: &str = "tensorboard";

/// A run folder that this process holds.
pub struct RunInProgress {
    pub folder: RunFolder,
    pub record: RunRecord,
    /// The model as a table.
    pub summary: String,
    /// Held until this is dropped.
    pub lock: RunLock,
}

impl RunInProgress {
    /// Creates a folder, or takes that of the resumed run, along with its checkpoint.
    pub fn open(
        work: &Work,
        options: TrainOptions,
        resumed: Option<RecordedRun>,
        repeated: Option<&RunRecord>,
        terminal: &Terminal,
    ) -> Result<(RunInProgress, Option<Checkpoint>)> {
        let started = OffsetDateTime::now_utc();
        let folder = match &resumed {
            Some(run) => run.folder.clone(),
            None => create_folder(&work.configuration, started)?,
        };
        let is_new = resumed.is_none();
        let lock = take_lock(&folder, terminal).inspect_err(|_| {
            // Nothing is left of a start that is refused, but what another process has in the folder.
            let _ = fs::remove_dir(folder.path());
        })?;
        let recorded = RecordedOptions::of(options, work, &folder, repeated);
        let prepared = recorded.and_then(|options| {
            RunInProgress::prepare(work, options, &folder, lock, resumed, started, terminal)
        });
        if is_new && prepared.is_err() {
            abandon(&folder);
        }
        prepared
    }

    /// Writes what is known before training.
    fn prepare(
        work: &Work,
        options: RecordedOptions,
        folder: &RunFolder,
        lock: RunLock,
        resumed: Option<RecordedRun>,
        started: OffsetDateTime,
        terminal: &Terminal,
    ) -> Result<(RunInProgress, Option<Checkpoint>)> {
        let Work { configuration, dataset, splits, network, weights, .. } = work;
        folder.remove_unfinished();
        let checkpoint = match &resumed {
            Some(run) => resume(run, work, terminal)?,
            None => None,
        };
        if checkpoint.is_none() {
            // Of a start that was killed before its first checkpoint.
            let _ = fs::remove_dir_all(folder.file(TENSORBOARD));
        }
        let device = device::device_name(work.device);
        let threads = configuration.machine.threads;
        let RecordedOptions { config, resolved } = options;
        if let Some(run) = &resumed {
            run.check_network(network)?;
        }
        let record = match resumed {
            // Earlier results stay until there are new ones.
            Some(run) => RunRecord {
                device,
                threads,
                config,
                resolved,
                weights: weights.clone(),
                stop_reason: None,
                ..run.record
            },
            None => RunRecord {
                fitch_version: env!("CARGO_PKG_VERSION").to_string(),
                libtorch_version: env!("FITCH_LIBTORCH_VERSION").to_string(),
                started: started.format(&Rfc3339)?,
                device,
                threads,
                seed: configuration.seed,
                dataset: splits.record(dataset, &work.fingerprint)?,
                parameters: Outline::from(network).parameters,
                network_sha256: network.file_digest().map(str::to_string),
                weights: weights.clone(),
                normalization: network.normalization()?,
                config,
                resolved,
                stop_reason: None,
                epochs_run: None,
                monitor: configuration.monitor.clone(),
                best_epoch: None,
                best_value: None,
                weights_epoch: None,
                test_loss: None,
                test_accuracy: None,
                test_loss_interval: None,
                test_accuracy_interval: None,
                test_metrics: BTreeMap::new(),
                test_metric_intervals: BTreeMap::new(),
                seconds: None,
            },
        };
        if let Architecture::File(file) = &configuration.architecture
            && *file != folder.network_file()
        {
            // Before the record: a run never lacks its network.
            network.copy_file(file, &folder.network_file())?;
        }
        record.save(folder)?;
        let summary = summary(network, SummaryStyle::Keras3 { columns: SUMMARY_COLUMNS });
        write_whole(&folder.summary_file(), summary.as_bytes())?;
        if !dataset.left_out.is_empty() {
            let lines: String =
                dataset.left_out.iter().map(|line| format!("{}\n", printable(line))).collect();
            write_whole(&folder.file("left-out.txt"), lines.as_bytes())?;
        }
        Ok((RunInProgress { folder: folder.clone(), record, summary, lock }, checkpoint))
    }
}

/// Removes what a start that was refused has made, so that the same command can be given again.
fn abandon(folder: &RunFolder) {
    folder.remove_unfinished();
    for file in [folder.record_file(), folder.summary_file(), folder.network_file()] {
        let _ = fs::remove_file(file);
    }
    // Only if nothing else is in it.
    let _ = fs::remove_dir(folder.path());
}

/// The checkpoint to resume from, if the run can be resumed with these options and this data.
fn resume(run: &RecordedRun, work: &Work, terminal: &Terminal) -> Result<Option<Checkpoint>> {
    let Work { configuration, dataset, fingerprint: now, .. } = work;
    let shown = run.folder.path().display();
    ensure!(
        !config::had_reference_adam(&run.record.config),
        "{shown} was trained with --adam reference, an optimizer of earlier versions whose state was not saved, \
         so it cannot be resumed"
    );
    let before = &run.record.dataset.fingerprint;
    if before != now {
        let (validation, flag) = match &configuration.reading.validation {
            Some(path) => (format!(" and {}", path.display()), " and --validation PATH"),
            None => (String::new(), ""),
        };
        return Err(Hint {
            message: format!(
                "{shown} was trained on other images than those of {}{validation} now (fingerprint {now}, it was \
                 {before})",
                dataset.name
            ),
            hint: format!(
                "put them back as they were, or say with --dataset PATH{flag} where they are; other images need a \
                 new run"
            ),
        }
        .into());
    }
    let checkpoint = checkpoints::to_resume(run, configuration, terminal)?;
    match &checkpoint {
        Some(Checkpoint { state: TrainingState { epoch, step, steps, .. }, .. }) => {
            let within = if *step > 0 { format!(", after step {step} of {steps}") } else { String::new() };
            terminal.say(&format!("resuming {shown} in epoch {epoch}{within}"));
        }
        None => terminal.say(&format!("{shown} was ended before its first checkpoint: it begins anew")),
    }
    Ok(checkpoint)
}

/// The longest beginning of a text of at most that number of bytes.
fn shortened(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or_default()]
}

fn create_folder(configuration: &Configuration, started: OffsetDateTime) -> Result<RunFolder> {
    if let Some(out) = &configuration.out {
        return RunFolder::create(out);
    }
    // Some systems do not allow colons in file names.
    let time = started.replace_nanosecond(0)?.format(&Rfc3339)?.replace(':', "-");
    let dataset = configuration.source.name();
    let name = shortened(&dataset, MAX_NAME);
    RunFolder::create_numbered(&PathBuf::from("runs").join(format!("{name}-{time}")))
}
