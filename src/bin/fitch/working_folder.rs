//! A working folder that is gone. One of libtorch's libraries (oneMKL) looks for its own path when it is loaded,
//! which is before `main`, and ends the process with a message about something else if there is no such folder.
//! So this is found before libraries are initialised.

#[cfg(target_os = "linux")]
#[used]
// SAFETY: the loader calls each entry of this section as a function without arguments that it reads.
#[unsafe(link_section = ".preinit_array")]
static CHECK: extern "C" fn() = check;

#[cfg(target_os = "linux")]
extern "C" fn check() {
    const MESSAGE: &[u8] = b"error: the current folder was removed\nhint: change to another one\n";
    let mut path = [0u8; 4096];
    // SAFETY: these are calls of the system, which need no library; each gets memory that lives until it returns.
    unsafe {
        let found = libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len());
        if found < 0 && *libc::__errno_location() == libc::ENOENT {
            libc::syscall(libc::SYS_write, 2, MESSAGE.as_ptr(), MESSAGE.len());
            libc::syscall(libc::SYS_exit_group, 1);
        }
    }
}
