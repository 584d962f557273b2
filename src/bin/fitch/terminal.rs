//! The one printer: results go to standard output, messages and progress bars to standard error.

use crate::exit::Exit;
use crate::patient_writer::{Stream, write_all};
use anyhow::{Context, Result};
use console::{Style, Term};
use fitch::text::printable;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{ErrorKind, IsTerminal};
use std::time::Duration;

/// How long messages and results wait for a reader who does not read, once an end was asked for.
const FOR_MESSAGES: Duration = Duration::from_millis(200);
const FOR_RESULTS: Duration = Duration::from_secs(3);

/// Where the program prints. `console` decides on colours, by NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM.
#[derive(Clone, Debug)]
pub struct Terminal {
    /// Whether standard error is a terminal.
    pub is_interactive: bool,
    /// Whether results go to a terminal.
    pub shows_results: bool,
    /// Whether only errors are printed: another process prints the rest.
    is_quiet: bool,
    bars: MultiProgress,
}

impl Terminal {
    pub fn new() -> Terminal {
        Terminal {
            is_interactive: std::io::stderr().is_terminal(),
            shows_results: std::io::stdout().is_terminal(),
            is_quiet: false,
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
        }
    }

    /// A terminal that prints errors only.
    pub fn for_errors(&self) -> Terminal {
        Terminal { is_quiet: true, ..self.clone() }
    }

    /// The width for results, 80 if standard output is no terminal.
    pub fn result_columns(&self) -> usize {
        Term::stdout().size_checked().map_or(80, |(_, columns)| columns.into())
    }

    /// The width for messages, 80 if standard error is no terminal.
    pub fn columns(&self) -> usize {
        Term::stderr().size_checked().map_or(80, |(_, columns)| columns.into())
    }

    /// Prints a result.
    ///
    /// # Errors
    /// Standard output is closed or full.
    pub fn result(&self, text: &str) -> Result<()> {
        match write_all(Stream::Output, text.as_bytes(), FOR_RESULTS) {
            // Everything is saved by now, and nobody reads.
            Err(fault) if fault.kind() == ErrorKind::TimedOut => Exit::Interrupted.leave_at_once(),
            written => written.context("cannot write to standard output"),
        }
    }

    /// Prints a message, above the progress bar if there is one.
    pub fn say(&self, line: &str) {
        self.tell(&shown(line));
    }

    /// Prints a message even where only errors are.
    pub fn must_say(&self, line: &str) {
        self.print(&shown(line));
    }

    fn tell(&self, line: &str) {
        if !self.is_quiet {
            self.print(line);
        }
    }

    fn print(&self, line: &str) {
        // If standard error is gone, there is nobody left to tell.
        self.bars.suspend(|| {
            let _ = write_all(Stream::Error, format!("{line}\n").as_bytes(), FOR_MESSAGES);
        });
    }

    /// Prints a message that should not be missed.
    pub fn warn(&self, line: &str) {
        self.tell(&format!("{} {}", bold().yellow().apply_to("warning:"), shown(line)));
    }

    /// Prints what went wrong.
    pub fn error(&self, text: &str) {
        self.print(&format!("{} {}", bold().red().apply_to("error:"), shown(text)));
    }

    /// Prints what to do about it.
    pub fn hint(&self, line: &str) {
        self.print(&format!("{} {}", bold().cyan().apply_to("hint:"), shown(line)));
    }

    /// Starts a progress bar, which is drawn only on a terminal. The template is indicatif's; without a
    /// length it is one for a spinner.
    pub fn bar(&self, length: Option<u64>, template: &str) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden()));
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("━╸─"));
        bar
    }
}

/// A message as it can be printed: names of files may hold what a terminal would obey.
fn shown(message: &str) -> String {
    let lines =
        message.split('\n').map(|line| line.split('\t').map(printable).collect::<Vec<_>>().join("\t"));
    lines.collect::<Vec<_>>().join("\n")
}

fn bold() -> Style {
    Style::new().for_stderr().bold()
}
