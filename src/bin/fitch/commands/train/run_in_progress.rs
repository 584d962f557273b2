//! The run folder of a training, new or to go on with, and its record as it begins.

use super::Work;
use crate::cli::TrainOptions;
use crate::commands::built_model::RecordedRun;
use crate::commands::checkpoints;
use crate::config::Configuration;
use crate::terminal::Terminal;
use anyhow::{Result, ensure};
use fitch::data::{Dataset, Source};
use fitch::device;
use fitch::files::write_whole;
use fitch::model::{SummaryStyle, summary};
use fitch::run::{RunFolder, RunLock, RunRecord};
use fitch::train::{Checkpoint, TrainingState};
use std::path::PathBuf;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The width that the summary in the run folder is drawn for.
const SUMMARY_COLUMNS: usize = 80;

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
    /// Makes a folder, or takes that of a run to go on with, whose checkpoint comes with it.
    pub fn open(
        work: &Work,
        options: TrainOptions,
        resumed: Option<RecordedRun>,
        terminal: &Terminal,
    ) -> Result<(RunInProgress, Option<Checkpoint>)> {
        let Work { configuration, dataset, splits, trained, .. } = work;
        let started = OffsetDateTime::now_utc();
        let folder = match &resumed {
            Some(run) => run.folder.clone(),
            None => create_folder(configuration, started)?,
        };
        let lock = RunLock::take(&folder)?;
        let resume = |run: &RecordedRun| resume(run, configuration, dataset, terminal);
        let checkpoint = resumed.as_ref().map(resume).transpose()?;
        let device = device::device_name(work.device);
        let threads = configuration.machine.threads;
        let config = recorded_options(options, configuration)?;
        let record = match resumed {
            // What came of it before stays until it is known anew.
            Some(run) => RunRecord { device, threads, config, stop_reason: None, ..run.record },
            None => RunRecord {
                fitch_version: env!("CARGO_PKG_VERSION").to_string(),
                libtorch_version: env!("FITCH_LIBTORCH_VERSION").to_string(),
                started: started.format(&Rfc3339)?,
                device,
                threads,
                seed: configuration.seed,
                dataset: splits.record(dataset)?,
                parameters: trained.model.parameter_count(),
                config,
                stop_reason: None,
                epochs_run: None,
                monitor: configuration.monitor.clone(),
                best_epoch: None,
                best_value: None,
                weights_epoch: None,
                test_loss: None,
                test_accuracy: None,
                seconds: None,
            },
        };
        record.save(&folder)?;
        let summary = summary(&trained.model, SummaryStyle::Keras3 { columns: SUMMARY_COLUMNS });
        write_whole(&folder.summary_file(), summary.as_bytes())?;
        Ok((RunInProgress { folder, record, summary, lock }, checkpoint))
    }
}

/// The checkpoint that a run goes on from, after a look at whether it can.
fn resume(
    run: &RecordedRun,
    configuration: &Configuration,
    dataset: &Dataset,
    terminal: &Terminal,
) -> Result<Checkpoint> {
    let shown = run.folder.path().display();
    ensure!(
        configuration.optimization.is_resumable(),
        "{shown} was trained with --adam reference, whose state cannot be saved, so it cannot go on"
    );
    let (before, now) = (&run.record.dataset.fingerprint, dataset.fingerprint()?);
    ensure!(
        *before == now,
        "the images of {} are not those that {shown} was trained on (fingerprint {now}, it was {before})",
        dataset.name
    );
    let checkpoint = checkpoints::to_resume(run, configuration, terminal)?;
    let TrainingState { epoch, step, steps, .. } = checkpoint.state;
    let within = if step > 0 { format!(", after step {step} of {steps}") } else { String::new() };
    terminal.say(&format!("going on with {shown} in epoch {epoch}{within}"));
    Ok(checkpoint)
}

fn create_folder(configuration: &Configuration, started: OffsetDateTime) -> Result<RunFolder> {
    if let Some(out) = &configuration.out {
        return RunFolder::create(out);
    }
    // Colons would not do in a file name everywhere.
    let time = started.replace_nanosecond(0)?.format(&Rfc3339)?.replace(':', "-");
    RunFolder::create_numbered(&PathBuf::from("runs").join(format!("{}-{time}", configuration.source.name())))
}

/// The options as they are recorded: with what was found out in place of what was not given, so that a
/// later evaluation finds the same data.
fn recorded_options(mut options: TrainOptions, configuration: &Configuration) -> Result<serde_json::Value> {
    if let Source::Path { path, .. } = &configuration.source {
        options.dataset = Some(path.canonicalize()?.display().to_string());
    }
    if let Some(path) = &configuration.reading.validation {
        options.validation = Some(path.canonicalize()?.display().to_string());
    }
    if let Source::Known(_) = &configuration.source {
        options.data_dir = Some(configuration.reading.folder()?.canonicalize()?);
    }
    options.threads = Some(configuration.machine.threads as i64);
    Ok(serde_json::to_value(options)?)
}
