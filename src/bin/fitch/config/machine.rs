//! The device and the threads that a command uses.

use super::Checker;
use anyhow::Result;
use fitch::device::DeviceChoice;

/// libtorch starts as many threads as it is asked for; far more than there are cores only exhaust the system.
const MAX_THREADS: i64 = 1024;
const MAX_PROCESSES: i64 = 1024;

#[derive(Clone, Copy, Debug)]
pub struct Machine {
    pub device: DeviceChoice,
    /// CPU threads.
    pub threads: usize,
}

/// Checks the options of the machine alone.
pub fn check_machine(device: &str, threads: Option<i64>) -> Result<Machine> {
    Checker::run(|checker| check(device, threads, checker))
}

pub fn check(device: &str, threads: Option<i64>, checker: &mut Checker) -> Option<Machine> {
    let choice = match device.parse::<DeviceChoice>() {
        Ok(choice) => Some(choice),
        Err(fault) => checker.fault("device", device, &fault.to_string()),
    };
    let threads = check_threads(threads, checker);
    Some(Machine { device: choice?, threads: threads? })
}

pub fn check_processes(processes: Option<i64>, checker: &mut Checker) -> Option<usize> {
    checker.count_up_to("processes", processes, MAX_PROCESSES)
}

fn check_threads(threads: Option<i64>, checker: &mut Checker) -> Option<usize> {
    match threads {
        None => Some(std::thread::available_parallelism().map_or(1, usize::from)),
        threads => checker.count_up_to("threads", threads, MAX_THREADS),
    }
}
