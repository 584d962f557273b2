//! Trainings as processes of their own.

use std::process::{Child, Command};

/// Keeps Ctrl-C at the terminal from the training: this process alone gets it, and passes it on once. The training
/// stops too, with its files whole, if this process is killed.
#[cfg(target_os = "linux")]
pub fn detach_from_terminal(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
    stop_with_this_process(command);
}

/// Lets a process stop, with its files whole, if this one is killed.
#[cfg(target_os = "linux")]
pub fn stop_with_this_process(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: prctl may be called between fork and exec.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
            Ok(())
        });
    }
}

/// Asks a process that was not waited for yet to stop after its step.
#[cfg(target_os = "linux")]
pub fn ask_to_stop(child: &Child) {
    // SAFETY: it was not waited for, so the number is still its own.
    unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
}

#[cfg(not(target_os = "linux"))]
pub fn detach_from_terminal(_: &mut Command) {}

#[cfg(not(target_os = "linux"))]
pub fn stop_with_this_process(_: &mut Command) {}

#[cfg(not(target_os = "linux"))]
pub fn ask_to_stop(_: &Child) {}
