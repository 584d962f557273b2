//! From an error to what the user reads of it, and the exit code. It must not know what failed.

use crate::exit::Exit;
use crate::hints::hint_for_data_fault;
use crate::terminal::Terminal;
use anyhow::{Error, Result, anyhow};
use std::fmt;
use std::io::ErrorKind;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use tch::TchError;

/// The command was given wrongly: exit code 2.
#[derive(Debug)]
pub struct UsageError(
    /// What is wrong, one line for each fault.
    pub Vec<String>,
);

impl fmt::Display for UsageError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for UsageError {}

/// An error that comes with advice.
#[derive(Debug)]
pub struct Hint {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for Hint {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for Hint {}

/// Runs a command so that a panic inside it becomes an error: libtorch's faults within a layer come as
/// panics, with messages of any length.
pub fn guard(command: impl FnOnce() -> Result<Exit>) -> Result<Exit> {
    static PANIC: Mutex<Option<String>> = Mutex::new(None);
    panic::set_hook(Box::new(|info| {
        let message = info.payload_as_str().unwrap_or("no message");
        let place = info.location().map(|place| format!(" ({}:{})", place.file(), place.line()));
        let text = format!("{}{}", first_line(message), place.unwrap_or_default());
        PANIC.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(text);
    }));
    panic::catch_unwind(AssertUnwindSafe(command)).unwrap_or_else(|_| {
        let text = PANIC.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        Err(anyhow!("internal fault: {}", text.unwrap_or_default()))
    })
}

/// Tells the user and gives the exit code.
pub fn report(fault: &Error, terminal: &Terminal) -> Exit {
    if let Some(UsageError(lines)) = fault.downcast_ref() {
        lines.iter().for_each(|line| terminal.error(line));
        terminal.hint("fitch COMMAND --help lists the options");
        return Exit::Usage;
    }
    // Somebody closed the pipe that results go into (`fitch runs | head`): nobody is left to tell.
    let broken_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|fault| fault.kind() == ErrorKind::BrokenPipe)
    };
    if fault.chain().any(broken_pipe) {
        return Exit::Success;
    }
    let text = message(fault);
    terminal.error(&text);
    // anyhow looks through all contexts here, which the causes in its chain hide.
    if let Some(Hint { hint, .. }) = fault.downcast_ref() {
        terminal.hint(hint);
    }
    if let Some(hint) = fault.downcast_ref().and_then(hint_for_data_fault) {
        terminal.hint(&hint);
    }
    if out_of_memory(&text) {
        terminal.hint("a smaller --batch-size or smaller --layers need less memory");
    }
    Exit::Failure
}

/// Whether a message tells of too little memory, on the CPU or a CUDA device.
pub fn out_of_memory(message: &str) -> bool {
    ["out of memory", "not enough memory", "can't allocate memory"]
        .iter()
        .any(|words| message.contains(words))
}

/// All causes, outermost first; libtorch's are cut to their first line.
fn message(fault: &Error) -> String {
    let causes = fault.chain().map(|cause| match cause.downcast_ref::<TchError>() {
        Some(torch) => first_line(&torch.to_string()),
        None => cause.to_string(),
    });
    causes.collect::<Vec<_>>().join(": ")
}

/// The first line of a message of libtorch's, which may be followed by a trace and by whole tensors.
fn first_line(message: &str) -> String {
    const GREATEST_LENGTH: usize = 300;
    let line = message.lines().next().unwrap_or_default();
    match line.char_indices().nth(GREATEST_LENGTH) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn messages_of_libtorch_are_cut_to_their_first_line() {
        let torch = TchError::Torch(format!("shapes differ\nframe #0\n{}", "0.5 ".repeat(100_000)));
        let fault = Err::<(), _>(torch).context("cannot add").unwrap_err();
        assert_eq!(message(&fault), "cannot add: Internal torch error: shapes differ");
        assert!(first_line(&"x".repeat(100_000)).len() < 400);
    }

    #[test]
    fn a_panic_becomes_an_error_without_its_tensor_dump() {
        let fault = guard(|| panic!("libtorch said\n{}", "0 ".repeat(10_000))).unwrap_err();
        let text = message(&fault);
        assert!(text.starts_with("internal fault: libtorch said (src/failure.rs:"), "{text}");
        let _ = panic::take_hook();
    }
}
