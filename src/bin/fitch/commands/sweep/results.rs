//! The results of a sweep, as a table and as CSV.

use super::combinations::Combinations;
use super::plan::{PlannedRun, plain};
use super::{State, Sweep};
use crate::cli::DataOptions;
use crate::commands::table::table;
use anyhow::Result;
use fitch::run::RunRecord;
use fitch::text::listed;
use std::collections::HashMap;

/// Runs that a message names.
const NAMED: usize = 6;

pub struct Results<'a> {
    sweep: &'a Sweep,
    runs: Vec<PlannedAndFinished<'a>>,
}

/// A run of the plan with its record; none if it has not finished.
pub type PlannedAndFinished<'a> = (&'a PlannedRun, Option<RunRecord>);

impl Results<'_> {
    pub fn of(sweep: &Sweep) -> Result<Results<'_>> {
        let record = |run| {
            Ok(match sweep.state(run)? {
                State::Finished(record) => (run, Some(*record)),
                State::New | State::Begun => (run, None),
            })
        };
        Ok(Results { sweep, runs: sweep.plan.runs.iter().map(record).collect::<Result<_>>()? })
    }

    /// One row a run in full precision; the cells of a run that has not finished are empty.
    pub fn as_csv(&self) -> Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let results = [
            "stop_reason",
            "epochs_run",
            "monitor",
            "best_epoch",
            "best_value",
            "test_accuracy",
            "test_loss",
            "seconds",
        ];
        let varied = self.sweep.plan.varied.iter().map(String::as_str);
        writer.write_record(["run"].into_iter().chain(varied).chain(results))?;
        for (run, record) in &self.runs {
            let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
            let count = |value: Option<usize>| value.map_or(String::new(), |value| value.to_string());
            let cells = record.as_ref().map_or_else(
                || vec![String::new(); results.len()],
                |record| {
                    vec![
                        record.stop_reason.clone().unwrap_or_default(),
                        count(record.epochs_run),
                        record.monitor.clone(),
                        count(record.best_epoch),
                        number(record.best_value),
                        number(record.test_accuracy),
                        number(record.test_loss),
                        number(record.seconds),
                    ]
                },
            );
            let values = run.values.iter().map(plain);
            writer.write_record([self.sweep.name(run)].into_iter().chain(values).chain(cells))?;
        }
        Ok(writer.into_inner()?)
    }

    /// The folds of each combination together, in the order of the plan; none if there are no folds.
    pub fn combinations(&self) -> Option<Combinations<'_>> {
        let folds = self.sweep.plan.folds?;
        Some(Combinations::of(self.sweep, self.runs.chunks(folds), self.monitor()))
    }

    /// One row a run, for people, in that width if it is limited.
    pub fn as_table(&self, columns: Option<usize>) -> String {
        let row = |(run, record): &PlannedAndFinished| {
            let number = |value: Option<f64>| value.map_or("-".to_string(), |value| format!("{value:.4}"));
            let of = |value: fn(&RunRecord) -> Option<f64>| number(record.as_ref().and_then(value));
            let ended = record.as_ref().and_then(|record| record.stop_reason.clone());
            let epochs = record.as_ref().and_then(|record| record.epochs_run);
            let mut cells = vec![self.sweep.name(run)];
            cells.extend(run.values.iter().map(plain));
            cells.push(ended.unwrap_or("-".to_string()));
            cells.push(epochs.map_or("-".to_string(), |epochs| epochs.to_string()));
            cells.push(of(|record| record.best_value));
            cells.push(of(|record| record.test_accuracy));
            cells
        };
        let varied: Vec<&str> = self.sweep.plan.varied.iter().map(String::as_str).collect();
        let best = self.monitor().map_or("best".to_string(), |monitor| format!("best {monitor}"));
        let head = ["run"].into_iter().chain(varied.iter().copied()).chain([
            "ended",
            "epochs",
            &best,
            "test accuracy",
        ]);
        let first = [&["run", &best], &varied[..], &["test accuracy", "epochs"]].concat();
        table(head, self.runs.iter().map(row).collect()).first(&first).fit(columns)
    }

    /// The run with the best monitored metric: the test set does not choose.
    pub fn best(&self) -> String {
        let finished: Vec<_> =
            self.runs.iter().filter_map(|(run, record)| Some((run, record.as_ref()?))).collect();
        if finished.is_empty() {
            return "\nno run has finished yet\n".to_string();
        }
        let Some(monitor) = self.monitor() else {
            return "\nno best run: the runs monitored different metrics\n".to_string();
        };
        let mut best: Option<(&PlannedRun, &RunRecord, f64)> = None;
        for (run, record) in finished {
            if let Some(value) = record.best_value
                && best.is_none_or(|(_, _, other)| run.direction.is_better(value, other))
            {
                best = Some((run, record, value));
            }
        }
        let Some((run, record, value)) = best else { return format!("\nno run has a {monitor}\n") };
        let accuracy =
            record.test_accuracy.map_or(String::new(), |accuracy| format!(", test accuracy {accuracy:.4}"));
        format!(
            "\nthe best is {} with {monitor} {value:.6} in epoch {}{accuracy}: {}\n",
            self.sweep.path(run).display(),
            record.best_epoch.unwrap_or_default(),
            run.describe(&self.sweep.plan.varied)
        )
    }

    /// Which runs read the same data as an earlier one, but found other images; none if all found the same.
    pub fn changed_data(&self) -> Option<String> {
        let of_data = serde_json::to_value(DataOptions::default()).ok()?;
        let mut first_of: HashMap<String, (&PlannedRun, &str)> = HashMap::new();
        let mut changed: Vec<String> = Vec::new();
        let mut before = None;
        for (run, record) in self.runs.iter().filter_map(|(run, record)| Some((run, record.as_ref()?))) {
            let mut reading = record.config.as_object()?.clone();
            reading.retain(|name, _| {
                of_data.get(name).is_some() || ["dataset", "validation"].contains(&name.as_str())
            });
            let found = record.dataset.fingerprint.as_str();
            let (first, other) = first_of.entry(format!("{reading:?}")).or_insert((*run, found));
            if *other != found {
                before.get_or_insert(*first);
                changed.push(self.sweep.name(run));
            }
        }
        let first = self.sweep.name(before?);
        Some(format!(
            "the data have changed: {} found other images than {first}, so that their results cannot be compared",
            listed(&changed, NAMED)
        ))
    }

    /// The metric that all finished runs monitored, if it was the same.
    fn monitor(&self) -> Option<&str> {
        let mut monitors = self.runs.iter().filter_map(|(_, record)| Some(record.as_ref()?.monitor.as_str()));
        let first = monitors.next()?;
        monitors.all(|monitor| monitor == first).then_some(first)
    }
}
