//! The priority of threads that work in the background.

/// Lets this thread run only while no other wants to: training waits for the slowest of its threads.
#[cfg(target_os = "linux")]
pub fn run_when_idle() {
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: 0 is the calling thread, and the parameters live as long as the call. If it fails, the thread
    // keeps its priority.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &parameters) };
}

/// Other systems have no such priority.
#[cfg(not(target_os = "linux"))]
pub fn run_when_idle() {}
