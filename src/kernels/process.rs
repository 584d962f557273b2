//! What is asked of the operating system for threads and memory.

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

/// Lets the process keep memory that is given back, up to 1 GiB. Each training step takes and gives back the
/// same large pieces, and to have the system clear them every time takes 7 % of an epoch of convolutions.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn keep_freed_memory() {
    const LARGEST_PIECE: libc::c_int = 32 << 20; // glibc takes no more
    // SAFETY: the function changes two numbers; if it refuses, they stay as they are.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST_PIECE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 30);
    }
}

/// Other allocators decide for themselves.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn keep_freed_memory() {}
