//! Writing to standard output and standard error, whose readers may take their time: a pager, a pipe that is
//! full, a terminal that was stopped. Without a signal to end, the program waits for them; after one, it does
//! not wait for long.

#[cfg(target_os = "linux")]
use crate::signals;
use std::io::{self, Write};
use std::time::Duration;

/// What goes into a pipe that has any room at all without waiting.
#[cfg(target_os = "linux")]
const PART: usize = 4096;

/// Writes everything, or gives up with [`io::ErrorKind::TimedOut`] when an end was asked for and the reader has
/// not read for that long since.
pub fn write_all(stream: Stream, text: &[u8], patience: Duration) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    for part in text.chunks(PART) {
        if !is_ready(stream, patience) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.write_all(part)?;
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = patience;
        stream.write_all(text)?;
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Output,
    Error,
}

impl Stream {
    fn write_all(self, text: &[u8]) -> io::Result<()> {
        match self {
            Stream::Output => {
                let mut out = io::stdout().lock();
                out.write_all(text)?;
                out.flush()
            }
            Stream::Error => io::stderr().lock().write_all(text),
        }
    }
}

/// Waits until a stream takes more; false if it does not and an end was asked for.
#[cfg(target_os = "linux")]
fn is_ready(stream: Stream, patience: Duration) -> bool {
    const LOOK: Duration = Duration::from_millis(50);
    let number = if stream == Stream::Output { libc::STDOUT_FILENO } else { libc::STDERR_FILENO };
    let mut waited = Duration::ZERO;
    loop {
        let mut poll = libc::pollfd { fd: number, events: libc::POLLOUT, revents: 0 };
        // SAFETY: poll reads and writes one entry, which lives until it returns.
        match unsafe { libc::poll(&mut poll, 1, LOOK.as_millis() as libc::c_int) } {
            0 if !signals::is_end_requested() => {}
            0 if waited >= patience => return false,
            0 => waited += LOOK,
            // Ready, or in a state in which the write says what is wrong. A signal interrupts the wait.
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            _ => return true,
        }
    }
}
