//! `fitch board`: the runs below a folder in a browser, live. It only reads, and does nothing while no browser
//! asks.

mod answers;
mod host;
mod server;
mod watched;

use crate::cli::BoardOptions;
use crate::commands::runs::check_there;
use crate::exit::Exit;
use crate::failure::Hint;
use crate::terminal::Terminal;
use answers::Answers;
use anyhow::{Context, Result, ensure};
use host::Hosts;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::process::{Command, Stdio};
use std::sync::Arc;

pub fn run(options: &BoardOptions, terminal: &Terminal) -> Result<Exit> {
    let shown = options.folder.display();
    check_there(&options.folder)?;
    let folder =
        options.folder.canonicalize().with_context(|| format!("cannot look for runs below {shown}"))?;
    ensure!(folder.is_dir(), "{shown} is not a folder");
    let listener = listen(options)?;
    let address = listener.local_addr()?;
    // Whoever can reach this machine could read along.
    let token = (!address.ip().is_loopback()).then(|| format!("{:032x}", rand::random::<u128>()));
    let hosts = Hosts::new(&options.host, address.ip());
    let path = token.as_ref().map_or(String::new(), |token| format!("{token}/"));
    let url = format!("http://{}/{path}", hosts.shown(address));
    terminal.result(&format!("{url}\n"))?;
    terminal.say(&format!("showing the runs below {shown}; Ctrl-C ends"));
    if !options.no_open && terminal.shows_results {
        open_browser(&url);
    }
    server::serve(&listener, Arc::new(Answers::new(folder, hosts, token)))
}

fn listen(options: &BoardOptions) -> Result<TcpListener> {
    let BoardOptions { host, port, .. } = options;
    let found = (host.as_str(), *port).to_socket_addrs();
    let addresses: Vec<SocketAddr> =
        found.with_context(|| format!("--host {host}: there is no such host"))?.collect();
    TcpListener::bind(addresses.as_slice()).map_err(|fault| {
        let hint = match fault.kind() {
            ErrorKind::AddrInUse => "another program has the port; --port 0 takes one that is free",
            _ => "--host takes a name or an address of this machine",
        };
        let message = format!("cannot answer at {host}, port {port}: {fault}");
        Hint { message, hint: hint.to_string() }.into()
    })
}

/// Opens the user's browser, where there is a screen for it.
fn open_browser(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let has_screen = cfg!(target_os = "macos")
        || ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if has_screen {
        // The address is printed in any case.
        let _ = Command::new(program)
            .arg(url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
    }
}
