//! Finished epochs as lines: aligned columns under one head that fit the terminal, or lines in which each value has
//! its name, for files.

use crate::numbers::{duration, number, step_time};
use console::{Style, measure_text_width};
use fitch::metrics::{Better, EpochRecord};

/// Between two columns.
const GAP: usize = 2;
/// Behind the best value so far.
const MARK: &str = "*";
/// The decimals of metrics, where there is room and where there is less.
const DECIMALS: [usize; 2] = [4, 3];

/// The lines of a run, an epoch at a time.
#[derive(Debug)]
pub struct EpochLines {
    monitor: String,
    direction: Better,
    /// The epoch that the run ends with at the latest.
    epochs: usize,
    best: Option<(usize, f64)>,
    /// The metrics, as the first epoch has them.
    metrics: Vec<String>,
    layout: Option<Layout>,
}

#[derive(Clone, Debug, PartialEq)]
struct Layout {
    columns: Vec<Column>,
    decimals: usize,
}

#[derive(Clone, Debug, PartialEq)]
struct Column {
    kind: Kind,
    name: String,
    width: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Epoch,
    Monitored,
    Metric,
    Time,
    StepTime,
}

impl EpochLines {
    pub fn new(monitor: &str, direction: Better, epochs: usize) -> EpochLines {
        EpochLines {
            monitor: monitor.to_string(),
            direction,
            epochs,
            best: None,
            metrics: Vec::new(),
            layout: None,
        }
    }

    /// The best epoch so far, and its value.
    pub fn best(&self) -> Option<(usize, f64)> {
        self.best
    }

    /// Takes note of an epoch; whether it is the best one so far.
    pub fn note(&mut self, record: &EpochRecord) -> bool {
        if self.metrics.is_empty() {
            self.metrics = record.metrics.keys().cloned().collect();
        }
        let Some(value) = record.metrics.get(&self.monitor).copied().filter(|value| value.is_finite()) else {
            return false;
        };
        let is_best = self.best.is_none_or(|(_, best)| self.direction.is_better(value, best));
        if is_best {
            self.best = Some((record.epoch, value));
        }
        is_best
    }

    /// An epoch as a row that fits the columns, preceded by the head if that is new.
    pub fn row(&mut self, record: &EpochRecord, step_seconds: Option<f64>, columns: usize) -> String {
        let is_best = self.note(record);
        let layout = self.fit(columns, step_seconds.is_some());
        let mut text = String::new();
        if self.layout.as_ref() != Some(&layout) {
            text =
                line(layout.columns.iter().map(|column| (column, column.name.clone(), Style::new().dim())));
            text.push('\n');
        }
        text += &line(layout.columns.iter().map(|column| {
            let metric = || match record.metrics.get(&column.name) {
                Some(value) => number(*value, layout.decimals, column.digits()),
                None => "-".to_string(),
            };
            let (cell, style) = match column.kind {
                Kind::Epoch => (self.epoch_text(record), Style::new()),
                Kind::Monitored if is_best => (metric() + MARK, Style::new().green()),
                Kind::Monitored => (metric() + " ", Style::new()),
                Kind::Metric => (metric(), Style::new()),
                Kind::Time => (duration(record.seconds), Style::new()),
                Kind::StepTime => (step_seconds.map_or(String::new(), step_time), Style::new()),
            };
            (column, cell, style)
        }));
        self.layout = Some(layout);
        text
    }

    /// An epoch with the names of its values, whatever the width.
    pub fn labelled(&mut self, record: &EpochRecord, step_seconds: f64) -> String {
        let best = if self.note(record) { "  best" } else { "" };
        let metrics =
            record.metrics.iter().map(|(name, value)| format!("  {name} {:>6}", number(*value, 4, 6)));
        format!(
            "epoch {}  {:>6}  {:>8}/step{}{best}",
            self.epoch_text(record),
            duration(record.seconds),
            step_time(step_seconds),
            metrics.collect::<String>()
        )
    }

    fn epoch_text(&self, record: &EpochRecord) -> String {
        let epochs = self.epochs.to_string();
        format!("{:>width$}/{epochs}", record.epoch, width = epochs.len())
    }

    /// The columns that there is room for: fewer digits if that makes room for all, else fewer columns.
    fn fit(&self, columns: usize, with_steps: bool) -> Layout {
        let mut wanted = self.wanted(with_steps);
        loop {
            let layouts = DECIMALS.map(|decimals| Layout {
                columns: wanted.iter().map(|column| column.with_decimals(decimals)).collect(),
                decimals,
            });
            let [_, narrowest] = &layouts;
            let least = (0..wanted.len()).max_by_key(|&index| self.rank(&wanted[index])).unwrap_or_default();
            if narrowest.width() > columns && self.rank(&wanted[least]) > 1 {
                wanted.remove(least);
                continue;
            }
            let [full, narrow] = layouts;
            return if full.width() <= columns { full } else { narrow };
        }
    }

    fn wanted(&self, with_steps: bool) -> Vec<Column> {
        let column = |kind, name: &str, width| Column { kind, name: name.to_string(), width };
        let mut columns = vec![column(Kind::Epoch, "epoch", 2 * self.epochs.to_string().len() + 1)];
        columns.extend(self.metrics.iter().map(|name| {
            let kind = if *name == self.monitor { Kind::Monitored } else { Kind::Metric };
            column(kind, name, 0)
        }));
        columns.push(column(Kind::Time, "time", 6));
        if with_steps {
            columns.push(column(Kind::StepTime, "per step", 8));
        }
        columns
    }

    /// What goes first when there is no room has the highest rank; up to 1 stays.
    fn rank(&self, column: &Column) -> usize {
        let place = self.metrics.iter().position(|name| *name == column.name).unwrap_or_default();
        match column.kind {
            Kind::Epoch => 0,
            Kind::Monitored => 1,
            Kind::Metric if column.name.starts_with("val_") => 10 + place,
            Kind::Metric if column.name == "loss" => 100,
            Kind::Time => 101,
            Kind::Metric => 200 + place,
            Kind::StepTime => usize::MAX,
        }
    }
}

impl Layout {
    fn width(&self) -> usize {
        let widths: usize = self.columns.iter().map(|column| column.width).sum();
        widths + GAP * (self.columns.len() - 1)
    }
}

impl Column {
    /// As wide as its name and numbers with these decimals need it.
    fn with_decimals(&self, decimals: usize) -> Column {
        let numbers = match self.kind {
            Kind::Metric => decimals + 2,
            Kind::Monitored => decimals + 2 + MARK.len(),
            Kind::Epoch | Kind::Time | Kind::StepTime => 0,
        };
        let mark = if self.kind == Kind::Monitored { MARK.len() } else { 0 };
        Column { width: self.width.max(measure_text_width(&self.name) + mark).max(numbers), ..self.clone() }
    }

    /// The width of a number in it.
    fn digits(&self) -> usize {
        self.width - if self.kind == Kind::Monitored { MARK.len() } else { 0 }
    }
}

/// Cells to the right of their columns, but for the head of the monitored one, which stands above its numbers.
fn line<'a>(cells: impl Iterator<Item = (&'a Column, String, Style)>) -> String {
    let mut line = String::new();
    let mut gap = 0;
    for (column, cell, style) in cells {
        let is_head = column.kind == Kind::Monitored && cell == column.name;
        let width = column.width - usize::from(is_head);
        let before = gap + width.saturating_sub(measure_text_width(&cell));
        line += &format!("{:before$}{}", "", style.for_stderr().apply_to(cell.trim_end()));
        gap = GAP + column.width - width + (cell.len() - cell.trim_end().len());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use fitch::train::History;

    /// A history of one epoch for each validation loss.
    fn records(losses: &[f64]) -> Vec<EpochRecord> {
        let mut history = serde_json::json!({ "metric_names": [], "epochs": [] });
        for index in 0..losses.len() {
            let metrics =
                serde_json::json!({ "accuracy": 0.58571, "loss": 1.85381, "val_accuracy": 0.84722 });
            let record = serde_json::json!({ "epoch": index + 1, "metrics": metrics, "learning_rate": 0.1,
                "seconds": 0.234 });
            history["epochs"].as_array_mut().unwrap().push(record);
        }
        let mut records = serde_json::from_value::<History>(history).unwrap().epochs;
        for (record, loss) in records.iter_mut().zip(losses) {
            record.metrics.insert("val_loss".to_string(), *loss);
        }
        records
    }

    fn rows(losses: &[f64], columns: usize) -> Vec<String> {
        let mut lines = EpochLines::new("val_loss", Better::Lower, 100);
        let rows: Vec<String> =
            records(losses).iter().map(|record| lines.row(record, Some(0.0193), columns)).collect();
        rows.join("\n").lines().map(|line| console::strip_ansi_codes(line).into_owned()).collect()
    }

    #[test]
    fn epochs_stand_in_columns_with_the_best_so_far_marked() {
        assert_eq!(
            rows(&[1.1308, 1.2, 0.9], 80),
            [
                "  epoch  accuracy    loss  val_accuracy  val_loss     time  per step",
                "  1/100    0.5857  1.8538        0.8472    1.1308*   0.2 s   19.3 ms",
                "  2/100    0.5857  1.8538        0.8472    1.2000    0.2 s   19.3 ms",
                "  3/100    0.5857  1.8538        0.8472    0.9000*   0.2 s   19.3 ms",
            ]
        );
    }

    #[test]
    fn a_narrow_terminal_has_fewer_digits_then_fewer_columns() {
        let heads = [200, 68, 67, 66, 48, 40, 39, 38, 1].map(|columns| rows(&[0.5], columns)[0].clone());
        assert_eq!(
            heads,
            [
                "  epoch  accuracy    loss  val_accuracy  val_loss     time  per step",
                "  epoch  accuracy    loss  val_accuracy  val_loss     time  per step",
                "  epoch  accuracy   loss  val_accuracy  val_loss     time  per step",
                "  epoch  accuracy    loss  val_accuracy  val_loss     time",
                "  epoch    loss  val_accuracy  val_loss     time",
                "  epoch    loss  val_accuracy  val_loss",
                "  epoch   loss  val_accuracy  val_loss",
                "  epoch  val_accuracy  val_loss",
                "  epoch  val_loss",
            ]
        );
        assert_eq!(rows(&[0.5], 39)[1], "  1/100  1.854         0.847     0.500*");
    }

    /// Of any value, a row is as wide as the terminal at most, and has whole numbers only.
    #[test]
    fn no_number_is_broken_at_any_width() {
        let losses = [0.5, 1e-9, 123.456_789, 1e9, 2e300, f64::NAN, f64::INFINITY];
        for columns in 18..=200 {
            let rows = rows(&losses, columns);
            assert_eq!(rows.len(), losses.len() + 1, "one head: {rows:#?}");
            for (row, loss) in rows[1..].iter().zip(losses) {
                assert!(row.chars().count() <= columns, "{columns}: {row}");
                let shown = row
                    .split_whitespace()
                    .nth(rows[0].split_whitespace().position(|name| name == "val_loss").unwrap());
                let shown: String = shown.unwrap().trim_end_matches('*').chars().collect();
                let shown: f64 = shown.parse().unwrap();
                assert!(
                    shown == loss || shown.is_nan() && loss.is_nan() || (shown / loss - 1.0).abs() < 0.15,
                    "{row}"
                );
            }
        }
    }

    #[test]
    fn another_width_has_a_head_of_its_own() {
        let mut lines = EpochLines::new("val_loss", Better::Lower, 9);
        let records = records(&[3.0, 2.0, 1.0, 0.5]);
        let counts = [80, 80, 40, 40].iter().zip(&records);
        let counts: Vec<usize> =
            counts.map(|(columns, record)| lines.row(record, None, *columns).lines().count()).collect();
        assert_eq!(counts, [2, 1, 2, 1]);
    }

    #[test]
    fn a_line_for_a_file_names_its_values() {
        let mut lines = EpochLines::new("val_loss", Better::Lower, 100);
        let text: Vec<String> =
            records(&[1.1308, 1.2]).iter().map(|record| lines.labelled(record, 0.00078)).collect();
        assert_eq!(
            text,
            [
                "epoch   1/100   0.2 s    780 us/step  accuracy 0.5857  loss 1.8538  val_accuracy 0.8472  val_loss 1.1308  best",
                "epoch   2/100   0.2 s    780 us/step  accuracy 0.5857  loss 1.8538  val_accuracy 0.8472  val_loss 1.2000",
            ]
        );
    }
}
