//! The names that the board answers to. A page elsewhere can have its own name lead to this machine, and a
//! browser would let it read what is answered; but the request then carries that name.

use std::net::{IpAddr, SocketAddr};

pub struct Hosts {
    /// As it was asked for.
    given: String,
    is_loopback: bool,
}

impl Hosts {
    pub fn new(given: &str, bound: IpAddr) -> Hosts {
        Hosts { given: given.to_ascii_lowercase(), is_loopback: bound.is_loopback() }
    }

    /// The host and the port for the address that is printed.
    pub fn shown(&self, address: SocketAddr) -> String {
        match self.given.parse::<IpAddr>() {
            // Where all addresses are meant, a browser needs one of them.
            Ok(given) if given.is_unspecified() => format!("{}:{}", machine_name(), address.port()),
            Ok(_) => address.to_string(),
            Err(_) => format!("{}:{}", self.given, address.port()),
        }
    }

    /// Whether a request for that host is for this program: its own name, or an address, which no name led to.
    pub fn answers_to(&self, host: &str) -> bool {
        let name = host_name(host).to_ascii_lowercase();
        match name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            Ok(address) => !self.is_loopback || address.is_loopback(),
            Err(_) => {
                name == "localhost" || name == self.given || (!self.is_loopback && name == machine_name())
            }
        }
    }
}

/// The host without its port.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// What this machine is called in its network.
fn machine_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim().to_ascii_lowercase();
    if name.is_empty() { "localhost".to_string() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_own_names_and_addresses_are_answered() {
        let local = Hosts::new("127.0.0.1", IpAddr::from([127, 0, 0, 1]));
        for host in ["127.0.0.1:8030", "localhost", "LOCALHOST:9", "[::1]:8030", "127.0.0.1"] {
            assert!(local.answers_to(host), "{host}");
        }
        for host in
            ["evil.example:8030", "10.0.0.5:8030", "localhost.evil.example", "", "127.0.0.1.evil.example"]
        {
            assert!(!local.answers_to(host), "{host}");
        }
        let open = Hosts::new("gpu7.lab", IpAddr::from([10, 0, 0, 5]));
        for (host, answers) in [("gpu7.lab:80", true), ("10.0.0.5:80", true), ("evil.example", false)] {
            assert_eq!(open.answers_to(host), answers, "{host}");
        }
        assert_eq!(open.shown(SocketAddr::from(([10, 0, 0, 5], 80))), "gpu7.lab:80");
    }
}
