//! The processes of a training, connected.

use super::c10d::{Links, Store};
use super::{Fault, Place, arrival};
use anyhow::{Error, Result};
use std::time::Duration;
use tch::{Device, Kind, Tensor};

/// How long processes wait for each other unless users say otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(600);

/// The processes that train together, as one of them sees them. All must make the same calls in the same order.
///
/// ```
/// use fitch::distributed::Group;
/// use tch::Device;
///
/// // Under torchrun, srun or mpirun one of several, otherwise alone.
/// let group = Group::from_env(Device::Cpu)?;
/// println!("rank {} of {}", group.rank(), group.size());
/// # Ok::<(), anyhow::Error>(())
/// ```
#[derive(Debug)]
pub struct Group {
    rank: usize,
    size: usize,
    device: Device,
    others: Option<Others>,
}

/// The way to the other processes.
#[derive(Debug)]
struct Others {
    // Closed before the store is.
    links: Links,
    _store: Store,
    timeout: Duration,
}

impl Group {
    /// This process alone.
    pub fn alone() -> Group {
        Group { rank: 0, size: 1, device: Device::Cpu, others: None }
    }

    /// The group that the environment names ([`Place::from_env`]), whose tensors are on a device; without one,
    /// this process alone. Waits until all have come, 10 minutes at most.
    ///
    /// # Errors
    /// As [`Place::from_env`] and [`Group::join`].
    pub fn from_env(device: Device) -> Result<Group> {
        match Place::from_env()? {
            Some(place) => Group::join(&place, device, DEFAULT_TIMEOUT, &mut |_| ()),
            None => Ok(Group::alone()),
        }
    }

    /// Meets the other processes and connects with them. From then on, an exchange fails if a process does not
    /// take part in it within `timeout`. Where others are late, `waiting` is called once, with their ranks.
    ///
    /// # Errors
    /// [`Fault::Missing`], [`Fault::SameRank`], [`Fault::DevicesDiffer`], [`Fault::TooFewGpus`],
    /// [`Fault::NoNccl`]; a meeting that cannot be reached; a device for which there is no exchange.
    pub fn join(
        place: &Place,
        device: Device,
        timeout: Duration,
        waiting: &mut dyn FnMut(&[usize]),
    ) -> Result<Group> {
        let (store, links) = arrival::meet(place, device, timeout, waiting)?;
        let Place { rank, size, .. } = *place;
        let group = Group { rank, size, device, others: Some(Others { links, _store: store, timeout }) };
        // One that left before all others are connected would look like a network that does not work.
        group.wait_for_all()?;
        Ok(group)
    }

    /// The number of this process, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The number of processes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The device that tensors go between the processes from.
    pub fn device(&self) -> Device {
        self.device
    }

    /// Whether this is the first process: the one that writes and prints.
    pub fn is_first(&self) -> bool {
        self.rank == 0
    }

    /// The values `[n]` of every process, in the order of their ranks; all have the same n and type. The values of
    /// this one may be `mine` itself. On CUDA devices this only joins the queue of the device. Once a value that
    /// came after it has been read, [`check`](Group::check) says whether it means anything.
    ///
    /// # Errors
    /// [`Fault::PeerLost`], [`Fault::PeerSilent`], on CUDA devices in an earlier exchange.
    pub fn gather(&self, mine: &Tensor) -> Result<Vec<Tensor>> {
        let mine = mine.f_reshape([-1])?.f_contiguous()?;
        let Some(Others { links, timeout, .. }) = &self.others else { return Ok(vec![mine]) };
        links.gather(&mine).map_err(|fault| explained(&fault, *timeout))
    }

    /// Fails if an exchange has failed that came before a value which was read from the device.
    ///
    /// # Errors
    /// As [`Group::gather`].
    pub fn check(&self) -> Result<()> {
        let Some(Others { links, timeout, .. }) = &self.others else { return Ok(()) };
        links.check().map_err(|fault| explained(&fault, *timeout))
    }

    /// The bytes of every process, of any length.
    ///
    /// # Errors
    /// As [`Group::gather`].
    pub fn gather_bytes(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>> {
        let lengths = self.gather(&Tensor::from_slice(&[mine.len() as i64]).f_to_device(self.device)?)?;
        let lengths =
            lengths.iter().map(|length| length.f_int64_value(&[0])).collect::<Result<Vec<_>, _>>()?;
        self.check()?;
        let longest = lengths.iter().copied().max().unwrap_or(0) as usize;
        let mut padded = mine.to_vec();
        padded.resize(longest.max(1), 0);
        let all = self.gather(&Tensor::from_slice(&padded).f_to_device(self.device)?)?;
        let bytes = |(row, &length): (&Tensor, &i64)| Ok(Vec::try_from(row.f_narrow(0, 0, length)?)?);
        let all = all.iter().zip(&lengths).map(bytes).collect::<Result<_>>()?;
        self.check()?;
        Ok(all)
    }

    /// The bytes of the first process, in every one.
    ///
    /// # Errors
    /// As [`Group::gather`].
    pub fn bytes_of_first(&self, mine: &[u8]) -> Result<Vec<u8>> {
        let mine = if self.is_first() { mine } else { &[] };
        Ok(self.gather_bytes(mine)?.swap_remove(0))
    }

    /// Gives a tensor the values that it has in the first process; it has the same shape and type in all.
    ///
    /// # Errors
    /// As [`Group::gather`].
    pub fn take_from_first(&self, values: &Tensor) -> Result<()> {
        let Some(Others { links, timeout, .. }) = &self.others else { return Ok(()) };
        let mut sent = values.f_detach()?.f_to_device(self.device)?.f_contiguous()?;
        links.broadcast(&mut sent, 0).map_err(|fault| explained(&fault, *timeout))?;
        tch::no_grad(|| values.shallow_clone().f_copy_(&sent))?;
        self.check()
    }

    /// Waits until every process calls it.
    ///
    /// # Errors
    /// As [`Group::gather`].
    pub fn wait_for_all(&self) -> Result<()> {
        let nothing = Tensor::f_zeros([1], (Kind::Float, self.device))?;
        for row in self.gather(&nothing)? {
            row.f_double_value(&[0])?;
        }
        self.check()
    }

    /// Refuses processes that were started differently: every process gives lines of `name = value`, and each
    /// must be the first one's.
    ///
    /// # Errors
    /// [`Fault::Different`], with the rank and the lines, in every process; as [`Group::gather`].
    pub fn ensure_same(&self, lines: &str) -> Result<()> {
        let all = self.gather_bytes(lines.as_bytes())?;
        let texts: Vec<String> =
            all.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
        for (rank, text) in texts.iter().enumerate() {
            if let Some(what) = difference(text, &texts[0]) {
                return Err(Fault::Different { rank, what }.into());
            }
        }
        Ok(())
    }
}

/// `epochs = 3, where the first process has epochs = 2`.
fn difference(text: &str, first: &str) -> Option<String> {
    let (mut own, mut theirs) = (text.lines(), first.lines());
    loop {
        match (own.next(), theirs.next()) {
            (None, None) => return None,
            (own, theirs) if own == theirs => {}
            (own, theirs) => {
                let line = |line: Option<&str>| line.unwrap_or("nothing").to_string();
                return Some(format!("it has {}, where the first process has {}", line(own), line(theirs)));
            }
        }
    }
}

/// What c10d's message means.
fn explained(fault: &Error, timeout: Duration) -> Error {
    let detail = format!("{fault:#}");
    let is_timeout = ["imed out", "timeout", "Timeout"].iter().any(|word| detail.contains(word));
    match is_timeout {
        true => Error::new(Fault::PeerSilent { after: timeout }),
        // gloo begins with places in its source.
        false => {
            let detail = detail.rsplit(": ").next().unwrap_or_default().to_string();
            Error::new(Fault::PeerLost { detail })
        }
    }
}

#[cfg(all(test, feature = "distributed", target_os = "linux"))]
fn join(place: &Place, device: Device, timeout: Duration) -> Result<Group> {
    Group::join(place, device, timeout, &mut |_| ())
}

/// Runs work in several threads, each of which is a process of the group to the others.
#[cfg(all(test, feature = "distributed", target_os = "linux"))]
pub(crate) fn in_group<T: Send>(size: usize, work: impl Fn(Group) -> T + Sync) -> Vec<T> {
    use std::thread;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("meeting");
    thread::scope(|scope| {
        let member = |place: Place| {
            let work = &work;
            scope.spawn(move || work(join(&place, Device::Cpu, Duration::from_secs(20)).unwrap()))
        };
        let members: Vec<_> = Place::on_this_machine(size, &file).into_iter().map(member).collect();
        members.into_iter().map(|member| member.join().unwrap()).collect()
    })
}

#[cfg(all(test, feature = "distributed", target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn every_process_gets_what_all_have() {
        let gathered = in_group(3, |group| {
            let rank = group.rank() as i64;
            let all = Tensor::cat(&group.gather(&Tensor::from_slice(&[rank, 10 * rank])).unwrap(), 0);
            let bytes = group.gather_bytes(&vec![7; group.rank()]).unwrap();
            let first = group.bytes_of_first(format!("of {rank}").as_bytes()).unwrap();
            let shared = Tensor::from_slice(&[rank as f32 + 1.0]);
            group.take_from_first(&shared).unwrap();
            group.wait_for_all().unwrap();
            let values: Vec<i64> = Vec::try_from(all).unwrap();
            (values, bytes, first, f64::try_from(shared).unwrap())
        });
        for (values, bytes, first, shared) in gathered {
            assert_eq!(values, [0, 0, 1, 10, 2, 20]);
            assert_eq!(bytes, [vec![], vec![7], vec![7, 7]]);
            assert_eq!((first.as_slice(), shared), (&b"of 0"[..], 1.0));
        }
    }

    #[test]
    fn one_process_needs_nobody() {
        let group = Group::alone();
        assert_eq!(group.gather(&Tensor::from_slice(&[3i64])).unwrap().len(), 1);
        assert_eq!(group.gather_bytes(b"x").unwrap(), [b"x"]);
        group.ensure_same("a = 1").unwrap();
    }

    #[test]
    fn processes_that_differ_are_told_in_what() {
        let faults = in_group(2, |group| {
            group.ensure_same("seed = 1\n").unwrap();
            group.ensure_same(&format!("seed = 1\nepochs = {}\n", group.rank())).unwrap_err().to_string()
        });
        let told = "the process of rank 1 differs: it has epochs = 1, where the first process has epochs = 0";
        assert_eq!(faults, [told, told]);
    }

    #[test]
    fn a_process_that_leaves_is_noticed() {
        let faults = in_group(2, |group| {
            group.wait_for_all().unwrap();
            if group.rank() == 1 {
                return None;
            }
            Some(group.wait_for_all().unwrap_err())
        });
        let fault = faults[0].as_ref().unwrap();
        assert!(matches!(fault.downcast_ref(), Some(Fault::PeerLost { .. })), "{fault:#}");
    }
}
