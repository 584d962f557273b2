//! The place of a process among those that train together, as whoever starts them says it in the environment.

use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};

/// The variable that names the file in which processes on one machine meet.
pub(super) const MEETING_FILE: &str = "FITCH_MEETING";
/// PyTorch's default.
const DEFAULT_PORT: u16 = 29_500;

/// The place of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number among all processes, from 0.
    pub rank: usize,
    /// The number of all processes.
    pub size: usize,
    /// Its number among those of its machine, from 0: that of its GPU.
    pub local_rank: usize,
    /// The number of processes that share the cores of its machine, as far as that is known.
    pub local_size: usize,
    /// Where they meet.
    pub meeting: Meeting,
}

/// Where processes meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meeting {
    /// In a file, if all are on one machine.
    File(PathBuf),
    /// At an address.
    Address {
        /// The machine of rank 0.
        host: String,
        /// Its port.
        port: u16,
        /// Whether the process that starts them serves the address, as torchrun's does; otherwise rank 0 does.
        is_served: bool,
        /// What sets the values of this start apart from those of an earlier one.
        prefix: String,
    },
}

impl Place {
    /// The place that the environment names, if it names one of several: that of torchrun (or Kubernetes'
    /// training operator, which sets the same variables), of `srun`, or of `mpirun`.
    ///
    /// | | rank | size | meeting |
    /// |---|---|---|---|
    /// | torchrun | `RANK` | `WORLD_SIZE` | `MASTER_ADDR`, `MASTER_PORT` |
    /// | Slurm | `SLURM_PROCID` | `SLURM_STEP_NUM_TASKS`, `SLURM_NTASKS` | the first host of the job; the last four digits of its number + 15000, as in Lightning |
    /// | Open MPI | `OMPI_COMM_WORLD_RANK` | `OMPI_COMM_WORLD_SIZE` | `MASTER_ADDR` if there are several machines |
    /// | MPICH, Intel MPI | `PMI_RANK` | `PMI_SIZE` | as Open MPI |
    ///
    /// # Errors
    /// A variable that is missing or makes no sense.
    pub fn from_env() -> Result<Option<Place>> {
        Place::read(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// The places of processes on this machine, which meet in a file that does not exist yet.
    pub fn on_this_machine(size: usize, file: &Path) -> Vec<Place> {
        let place = |rank| Place {
            rank,
            size,
            local_rank: rank,
            local_size: size,
            meeting: Meeting::File(file.to_path_buf()),
        };
        (0..size).map(place).collect()
    }

    /// What [`Place::from_env`] reads in a process at this place that meets the others in a file.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let mut variables = vec![
            ("RANK", self.rank.to_string()),
            ("WORLD_SIZE", self.size.to_string()),
            ("LOCAL_RANK", self.local_rank.to_string()),
            ("LOCAL_WORLD_SIZE", self.local_size.to_string()),
        ];
        if let Meeting::File(path) = &self.meeting {
            variables.push((MEETING_FILE, path.display().to_string()));
        }
        variables
    }

    fn read(variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<Place>> {
        let environment = Environment { variable };
        let Some((starter, size)) = environment.starter()? else {
            let size = environment.first_of(&["WORLD_SIZE"])?.unwrap_or(1);
            ensure!(size <= 1, "WORLD_SIZE is {size}, but RANK is not set");
            return Ok(None);
        };
        if size == 1 {
            return Ok(None);
        }
        let rank = environment.needed(starter.rank)?;
        ensure!(rank < size, "{} is {rank}, but there are {size} processes", starter.rank);
        let local_rank = environment.first_of(starter.local_rank)?.unwrap_or(0);
        let local_size = environment.first_of(starter.local_size)?.unwrap_or(1);
        let meeting = environment.meeting(starter, local_size == size)?;
        Ok(Some(Place { rank, size, local_rank, local_size, meeting }))
    }
}

/// A program that starts processes, and the variables that it sets.
struct Starter {
    rank: &'static str,
    size: &'static [&'static str],
    local_rank: &'static [&'static str],
    local_size: &'static [&'static str],
    is_slurm: bool,
}

const STARTERS: [Starter; 4] = [
    Starter {
        rank: "RANK",
        size: &["WORLD_SIZE"],
        local_rank: &["LOCAL_RANK"],
        local_size: &["LOCAL_WORLD_SIZE"],
        is_slurm: false,
    },
    Starter {
        rank: "OMPI_COMM_WORLD_RANK",
        size: &["OMPI_COMM_WORLD_SIZE"],
        local_rank: &["OMPI_COMM_WORLD_LOCAL_RANK"],
        local_size: &["OMPI_COMM_WORLD_LOCAL_SIZE"],
        is_slurm: false,
    },
    Starter {
        rank: "SLURM_PROCID",
        size: &["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"],
        local_rank: &["SLURM_LOCALID"],
        // Slurm gives each task its own cores.
        local_size: &[],
        is_slurm: true,
    },
    Starter {
        rank: "PMI_RANK",
        size: &["PMI_SIZE"],
        local_rank: &["MPI_LOCALRANKID", "PMI_LOCAL_RANK"],
        local_size: &["MPI_LOCALNRANKS", "PMI_LOCAL_SIZE"],
        is_slurm: false,
    },
];

struct Environment<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Environment<'_> {
    /// Who started this process, and how many. A shell within a job of Slurm's was not started by `srun`, though
    /// it has some of the variables.
    fn starter(&self) -> Result<Option<(&'static Starter, usize)>> {
        for starter in &STARTERS {
            let is_shell = starter.is_slurm
                && (self.variable)("SLURM_JOB_NAME")
                    .is_some_and(|name| name == "bash" || name == "interactive");
            if (self.variable)(starter.rank).is_none() || is_shell {
                continue;
            }
            if let Some(size) = self.first_of(starter.size)? {
                ensure!(size > 0, "{} is 0", starter.size[0]);
                return Ok(Some((starter, size)));
            }
        }
        Ok(None)
    }

    fn first_of(&self, names: &[&str]) -> Result<Option<usize>> {
        let Some(name) = names.iter().find(|name| (self.variable)(name).is_some()) else { return Ok(None) };
        Ok(Some(self.needed(name)?))
    }

    fn needed<N: std::str::FromStr>(&self, name: &str) -> Result<N> {
        let text = (self.variable)(name).with_context(|| format!("{name} is not set"))?;
        text.trim()
            .parse()
            .ok()
            .with_context(|| format!("{name} is '{text}', not a whole number in its range"))
    }

    fn meeting(&self, starter: &Starter, is_one_machine: bool) -> Result<Meeting> {
        if let Some(path) = (self.variable)(MEETING_FILE) {
            return Ok(Meeting::File(path.into()));
        }
        let host = match ((self.variable)("MASTER_ADDR"), starter.is_slurm) {
            (Some(host), _) => host,
            (None, true) => first_host(
                &(self.variable)("SLURM_STEP_NODELIST")
                    .or_else(|| (self.variable)("SLURM_NODELIST"))
                    .context("neither MASTER_ADDR nor SLURM_NODELIST is set")?,
            ),
            (None, false) if is_one_machine => "127.0.0.1".to_string(),
            (None, false) => {
                bail!("MASTER_ADDR is not set: the name or the address of the machine of rank 0")
            }
        };
        let port = match ((self.variable)("MASTER_PORT"), (self.variable)("SLURM_JOB_ID")) {
            (Some(_), _) => self.needed("MASTER_PORT")?,
            (None, Some(job)) if starter.is_slurm => port_of_job(&job),
            (None, _) => DEFAULT_PORT,
        };
        ensure!(port > 0, "MASTER_PORT is 0; it must be a port on which rank 0 can listen");
        let is_served = (self.variable)("TORCHELASTIC_USE_AGENT_STORE").is_some_and(|value| value == "True");
        let attempt = (self.variable)("TORCHELASTIC_RESTART_COUNT").unwrap_or_default();
        Ok(Meeting::Address { host, port, is_served, prefix: format!("/worker/attempt_{attempt}") })
    }
}

/// The first of a list of hosts as Slurm writes it: `node[007-010,020],other` begins with `node007`.
fn first_host(list: &str) -> String {
    let end = list.find(|sign| "[,".contains(sign)).unwrap_or(list.len());
    let (name, rest) = list.split_at(end);
    let number = rest.strip_prefix('[').map(|rest| rest.split(['-', ',', ']']).next().unwrap_or_default());
    format!("{name}{}", number.unwrap_or_default())
}

/// Lightning's rule.
fn port_of_job(job: &str) -> u16 {
    let digits: String = job.chars().filter(char::is_ascii_digit).collect();
    let last = &digits[digits.len().saturating_sub(4)..];
    15_000 + last.parse::<u16>().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Place>> {
        Place::read(&|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
        })
    }

    fn address(place: &Place) -> (&str, u16) {
        match &place.meeting {
            Meeting::Address { host, port, .. } => (host, *port),
            Meeting::File(path) => panic!("{}", path.display()),
        }
    }

    #[test]
    fn a_process_on_its_own_has_no_place() {
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&[("RANK", "0"), ("WORLD_SIZE", "1")]).unwrap(), None);
        assert_eq!(
            read(&[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4"), ("SLURM_JOB_NAME", "bash")]).unwrap(),
            None
        );
        assert_eq!(read(&[("SLURM_JOB_ID", "12"), ("SLURM_NTASKS", "4")]).unwrap(), None);
    }

    #[test]
    fn every_starter_is_understood() {
        let torchrun = read(&[
            ("RANK", "3"),
            ("WORLD_SIZE", "4"),
            ("LOCAL_RANK", "1"),
            ("LOCAL_WORLD_SIZE", "2"),
            ("MASTER_ADDR", "one"),
            ("MASTER_PORT", "1234"),
            ("TORCHELASTIC_USE_AGENT_STORE", "True"),
            ("TORCHELASTIC_RESTART_COUNT", "2"),
        ]);
        let torchrun = torchrun.unwrap().unwrap();
        assert_eq!((torchrun.rank, torchrun.size, torchrun.local_rank, torchrun.local_size), (3, 4, 1, 2));
        let meeting = Meeting::Address {
            host: "one".to_string(),
            port: 1234,
            is_served: true,
            prefix: "/worker/attempt_2".to_string(),
        };
        assert_eq!(torchrun.meeting, meeting);

        let slurm = [
            ("SLURM_PROCID", "1"),
            ("SLURM_NTASKS", "2"),
            ("SLURM_LOCALID", "1"),
            ("SLURM_JOB_ID", "1234567"),
            ("SLURM_NODELIST", "gpu[017-020,031],login"),
        ];
        let place = read(&slurm).unwrap().unwrap();
        assert_eq!((place.rank, place.size, place.local_rank, place.local_size), (1, 2, 1, 1));
        assert_eq!(address(&place), ("gpu017", 19_567));

        let mpi = read(&[
            ("OMPI_COMM_WORLD_RANK", "1"),
            ("OMPI_COMM_WORLD_SIZE", "2"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
        ]);
        assert_eq!(address(&mpi.unwrap().unwrap()), ("127.0.0.1", DEFAULT_PORT));
    }

    #[test]
    fn a_place_is_read_as_it_was_written() {
        for place in Place::on_this_machine(3, Path::new("/tmp/meeting")) {
            let variables = place.variables();
            let variables: Vec<(&str, &str)> =
                variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(read(&variables).unwrap(), Some(place));
        }
    }

    #[test]
    fn what_makes_no_sense_is_an_error_that_names_the_variable() {
        let fault = |variables: &[(&str, &str)]| format!("{:#}", read(variables).unwrap_err());
        assert!(fault(&[("RANK", "2"), ("WORLD_SIZE", "2")]).contains("RANK is 2"));
        assert!(fault(&[("RANK", "x"), ("WORLD_SIZE", "2")]).contains("RANK is 'x'"));
        assert!(fault(&[("RANK", "0"), ("WORLD_SIZE", "0")]).contains("WORLD_SIZE is 0"));
        assert!(fault(&[("RANK", "0"), ("WORLD_SIZE", "2")]).contains("MASTER_ADDR is not set"));
        assert!(fault(&[("WORLD_SIZE", "2")]).contains("RANK is not set"));
        let port = [("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "a"), ("MASTER_PORT", "0")];
        assert!(fault(&port).contains("MASTER_PORT is 0"));
        let port = [("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "a"), ("MASTER_PORT", "99999")];
        assert!(fault(&port).contains("MASTER_PORT is '99999'"));
    }

    #[test]
    fn the_first_host_of_a_list() {
        for (list, first) in [("a", "a"), ("a,b", "a"), ("n[1-3]", "n1"), ("n[08,11]", "n08"), ("n[5]", "n5")]
        {
            assert_eq!(first_host(list), first, "{list}");
        }
        assert_eq!(port_of_job("42"), 15_042);
    }
}
