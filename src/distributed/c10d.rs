//! The functions of c10d.cpp, and those of nccl.cpp, safe to call.

use super::Meeting;
use super::exchanges::Exchanges;
use super::memory::{Offer, SharedMemory};
use super::nccl::{self, Nccl};
use crate::device;
use anyhow::{Context, Result, anyhow, bail};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::net::{IpAddr, TcpListener, ToSocketAddrs, UdpSocket};
use std::os::fd::IntoRawFd;
use std::ptr::{null, null_mut};
use std::time::Duration;
use tch::{Device, Kind, Tensor};

unsafe extern "C" {
    fn fitch_store_in_file(path: *const c_char, size: c_int, store: *mut *mut c_void) -> *mut c_char;
    fn fitch_store_at(
        host: *const c_char,
        port: u16,
        listener: c_int,
        size: c_int,
        timeout: i64,
        store: *mut *mut c_void,
    ) -> *mut c_char;
    fn fitch_store_below(store: *mut c_void, prefix: *const c_char) -> *mut c_char;
    fn fitch_store_add(store: *mut c_void, key: *const c_char, value: i64, sum: *mut i64) -> *mut c_char;
    fn fitch_store_has(store: *mut c_void, key: *const c_char, has: *mut bool) -> *mut c_char;
    fn fitch_store_free(store: *mut c_void);
    fn fitch_group_of_cpus(
        store: *mut c_void,
        rank: c_int,
        size: c_int,
        address: *const c_char,
        interface: *const c_char,
        timeout: i64,
        group: *mut *mut c_void,
    ) -> *mut c_char;
    fn fitch_group_gather(group: *mut c_void, mine: *const c_void, all: *mut c_void) -> *mut c_char;
    fn fitch_group_broadcast(group: *mut c_void, values: *mut c_void, from: c_int) -> *mut c_char;
    fn fitch_group_free(group: *mut c_void);
}

const BETWEEN_CPUS: Exchanges = Exchanges {
    gather: fitch_group_gather,
    broadcast: fitch_group_broadcast,
    check: None,
    free: fitch_group_free,
};

/// The way of tensors between processes.
#[derive(Debug)]
pub enum Way {
    /// Through the network, from the memory of CPUs.
    Gloo,
    /// From CUDA devices, of which this is the one of this process.
    Nccl(Nccl, usize),
}

impl Way {
    /// The way from a device.
    ///
    /// # Errors
    /// A device that cannot be used, [`Fault::NoNccl`](super::Fault::NoNccl).
    pub fn from(device: Device) -> Result<Way> {
        match device {
            Device::Cpu => Ok(Way::Gloo),
            Device::Cuda(index) => {
                device::check_cuda(index)?;
                Ok(Way::Nccl(nccl::open()?, index))
            }
            other => bail!("training in several processes does not work on {other:?}"),
        }
    }
}

/// A place for small values that all processes see.
#[derive(Debug)]
pub struct Store(*mut c_void);

/// The connections of a process with the others.
#[derive(Debug)]
pub struct Links {
    group: *mut c_void,
    exchanges: Exchanges,
    rank: usize,
    size: usize,
    /// If all are on one machine.
    memory: Option<SharedMemory>,
}

impl Store {
    /// Opens the store of a meeting. At an address that nobody serves, rank 0 does, there and nowhere else.
    ///
    /// # Errors
    /// An address that cannot be had or reached, within `timeout`.
    pub fn open(meeting: &Meeting, rank: usize, size: usize, timeout: Duration) -> Result<Store> {
        let mut store = null_mut();
        let message = match meeting {
            Meeting::File(path) => {
                let path = text(path.to_str().context("the path of a meeting is not UTF-8")?)?;
                // SAFETY: the text lives until the call returns, and the result is written to `store`.
                unsafe { fitch_store_in_file(path.as_ptr(), size as c_int, &mut store) }
            }
            Meeting::Address { host, port, is_served, .. } => {
                let listener = match rank == 0 && !is_served {
                    true => listener(host, *port)?.into_raw_fd(),
                    false => -1,
                };
                let host = text(host)?;
                // SAFETY: as above; the listening socket is handed over.
                unsafe {
                    fitch_store_at(host.as_ptr(), *port, listener, size as c_int, millis(timeout), &mut store)
                }
            }
        };
        check(message).context("cannot meet the other processes")?;
        let store = Store(store);
        if let Meeting::Address { prefix, .. } = meeting {
            let prefix = text(prefix)?;
            // SAFETY: the store is open, and the text lives until the call returns.
            check(unsafe { fitch_store_below(store.0, prefix.as_ptr()) })?;
        }
        Ok(store)
    }

    /// Adds to a number, which begins at 0, and returns the sum.
    pub fn add(&self, key: &str, value: i64) -> Result<i64> {
        let (key, mut sum) = (text(key)?, 0);
        // SAFETY: the store is open; the text and the result live until the call returns.
        check(unsafe { fitch_store_add(self.0, key.as_ptr(), value, &mut sum) })?;
        Ok(sum)
    }

    /// Whether anybody has added to a number.
    pub fn has(&self, key: &str) -> Result<bool> {
        let (key, mut has) = (text(key)?, false);
        // SAFETY: as in `add`.
        check(unsafe { fitch_store_has(self.0, key.as_ptr(), &mut has) })?;
        Ok(has)
    }

    /// Connects with all other processes, each of which must call this, too. Later, none waits longer than
    /// `timeout` for another.
    ///
    /// # Errors
    /// A process that cannot be reached.
    pub fn connect(
        &self,
        way: Way,
        rank: usize,
        size: usize,
        meeting: &Meeting,
        timeout: Duration,
    ) -> Result<Links> {
        let (timeout, mut group) = (millis(timeout), null_mut());
        let (of, among) = (rank as c_int, size as c_int);
        let has_own_memory = matches!(way, Way::Gloo);
        let (message, exchanges) = match way {
            Way::Gloo => {
                let (address, interface) = (text(&own_address(meeting)?.to_string())?, interface(meeting)?);
                let (address, interface) =
                    (address.as_ptr(), interface.as_ref().map_or(null(), |name| name.as_ptr()));
                // SAFETY: the store is open; the texts and the result live until the call returns.
                let message = unsafe {
                    fitch_group_of_cpus(self.0, of, among, address, interface, timeout, &mut group)
                };
                (message, BETWEEN_CPUS)
            }
            Way::Nccl(library, device) => {
                // SAFETY: the store is open; the result lives until the call returns.
                let message =
                    unsafe { (library.join)(self.0, of, among, device as c_int, timeout, &mut group) };
                (message, library.exchanges)
            }
        };
        check(message).context("cannot connect with the other processes")?;
        let mut links = Links { group, exchanges, rank, size, memory: None };
        if has_own_memory {
            links.memory = links.share_memory()?;
        }
        Ok(links)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // SAFETY: nobody else has it.
        unsafe { fitch_store_free(self.0) };
    }
}

impl Links {
    /// The tensors [n] of every process, in the order of their ranks; that of this one is `mine` itself, which
    /// must be contiguous. On CUDA devices, the host does not wait for it.
    ///
    /// # Errors
    /// A process that cannot be reached, on CUDA devices in an earlier exchange.
    pub fn gather(&self, mine: &Tensor) -> Result<Vec<Tensor>> {
        /// In bytes: below it, sockets are as fast.
        const LARGE: usize = 1 << 16;
        match &self.memory {
            Some(memory) if mine.numel() * mine.kind().elt_size_in_bytes() >= LARGE => {
                memory.gather(mine, || {
                    let nothing = Tensor::f_zeros([1], (Kind::Uint8, Device::Cpu))?;
                    self.gather_by_network(&nothing).map(drop)
                })
            }
            _ => self.gather_by_network(mine),
        }
    }

    fn gather_by_network(&self, mine: &Tensor) -> Result<Vec<Tensor>> {
        let mut all = Tensor::f_empty([self.size as i64, mine.numel() as i64], (mine.kind(), mine.device()))?;
        // SAFETY: all three are valid until the call returns, and what a device still needs of them later is kept.
        check(unsafe { (self.exchanges.gather)(self.group, mine.as_ptr().cast(), all.as_mut_ptr().cast()) })?;
        let mut rows = all.f_unbind(0)?;
        rows[self.rank] = mine.shallow_clone();
        Ok(rows)
    }

    /// The memory of the machine, if all processes can share it.
    fn share_memory(&self) -> Result<Option<SharedMemory>> {
        const LENGTH: usize = 256;
        let offer = Offer::new().and_then(|offer| Ok((offer.address()?, offer)));
        let mut address = offer.as_ref().map_or(Vec::new(), |(address, _)| address.clone().into_bytes());
        address.resize(LENGTH, 0);
        let text = |bytes: &Tensor| {
            let bytes = Vec::<u8>::try_from(bytes)?;
            Ok(String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_string())
        };
        let addresses = self.gather_by_network(&Tensor::f_from_slice(&address)?)?;
        let addresses = addresses.iter().map(text).collect::<Result<Vec<_>>>()?;
        let memory = offer.and_then(|(_, offer)| offer.accept(self.rank, &addresses)).ok();
        // Each waits for all, so that no file is closed before the others have looked for it.
        let can_share = self.gather_by_network(&Tensor::f_from_slice(&[i64::from(memory.is_some())])?)?;
        let mut all_can = true;
        for can in can_share {
            all_can &= can.f_int64_value(&[0])? == 1;
        }
        Ok(memory.filter(|_| all_can))
    }

    /// Gives `values`, which must be contiguous, what they are in the process of that rank.
    ///
    /// # Errors
    /// As [`Links::gather`].
    pub fn broadcast(&self, values: &mut Tensor, from: usize) -> Result<()> {
        // SAFETY: as in `gather`.
        check(unsafe { (self.exchanges.broadcast)(self.group, values.as_mut_ptr().cast(), from as c_int) })
    }

    /// Fails if an exchange has failed, so that values which were read after it mean nothing.
    ///
    /// # Errors
    /// As [`Links::gather`].
    pub fn check(&self) -> Result<()> {
        // SAFETY: the group is valid until the call returns.
        self.exchanges.check.map_or(Ok(()), |function| check(unsafe { function(self.group) }))
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        // SAFETY: nobody else has them.
        unsafe { (self.exchanges.free)(self.group) };
    }
}

/// An error with a message from C++, if there is one.
fn check(message: *mut c_char) -> Result<()> {
    if message.is_null() {
        return Ok(());
    }
    // SAFETY: it is a text made by strdup, which nobody else frees.
    let text = unsafe {
        let text = CStr::from_ptr(message).to_string_lossy().into_owned();
        libc::free(message.cast());
        text
    };
    Err(anyhow!(text.lines().next().unwrap_or_default().to_string()))
}

fn text(text: &str) -> Result<CString> {
    CString::new(text).context("a text for c10d has a zero byte in it")
}

fn millis(duration: Duration) -> i64 {
    duration.as_millis().try_into().unwrap_or(i64::MAX)
}

fn listener(host: &str, port: u16) -> Result<TcpListener> {
    TcpListener::bind((host, port))
        .with_context(|| format!("cannot listen on {host}:{port}, as MASTER_ADDR and MASTER_PORT have it"))
}

/// The address of this machine from which the meeting is reached.
fn own_address(meeting: &Meeting) -> Result<IpAddr> {
    let Meeting::Address { host, port, .. } = meeting else { return Ok([127, 0, 0, 1].into()) };
    let way = || {
        let there = (host.as_str(), *port).to_socket_addrs()?.next().context("it has no address")?;
        let any: IpAddr = if there.is_ipv4() { [0; 4].into() } else { [0u16; 8].into() };
        let socket = UdpSocket::bind((any, 0))?;
        // Nothing is sent: the system only chooses the way.
        socket.connect(there)?;
        anyhow::Ok(socket.local_addr()?.ip())
    };
    way().with_context(|| format!("cannot find the way to {host}"))
}

/// The network interface to use, if users choose one, by the variable that PyTorch reads. Processes that meet in
/// a file are on one machine and need none.
fn interface(meeting: &Meeting) -> Result<Option<CString>> {
    if let Meeting::File(_) = meeting {
        return Ok(None);
    }
    std::env::var("GLOO_SOCKET_IFNAME").ok().map(|name| text(&name)).transpose()
}
