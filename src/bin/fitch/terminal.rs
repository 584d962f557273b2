//! The one printer: results go to standard output, messages and progress bars to standard error.

use crate::bar::busy_line;
use crate::exit::Exit;
use crate::live::{self, LiveLine, Screen};
use crate::patient_writer::{Stream, write_all};
use crate::wrap::wrap;
use anyhow::{Context, Result};
use console::{Style, Term};
use fitch::text::printable;
use std::io::{ErrorKind, IsTerminal};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long messages and results wait for a reader who does not read, once an end was asked for.
const FOR_MESSAGES: Duration = Duration::from_millis(200);
const FOR_RESULTS: Duration = Duration::from_secs(3);

/// Where the program prints. `console` decides on colours, by NO_COLOR, CLICOLOR, CLICOLOR_FORCE and TERM.
#[derive(Clone, Debug)]
pub struct Terminal {
    /// Whether standard error is a terminal that can draw a line anew.
    pub is_interactive: bool,
    /// Whether results go to a terminal.
    pub shows_results: bool,
    /// Whether only errors are printed: another process prints the rest.
    is_quiet: bool,
    /// Whether there is a line at the bottom that shows the work in progress.
    is_live: bool,
    screen: Arc<Screen>,
}

impl Terminal {
    pub fn new() -> Terminal {
        let can_draw = std::env::var_os("TERM").is_some_and(|kind| !kind.is_empty() && kind != "dumb");
        let is_interactive = std::io::stderr().is_terminal() && (can_draw || cfg!(windows));
        Terminal {
            is_interactive,
            shows_results: std::io::stdout().is_terminal(),
            is_quiet: false,
            is_live: is_interactive,
            screen: Arc::default(),
        }
    }

    /// A terminal that prints errors only.
    pub fn for_errors(&self) -> Terminal {
        Terminal { is_quiet: true, is_live: false, ..self.clone() }
    }

    /// A terminal without a line at its bottom, unless `is_live`.
    pub fn with_live_line(&self, is_live: bool) -> Terminal {
        Terminal { is_live: self.is_live && is_live, ..self.clone() }
    }

    /// The width for results, if standard output is a terminal. Elsewhere there is no limit.
    pub fn result_columns(&self) -> Option<usize> {
        let columns = || Term::stdout().size_checked().map_or(80, |(_, columns)| usize::from(columns));
        self.shows_results.then(columns)
    }

    /// The width for messages, 80 if standard error is no terminal.
    pub fn columns(&self) -> usize {
        live::columns()
    }

    /// Prints a result in sentences.
    ///
    /// # Errors
    /// As [`Terminal::result`].
    pub fn result_in_words(&self, text: &str) -> Result<()> {
        self.result(&self.result_columns().map_or(text.to_string(), |columns| wrap(text, columns)))
    }

    /// Prints a result, which ends a line at the bottom.
    ///
    /// # Errors
    /// Standard output is closed or full.
    pub fn result(&self, text: &str) -> Result<()> {
        if self.is_live {
            self.screen.end();
        }
        match write_all(Stream::Output, text.as_bytes(), FOR_RESULTS) {
            // Everything is saved by now, and nobody reads.
            Err(fault) if fault.kind() == ErrorKind::TimedOut => Exit::Interrupted.leave_at_once(),
            written => written.context("cannot write to standard output"),
        }
    }

    /// Prints a message, above the progress bar if there is one.
    pub fn say(&self, line: &str) {
        self.tell(&self.wrapped(&shown(line)));
    }

    /// Prints a message of this program's own, which may have colours.
    pub fn say_styled(&self, line: &str) {
        self.tell(line);
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
        self.screen.print(&format!("{line}\n"), FOR_MESSAGES);
    }

    /// Prints a message that should not be missed.
    pub fn warn(&self, line: &str) {
        let line = format!("{} {}", bold().yellow().apply_to("warning:"), shown(line));
        self.tell(&self.wrapped(&line));
    }

    /// Prints what went wrong.
    pub fn error(&self, text: &str) {
        self.print(&format!("{} {}", bold().red().apply_to("error:"), shown(text)));
    }

    /// Prints what to do about it.
    pub fn hint(&self, line: &str) {
        self.print(&format!("{} {}", bold().cyan().apply_to("hint:"), shown(line)));
    }

    /// Sentences in lines of the terminal. Errors and hints stay as they are: they have commands to be copied.
    fn wrapped(&self, text: &str) -> String {
        if self.is_interactive { wrap(text, self.columns()) } else { text.to_string() }
    }

    /// Draws a line at the bottom, again and again, until what is returned is dropped. `painter` makes its text for
    /// a number of columns.
    pub fn live(&self, painter: impl Fn(usize) -> String + Send + 'static) -> LiveLine {
        if self.is_live { self.screen.begin(painter) } else { LiveLine::hidden() }
    }

    /// Shows what is being done, and for how long, until what is returned is dropped.
    pub fn busy(&self, what: &str) -> LiveLine {
        let (what, start) = (what.to_string(), Instant::now());
        self.live(move |columns| busy_line(&what, start.elapsed().as_secs_f64(), columns))
    }

    /// Clears the line at the bottom, for a process that ends at once.
    pub fn clear_at_once(&self) {
        if self.is_live {
            self.screen.clear_at_once();
        }
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
