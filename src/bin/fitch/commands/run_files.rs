//! The files that a run leaves, in the order of their worth: weights, model, results, then what is drawn. Nothing
//! that comes later can take away what came before.

use super::built_model::model_card;
use super::export::{images_to_verify, noise, write_torchscript};
use super::plots::Subject;
use crate::failure;
use crate::terminal::Terminal;
use anyhow::{Error, Result};
use fitch::data::{Dataset, Samples};
use fitch::distributed::{self, Group};
use fitch::metrics::ClassMetric;
use fitch::model::{Model, Network};
use fitch::run::{RunFolder, RunRecord, save_weights};
use fitch::train::{Evaluation, History, evaluate, evaluate_in};
use tch::Device;

/// The width of the summary in the run folder.
pub const SUMMARY_COLUMNS: usize = 80;

/// What the files are made of.
pub struct RunFiles<'a> {
    pub folder: &'a RunFolder,
    pub network: &'a Network,
    pub history: &'a History,
    /// The images and the test set, if they are there.
    pub data: Option<(&'a Dataset, &'a Samples)>,
    pub device: Device,
    pub batch_size: usize,
    /// The processes that share the test.
    pub group: &'a Group,
}

/// What came of it.
pub struct Written {
    /// The names of the files that were written.
    pub names: Vec<String>,
    /// Why there is no model.pt, if there is none.
    pub model_fault: Option<Error>,
}

impl RunFiles<'_> {
    /// Tests the model and writes every file whose name `is_wanted`. What cannot be drawn, tested or recorded
    /// is a warning. A test that is not needed for any of them is left out.
    ///
    /// # Errors
    /// The weights cannot be written.
    pub fn write(
        &self,
        record: &mut RunRecord,
        is_wanted: &dyn Fn(&str) -> bool,
        terminal: &Terminal,
    ) -> Result<Written> {
        let RunFiles { folder, network, history, data, .. } = *self;
        let mut names = Vec::new();
        if is_wanted("weights.safetensors") {
            let layers = network.model().map(Model::hidden_layers).unwrap_or_default();
            let metadata = [("format", "pt"), ("fitch_version", &record.fitch_version), ("layers", &layers)];
            save_weights(&folder.weights_file(), network.variables(), &metadata)?;
            names.push("weights.safetensors".to_string());
        }
        let needs_test = record.test_loss.is_none()
            || ["confusion.csv", "confusion.svg", "confusion.png", "mistakes.csv", "mistakes.png"]
                .iter()
                .any(|name| is_wanted(name));
        let testing = terminal.busy("testing");
        let test = data.filter(|_| needs_test).and_then(|(dataset, samples)| {
            let tested = failure::guard(|| {
                let samples = samples.to_device(self.device)?;
                match evaluate_in(network, &samples, self.batch_size, self.group) {
                    // The others may be gone by now.
                    Err(fault) if fault.is::<distributed::Fault>() => {
                        evaluate(network, &samples, self.batch_size)
                    }
                    tested => tested,
                }
            });
            tested
                .map_err(|fault| terminal.warn(&format!("the model was not tested: {fault:#}")))
                .ok()
                .map(|test| (dataset, test))
        });
        drop(testing);
        let _writing = terminal.busy("writing");
        if let Some((_, test)) = &test {
            record_test(record, test, history);
        }
        let mut model_fault = None;
        if is_wanted("model.pt") {
            match failure::guard(|| self.write_model(record)) {
                Ok(()) => names.push("model.pt".to_string()),
                Err(fault) => model_fault = Some(fault),
            }
        }
        let test = test.as_ref().map(|(dataset, test)| (*dataset, test));
        let results = Subject { folder, record, history, network, test };
        let tables: [(&str, &dyn Fn() -> Result<()>); 2] = [
            ("confusion.csv", &|| results.write_confusion()),
            ("mistakes.csv", &|| results.write_mistakes()),
        ];
        for (name, write) in tables {
            if is_wanted(name) && test.is_some() {
                match failure::guard(write) {
                    Ok(()) => names.push(name.to_string()),
                    Err(fault) => terminal.warn(&format!("{fault:#}")),
                }
            }
        }
        // A run whose record has a stop reason has everything but pictures and pages.
        if let Err(fault) = record.save(folder) {
            let command = format!("fitch report {}", folder.path().display());
            terminal.warn(&format!("the results are not recorded: {fault:#}; {command} records them"));
        }
        let subject = Subject { folder, record, history, network, test };
        names.extend(subject.draw(is_wanted, terminal));
        Ok(Written { names, model_fault })
    }

    /// Writes model.pt, verified on test images or, where they are not available, noise.
    fn write_model(&self, record: &RunRecord) -> Result<()> {
        let network = self.network;
        let card = model_card(record, network);
        let images = match self.data {
            Some((dataset, _)) => {
                let count = images_to_verify(&dataset.shape(), network.model().is_some());
                dataset.test.slice(0, count as usize)?
            }
            None => noise(&record.dataset)?,
        };
        write_torchscript(&self.folder.model_file(), network, &card, &images)
    }
}

/// Records the results of a test: loss, accuracy, and the metrics that the history has.
fn record_test(record: &mut RunRecord, test: &Evaluation, history: &History) {
    let mut metrics = vec![ClassMetric::Loss, ClassMetric::Accuracy];
    for name in &history.metric_names {
        let metric = name.strip_prefix("val_").unwrap_or(name).parse();
        metrics.extend(metric.ok().filter(|metric| !metrics.contains(metric)));
    }
    let intervals = test.classification.intervals(&metrics);
    (record.test_loss, record.test_accuracy) = (Some(test.loss), Some(test.accuracy));
    (record.test_loss_interval, record.test_accuracy_interval) = (intervals[0], intervals[1]);
    for (metric, interval) in metrics.into_iter().zip(intervals).skip(2) {
        let value = test.classification.value(metric);
        if value.is_finite() {
            record.test_metrics.insert(metric.to_string(), value);
        }
        interval.map(|interval| record.test_metric_intervals.insert(metric.to_string(), interval));
    }
}
