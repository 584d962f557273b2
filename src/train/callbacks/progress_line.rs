//! The progress of a training as text.

use crate::train::{Callback, Training};
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::time::{Duration, Instant};

/// The time from one update within an epoch to the next: reading metrics makes the host wait for the device.
const UPDATE_INTERVAL: Duration = Duration::from_millis(200);

/// Writes a line at the end of each epoch, and notes of other callbacks.
///
/// ```
/// use fitch::train::callbacks::ProgressLine;
///
/// let mut lines = ProgressLine::new(std::io::stderr());
/// // On a terminal, with a line that grows within the epoch:
/// let mut progress = ProgressLine::new(std::io::stderr()).live();
/// ```
pub struct ProgressLine<W> {
    out: W,
    is_live: bool,
    last_update: Instant,
    /// The width of the live line, which is to be overwritten.
    width: usize,
}

impl<W> fmt::Debug for ProgressLine<W> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("ProgressLine")
    }
}

impl<W: Write> ProgressLine<W> {
    /// Writes to a file or a stream, such as `std::io::stderr()`.
    pub fn new(out: W) -> ProgressLine<W> {
        ProgressLine { out, is_live: false, last_update: Instant::now(), width: 0 }
    }

    /// Also shows the current epoch on a line that is rewritten, for a terminal.
    pub fn live(self) -> Self {
        ProgressLine { is_live: true, ..self }
    }

    /// Overwrites the live line.
    fn write(&mut self, text: &str, end: &str) -> Result<()> {
        let start = if self.width > 0 { "\r" } else { "" };
        let written = write!(self.out, "{start}{text:width$}{end}", width = self.width);
        written.and_then(|()| self.out.flush()).context("cannot write the progress")?;
        self.width = if end.is_empty() { text.chars().count() } else { 0 };
        Ok(())
    }

    fn write_notes(&mut self, training: &mut Training) -> Result<()> {
        training.take_notes().iter().try_for_each(|note| self.write(note, "\n"))
    }
}

impl<W: Write> Callback for ProgressLine<W> {
    fn step_end(&mut self, training: &mut Training) -> Result<()> {
        if !self.is_live || self.last_update.elapsed() < UPDATE_INTERVAL {
            return Ok(());
        }
        self.last_update = Instant::now();
        let (step, steps) = (training.step(), training.steps());
        let left = training.epoch_seconds() / step as f64 * (steps - step) as f64;
        let metrics = metrics_text(&training.running_means()?);
        let text = format!("{}  {step}/{steps}  {left:.0} s left  {metrics}", epoch_text(training));
        self.write(&text, "")
    }

    fn epoch_end(&mut self, training: &mut Training) -> Result<()> {
        if let Some(record) = training.record() {
            let metrics = metrics_text(&record.metrics);
            let text = format!("{}  {:.1} s  {metrics}", epoch_text(training), record.seconds);
            self.write(&text, "\n")?;
        }
        self.write_notes(training)
    }

    fn train_end(&mut self, training: &mut Training) -> Result<()> {
        if self.width > 0 {
            self.write("", "\r")?;
        }
        self.write_notes(training)
    }
}

/// `epoch  3/20`.
fn epoch_text(training: &Training) -> String {
    let epochs = training.epochs().to_string();
    format!("epoch {:>width$}/{epochs}", training.epoch(), width = epochs.len())
}

fn metrics_text(metrics: &BTreeMap<String, f64>) -> String {
    metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect::<Vec<_>>().join("  ")
}
