//! How the program ends.

use std::io::Write;

/// What the program tells whoever started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All was done.
    Success = 0,
    /// It failed, with `error: ...` on stderr.
    Failure = 1,
    /// It was called wrongly.
    Usage = 2,
    /// It was interrupted; what was done by then is saved. 128 + SIGINT, as shells report it.
    Interrupted = 130,
}

impl Exit {
    /// Ends the process without libtorch's destructors, which give back, in 40 to 60 ms, what the system
    /// takes back anyway.
    pub fn leave(self) -> ! {
        // Whoever closed it before us reads nothing of it.
        let _ = std::io::stdout().flush();
        #[cfg(target_os = "linux")]
        // SAFETY: nothing is left to be written: files are closed where they are made.
        unsafe {
            libc::_exit(self as i32)
        }
        #[cfg(not(target_os = "linux"))]
        std::process::exit(self as i32)
    }
}
