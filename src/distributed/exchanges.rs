//! The functions of C that exchange tensors.

use std::ffi::{c_char, c_int, c_void};

/// What exchanges tensors, between CPUs or between CUDA devices. The group is the first argument.
#[derive(Clone, Copy, Debug)]
pub struct Exchanges {
    /// What this process has itself need not be written.
    pub gather: unsafe extern "C" fn(*mut c_void, *const c_void, *mut c_void) -> *mut c_char,
    pub broadcast: unsafe extern "C" fn(*mut c_void, *mut c_void, c_int) -> *mut c_char,
    /// None where an exchange ends before its call returns.
    pub check: Option<unsafe extern "C" fn(*mut c_void) -> *mut c_char>,
    pub free: unsafe extern "C" fn(*mut c_void),
}
