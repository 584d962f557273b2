//! Ctrl-C, SIGTERM and SIGHUP: the first one asks the work in progress to stop where it can be saved, the
//! second one ends the process at once.

use crate::exit::Exit;
use crate::terminal::Terminal;
use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Installs the handlers and returns the flag that the first signal sets.
///
/// # Errors
/// The system refuses.
pub fn listen(terminal: &Terminal) -> Result<Arc<AtomicBool>> {
    let requested = Arc::new(AtomicBool::new(false));
    let (flag, terminal) = (requested.clone(), terminal.clone());
    let handler = move || {
        if flag.swap(true, Ordering::Relaxed) {
            Exit::Interrupted.leave_at_once();
        }
        // In another thread: printing may wait for a stopped terminal; the second signal must not.
        let terminal = terminal.clone();
        thread::spawn(move || {
            terminal.say("\ninterrupted: saving, then ending; press Ctrl-C again to end at once");
        });
    };
    ctrlc::set_handler(handler).context("cannot listen for signals")?;
    Ok(requested)
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
