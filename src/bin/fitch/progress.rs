//! Progress of trainings, downloads and decoding, drawn through the [`Terminal`].

use crate::terminal::Terminal;
use anyhow::Result;
use clap::ValueEnum;
use fitch::data::Progress;
use fitch::report::{HistoryCurves, Scale, terminal_chart};
use fitch::train::{Callback, History, Training};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

/// The running metrics are read this often: reading them makes the host wait for the device.
const METRICS_INTERVAL: Duration = Duration::from_millis(200);
/// A narrower terminal has no room for the bar itself.
const NARROW: usize = 70;

/// How the progress of training is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProgressKind {
    Auto,
    Bar,
    Lines,
    None,
}

/// A bar while an epoch runs, a line when it ends.
pub struct TrainingProgress<'a> {
    terminal: &'a Terminal,
    style: ProgressKind,
    bar: Option<ProgressBar>,
    metrics_read: Instant,
}

impl fmt::Debug for TrainingProgress<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "TrainingProgress({:?})", self.style)
    }
}

impl TrainingProgress<'_> {
    pub fn new(terminal: &Terminal, style: ProgressKind) -> TrainingProgress<'_> {
        let style = match style {
            ProgressKind::Auto if terminal.is_interactive => ProgressKind::Bar,
            ProgressKind::Auto => ProgressKind::Lines,
            chosen => chosen,
        };
        TrainingProgress { terminal, style, bar: None, metrics_read: Instant::now() }
    }

    /// Draws the loss as a small chart, if there was a bar.
    pub fn draw_curve(&self, history: &History) {
        const ROWS: usize = 9;
        if self.style == ProgressKind::Bar {
            let columns = self.terminal.columns().min(72);
            let drawn = terminal_chart(&HistoryCurves::from(history), "loss", Scale::Auto, columns, ROWS);
            self.terminal.say(&format!("\n{drawn}"));
        }
    }

    fn say_notes(&self, training: &mut Training) {
        for note in training.take_notes() {
            if self.style != ProgressKind::None {
                self.terminal.say(&note);
            }
        }
    }
}

impl Callback for TrainingProgress<'_> {
    fn epoch_begin(&mut self, training: &mut Training) -> Result<()> {
        if self.style == ProgressKind::Bar {
            let bar = new_bar(self.terminal, training.steps() as u64);
            bar.set_prefix(epoch_label(training));
            self.bar = Some(bar);
            self.metrics_read = Instant::now();
        }
        Ok(())
    }

    fn step_end(&mut self, training: &mut Training) -> Result<()> {
        let Some(bar) = &self.bar else { return Ok(()) };
        bar.set_position(training.step() as u64);
        if self.metrics_read.elapsed() >= METRICS_INTERVAL {
            self.metrics_read = Instant::now();
            let per_step = training.epoch_seconds() / training.step() as f64;
            let left = per_step * (training.steps() - training.step()) as f64;
            let metrics = metrics_text(&training.running_means()?);
            bar.set_message(format!("{left:.0} s left  {}  {metrics}", per_step_text(per_step)));
        }
        Ok(())
    }

    fn epoch_end(&mut self, training: &mut Training) -> Result<()> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if let (true, Some(record)) = (self.style != ProgressKind::None, training.record()) {
            let per_step = per_step_text(record.seconds / training.step().max(1) as f64);
            let label = epoch_label(training);
            let metrics = metrics_text(&record.metrics);
            self.terminal.say(&format!("{label}  {:.1} s  {per_step}  {metrics}", record.seconds));
        }
        self.say_notes(training);
        Ok(())
    }

    fn train_end(&mut self, training: &mut Training) -> Result<()> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.say_notes(training);
        Ok(())
    }
}

fn epoch_label(training: &Training) -> String {
    let epochs = training.epochs().to_string();
    format!("epoch {:>width$}/{epochs}", training.epoch(), width = epochs.len())
}

fn per_step_text(seconds: f64) -> String {
    if seconds < 0.001 {
        format!("{:.0} us/step", seconds * 1e6)
    } else {
        format!("{:.1} ms/step", seconds * 1e3)
    }
}

fn metrics_text(metrics: &BTreeMap<String, f64>) -> String {
    metrics.iter().map(|(name, value)| format!("{name} {value:.4}")).collect::<Vec<_>>().join("  ")
}

fn new_bar(terminal: &Terminal, length: u64) -> ProgressBar {
    let template = match terminal.columns() < NARROW {
        true => "{prefix} {pos}/{len} {wide_msg}",
        false => "{prefix} {bar:20.green} {pos}/{len}  {wide_msg}",
    };
    terminal.bar(Some(length), template)
}

/// Shows how a data set is downloaded and decoded.
pub struct DownloadProgress<'a> {
    terminal: &'a Terminal,
    visible: bool,
    bar: Option<ProgressBar>,
}

impl DownloadProgress<'_> {
    pub fn new(terminal: &Terminal, style: ProgressKind) -> DownloadProgress<'_> {
        DownloadProgress { terminal, visible: style != ProgressKind::None, bar: None }
    }

    pub fn show(&mut self, event: Progress) {
        // That nothing happens needs a word even where nothing is displayed.
        if !self.visible && event != Progress::Waiting {
            return;
        }
        match event {
            Progress::Started { address } => self.terminal.say(&format!("fetching {address}")),
            Progress::Waiting => self
                .terminal
                .say("waiting for another fitch that is fetching, unpacking or decoding the same data"),
            Progress::Received { bytes, of } if self.terminal.is_interactive => {
                self.advance(bytes, of, "{bar:30} {bytes}/{total_bytes}  {eta} left");
            }
            Progress::Decoded { images, of: Some(of) } if self.terminal.is_interactive => {
                self.advance(images as u64, Some(of as u64), "{bar:30} {pos}/{len} images  {eta} left");
            }
            Progress::Decoded { images, of: None } if self.terminal.is_interactive => {
                self.advance(images as u64, None, "{spinner} {pos} images");
            }
            Progress::Unpacking { folder } => {
                self.terminal.say(&format!("unpacking into {}", folder.display()));
            }
            Progress::Unpacked { bytes } if self.terminal.is_interactive => {
                self.advance(bytes, None, "{spinner} {bytes}");
            }
            Progress::Received { .. } | Progress::Decoded { .. } | Progress::Unpacked { .. } => {}
            Progress::MirrorFailed { fault, .. } => {
                self.clear();
                self.terminal.warn(&fault);
            }
            Progress::Finished => self.clear(),
        }
    }

    fn advance(&mut self, position: u64, of: Option<u64>, template: &str) {
        let bar = self.bar.get_or_insert_with(|| self.terminal.bar(of, template));
        bar.set_position(position);
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
