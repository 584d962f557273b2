//! Memory through which the processes of one machine hand large tensors to each other. Through sockets, each byte
//! would be copied in small pieces, with a switch between processes at every one.

use crate::kernels::tensor_slice::{as_slice, filled};
use anyhow::{Context, Result, ensure};
use std::cell::Cell;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process;
use tch::{Kind, Tensor};

/// Where the second half of a file begins. What lies between holds no memory.
const HALF: u64 = 1 << 40;
/// In bytes: larger tensors go in several pieces, each through memory that is still in the processor's cache.
const PIECE: i64 = 1 << 23;

/// A file in memory for each process, which it writes and the others read.
#[derive(Debug)]
pub struct SharedMemory {
    /// In the order of the ranks.
    files: Vec<File>,
    rank: usize,
    /// The half that is written next: while others may still read the last piece, this process may write one
    /// more, but no second one before all have come to the next one.
    next: Cell<u64>,
}

/// A file that other processes cannot find by a name, and of which nothing is left when all have ended. Unlike a
/// file below /dev/shm, it has no limit of its own, as containers set one.
pub struct Offer {
    file: File,
}

impl Offer {
    /// # Errors
    /// A system without such files.
    pub fn new() -> Result<Offer> {
        // SAFETY: the name is a text of C; the call reads nothing else.
        let descriptor = unsafe { libc::memfd_create(c"fitch".as_ptr(), libc::MFD_CLOEXEC) };
        ensure!(descriptor >= 0, std::io::Error::last_os_error());
        // SAFETY: the descriptor is new, and nobody else has it.
        Ok(Offer { file: unsafe { File::from_raw_fd(descriptor) } })
    }

    /// By what the others find the file, and know that it is the one that was meant: a process of another
    /// container may have the same number.
    ///
    /// # Errors
    /// A system that does not tell.
    pub fn address(&self) -> Result<String> {
        let path = format!("/proc/{}/fd/{}", process::id(), self.file.as_raw_fd());
        Ok(format!("{path} {} {}", boot()?, number(&self.file)?))
    }

    /// The memory that all processes share, given their addresses by rank.
    ///
    /// # Errors
    /// A process on another machine, or in a container that does not see this one.
    pub fn accept(self, rank: usize, addresses: &[String]) -> Result<SharedMemory> {
        let boot = boot()?;
        let mut files = Vec::new();
        for address in addresses {
            let (path, id) = address.split_once(' ').context("no address")?;
            let file = File::open(path)?;
            ensure!(id == format!("{boot} {}", number(&file)?), "a file of the same path elsewhere");
            files.push(file);
        }
        // Only this descriptor can be written.
        files[rank] = self.file;
        Ok(SharedMemory { files, rank, next: Cell::new(0) })
    }
}

impl SharedMemory {
    /// The contiguous tensors [n] of every process, all of one size, in the order of their ranks; that of this one
    /// is `mine` itself. `wait_for_all` returns once it has been called in all of them.
    ///
    /// # Errors
    /// Those of `wait_for_all`; too little memory.
    pub fn gather(&self, mine: &Tensor, wait_for_all: impl Fn() -> Result<()>) -> Result<Vec<Tensor>> {
        let mut pieces: Vec<Vec<Tensor>> = self.files.iter().map(|_| Vec::new()).collect();
        for piece in mine.f_view_dtype(Kind::Uint8)?.f_split(PIECE, 0)? {
            let half = self.next.replace(HALF - self.next.get());
            self.write(&piece, half).context("too little memory to share with the other processes")?;
            wait_for_all()?;
            for (rank, pieces) in pieces.iter_mut().enumerate().filter(|(rank, _)| *rank != self.rank) {
                pieces.push(read(&self.files[rank], half, piece.numel())?);
            }
        }
        let whole = |(rank, pieces): (usize, Vec<Tensor>)| {
            if rank == self.rank {
                return Ok(mine.shallow_clone());
            }
            let bytes = match pieces.as_slice() {
                [piece] => piece.shallow_clone(),
                pieces => Tensor::f_cat(pieces, 0)?,
            };
            Ok(bytes.f_view_dtype(mine.kind())?)
        };
        pieces.into_iter().enumerate().map(whole).collect()
    }

    fn write(&self, bytes: &Tensor, place: u64) -> Result<()> {
        let file = &self.files[self.rank];
        match as_slice::<u8>(bytes) {
            Some(bytes) => Ok(file.write_all_at(bytes, place)?),
            None => Ok(file.write_all_at(&Vec::<u8>::try_from(bytes)?, place)?),
        }
    }
}

fn read(file: &File, place: u64, count: usize) -> Result<Tensor> {
    let mut outcome = Ok(());
    let bytes = filled::<u8>(&[count as i64], |bytes| outcome = file.read_exact_at(bytes, place))?;
    outcome.context("the memory of another process cannot be read")?;
    Ok(bytes)
}

/// What tells this start of this machine from all others.
fn boot() -> Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_string())
}

/// What tells a file from all others of the machine.
fn number(file: &File) -> Result<String> {
    let about = file.metadata()?;
    Ok(format!("{}:{}", about.dev(), about.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;
    use std::thread;

    #[test]
    fn large_tensors_are_handed_on_through_memory() {
        let sizes = [7, 300_000, 20, PIECE / 8 * 2 + 1];
        let offers = [Offer::new().unwrap(), Offer::new().unwrap()];
        let addresses = offers.each_ref().map(|offer| offer.address().unwrap());
        let barrier = Barrier::new(2);
        let memories: Vec<SharedMemory> = {
            // As in processes, no file is closed before all others have been opened.
            let opened = |rank: usize| Offer { file: offers[rank].file.try_clone().unwrap() };
            (0..2).map(|rank| opened(rank).accept(rank, &addresses).unwrap()).collect()
        };
        thread::scope(|scope| {
            for (rank, memory) in memories.into_iter().enumerate() {
                let barrier = &barrier;
                scope.spawn(move || {
                    for (turn, size) in sizes.into_iter().enumerate() {
                        let value = |rank: usize| (10 * turn + rank) as f64;
                        let mine = Tensor::full([size], value(rank), (Kind::Double, tch::Device::Cpu));
                        let all = memory.gather(&mine, || {
                            barrier.wait();
                            Ok(())
                        });
                        for (other, row) in all.unwrap().iter().enumerate() {
                            assert_eq!(row, &Tensor::full_like(&mine, value(other)), "turn {turn}");
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn a_file_that_only_has_the_path_of_the_one_meant_is_not_taken() {
        let offer = || Offer::new().unwrap();
        let (one, other) = (offer(), offer());
        let [mine, theirs] = [&one, &other].map(|offer| offer.address().unwrap());
        let (path, id) = theirs.split_once(' ').unwrap();
        let wrong = [
            format!("{path} {}", mine.split_once(' ').unwrap().1),
            format!("{path} {}", id.replacen(|_: char| true, "?", 1)),
            format!("/proc/{}/fd/999999 {id}", process::id()),
            String::new(),
        ];
        for wrong in wrong {
            let offer = Offer { file: one.file.try_clone().unwrap() };
            assert!(offer.accept(0, &[mine.clone(), wrong.clone()]).is_err(), "{wrong}");
        }
        assert!(one.accept(0, &[mine, theirs]).is_ok());
    }
}
