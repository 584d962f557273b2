//! `fitch report`: the files that a run lacks, because it was killed, or because they could not be written when
//! it ended, or were removed since; or its page, to another place.

use super::built_model::{RecordedRun, without_weights};
use super::output_file::{check_kept, check_output};
use super::run_files::{RunFiles, SUMMARY_COLUMNS};
use super::run_lock::take_lock;
use super::run_page::{page_of, page_of_files, recorded_history};
use super::{checkpoints, start_libtorch};
use crate::cli::ReportOptions;
use crate::config;
use crate::exit::Exit;
use crate::failure;
use crate::progress::{DownloadProgress, ProgressKind};
use crate::terminal::Terminal;
use anyhow::Result;
use fitch::data::{Dataset, Samples};
use fitch::device::ChosenDevice;
use fitch::distributed::Group;
use fitch::export::ScriptModel;
use fitch::files::write_whole;
use fitch::model::{Network, SummaryStyle, summary};
use fitch::train::callbacks::HistoryFile;
use fitch::train::{History, StopReason, evaluate};
use std::path::Path;
use std::sync::Arc;
use tch::Device;

pub fn run(options: &ReportOptions, terminal: &Terminal) -> Result<Exit> {
    let mut run = RecordedRun::open(&options.run)?;
    run.options.dataset = options.dataset.clone().or(run.options.dataset);
    if let Some(to) = &options.to {
        return write_page(&run, options, to, terminal);
    }
    let _lock = take_lock(&run.folder, terminal)?;
    run.folder.remove_unfinished();
    let chosen = device(&run, options)?;
    // The weights of a run that was resumed and then killed are those of before.
    let is_finished = run.record.stop_reason.is_some();
    let whole = match is_finished && run.folder.weights_file().exists() {
        true => run
            .load(chosen.device)
            .inspect_err(|fault| terminal.warn(&format!("{fault:#}; the last checkpoint takes their place")))
            .ok(),
        false => None,
    };
    let has_whole_weights = whole.is_some();
    let history_file = HistoryFile::new(run.folder.history_file()).form(config::csv_form(&run.options)?);
    let (network, history) = match whole {
        Some(network) => (network, history_or_checkpoint(&history_file, &run, terminal)?),
        None => {
            let network = run.network(chosen.device)?;
            let history = end_here(&mut run, &network, terminal)?;
            (network, history)
        }
    };
    let data = images_if_there(&run, terminal);
    let alone = Group::alone();
    let files = RunFiles {
        folder: &run.folder,
        network: &network,
        history: &history,
        data: data.as_ref().map(|(dataset, test)| (dataset, test)),
        device: chosen.device,
        batch_size: batch_size(&run),
        group: &alone,
    };
    let folder = &run.folder;
    if !folder.summary_file().exists() {
        let text = summary(&network, SummaryStyle::Keras3 { columns: SUMMARY_COLUMNS });
        write_whole(&folder.summary_file(), text.as_bytes())?;
    }
    // Epochs after the last checkpoint are trained anew, to the same values, when the run is resumed.
    let recorded = history_file.read().ok().map(|recorded| recorded.epochs.len());
    let epochs = history.epochs.len();
    if recorded.is_some_and(|recorded| recorded > epochs) {
        let shown = folder.path().display();
        terminal
            .say(&format!("the last checkpoint of {shown} is of epoch {epochs}: later epochs are left out"));
    }
    let lacks_history = recorded != Some(epochs);
    if lacks_history {
        history_file.write(&history)?;
    }
    let is_wanted = |name: &str| match name {
        _ if !is_finished || is_empty(&folder.file(name)) => true,
        "weights.safetensors" => !has_whole_weights,
        "model.pt" => ScriptModel::load(&folder.model_file(), Device::Cpu).is_err(),
        _ => false,
    };
    let written = files.write(&mut run.record, &is_wanted, terminal)?;
    let mut names: Vec<String> = lacks_history.then(|| "history.csv".to_string()).into_iter().collect();
    names.extend(written.names);
    let shown = folder.path().display();
    terminal.result_in_words(&match &names[..] {
        [] if data.is_none() => format!("nothing could be made in {shown}\n"),
        [] => format!("{shown} lacks none of its files\n"),
        names => format!("written to {shown}: {}\n", names.join(", ")),
    })?;
    match written.model_fault {
        Some(fault) => Err(fault.context("model.pt is not written")),
        None => Ok(Exit::Success),
    }
}

/// Writes the page of a run to a file. The run may be in progress, and nothing in its folder changes.
fn write_page(run: &RecordedRun, options: &ReportOptions, to: &Path, terminal: &Terminal) -> Result<Exit> {
    check_output("to", to, "html")?;
    check_kept(&[Some(to)], run.data_paths())?;
    let has_weights = run.record.stop_reason.is_some() && run.folder.weights_file().exists();
    let page = match images_if_there(run, terminal).filter(|_| has_weights) {
        Some((dataset, test)) => {
            let chosen = device(run, options)?;
            let network = run.load(chosen.device)?;
            let test = evaluate(&network, &test.to_device(chosen.device)?, batch_size(run))?;
            let history = recorded_history(run)?;
            page_of(&run.folder, &run.record, &history, &network, Some((&dataset, &test)))?
        }
        None => page_of_files(run, "")?,
    };
    write_whole(to, page.as_bytes())?;
    terminal.result(&format!("written to {}\n", to.display()))?;
    Ok(Exit::Success)
}

/// The device for a run, which libtorch computes on from now on.
fn device(run: &RecordedRun, options: &ReportOptions) -> Result<ChosenDevice> {
    let device = options.device.as_ref().or(run.options.device.as_ref()).map_or("auto", String::as_str);
    let threads = options.threads.or(Some(run.record.threads as i64));
    start_libtorch(config::check_machine(device, threads)?)
}

fn batch_size(run: &RecordedRun) -> usize {
    run.options.batch_size.and_then(|size| usize::try_from(size).ok()).unwrap_or(1)
}

/// Whether a file is not there or holds nothing.
fn is_empty(path: &Path) -> bool {
    path.metadata().map_or(true, |file| file.is_file() && file.len() == 0)
}

/// Gives a run that was killed the results that it would have if it had been interrupted at its last
/// checkpoint, and the network its weights. It can still be resumed.
fn end_here(run: &mut RecordedRun, network: &Network, terminal: &Terminal) -> Result<Arc<History>> {
    let Some(checkpoint) = checkpoints::newest(run.folder.checkpoints(), terminal)?.checkpoint else {
        return Err(match run.folder.checkpoints().is_empty()? {
            true => without_weights(&run.folder).into(),
            false => checkpoints::without_whole_one(run).into(),
        });
    };
    let record = &mut run.record;
    record.weights_epoch = checkpoint.load_final_weights(network.variables())?;
    let state = checkpoint.state;
    let direction = config::check(&run.options).map(|configuration| configuration.direction());
    let direction = direction.unwrap_or_else(|_| config::direction_of(&record.monitor));
    let best = state.history.best(&record.monitor, direction);
    let epochs = run.options.epochs.and_then(|epochs| usize::try_from(epochs).ok());
    let reason = match &state.early_stop {
        Some(stop) => stop.reason,
        None if epochs.is_some_and(|epochs| state.history.epochs.len() >= epochs) => StopReason::Completed,
        None => StopReason::Interrupted,
    };
    record.stop_reason.get_or_insert_with(|| reason.name().to_string());
    record.epochs_run = Some(state.history.epochs.len());
    (record.best_epoch, record.best_value) = best.unzip();
    record.seconds = Some(state.seconds);
    Ok(state.history)
}

/// The history of a run that has ended; if its file cannot be read, that of its last checkpoint.
fn history_or_checkpoint(file: &HistoryFile, run: &RecordedRun, terminal: &Terminal) -> Result<Arc<History>> {
    let fault = match file.read() {
        Ok(history) => return Ok(Arc::new(history)),
        Err(fault) => fault,
    };
    let Some(checkpoint) = checkpoints::newest(run.folder.checkpoints(), terminal)?.checkpoint else {
        return Err(fault);
    };
    terminal.warn(&format!("{fault:#}; the history of the last checkpoint is drawn"));
    Ok(checkpoint.state.history)
}

/// The images that the run was trained on, with a warning if they cannot be had.
fn images_if_there(run: &RecordedRun, terminal: &Terminal) -> Option<(Dataset, Samples)> {
    failure::guard(|| images(run, terminal)).unwrap_or_else(|fault| {
        terminal.warn(&format!("nothing that shows images or their predictions is made: {fault:#}"));
        None
    })
}

/// The images that the run was trained on, if they are there still.
fn images(run: &RecordedRun, terminal: &Terminal) -> Result<Option<(Dataset, Samples)>> {
    let name = &run.record.dataset.name;
    // Options that name missing files are no configuration any more.
    let configuration = config::check(&run.options).ok();
    let Some(configuration) = configuration.filter(|set| set.source.is_here(&set.reading)) else {
        terminal.warn(&format!(
            "the images of {name} are not available: nothing that shows them or their predictions is made \
             (--dataset PATH says where they are now)"
        ));
        return Ok(None);
    };
    let mut download = DownloadProgress::new(terminal, ProgressKind::Auto);
    let dataset =
        configuration.source.load_with(&configuration.reading, &mut |event| download.show(event))?;
    if dataset.fingerprint()? != run.record.dataset.fingerprint {
        terminal.warn(&format!(
            "the images of {name} are others than the run was trained on: nothing that shows them or their \
             predictions is made"
        ));
        return Ok(None);
    }
    let test = dataset.test_samples()?;
    Ok(Some((dataset, test)))
}
