//! Signals that ask for an end: Ctrl-C, SIGTERM, SIGHUP, and those by which batch systems announce that time
//! is up. The first one asks the work in progress to stop where it can be saved. Only a second Ctrl-C ends the
//! process at once: systems that stop a group of processes signal each of them more than once.

use crate::exit::Exit;
use crate::terminal::Terminal;
use anyhow::Result;
use fitch::run::is_writing_checkpoint;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

/// A program around this one may pass on a Ctrl-C that the terminal has sent to both: two that follow each
/// other faster than fingers are one.
const ONE_PRESS: Duration = Duration::from_millis(100);
/// How long an end at once waits for a checkpoint that is being written.
const TIME_TO_WRITE: Duration = Duration::from_secs(10);

static REQUESTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Whether a signal has asked for an end.
pub fn is_end_requested() -> bool {
    REQUESTED.load(Ordering::Relaxed)
}

/// Installs the handlers, but for signals that the process was started to ignore, as by `nohup`. Returns the
/// flag that the first signal sets.
///
/// # Errors
/// The system refuses.
pub fn listen(terminal: &Terminal) -> Result<Arc<AtomicBool>> {
    let mut requests = Requests { terminal: terminal.clone(), interrupted: None };
    system::listen(move |is_interrupt| requests.take(is_interrupt))?;
    Ok(REQUESTED.clone())
}

/// What has been asked for so far.
struct Requests {
    terminal: Terminal,
    /// When Ctrl-C was pressed for the first time.
    interrupted: Option<Instant>,
}

impl Requests {
    /// Takes the next request. Nothing here waits: neither for a terminal that was stopped nor for the reader
    /// of a pipe.
    fn take(&mut self, is_interrupt: bool) {
        let is_first = !REQUESTED.swap(true, Ordering::Relaxed);
        match self.interrupted {
            Some(before) if is_interrupt && before.elapsed() > ONE_PRESS => end_at_once(&self.terminal),
            None if is_interrupt => self.interrupted = Some(Instant::now()),
            _ => {}
        }
        if is_first {
            let terminal = self.terminal.clone();
            let again = if is_interrupt { "; press Ctrl-C again to end at once" } else { "" };
            thread::spawn(move || terminal.say(&format!("\ninterrupted: saving, then ending{again}")));
        }
    }
}

/// Ends the process, after the checkpoint that is being written if there is one. The next Ctrl-C does not wait
/// for that either.
fn end_at_once(terminal: &Terminal) {
    static IS_ENDING: AtomicBool = AtomicBool::new(false);
    terminal.clear_at_once();
    if !is_writing_checkpoint() || IS_ENDING.swap(true, Ordering::Relaxed) {
        Exit::Interrupted.leave_at_once();
    }
    thread::spawn(|| {
        let start = Instant::now();
        while is_writing_checkpoint() && start.elapsed() < TIME_TO_WRITE {
            thread::sleep(Duration::from_millis(5));
        }
        Exit::Interrupted.leave_at_once();
    });
}

#[cfg(target_os = "linux")]
mod system {
    use super::REQUESTED;
    use anyhow::{Context, Result};
    use std::fs::File;
    use std::io::Read;
    use std::os::fd::FromRawFd;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicI32, Ordering};
    use std::{mem, ptr, thread};

    /// Slurm's `--signal=USR1@90` and the like announce the end of a job; XCPU is that of a limit of CPU time.
    const SIGNALS: [libc::c_int; 6] =
        [libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1, libc::SIGUSR2, libc::SIGXCPU];

    /// The end of the pipe that the handler writes to.
    static PIPE: AtomicI32 = AtomicI32::new(-1);

    /// Calls `take` in a thread of its own for each signal, with whether it was Ctrl-C.
    pub fn listen(mut take: impl FnMut(bool) + Send + 'static) -> Result<()> {
        // Evaluated here, because the handler may not.
        LazyLock::force(&REQUESTED);
        let mut ends = [0; 2];
        // SAFETY: pipe2 writes two descriptors into the array.
        let made = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK) };
        let fault = || std::io::Error::last_os_error();
        if made != 0 {
            return Err(fault()).context("cannot listen for signals");
        }
        // SAFETY: the descriptor is ours. Its reader may wait, unlike its writer, the handler.
        unsafe { libc::fcntl(ends[0], libc::F_SETFL, 0) };
        PIPE.store(ends[1], Ordering::Relaxed);
        // SAFETY: the descriptor is open, and nothing else owns it.
        let mut reader = unsafe { File::from_raw_fd(ends[0]) };
        thread::spawn(move || {
            let mut signal = [0];
            while reader.read_exact(&mut signal).is_ok() {
                take(i32::from(signal[0]) == libc::SIGINT);
            }
        });
        for signal in SIGNALS {
            install(signal).context("cannot listen for signals")?;
        }
        Ok(())
    }

    /// Handles a signal, unless the process was started to ignore it.
    fn install(signal: libc::c_int) -> std::io::Result<()> {
        let check = |result| match result {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        };
        // SAFETY: all zeros are a valid sigaction; the pointers are to values that live as long as the calls;
        // the handler has the right signature and makes async-signal-safe calls only.
        unsafe {
            let mut before: libc::sigaction = mem::zeroed();
            check(libc::sigaction(signal, ptr::null(), &mut before))?;
            if before.sa_sigaction == libc::SIG_IGN {
                return Ok(());
            }
            let handler: extern "C" fn(libc::c_int) = on_signal;
            let mut action: libc::sigaction = mem::zeroed();
            action.sa_sigaction = handler as libc::sighandler_t;
            action.sa_flags = libc::SA_RESTART;
            check(libc::sigaction(signal, &action, ptr::null_mut()))
        }
    }

    /// Passes the number of the signal on to the thread.
    extern "C" fn on_signal(signal: libc::c_int) {
        let byte = signal as u8;
        // SAFETY: write is async-signal-safe and gets a byte that lives until it returns; the interrupted code
        // may be about to look at errno, so that it is put back.
        unsafe {
            let errno = libc::__errno_location();
            let before = *errno;
            libc::write(PIPE.load(Ordering::Relaxed), ptr::from_ref(&byte).cast(), 1);
            *errno = before;
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use anyhow::{Context, Result};

    /// Calls `take` for each signal, as if all were Ctrl-C.
    pub fn listen(mut take: impl FnMut(bool) + Send + 'static) -> Result<()> {
        ctrlc::set_handler(move || take(true)).context("cannot listen for signals")
    }
}

/// Lets a write beyond the limit on file sizes (`ulimit -f`) fail as one on a full disk does, instead of ending
/// the process.
pub fn survive_size_limits() {
    #[cfg(target_os = "linux")]
    // SAFETY: SIG_IGN is a valid disposition of this signal.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

/// Reports SIGBUS before it ends the process: a mapped file has become shorter.
pub fn explain_bus_errors() {
    #[cfg(target_os = "linux")]
    {
        extern "C" fn explain(_signal: libc::c_int) {
            const MESSAGE: &[u8] =
                b"error: a data file became shorter while it was in use (it is mapped into memory)\n\
                hint: restore the file; fitch train --resume RUN continues from the last checkpoint\n";
            // SAFETY: write and _exit are async-signal-safe, and MESSAGE is static.
            unsafe {
                libc::write(2, MESSAGE.as_ptr().cast(), MESSAGE.len());
                libc::_exit(1);
            }
        }
        let handler: extern "C" fn(libc::c_int) = explain;
        // SAFETY: the handler has the right signature and calls async-signal-safe functions only.
        unsafe { libc::signal(libc::SIGBUS, handler as libc::sighandler_t) };
    }
}
