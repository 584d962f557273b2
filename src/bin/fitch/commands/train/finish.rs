//! The end of a training: its weights are restored and tested, and its files written.

use super::{RunInProgress, Work};
use crate::commands::checkpoints::{self, resume_command};
use crate::commands::run_files::RunFiles;
use crate::commands::table::table;
use crate::config;
use crate::exit::Exit;
use crate::failure::{Hint, is_broken_pipe};
use crate::terminal::Terminal;
use anyhow::Result;
use fitch::distributed::Group;
use fitch::run::{RunFolder, RunRecord};
use fitch::text::with_separators;
use fitch::train::{Best, Outcome, StopReason, Stopping};
use tch::nn::VarStore;

/// Tests the model, writes all files, prints the results and returns the exit code.
pub fn finish(
    work: &Work,
    run: RunInProgress,
    outcome: &Outcome,
    stopper: Option<&dyn Stopping>,
    terminal: &Terminal,
) -> Result<Exit> {
    let Work { configuration, dataset, splits, network, .. } = work;
    let RunInProgress { folder, mut record, lock: _lock, .. } = run;
    let reason = outcome.stop.reason;
    let restored = stopper.and_then(Stopping::restored_epoch);
    let best = stopper.and_then(Stopping::best).or_else(|| {
        let best = outcome.history.best(&configuration.monitor, configuration.direction());
        best.map(|(epoch, value)| Best { epoch, value })
    });
    record.stop_reason = Some(reason.name().to_string());
    record.epochs_run = Some(outcome.history.epochs.len());
    record.best_epoch = best.map(|best| best.epoch);
    record.best_value = best.map(|best| best.value);
    record.seconds = Some(outcome.seconds);
    record.weights_epoch =
        restored.or_else(|| (outcome.unrecorded_steps == 0).then_some(outcome.history.epochs.len()));
    if reason == StopReason::NonFinite && restored.is_none() {
        record.weights_epoch = restore_last_good(&folder, network.variables(), terminal)?;
        if record.weights_epoch.is_none() {
            record.save(&folder)?;
            return Err(diverged(outcome, "no weights were saved").into());
        }
    }

    let alone = Group::alone();
    let files = RunFiles {
        folder: &folder,
        network,
        history: &outcome.history,
        data: Some((dataset, &splits.test)),
        device: work.device,
        batch_size: configuration.batch_size,
        group: if shares_test(outcome) { &work.group } else { &alone },
    };
    let resume = resume_command(folder.path());
    let written = files.write(&mut record, &|_| true, terminal).map_err(|fault| {
        let message = "training has ended, but its results cannot be written".to_string();
        fault.context(Hint { message, hint: format!("{resume} writes them from the last checkpoint") })
    })?;
    if let Some(fault) = &outcome.checkpoint_fault {
        terminal.warn(&format!("the last checkpoint is not kept, so that the run cannot go on: {fault:#}"));
    }
    let printed = report(outcome, &record, &folder, terminal.result_columns())
        .and_then(|text| terminal.result_in_words(&text));
    if let Some(fault) = printed.err().filter(|fault| !is_broken_pipe(fault)) {
        terminal.warn(&format!("the results are not printed: {fault:#}"));
    }
    if let Some(fault) = written.model_fault {
        let message = "the weights are saved, but model.pt is not".to_string();
        let hint = format!("fitch export {} writes it", folder.path().display());
        return Err(fault.context(Hint { message, hint }));
    }
    match reason {
        StopReason::Interrupted => {
            terminal.hint(&format!("{resume} continues from here"));
            Ok(Exit::Interrupted)
        }
        StopReason::NonFinite => {
            let epoch = record.weights_epoch.unwrap_or_default();
            Err(diverged(outcome, &format!("the weights of epoch {epoch}, before that, were saved")).into())
        }
        _ => Ok(Exit::Success),
    }
}

/// Whether all processes of a training have the weights that are tested: after one that diverged, only the first
/// one has.
pub fn shares_test(outcome: &Outcome) -> bool {
    outcome.stop.reason != StopReason::NonFinite
}

/// After a training that diverged without best weights: loads those of the last checkpoint, whose epoch it
/// returns.
fn restore_last_good(folder: &RunFolder, variables: &VarStore, terminal: &Terminal) -> Result<Option<usize>> {
    let newest = checkpoints::newest(folder.checkpoints(), terminal)?;
    let Some(checkpoint) = newest.checkpoint else { return Ok(None) };
    checkpoint.load_final_weights(variables)?;
    Ok(Some(checkpoint.state.history.epochs.len()))
}

fn diverged(outcome: &Outcome, weights: &str) -> Hint {
    Hint {
        message: format!("training diverged: {}; {weights}", outcome.stop.message),
        hint: "a smaller --learning-rate usually helps".to_string(),
    }
}

/// The results as a table and a few lines.
fn report(
    outcome: &Outcome,
    record: &RunRecord,
    folder: &RunFolder,
    columns: Option<usize>,
) -> Result<String> {
    let Outcome { history, .. } = outcome;
    let rows = history.metric_names.iter().filter_map(|name| {
        let (epoch, best) = history.best(name, config::direction_of(name))?;
        let last = history.epochs.last()?.metrics.get(name)?;
        Some(vec![name.clone(), format!("{best:.4}"), epoch.to_string(), format!("{last:.4}")])
    });
    let mut text = match history.epochs.is_empty() {
        true => String::new(),
        false => table(["metric", "best", "in epoch", "last"], rows.collect()).fit(columns),
    };
    let weights = match record.weights_epoch {
        Some(epoch) => format!("the weights of epoch {epoch}"),
        None => "the weights of an unfinished epoch".to_string(),
    };
    if let (Some(accuracy), Some(loss)) = (record.test_accuracy, record.test_loss) {
        text += &format!(
            "\ntest accuracy {accuracy:.4}, test loss {loss:.4} ({} images, {weights})\n",
            with_separators(record.dataset.test as i64)
        );
        let others: Vec<String> =
            record.test_metrics.iter().map(|(name, value)| format!("test {name} {value:.4}")).collect();
        if !others.is_empty() {
            text += &format!("{}\n", others.join(", "));
        }
        let main = [("accuracy", record.test_accuracy_interval), ("loss", record.test_loss_interval)];
        let main = main.into_iter().filter_map(|(name, interval)| Some((name, interval?)));
        let others = record.test_metric_intervals.iter().map(|(name, interval)| (name.as_str(), *interval));
        let intervals: Vec<String> =
            main.chain(others).map(|(name, interval)| format!("{name} {interval:.4}")).collect();
        if !intervals.is_empty() {
            text += &format!("95 % intervals: {}\n", intervals.join(", "));
        }
    }
    text += &format!("\nwritten to {} ({} files)\n", folder.path().display(), folder.names()?.len());
    Ok(text)
}
