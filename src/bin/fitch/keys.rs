//! Keys that are pressed while the program does something else.

use std::thread;
use std::time::Duration;

/// Ctrl-C, as a key.
pub const CTRL_C: u8 = 3;

/// The keyboard, whose keys are read one by one and not shown until this is dropped.
#[derive(Debug)]
pub struct Keys {
    #[cfg(target_os = "linux")]
    before: Option<libc::termios>,
}

#[cfg(target_os = "linux")]
impl Keys {
    /// Takes the keyboard, if there is one.
    pub fn take() -> Keys {
        // SAFETY: tcgetattr fills the structure, for which all zeros are valid, and tcsetattr reads one that is valid.
        unsafe {
            let mut settings: libc::termios = std::mem::zeroed();
            if libc::tcgetattr(libc::STDIN_FILENO, &mut settings) != 0 {
                return Keys { before: None };
            }
            let before = settings;
            // Ctrl-C is a key as well: as a signal, it would end the process before the keyboard is as it was.
            settings.c_lflag &= !(libc::ICANON | libc::ECHO | libc::ISIG);
            let is_set = libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &settings) == 0;
            Keys { before: is_set.then_some(before) }
        }
    }

    /// Waits for a key for so long.
    pub fn wait(&self, time: Duration) -> Option<u8> {
        if self.before.is_none() {
            thread::sleep(time);
            return None;
        }
        let mut poll = libc::pollfd { fd: libc::STDIN_FILENO, events: libc::POLLIN, revents: 0 };
        let mut key = [0];
        // SAFETY: poll reads and writes one entry, read writes one byte; both live until they return.
        let count = unsafe {
            match libc::poll(&mut poll, 1, time.as_millis() as libc::c_int) {
                1 => libc::read(libc::STDIN_FILENO, key.as_mut_ptr().cast(), 1),
                _ => return None,
            }
        };
        // A keyboard that is gone is as good as an end.
        Some(if count == 1 { key[0] } else { CTRL_C })
    }
}

#[cfg(target_os = "linux")]
impl Drop for Keys {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // SAFETY: the settings are those that tcgetattr gave.
            unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, before) };
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl Keys {
    /// Ctrl-C ends the process, and there is no other key.
    pub fn take() -> Keys {
        Keys {}
    }

    pub fn wait(&self, time: Duration) -> Option<u8> {
        thread::sleep(time);
        None
    }
}
