//! `fitch train --processes N`: starts the processes that train together on this machine, and waits for them.

use crate::commands::children::{ask_to_stop, stop_with_this_process};
use crate::exit::Exit;
use crate::signals;
use crate::terminal::Terminal;
use anyhow::{Context, Result};
use fitch::distributed::{Meeting, Place};
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// The time between two looks at the processes.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the others have to end, after one has failed, before they are killed.
const TIME_TO_END: Duration = Duration::from_secs(5);

/// Runs this command line in several processes. The first one writes and prints; each prints its own errors.
pub fn run(processes: usize, terminal: &Terminal) -> Result<Exit> {
    let folder = tempfile::tempdir().context("cannot make a folder where the processes meet")?;
    let is_interrupted = signals::listen(&terminal.for_errors())?;
    let mut team = Team { running: Vec::new(), has_failed: false, was_interrupted: false };
    for place in Place::on_this_machine(processes, &folder.path().join("meeting")) {
        team.running.push((place.rank, start(&place)?));
    }
    let mut was_asked = false;
    let mut first_failure = None;
    while !team.running.is_empty() {
        team.look(terminal);
        if is_interrupted.load(Ordering::Relaxed) && !was_asked {
            was_asked = true;
            team.running.iter().for_each(|(_, child)| ask_to_stop(child));
        }
        if team.has_failed && first_failure.get_or_insert_with(Instant::now).elapsed() > TIME_TO_END {
            team.kill();
        }
        thread::sleep(PAUSE);
    }
    Ok(match (team.has_failed, team.was_interrupted) {
        (true, _) => Exit::Failure,
        (false, true) => Exit::Interrupted,
        (false, false) => Exit::Success,
    })
}

/// `rank 1 is waiting for rank 0 at node1:29500`, with what starts the others.
pub fn waiting(place: &Place, missing: &[usize]) -> String {
    let ranks: Vec<String> = missing.iter().map(usize::to_string).collect();
    let at = match &place.meeting {
        Meeting::Address { host, port, .. } => format!(" at {host}:{port}"),
        Meeting::File(_) => String::new(),
    };
    format!(
        "rank {} of {} is waiting for rank {}{at}; torchrun, srun or mpirun must start them all",
        place.rank,
        place.size,
        ranks.join(", ")
    )
}

fn start(place: &Place) -> Result<Child> {
    let program = std::env::current_exe().context("cannot find the path of this program")?;
    let mut command = Command::new(program);
    command.args(std::env::args_os().skip(1)).envs(place.variables());
    stop_with_this_process(&mut command);
    command.spawn().context("cannot start a process")
}

/// The processes that have not ended, with their ranks. They are killed if this is dropped.
struct Team {
    running: Vec<(usize, Child)>,
    has_failed: bool,
    was_interrupted: bool,
}

impl Team {
    /// Takes note of those that have ended.
    fn look(&mut self, terminal: &Terminal) {
        let mut ended = Vec::new();
        self.running.retain_mut(|(rank, child)| match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                ended.push((*rank, status));
                false
            }
            Err(_) => false,
        });
        for (rank, status) in ended {
            match status.code() {
                Some(code) if code == Exit::Success as i32 => {}
                Some(code) if code == Exit::Interrupted as i32 => self.was_interrupted = true,
                // The others of one that was asked to end lose it.
                Some(_) => self.has_failed |= !self.was_interrupted,
                // Asked to end before it could save anything.
                None if !self.has_failed && is_request(status) => {
                    self.was_interrupted = true;
                    self.running.iter().for_each(|(_, child)| ask_to_stop(child));
                }
                None => {
                    if !self.has_failed && !self.was_interrupted {
                        terminal.error(&format!("the process of rank {rank} {}", cause_of_death(status)));
                        terminal.hint(
                            "fitch train --resume RUN goes on from the last checkpoint, if there is one",
                        );
                    }
                    self.has_failed = true;
                }
            }
        }
    }

    fn kill(&mut self) {
        self.running.iter_mut().for_each(|(_, child)| drop(child.kill()));
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(target_os = "linux")]
fn is_request(status: ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal().is_some_and(|signal| [libc::SIGTERM, libc::SIGINT, libc::SIGHUP].contains(&signal))
}

#[cfg(not(target_os = "linux"))]
fn is_request(_: ExitStatus) -> bool {
    false
}

#[cfg(target_os = "linux")]
fn cause_of_death(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(libc::SIGKILL) => "was killed (signal 9), perhaps because memory ran out".to_string(),
        Some(signal) => format!("was ended by signal {signal}"),
        None => format!("ended with {status}"),
    }
}

#[cfg(not(target_os = "linux"))]
fn cause_of_death(status: ExitStatus) -> String {
    format!("ended with {status}")
}
