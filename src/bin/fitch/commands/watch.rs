//! `fitch watch`: a run that another process trains, as it goes on. It only looks: nothing is changed.

use super::built_model::RecordedRun;
use super::checkpoints::resume_command;
use crate::bar::{busy_line, run_line};
use crate::cli::WatchOptions;
use crate::config;
use crate::exit::Exit;
use crate::keys::{CTRL_C, Keys};
use crate::live::LiveLine;
use crate::numbers::rough_duration;
use crate::progress::EpochLines;
use crate::terminal::Terminal;
use anyhow::Result;
use console::strip_ansi_codes;
use fitch::run::{Look, Phase, RunFolder, RunLock, RunProgress, RunRecord};
use fitch::text::counted;
use fitch::train::callbacks::HistoryFile;
use fitch::train::{History, StopReason};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// The epochs that are shown at first.
const LAST: usize = 10;
/// From one look to the next.
const PAUSE: Duration = Duration::from_millis(250);

pub fn run(options: &WatchOptions, terminal: &Terminal) -> Result<Exit> {
    let mut watched = Watched::open(&options.run)?;
    let is_live = terminal.is_interactive && terminal.shows_results;
    let state = if is_live { watched.follow(terminal)? } else { watched.print(terminal)? };
    if let Some(state) = state {
        terminal.result_in_words(&format!("{}\n", state.describe(&options.run)))?;
    }
    Ok(Exit::Success)
}

/// A run that is looked at.
struct Watched {
    folder: RunFolder,
    file: HistoryFile,
    history: History,
    /// What the file of the history was like when it was read.
    read: Option<(u64, SystemTime)>,
    /// The epochs that are shown or passed over.
    shown: usize,
    lines: EpochLines,
    /// Begins again with the lines.
    new_lines: Box<dyn Fn() -> EpochLines>,
}

/// What a run is doing.
#[derive(Debug)]
enum State {
    /// As far as it has told. Where the file system has no locks, that is not certain.
    InProgress {
        told: Option<RunProgress>,
        is_certain: bool,
    },
    Ended(Box<RunRecord>),
    /// Without a process, and without an end.
    Left {
        epochs: usize,
    },
}

/// What the line at the bottom shows.
#[derive(Default)]
struct Seen {
    told: Option<RunProgress>,
    /// When the phase was seen first.
    since: Option<Instant>,
    best: Option<(usize, f64)>,
}

impl Watched {
    fn open(path: &Path) -> Result<Watched> {
        let run = RecordedRun::open(path)?;
        let monitor = run.record.monitor.clone();
        let direction = config::check(&run.options).map(|configuration| configuration.direction());
        let direction = direction.unwrap_or_else(|_| config::direction_of(&monitor));
        let epochs = run.options.epochs.and_then(|epochs| usize::try_from(epochs).ok()).unwrap_or_default();
        let new_lines = move || EpochLines::new(&monitor, direction, epochs);
        Ok(Watched {
            file: HistoryFile::new(run.folder.history_file()).form(config::csv_form(&run.options)?),
            folder: run.folder,
            history: History::default(),
            read: None,
            shown: 0,
            lines: new_lines(),
            new_lines: Box::new(new_lines),
        })
    }

    /// Shows the run until it ends, or a key ends this.
    fn follow(&mut self, terminal: &Terminal) -> Result<Option<State>> {
        let keys = Keys::take();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut line = None;
        loop {
            let state = self.state()?;
            if line.is_none() && matches!(state, State::InProgress { .. }) {
                terminal.say(&format!("{}: q ends this display, not the run", self.folder.path().display()));
                line = Some(self.draw(&seen, terminal)?);
            }
            for row in self.new_rows(terminal.columns()) {
                terminal.say_styled(&row);
            }
            let State::InProgress { told, .. } = state else { return Ok(Some(state)) };
            seen.lock().unwrap_or_else(PoisonError::into_inner).note(told, self.lines.best());
            if matches!(keys.wait(PAUSE), Some(b'q' | b'Q' | CTRL_C)) {
                return Ok(None);
            }
        }
    }

    /// Prints the last epochs once.
    fn print(&mut self, terminal: &Terminal) -> Result<Option<State>> {
        let state = self.state()?;
        for row in self.new_rows(terminal.result_columns().unwrap_or(usize::MAX)) {
            terminal.result(&format!("{}\n", strip_ansi_codes(&row)))?;
        }
        Ok(Some(state))
    }

    fn draw(&self, seen: &Arc<Mutex<Seen>>, terminal: &Terminal) -> Result<LiveLine> {
        let (seen, monitor) = (seen.clone(), RunRecord::load(&self.folder)?.monitor);
        Ok(terminal.live(move |columns| {
            let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            let seconds = seen.since.map_or(0.0, |since| since.elapsed().as_secs_f64());
            match &seen.told {
                Some(RunProgress { phase: Phase::Finishing, .. }) => {
                    busy_line("testing and writing", seconds, columns)
                }
                Some(run) => run_line(run, seconds, seen.best.map(|best| (monitor.as_str(), best)), columns),
                None => busy_line("in progress", seconds, columns),
            }
        }))
    }

    /// The state of the run now, with its history.
    fn state(&mut self) -> Result<State> {
        // First of all: what is recorded when no process holds the run is its last word.
        let look = RunLock::look(&self.folder);
        let record = RunRecord::load(&self.folder)?;
        self.read_history();
        Ok(match look {
            Some(Look { is_held: true, progress }) => State::InProgress { told: progress, is_certain: true },
            _ if record.stop_reason.is_some() => State::Ended(Box::new(record)),
            Some(_) => State::Left { epochs: self.history.epochs.len() },
            None => State::InProgress { told: None, is_certain: false },
        })
    }

    /// Reads the history if it has changed. A file that cannot be read may be one that has just begun.
    fn read_history(&mut self) {
        let stamp = |path: PathBuf| {
            let metadata = path.metadata().ok()?;
            Some((metadata.len(), metadata.modified().ok()?))
        };
        let now = stamp(self.folder.history_file());
        if now != self.read
            && let Ok(history) = self.file.read()
        {
            (self.history, self.read) = (history, now);
        }
    }

    /// The epochs that were not shown yet; the first time, the last ones.
    fn new_rows(&mut self, columns: usize) -> Vec<String> {
        if self.history.epochs.len() < self.shown {
            // It went back to an earlier epoch.
            (self.lines, self.shown) = ((self.new_lines)(), 0);
        }
        let passed =
            if self.shown == 0 { self.history.epochs.len().saturating_sub(LAST) } else { self.shown };
        for record in &self.history.epochs[self.shown..passed] {
            self.lines.note(record);
        }
        self.shown = self.history.epochs.len();
        let new = &self.history.epochs[passed..];
        new.iter().map(|record| self.lines.row(record, None, columns)).collect()
    }
}

impl Seen {
    fn note(&mut self, told: Option<RunProgress>, best: Option<(usize, f64)>) {
        let phase = |told: &Option<RunProgress>| told.as_ref().map(|run| run.phase);
        if self.since.is_none() || phase(&told) != phase(&self.told) {
            self.since = Some(Instant::now());
        }
        (self.told, self.best) = (told, best);
    }
}

impl State {
    /// In a sentence.
    fn describe(&self, run: &Path) -> String {
        let (name, resume) = (run.display(), resume_command(run));
        match self {
            State::InProgress { is_certain: false, .. } => format!(
                "{name} has not ended; whether a process still trains it is not known, as its file system has no locks"
            ),
            State::InProgress { told: None, .. } => format!("{name} is in progress"),
            State::InProgress { told: Some(RunProgress { phase: Phase::Finishing, .. }), .. } => {
                format!("{name} is being tested and written")
            }
            State::InProgress { told: Some(told), .. } => {
                let left =
                    told.run_left.map_or(String::new(), |left| format!(", {} left", rough_duration(left)));
                format!(
                    "{name} is in progress: epoch {} of {}, step {} of {}{left}",
                    told.epoch, told.epochs, told.step, told.steps
                )
            }
            State::Ended(record) => {
                let number = |name: &str, value: Option<f64>| {
                    value.map_or(String::new(), |value| format!(", {name} {value:.4}"))
                };
                let interval = record.test_accuracy_interval;
                let interval =
                    interval.map_or(String::new(), |interval| format!(" (95 % interval {interval:.4})"));
                let reason = record.stop_reason.as_deref().unwrap_or_default();
                let epoch = record.best_epoch.map_or(String::new(), |epoch| format!(" in epoch {epoch}"));
                let again = match reason == StopReason::Interrupted.name() {
                    true => format!("; {resume} continues it"),
                    false => String::new(),
                };
                format!(
                    "{name} has ended: {reason} after {}{}{epoch}{}{}{again}",
                    counted(record.epochs_run.unwrap_or_default(), "epoch"),
                    number(&format!("best {}", record.monitor), record.best_value),
                    number("test accuracy", record.test_accuracy) + &interval,
                    number("test loss", record.test_loss),
                )
            }
            State::Left { epochs } => format!(
                "{name} is not in progress, and has not ended: its process is gone after {}; {resume} \
                 continues it",
                counted(*epochs, "epoch")
            ),
        }
    }
}
