//! How the processes of a group come together.

use super::c10d::{Links, Store, Way};
use super::{Fault, Meeting, Place};
use crate::device::gpus;
use anyhow::{Result, bail, ensure};
use std::io::ErrorKind;
use std::net::{TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};
use tch::Device;

/// The time between two looks at who has come.
const PAUSE: Duration = Duration::from_millis(20);

/// Meets the other processes and connects with them, as `Group::join` tells.
///
/// # Errors
/// As there.
pub fn meet(
    place: &Place,
    device: Device,
    timeout: Duration,
    waiting: &mut dyn FnMut(&[usize]),
) -> Result<(Store, Links)> {
    let Place { rank, size, ref meeting, .. } = *place;
    let way = Way::from(device)?;
    let mut patience = Patience { start: Instant::now(), timeout, has_told: false, waiting };
    wait_for_server(meeting, rank, &mut patience)?;
    let store = Store::open(meeting, rank, size, timeout)?;
    announce(device, &store)?;
    announce_size(size, &store)?;
    ensure!(store.add(&key(rank), 1)? == 1, Fault::SameRank { rank });
    loop {
        let mut missing = Vec::new();
        for other in 0..size {
            if !store.has(&key(other))? {
                missing.push(other);
            }
        }
        check_sizes(size, &store)?;
        if missing.is_empty() {
            break;
        }
        if !patience.is_left_for(&missing) {
            return Err(Fault::Missing { ranks: missing, size, after: timeout }.into());
        }
    }
    check_devices(&store, size)?;
    let links = store.connect(way, rank, size, meeting, timeout)?;
    Ok((store, links))
}

/// The time that is left to wait for others; `waiting` is called once it becomes long.
struct Patience<'a> {
    start: Instant,
    timeout: Duration,
    has_told: bool,
    waiting: &'a mut dyn FnMut(&[usize]),
}

impl Patience<'_> {
    /// Waits for a moment, unless the time is up.
    fn is_left_for(&mut self, missing: &[usize]) -> bool {
        const LONG: Duration = Duration::from_secs(5);
        let waited = self.start.elapsed();
        if waited > LONG && !self.has_told {
            self.has_told = true;
            (self.waiting)(missing);
        }
        thread::sleep(PAUSE);
        waited < self.timeout
    }
}

/// Waits until the first process, or whoever serves the meeting, answers at its address. c10d would wait too, but
/// prints what it thinks of it.
fn wait_for_server(meeting: &Meeting, rank: usize, patience: &mut Patience) -> Result<()> {
    let Meeting::Address { host, port, is_served, .. } = meeting else { return Ok(()) };
    if rank == 0 && !is_served {
        return Ok(());
    }
    loop {
        // A name may become known later, where machines are started together.
        let answer = (host.as_str(), *port).to_socket_addrs().and_then(|mut addresses| {
            let address = addresses.next().ok_or(ErrorKind::NotFound)?;
            TcpStream::connect_timeout(&address, Duration::from_secs(1))
        });
        let Err(fault) = answer else { return Ok(()) };
        if !patience.is_left_for(&[0]) {
            let after = patience.timeout;
            bail!("rank 0 does not answer at {host}:{port} after {after:?} ({fault})");
        }
    }
}

/// What all processes were told of their number: in the lowest bits how many have said it, above them the sum.
const SIZES: &str = "fitch/sizes";
const SUM: u32 = 24;

fn announce_size(size: usize, store: &Store) -> Result<()> {
    store.add(SIZES, ((size as i64) << SUM) + 1).map(drop)
}

/// Fails if a process that has come was told another number of processes.
fn check_sizes(size: usize, store: &Store) -> Result<()> {
    let sizes = store.add(SIZES, 0)?;
    let (sum, count) = (sizes >> SUM, sizes & ((1 << SUM) - 1));
    ensure!(sum == count * size as i64, Fault::SizesDiffer { size });
    Ok(())
}

/// How many processes use a CUDA device.
const ON_CUDA: &str = "fitch/on cuda";
/// How many devices these are.
const GPUS: &str = "fitch/gpus";

/// Tells the others which device this process uses.
fn announce(device: Device, store: &Store) -> Result<()> {
    let Device::Cuda(index) = device else { return Ok(()) };
    store.add(ON_CUDA, 1)?;
    // One without a name is taken for one of its own: if it is not, NCCL refuses it.
    let is_new = match gpus().into_iter().nth(index).and_then(|gpu| gpu.uuid) {
        Some(uuid) => store.add(&format!("fitch/gpu/{uuid}"), 1)? == 1,
        None => true,
    };
    if is_new {
        store.add(GPUS, 1)?;
    }
    Ok(())
}

/// Once all have announced their devices: fails in all of them, if they cannot train together.
fn check_devices(store: &Store, size: usize) -> Result<()> {
    let (on_cuda, gpus) = (store.add(ON_CUDA, 0)? as usize, store.add(GPUS, 0)? as usize);
    ensure!([0, size].contains(&on_cuda), Fault::DevicesDiffer { on_cuda, size });
    ensure!(gpus == on_cuda, Fault::TooFewGpus { processes: size, gpus });
    Ok(())
}

fn key(rank: usize) -> String {
    format!("fitch/rank/{rank}")
}

#[cfg(all(test, feature = "distributed", target_os = "linux"))]
mod tests {
    use super::*;
    use crate::device;

    const LONG: Duration = Duration::from_secs(600);

    fn meet(place: &Place, device: Device, timeout: Duration) -> Result<(Store, Links)> {
        super::meet(place, device, timeout, &mut |_| ())
    }

    #[test]
    fn a_device_that_is_not_there_is_refused_before_the_others_are_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let place = &Place::on_this_machine(2, &folder.path().join("meeting"))[0];
        let fault = meet(place, Device::Cuda(99), LONG).unwrap_err();
        let fault = fault.downcast_ref::<device::Fault>();
        assert!(fault.is_some_and(|fault| fault.index == Some(99)), "{fault:?}");
    }

    /// As those of processes on CUDA devices, which this machine need not have.
    #[test]
    fn devices_that_cannot_train_together_are_refused() {
        let faults = |announced: [(i64, i64); 2]| {
            let folder = tempfile::tempdir().unwrap();
            let places = Place::on_this_machine(2, &folder.path().join("meeting"));
            let store = Store::open(&places[0].meeting, 0, 2, LONG).unwrap();
            for (on_cuda, gpus) in announced {
                store.add(ON_CUDA, on_cuda).unwrap();
                store.add(GPUS, gpus).unwrap();
            }
            check_devices(&store, 2).map_err(|fault| fault.to_string())
        };
        assert_eq!(faults([(1, 1), (1, 1)]), Ok(()));
        assert_eq!(faults([(0, 0), (0, 0)]), Ok(()));
        assert_eq!(faults([(1, 1), (0, 0)]), Err("only 1 of 2 processes can use a GPU".to_string()));
        let shared = "2 processes have only 1 GPU, and each needs one of its own";
        assert_eq!(faults([(1, 1), (1, 0)]), Err(shared.to_string()));
    }

    #[test]
    fn a_rank_that_comes_twice_and_one_that_does_not_come_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let places = Place::on_this_machine(3, &folder.path().join("meeting"));
        let fault = |rank: usize| {
            meet(&places[rank], Device::Cpu, Duration::from_millis(200)).unwrap_err().to_string()
        };
        assert_eq!(fault(1), "of 3 processes, ranks 0, 2 are missing after 200ms");
        assert_eq!(fault(1), "there is another process of rank 1");
    }

    #[test]
    fn processes_that_were_told_different_numbers_learn_it_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("meeting");
        let places = [Place::on_this_machine(2, &file).remove(0), Place::on_this_machine(3, &file).remove(1)];
        let faults = thread::scope(|scope| {
            let member = |place| scope.spawn(move || meet(place, Device::Cpu, LONG).unwrap_err());
            places.each_ref().map(member).map(|member| member.join().unwrap().to_string())
        });
        let told =
            |size| format!("another process was told that there are not {size} processes, as this one was");
        assert_eq!(faults, [told(2), told(3)]);
    }
}
