//! From an error to the lines that users read, and to the exit code.
//!
//! How messages are composed, everywhere in fitch: the innermost error is a predicate ("is empty"), and each
//! context around it is its subject or place ("line 3", "train.csv"). Joined by ": ", outermost first, they
//! read as one sentence: `train.csv: line 3: is empty`. What to do about it is not part of the sentence: it
//! is a [`Hint`], or the program derives it from the type of the library's fault, since the library knows no
//! options.

use crate::cli;
use crate::exit::Exit;
use crate::hints::{hint_for_data_fault, hint_for_device_fault, hint_for_group_fault, hint_for_script_fault};
use crate::terminal::Terminal;
use anyhow::{Error, Result, anyhow};
use fitch::device::is_out_of_memory;
use fitch::distributed;
use fitch::train::torch_message;
use std::fmt;
use std::io::ErrorKind;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Mutex;
use std::thread::{self, ThreadId};
use tch::TchError;

/// The command line is wrong: exit code 2.
#[derive(Debug)]
pub struct UsageError(
    /// What is wrong, one line for each fault, with the rule that it breaks.
    pub Vec<String>,
);

impl fmt::Display for UsageError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for UsageError {}

/// An error with advice.
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

/// The place of an error among several processes.
#[derive(Debug)]
pub struct AtRank(
    /// The rank of the process.
    pub usize,
);

impl fmt::Display for AtRank {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "rank {}", self.0)
    }
}

impl std::error::Error for AtRank {}

/// Runs work so that a panic inside it becomes an error: tch panics where libtorch fails within a layer, with
/// messages of any length. The error is about the panic that ended the work, not one that was caught before.
pub fn guard<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let guarded = thread::current().id();
    panic::set_hook(Box::new(Panics::record));
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Panics::cause(guarded)))
}

/// What the texts of panics begin with that libtorch caused: they are no faults of this program.
const LIBTORCH: &str = "libtorch: ";

/// The newest panic, and the newest one of another thread than that.
static PANICS: Mutex<Panics> = Mutex::new(Panics { newest: None, elsewhere: None });

struct Panics {
    newest: Option<(ThreadId, String)>,
    elsewhere: Option<(ThreadId, String)>,
}

impl Panics {
    fn record(info: &PanicHookInfo) {
        let message = info.payload_as_str().unwrap_or("no message");
        let place = info.location().map(|place| format!(" ({}:{})", place.file(), place.line()));
        let text = match torch_message(message) {
            Some(of_libtorch) => format!("{LIBTORCH}{}", first_line(&of_libtorch)),
            None => format!("internal fault: {}{}", first_line(message), place.unwrap_or_default()),
        };
        let this = thread::current().id();
        let mut panics = PANICS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let before = panics.newest.replace((this, text));
        panics.elsewhere = before.filter(|(thread, _)| *thread != this).or(panics.elsewhere.take());
    }

    /// What ended the work of a thread: its own newest panic or, where that only says that a thread which it
    /// waited for has panicked, that one's.
    fn cause(thread: ThreadId) -> Error {
        let mut panics = PANICS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let (newest, elsewhere) = (panics.newest.take(), panics.elsewhere.take());
        let (own, others): (Vec<_>, Vec<_>) =
            [newest, elsewhere].into_iter().flatten().partition(|(of, _)| *of == thread);
        let text = |found: Vec<(ThreadId, String)>| found.into_iter().next().map(|(_, text)| text);
        let text = match text(own) {
            Some(own) if !own.contains("a scoped thread panicked") => own,
            own => text(others).or(own).unwrap_or_default(),
        };
        match text.strip_prefix(LIBTORCH) {
            Some(of_libtorch) => Error::new(TchError::Torch(of_libtorch.to_string())),
            None => anyhow!(text),
        }
    }
}

/// Prints an error of a command, such as `train` or `data inspect`, and gives the exit code.
pub fn report(fault: &Error, command: &str, terminal: &Terminal) -> Exit {
    if let Some(UsageError(lines)) = fault.downcast_ref() {
        lines.iter().for_each(|line| terminal.error(line));
        // Each line states the rule it breaks; several of them suggest that the command is not well known.
        if let [first @ .., last] = options_of(lines).as_slice()
            && !first.is_empty()
        {
            let options = format!("{} and {last}", first.join(", "));
            terminal.hint(&format!("`fitch {command} --help` describes {options}"));
        }
        return Exit::Usage;
    }
    if is_broken_pipe(fault) {
        return Exit::Success;
    }
    let is_follower = fault.downcast_ref().is_some_and(|AtRank(rank)| *rank > 0);
    if is_follower && fault.downcast_ref().is_some_and(distributed::Fault::is_known_to_all) {
        return Exit::Failure;
    }
    terminal.error(&message(fault));
    if is_follower && fault.is::<distributed::Fault>() {
        return Exit::Failure;
    }
    hints(fault).iter().filter(|hint| is_for(command, hint)).for_each(|hint| terminal.hint(hint));
    Exit::Failure
}

/// The options that begin the lines of a usage error, each once.
fn options_of(lines: &[String]) -> Vec<&str> {
    let mut options = Vec::new();
    for line in lines {
        let option = line.split([' ', ':']).next().filter(|word| word.starts_with("--"));
        options.extend(option.filter(|option| !options.contains(option)));
    }
    options
}

/// Whether the reader of the results has closed the pipe, as in `fitch runs | head`: that is no error.
pub fn is_broken_pipe(fault: &Error) -> bool {
    fault.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|fault| fault.kind() == ErrorKind::BrokenPipe)
    })
}

/// What to do about an error. (`downcast_ref` of an [`Error`] sees contexts too, which its chain hides.)
fn hints(fault: &Error) -> Vec<String> {
    let mut hints = Vec::new();
    hints.extend(fault.downcast_ref().map(|Hint { hint, .. }| hint.clone()));
    hints.extend(fault.downcast_ref().and_then(hint_for_data_fault));
    hints.extend(fault.downcast_ref().and_then(hint_for_device_fault));
    hints.extend(fault.downcast_ref().map(hint_for_group_fault));
    hints.extend(fault.downcast_ref().and_then(hint_for_script_fault));
    if is_out_of_memory(&message(fault)) {
        hints.push("a smaller --batch-size or smaller --layers need less memory".to_string());
    }
    hints
}

/// Whether a command has the options that a hint advises; a hint may also name another command.
fn is_for(command: &str, hint: &str) -> bool {
    let whole = cli::command();
    let words = command.split(' ');
    let Some(command) = words.into_iter().try_fold(&whole, |command, word| command.find_subcommand(word))
    else {
        return true;
    };
    let has = |name: &str| command.get_arguments().any(|option| option.get_long() == Some(name));
    let words = hint.split(|letter: char| !letter.is_ascii_lowercase() && letter != '-');
    hint.contains("fitch") || words.filter_map(|word| word.strip_prefix("--")).all(has)
}

/// All causes, outermost first; libtorch's are cut to their first line.
pub fn message(fault: &Error) -> String {
    let causes = fault.chain().map(|cause| match cause.downcast_ref::<TchError>() {
        Some(torch) => first_line(&torch.to_string()),
        None => cause.to_string(),
    });
    causes.collect::<Vec<_>>().join(": ")
}

/// The first line of a message from libtorch, which may go on with a stack trace and whole tensors; of code in
/// TorchScript the last one, which says what was wrong.
fn first_line(message: &str) -> String {
    const MAX_LENGTH: usize = 300;
    let mut lines = message.lines();
    let line = match lines.next().unwrap_or_default() {
        first if first.contains("failed in the TorchScript interpreter") => {
            let last = lines.rev().map(str::trim).find(|line| !line.is_empty());
            last.unwrap_or(first)
        }
        first => first,
    };
    match line.char_indices().nth(MAX_LENGTH) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;
    use std::sync::MutexGuard;

    /// The panic hook is one for all tests of the process.
    fn hook() -> MutexGuard<'static, ()> {
        static HOOK: Mutex<()> = Mutex::new(());
        HOOK.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn fault_of(work: impl FnOnce()) -> String {
        let _hook = hook();
        let fault = guard(|| {
            work();
            Ok(())
        });
        let _ = panic::take_hook();
        message(&fault.unwrap_err())
    }

    #[test]
    fn a_command_is_not_advised_options_of_another() {
        let memory = "a smaller --batch-size or smaller --layers need less memory";
        assert!(is_for("train", memory) && !is_for("evaluate", memory));
        let sizes = "--image-size 28x28 scales all images to one size";
        assert!(is_for("data inspect", sizes) && is_for("evaluate", sizes) && !is_for("predict", sizes));
        assert!(is_for("predict", "`fitch doctor` says what is missing; --device cpu trains on CPUs"));
        assert!(is_for("predict", "change to another one") && is_for("", sizes));
    }

    #[test]
    fn messages_of_libtorch_are_cut_to_their_first_line() {
        let torch = TchError::Torch(format!("shapes differ\nframe #0\n{}", "0.5 ".repeat(100_000)));
        let fault = Err::<(), _>(torch).context("cannot add").unwrap_err();
        assert_eq!(message(&fault), "cannot add: Internal torch error: shapes differ");
        assert!(first_line(&"x".repeat(100_000)).len() < 400);
    }

    #[test]
    fn a_panic_becomes_an_error_without_its_tensor_dump() {
        let text = fault_of(|| panic!("libtorch said\n{}", "0 ".repeat(10_000)));
        assert!(text.starts_with("internal fault: libtorch said (src/bin/fitch/failure.rs:"), "{text}");
    }

    #[test]
    fn what_libtorch_refuses_in_a_layer_is_told_in_its_words() {
        let text = fault_of(|| {
            let size = [1i64 << 40, 1 << 20];
            let _ = tch::Tensor::zeros(size, (tch::Kind::Float, tch::Device::Cpu));
        });
        assert!(text.contains("Internal torch error: ") && is_out_of_memory(&text), "{text}");
        assert!(!text.contains("internal fault") && !text.contains(".rs:"), "{text}");
    }

    #[test]
    fn the_panic_that_ended_the_work_is_told_not_one_that_was_caught_before() {
        let text = fault_of(|| {
            let _ = panic::catch_unwind(|| panic!("a damaged file"));
            let _ = thread::spawn(|| panic!("a damaged file elsewhere")).join();
            panic!("the real one");
        });
        assert!(text.starts_with("internal fault: the real one ("), "{text}");
    }

    #[test]
    fn of_a_thread_that_was_waited_for_the_panic_itself_is_told() {
        let text = fault_of(|| {
            let _ = panic::catch_unwind(|| panic!("a damaged file"));
            thread::scope(|scope| {
                scope.spawn(|| panic!("the real one"));
            });
        });
        assert!(text.starts_with("internal fault: the real one ("), "{text}");
    }
}
