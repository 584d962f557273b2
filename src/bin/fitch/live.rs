//! A line at the bottom of the terminal that is drawn anew again and again, in the width that the terminal has then.
//!
//! The cursor rests at the beginning of the line. However a terminal that becomes narrower breaks the line, all of it
//! is then at and behind the cursor, where the next drawing takes its place.

use crate::patient_writer::{Stream, write_all};
use console::Term;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, TryLockError};
use std::thread;
use std::time::Duration;

/// From one drawing to the next.
const TICK: Duration = Duration::from_millis(100);
/// Clears from the beginning of the line to the end of the terminal.
const CLEAR: &str = "\r\x1b[J";

/// Makes the text of the line for a number of columns.
type Painter = Box<dyn Fn(usize) -> String + Send>;

/// The lower end of the terminal.
#[derive(Default)]
pub struct Screen {
    state: Mutex<State>,
    begun: Condvar,
}

#[derive(Default)]
struct State {
    painter: Option<Painter>,
    /// The number of the line.
    number: u64,
    /// What is drawn, and the columns that there were.
    drawn: Option<(String, usize)>,
    has_thread: bool,
}

impl fmt::Debug for Screen {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("Screen")
    }
}

/// A line that is drawn until this is dropped.
#[derive(Debug)]
pub struct LiveLine(Option<(Arc<Screen>, u64)>);

impl LiveLine {
    /// A line that is not drawn.
    pub fn hidden() -> LiveLine {
        LiveLine(None)
    }
}

impl Drop for LiveLine {
    fn drop(&mut self) {
        if let Some((screen, number)) = &self.0 {
            screen.end_if(|state| state.number == *number);
        }
    }
}

impl Screen {
    /// Begins a line, in place of another one. It is drawn when it has lasted for a moment.
    pub fn begin(self: &Arc<Screen>, painter: impl Fn(usize) -> String + Send + 'static) -> LiveLine {
        let mut state = self.lock();
        state.painter = Some(Box::new(painter));
        state.number += 1;
        if !state.has_thread {
            state.has_thread = true;
            let screen = self.clone();
            thread::spawn(move || screen.keep_drawing());
        }
        self.begun.notify_one();
        LiveLine(Some((self.clone(), state.number)))
    }

    /// Writes text that ends with a line feed above the line.
    pub fn print(&self, text: &str, patience: Duration) {
        let mut state = self.lock();
        let mut whole = String::new();
        let was_drawn = state.drawn.take().is_some();
        if was_drawn {
            whole += CLEAR;
        }
        whole += text;
        if was_drawn {
            whole += &state.paint().unwrap_or_default();
        }
        // If standard error is gone, there is nobody left to tell.
        let _ = write_all(Stream::Error, whole.as_bytes(), patience);
    }

    /// Ends the line, whoever has begun it.
    pub fn end(&self) {
        self.end_if(|_| true);
    }

    fn end_if(&self, is_meant: impl Fn(&State) -> bool) {
        let mut state = self.lock();
        if !is_meant(&state) {
            return;
        }
        state.painter = None;
        if state.drawn.take().is_some() {
            let _ = write_all(Stream::Error, CLEAR.as_bytes(), TICK);
        }
    }

    /// Clears the line, for a process that ends at once: nothing here waits.
    pub fn clear_at_once(&self) {
        match self.state.try_lock() {
            Ok(mut state) => state.painter = None,
            Err(TryLockError::Poisoned(_)) => {}
            // Somebody is just writing, perhaps to a terminal that was stopped.
            Err(TryLockError::WouldBlock) => return,
        }
        let _ = write_all(Stream::Error, CLEAR.as_bytes(), Duration::ZERO);
    }

    fn keep_drawing(&self) {
        loop {
            thread::sleep(TICK);
            let mut state = self.lock();
            while state.painter.is_none() {
                state = self.begun.wait(state).unwrap_or_else(|poisoned| poisoned.into_inner());
                // What ends at once is not drawn at all.
                drop(state);
                thread::sleep(TICK);
                state = self.lock();
            }
            if let Some(text) = state.paint() {
                let _ = write_all(Stream::Error, text.as_bytes(), Duration::ZERO);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl State {
    /// What has to be written for the line to be as it should; nothing if it is so already.
    fn paint(&mut self) -> Option<String> {
        let columns = columns();
        // In the last column, terminals differ about where the cursor is.
        let text = self.painter.as_ref()?(columns - 1);
        let is_drawn = self.drawn.as_ref().is_some_and(|(drawn, width)| *drawn == text && *width == columns);
        if is_drawn {
            return None;
        }
        // The terminal may be narrower already than it tells: then the line is cut, not broken.
        let painted = format!("\r\x1b[?7l{text}\x1b[J\x1b[?7h\r");
        self.drawn = Some((text, columns));
        Some(painted)
    }
}

/// The width of the terminal; 80 if it does not tell.
pub fn columns() -> usize {
    let told = Term::stderr().size_checked().map(|(_, columns)| usize::from(columns));
    told.filter(|columns| *columns > 1).unwrap_or(80)
}
