//! The one printer: results go to standard output, talk and progress to standard error. It must not
//! know what it prints.

use anyhow::Result;
use console::Term;
use std::io::{IsTerminal, Write};

/// Where the program talks to its user.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// Whether standard error is a terminal.
    pub is_interactive: bool,
    colors: bool,
}

impl Terminal {
    /// Looks at the streams and at NO_COLOR (<https://no-color.org>).
    pub fn new() -> Terminal {
        let is_interactive = std::io::stderr().is_terminal();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Terminal { is_interactive, colors: is_interactive && !no_color && !dumb }
    }

    /// The width of the terminal that results go to, 80 where there is none.
    pub fn result_columns(&self) -> usize {
        Term::stdout().size_checked().map_or(80, |(_, columns)| columns.into())
    }

    /// The width of the terminal that talk goes to, 80 where there is none.
    pub fn columns(&self) -> usize {
        Term::stderr().size_checked().map_or(80, |(_, columns)| columns.into())
    }

    /// Prints a result, as it is.
    ///
    /// # Errors
    /// Standard output is closed or full.
    pub fn result(&self, text: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// Prints a line of talk.
    pub fn say(&self, line: &str) {
        // Nobody can be told that standard error is gone.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }

    /// Prints a line that should not be missed.
    pub fn warn(&self, line: &str) {
        self.say(&format!("{} {line}", self.styled("1;33", "warning:")));
    }

    /// Prints what went wrong.
    pub fn error(&self, text: &str) {
        self.say(&format!("{} {text}", self.styled("1;31", "error:")));
    }

    /// Prints what to do about it.
    pub fn hint(&self, line: &str) {
        self.say(&format!("{} {line}", self.styled("1;36", "hint:")));
    }

    fn styled(&self, code: &str, text: &str) -> String {
        if self.colors { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }

    /// Whether colours are wanted.
    pub fn has_colors(&self) -> bool {
        self.colors
    }
}
