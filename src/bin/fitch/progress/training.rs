//! The progress of a training: a line that is drawn anew while an epoch runs, and one of each finished epoch.

use super::ProgressKind;
use super::epochs::EpochLines;
use crate::bar::run_line;
use crate::live::LiveLine;
use crate::terminal::Terminal;
use anyhow::Result;
use fitch::metrics::Better;
use fitch::report::{HistoryCurves, Scale, terminal_chart};
use fitch::run::{Phase, RunLock, RunProgress};
use fitch::train::{Callback, History, Training};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The running metrics are read this often: reading them makes the host wait for the device.
const METRICS_INTERVAL: Duration = Duration::from_millis(200);
/// How often the progress is written for `fitch watch`.
const TOLD_INTERVAL: Duration = Duration::from_secs(1);
/// Epochs that take less have one bar for the whole run, in seconds.
const SHORT_EPOCH: f64 = 1.0;

/// What is shown of a training.
#[derive(Clone, Debug)]
pub struct Shown {
    pub style: ProgressKind,
    pub monitor: String,
    pub direction: Better,
    pub validates: bool,
    /// Of the whole training.
    pub time_limit: Option<Duration>,
}

/// Shows a training on the terminal, and tells onlookers how far it is.
pub struct TrainingProgress<'a> {
    terminal: &'a Terminal,
    shown: Shown,
    onlookers: Option<&'a RunLock>,
    lines: EpochLines,
    position: Arc<Mutex<Position>>,
    line: LiveLine,
    metrics_read: Instant,
    told: Instant,
}

/// How far the training is, shared with what draws it.
#[derive(Clone, Debug)]
struct Position {
    /// Without the times that are left.
    run: RunProgress,
    phase_start: Instant,
    best: Option<(usize, f64)>,
    /// Of this epoch, up to the last step.
    epoch_seconds: f64,
    /// Of the last epoch.
    validation_seconds: f64,
    start: Instant,
    /// The steps of all epochs that were done at the start.
    steps_before: usize,
    deadline: Option<Instant>,
}

impl Position {
    fn begin(&mut self, phase: Phase) {
        self.run.phase = phase;
        self.phase_start = Instant::now();
    }

    /// With the times that are left, if it goes on as up to now.
    fn estimate(&self) -> RunProgress {
        let RunProgress { epoch, epochs, step, steps, .. } = self.run;
        let seconds_per_step = self.epoch_seconds / step as f64;
        let epoch_left = seconds_per_step * (steps - step) as f64 + self.validation_seconds;
        let done = (epoch.saturating_sub(1) * steps + step).saturating_sub(self.steps_before);
        let left = (epochs * steps - self.steps_before - done) as f64;
        let run_left = self.start.elapsed().as_secs_f64() / done as f64 * left;
        let until_limit =
            self.deadline.map(|end| end.saturating_duration_since(Instant::now()).as_secs_f64());
        let part = (self.steps_before + done) as f64 / (epochs * steps).max(1) as f64;
        let part_of_time = until_limit.map_or(0.0, |left| {
            let passed = self.start.elapsed().as_secs_f64();
            passed / (passed + left)
        });
        RunProgress {
            run_part: part.max(part_of_time),
            epoch_left: (step > 0).then_some(epoch_left),
            run_left: (done > 0).then_some(run_left.min(until_limit.unwrap_or(f64::INFINITY))),
            step_seconds: (step > 0).then_some(seconds_per_step),
            ..self.run.clone()
        }
    }
}

impl fmt::Debug for TrainingProgress<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "TrainingProgress({:?})", self.shown.style)
    }
}

impl TrainingProgress<'_> {
    /// For the process that holds a run's lock, by which it tells onlookers.
    pub fn new<'a>(
        terminal: &'a Terminal,
        shown: Shown,
        onlookers: Option<&'a RunLock>,
    ) -> TrainingProgress<'a> {
        let now = Instant::now();
        let position = Position {
            run: RunProgress::default(),
            phase_start: now,
            best: None,
            epoch_seconds: 0.0,
            validation_seconds: 0.0,
            start: now,
            steps_before: 0,
            deadline: None,
        };
        TrainingProgress {
            terminal,
            lines: EpochLines::new(&shown.monitor, shown.direction, 0),
            shown,
            onlookers,
            position: Arc::new(Mutex::new(position)),
            line: LiveLine::hidden(),
            metrics_read: now,
            told: now,
        }
    }

    /// Draws the loss as a small chart, if there was a bar.
    pub fn draw_curve(&self, history: &History) {
        const ROWS: usize = 9;
        if self.shown.style == ProgressKind::Bar {
            let columns = self.terminal.columns().min(72);
            let Shown { monitor, direction, .. } = &self.shown;
            let best = history.best(monitor, *direction).map(|(epoch, _)| (epoch as f64, monitor.clone()));
            let curves = HistoryCurves { best, ..HistoryCurves::from(history) };
            let drawn = terminal_chart(&curves, "loss", Scale::Auto, columns, ROWS);
            self.terminal.say(&format!("\n{drawn}"));
        }
    }

    /// Tells onlookers that the run is being tested and written.
    pub fn tell_of_end(&self) {
        self.position().begin(Phase::Finishing);
        self.tell();
    }

    fn position(&self) -> MutexGuard<'_, Position> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        if let Some(lock) = self.onlookers {
            lock.tell(&self.position().estimate());
        }
    }

    fn say_notes(&self, training: &mut Training) {
        for note in training.take_notes() {
            if self.shown.style != ProgressKind::None {
                self.terminal.say(&note);
            }
        }
    }
}

impl Callback for TrainingProgress<'_> {
    fn train_begin(&mut self, training: &mut Training) -> Result<()> {
        self.lines = EpochLines::new(&self.shown.monitor, self.shown.direction, training.epochs());
        training.history().epochs.iter().for_each(|record| _ = self.lines.note(record));
        let limit = self.shown.time_limit.map(|limit| limit.as_secs_f64() - training.seconds());
        let mut position = self.position();
        position.start = Instant::now();
        position.deadline = limit.and_then(|seconds| {
            position.start.checked_add(Duration::try_from_secs_f64(seconds.max(0.0)).ok()?)
        });
        position.steps_before = training.total_steps();
        position.run.epochs = training.epochs();
        position.run.steps = training.steps();
        drop(position);
        let (position, monitor) = (self.position.clone(), self.shown.monitor.clone());
        self.line = self.terminal.live(move |columns| {
            let position = position.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let best = position.best.map(|best| (monitor.as_str(), best));
            run_line(&position.estimate(), position.phase_start.elapsed().as_secs_f64(), best, columns)
        });
        Ok(())
    }

    fn epoch_begin(&mut self, training: &mut Training) -> Result<()> {
        self.metrics_read = Instant::now();
        let mut position = self.position();
        position.begin(Phase::Training);
        position.run.epoch = training.epoch();
        position.run.step = training.step();
        position.epoch_seconds = training.epoch_seconds();
        Ok(())
    }

    fn step_end(&mut self, training: &mut Training) -> Result<()> {
        let is_last = training.step() == training.steps();
        let mut position = self.position();
        position.run.step = training.step();
        position.epoch_seconds = training.epoch_seconds();
        if is_last && self.shown.validates {
            position.begin(Phase::Validating);
        }
        drop(position);
        // The validation of an epoch that is not short may take long as well.
        let is_due =
            is_last && training.epoch_seconds() >= SHORT_EPOCH || self.told.elapsed() >= TOLD_INTERVAL;
        let is_told = self.onlookers.is_some() && is_due;
        let is_read =
            self.shown.style == ProgressKind::Bar && self.metrics_read.elapsed() >= METRICS_INTERVAL;
        if is_told || is_read {
            self.metrics_read = Instant::now();
            let means = training.running_means()?.into_iter().filter(|(_, value)| value.is_finite());
            self.position().run.metrics = means.collect();
        }
        if is_told {
            self.told = Instant::now();
            self.tell();
        }
        Ok(())
    }

    fn epoch_end(&mut self, training: &mut Training) -> Result<()> {
        if let Some(record) = training.record() {
            let per_step = record.seconds / training.step().max(1) as f64;
            match self.shown.style {
                ProgressKind::None => _ = self.lines.note(record),
                ProgressKind::Lines => self.terminal.say(&self.lines.labelled(record, per_step)),
                ProgressKind::Bar | ProgressKind::Auto => {
                    let row = self.lines.row(record, Some(per_step), self.terminal.columns());
                    self.terminal.say_styled(&row);
                }
            }
            let best = self.lines.best();
            let mut position = self.position();
            position.best = best;
            position.run.epochs_are_short = record.seconds < SHORT_EPOCH;
            position.validation_seconds = (record.seconds - position.epoch_seconds).max(0.0);
        }
        self.say_notes(training);
        Ok(())
    }

    fn train_end(&mut self, training: &mut Training) -> Result<()> {
        self.line = LiveLine::hidden();
        self.say_notes(training);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_limit_ends_a_run_before_its_last_epoch() {
        let start = Instant::now() - Duration::from_secs(20);
        let position = Position {
            run: RunProgress { epoch: 3, epochs: 10, step: 5, steps: 10, ..RunProgress::default() },
            phase_start: start,
            best: None,
            epoch_seconds: 8.0,
            validation_seconds: 2.0,
            start,
            steps_before: 5,
            deadline: None,
        };
        let run = position.estimate();
        assert_eq!((run.step_seconds, run.epoch_left), (Some(1.6), Some(10.0)));
        // 20 steps in 20 s, and 75 are left.
        assert!((run.run_left.unwrap() - 75.0).abs() < 1.0, "{run:?}");
        assert_eq!(run.run_part, 0.25);
        let limited =
            Position { deadline: Some(Instant::now() + Duration::from_secs(30)), ..position.clone() };
        let run = limited.estimate();
        assert!((run.run_left.unwrap() - 30.0).abs() < 1.0 && (run.run_part - 0.4).abs() < 0.05, "{run:?}");
        let mut begun = position;
        begun.run.step = 0;
        begun.steps_before = 20;
        let run = begun.estimate();
        assert_eq!((run.epoch_left, run.run_left), (None, None), "nothing is known before the first step");
    }
}
