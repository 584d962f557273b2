//! `fitch train --repeat RUN`: the same training once more, in a new folder.

use crate::cli::TrainOptions;
use crate::commands::built_model::RecordedRun;
use crate::config;
use crate::failure::UsageError;
use anyhow::{Result, ensure};
use fitch::run::RunRecord;
use fitch::train::StopReason;
use std::path::Path;

/// A run that is repeated.
pub struct Repetition {
    pub run: RecordedRun,
    /// Its options, with those that are given now in their place.
    pub options: TrainOptions,
    /// What is given now and is another value, in words.
    changes: Vec<String>,
}

impl Repetition {
    /// Of the run that `--repeat` names, if it does.
    ///
    /// # Errors
    /// No run, one whose data are gone, or one with options that this version does not have.
    pub fn of(flags: &TrainOptions) -> Result<Option<Repetition>> {
        let Some(path) = &flags.repeat else { return Ok(None) };
        let run = RecordedRun::open(path)?;
        let shown = path.display();
        ensure!(
            !config::had_reference_adam(&run.record.config),
            "{shown} was trained with --adam reference, an optimizer of earlier versions, so it cannot be repeated"
        );
        let mut recorded = config::options_to_repeat(&run.record)?;
        recorded.data.data_dir = run.options.data.data_dir.clone();
        let (options, changes) = config::resolve_repeated(flags, &recorded)?;
        let dataset = options.dataset.as_deref().filter(|_| flags.dataset.is_none());
        let validation = options.validation.as_deref().filter(|_| flags.validation.is_none());
        run.check_data_is_there(dataset, validation, &format!("fitch train --repeat {shown}"))?;
        let network = run.folder.network_file();
        if run.record.network_sha256.is_some() && options.model == recorded.model && !network.exists() {
            let fault =
                format!("--repeat: there is no {}; --model FILE names the same network", network.display());
            return Err(UsageError(vec![fault]).into());
        }
        if let Some(weights) = options.weights.as_ref().filter(|_| flags.weights.is_none())
            && !Path::new(weights).exists()
        {
            let fault =
                format!("--repeat: {shown} began with the weights of {weights}, which is not there any more");
            return Err(UsageError(vec![fault]).into());
        }
        Ok(Some(Repetition { run, options, changes }))
    }

    /// `repeating runs/a with --epochs 3 (it had 2)`.
    pub fn describe(&self) -> String {
        let changes = match &self.changes[..] {
            [] => String::new(),
            changes => format!(" with {}", changes.join(", ")),
        };
        format!("repeating {}{changes}", self.run.folder.path().display())
    }

    /// Why the results can differ from those of the run, beyond the options that are given; none if they cannot.
    pub fn differences(&self, now: &RunRecord) -> Option<String> {
        let differences = differences(&self.run.record, now);
        (!differences.is_empty()).then(|| {
            let shown = self.run.folder.path().display();
            format!("the results can differ from those of {shown}: {}", differences.join("; "))
        })
    }
}

fn differences(before: &RunRecord, now: &RunRecord) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, before: &str, now: &str| {
        if before != now {
            differences.push(format!("{what} is {now}, it was {before}"));
        }
    };
    compare("the version of fitch", &before.fitch_version, &now.fitch_version);
    compare("the version of libtorch", &before.libtorch_version, &now.libtorch_version);
    compare("the device", &before.device, &now.device);
    compare("the number of threads", &before.threads.to_string(), &now.threads.to_string());
    compare("the fingerprint of the data", &before.dataset.fingerprint, &now.dataset.fingerprint);
    let sizes = |record: &RunRecord| {
        let dataset = &record.dataset;
        format!("{} / {} / {}", dataset.train, dataset.validation, dataset.test)
    };
    compare("the number of training, validation and test images", &sizes(before), &sizes(now));
    let weights = |record: &RunRecord| {
        record.weights.as_ref().map_or("none".to_string(), |weights| weights.sha256.clone())
    };
    compare("the digest of the weights to begin with", &weights(before), &weights(now));
    let network = |record: &RunRecord| record.network_sha256.clone().unwrap_or("none".to_string());
    compare("the digest of the network's file", &network(before), &network(now));
    if before.normalization != now.normalization {
        differences.push("the means and deviations of the normalisation are others".to_string());
    }
    let (interrupted, limited) = (StopReason::Interrupted.name(), StopReason::TimeLimit.name());
    match before.stop_reason.as_deref() {
        None => differences.push("it is not finished".to_string()),
        Some(reason) if reason == interrupted => differences.push("it was interrupted".to_string()),
        Some(reason) if reason == limited => differences.push("its time limit ended it".to_string()),
        Some(_) => {}
    }
    differences
}
