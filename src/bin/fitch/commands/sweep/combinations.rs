//! The results of the folds of each combination, taken together.

use super::Sweep;
use super::plan::{PlannedRun, plain};
use super::results::PlannedAndFinished;
use crate::commands::table::table;
use anyhow::Result;
use fitch::metrics::MeanInterval;
use fitch::run::RunRecord;

pub struct Combinations<'a> {
    sweep: &'a Sweep,
    /// The metric that all finished runs monitored, if it was the same.
    monitor: Option<&'a str>,
    all: Vec<Combination<'a>>,
}

/// Options that were trained once for each fold.
struct Combination<'a> {
    first: &'a PlannedRun,
    last: &'a PlannedRun,
    folds: usize,
    finished: Vec<&'a RunRecord>,
    /// Of the best monitored values.
    best: Option<MeanInterval>,
}

impl<'a> Combinations<'a> {
    pub fn of(
        sweep: &'a Sweep,
        chunks: impl Iterator<Item = &'a [PlannedAndFinished<'a>]>,
        monitor: Option<&'a str>,
    ) -> Combinations<'a> {
        let all = chunks.filter_map(|runs| {
            let finished: Vec<&RunRecord> = runs.iter().filter_map(|(_, record)| record.as_ref()).collect();
            let values: Vec<f64> = finished.iter().filter_map(|record| record.best_value).collect();
            let best = MeanInterval::of(&values).filter(|_| monitor.is_some());
            let ((first, _), (last, _)) = runs.first().zip(runs.last())?;
            Some(Combination { first, last, folds: runs.len(), finished, best })
        });
        Combinations { sweep, monitor, all: all.collect() }
    }

    /// The options that vary, without the fold.
    fn varied(&self) -> &[String] {
        self.sweep.plan.varied.split_last().map_or(&[], |(_, varied)| varied)
    }

    /// One row a combination in full precision; cells without a result are empty.
    pub fn as_csv(&self) -> Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let results = [
            "folds",
            "folds_finished",
            "monitor",
            "mean",
            "standard_deviation",
            "interval_low",
            "interval_high",
            "mean_test_accuracy",
            "mean_test_loss",
            "seconds",
        ];
        let varied = self.varied().iter().map(String::as_str);
        writer.write_record(["first_run"].into_iter().chain(varied).chain(results))?;
        for combination in &self.all {
            let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
            let Combination { first, folds, finished, best, .. } = combination;
            let interval = best.and_then(|best| best.interval);
            let seconds = finished.iter().filter_map(|record| record.seconds).sum::<f64>();
            let cells = [
                folds.to_string(),
                finished.len().to_string(),
                self.monitor.unwrap_or_default().to_string(),
                number(best.map(|best| best.mean)),
                number(best.filter(|best| best.count > 1).map(|best| best.deviation)),
                number(interval.map(|[low, _]| low)),
                number(interval.map(|[_, high]| high)),
                number(combination.mean_of(|record| record.test_accuracy)),
                number(combination.mean_of(|record| record.test_loss)),
                number((!finished.is_empty()).then_some(seconds)),
            ];
            let values = first.values.iter().take(self.varied().len()).map(plain);
            writer.write_record([self.sweep.name(first)].into_iter().chain(values).chain(cells))?;
        }
        Ok(writer.into_inner()?)
    }

    /// One row a combination, for people, in that width if it is limited.
    pub fn as_table(&self, columns: Option<usize>) -> String {
        let number = |value: Option<f64>| value.map_or("-".to_string(), |value| format!("{value:.4}"));
        let rows = self.all.iter().map(|combination| {
            let Combination { first, last, folds, finished, best } = combination;
            let interval = best.and_then(|best| best.interval);
            let interval = interval.map(|[low, high]| format!("{low:.4} to {high:.4}"));
            let mut cells = vec![format!("{}-{}", self.sweep.name(first), self.sweep.name(last))];
            cells.extend(first.values.iter().take(self.varied().len()).map(plain));
            cells.push(format!("{} of {folds}", finished.len()));
            cells.push(number(best.map(|best| best.mean)));
            cells.push(number(best.filter(|best| best.count > 1).map(|best| best.deviation)));
            cells.push(interval.unwrap_or("-".to_string()));
            cells.push(number(combination.mean_of(|record| record.test_accuracy)));
            cells
        });
        let mean = self.monitor.map_or("mean".to_string(), |monitor| format!("mean {monitor}"));
        let varied: Vec<&str> = self.varied().iter().map(String::as_str).collect();
        let results = ["folds", &mean, "deviation", "95 % interval", "mean test accuracy"];
        let head = ["runs"].into_iter().chain(varied.iter().copied()).chain(results);
        let first = [&["runs", &mean], &varied[..], &["deviation", "95 % interval", "folds"]].concat();
        table(head, rows.collect()).first(&first).fit(columns)
    }

    /// The combination with the best mean over all of its folds: the test set does not choose.
    pub fn best(&self) -> String {
        let is_whole = |combination: &&Combination| combination.finished.len() == combination.folds;
        if !self.all.iter().any(|combination| is_whole(&combination)) {
            return "\nno combination has finished all of its folds yet\n".to_string();
        }
        let Some(monitor) = self.monitor else {
            return "\nno best combination: the runs monitored different metrics\n".to_string();
        };
        let mut chosen: Option<(&Combination, MeanInterval)> = None;
        for combination in self.all.iter().filter(is_whole) {
            let Some(best) = combination.best.filter(|best| best.count == combination.folds) else {
                continue;
            };
            let direction = combination.first.direction;
            if chosen.is_none_or(|(_, other)| direction.is_better(best.mean, other.mean)) {
                chosen = Some((combination, best));
            }
        }
        let Some((Combination { first, last, folds, .. }, best)) = chosen else {
            return format!("\nno combination has a {monitor} in all of its folds\n");
        };
        let interval = best.interval.map(|[low, high]| format!(", 95 % interval {low:.6} to {high:.6}"));
        let what = match self.varied() {
            [] => format!("{folds} folds have"),
            varied => format!("the best combination, in {folds} folds, is {} with", first.describe(varied)),
        };
        format!(
            "\n{what} a mean {monitor} of {:.6} (standard deviation {:.6}{}): {} to {}\n",
            best.mean,
            best.deviation,
            interval.unwrap_or_default(),
            self.sweep.path(first).display(),
            self.sweep.name(last)
        )
    }
}

impl Combination<'_> {
    /// The mean of a result of the folds that have one.
    fn mean_of(&self, value: fn(&RunRecord) -> Option<f64>) -> Option<f64> {
        let values: Vec<f64> = self.finished.iter().filter_map(|record| value(record)).collect();
        MeanInterval::of(&values).map(|mean| mean.mean)
    }
}
