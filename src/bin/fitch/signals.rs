//! Ctrl-C, SIGTERM and SIGHUP: the first asks a training under way to end after its step, the second
//! ends the process at once. It must not know what training is.

use crate::exit::Exit;
use crate::terminal::Terminal;
use anyhow::{Context, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Takes over the signals and gives the flag that the first one raises.
///
/// # Errors
/// The system refuses.
pub fn listen(terminal: Terminal) -> Result<Arc<AtomicBool>> {
    let requested = Arc::new(AtomicBool::new(false));
    let raised = requested.clone();
    let handler = move || {
        if raised.swap(true, Ordering::Relaxed) {
            Exit::Interrupted.leave();
        }
        terminal.say("\ninterrupted: finishing after this step; once more ends at once");
    };
    ctrlc::set_handler(handler).context("cannot listen to signals")?;
    Ok(requested)
}

/// Lets the process say what happened before it ends by SIGBUS: a mapped file that became shorter.
pub fn explain_bus_errors() {
    #[cfg(target_os = "linux")]
    {
        extern "C" fn explain(_signal: libc::c_int) {
            const MESSAGE: &[u8] =
                b"error: a data file became shorter while it was in use (it is mapped into memory)\n\
                hint: put the file back; fitch train --resume RUN goes on from the last checkpoint\n";
            // SAFETY: write and _exit may be called in a signal handler.
            unsafe {
                libc::write(2, MESSAGE.as_ptr().cast(), MESSAGE.len());
                libc::_exit(1);
            }
        }
        let handler: extern "C" fn(libc::c_int) = explain;
        // SAFETY: the handler does only what a signal handler may.
        unsafe { libc::signal(libc::SIGBUS, handler as libc::sighandler_t) };
    }
}
