//! As much of HTTP/1.1 as one page needs: requests without a body, one a connection, each in a thread of its
//! own. `httparse` reads their heads.

use crate::exit::Exit;
use anyhow::Result;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const MAX_HEAD: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// A browser has six connections to a host.
const MAX_CONNECTIONS: usize = 64;
/// A client that is slower than this gets nothing.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// The path with the query.
    pub target: String,
    pub host: String,
}

#[derive(Debug)]
pub struct Response {
    pub status: &'static str,
    pub content_type: &'static str,
    /// What the browser may do with it (Content-Security-Policy).
    pub policy: &'static str,
    pub body: Vec<u8>,
}

impl Response {
    pub fn text(status: &'static str, text: &str) -> Response {
        let body = format!("{text}\n").into_bytes();
        Response { status, content_type: "text/plain; charset=utf-8", policy: "default-src 'none'", body }
    }
}

/// What answers requests.
pub trait Answer: Send + Sync + 'static {
    fn answer(&self, request: &Request) -> Response;
}

/// Answers until the process ends.
///
/// # Errors
/// The listening socket fails.
pub fn serve(listener: &TcpListener, answers: Arc<impl Answer>) -> Result<Exit> {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            // Of one client, or of this process's files for now; the next may come through.
            Err(fault) if fault.kind() != ErrorKind::InvalidInput => {
                thread::sleep(Duration::from_millis(100));
                continue;
            }
            Err(fault) => return Err(fault.into()),
        };
        if open.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
            open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let (answers, of_thread) = (answers.clone(), open.clone());
        let started = thread::Builder::new().spawn(move || {
            // A client that is gone needs no answer.
            let _ = converse(&stream, &*answers);
            of_thread.fetch_sub(1, Ordering::Relaxed);
        });
        if started.is_err() {
            open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn converse(mut stream: &TcpStream, answers: &dyn Answer) -> std::io::Result<()> {
    stream.set_write_timeout(Some(PATIENCE))?;
    let (response, has_body) = match read_request(stream)? {
        Some(request) if request.method == "GET" || request.method == "HEAD" => {
            (answers.answer(&request), request.method == "GET")
        }
        Some(_) => (Response::text("405 Method Not Allowed", "the board only shows: GET and HEAD"), true),
        None => (Response::text("400 Bad Request", "this is no request of HTTP"), true),
    };
    let head = format!(
        "HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nContent-Security-Policy: {}\r\n\
         X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nCross-Origin-Resource-Policy: \
         same-origin\r\nCache-Control: no-store\r\nAllow: GET, HEAD\r\nConnection: close\r\n\r\n",
        response.status,
        response.content_type,
        response.body.len(),
        response.policy
    );
    stream.write_all(head.as_bytes())?;
    if has_body {
        stream.write_all(&response.body)?;
    }
    stream.flush()
}

/// Reads the head of a request; none if it is not one.
fn read_request(mut stream: &TcpStream) -> std::io::Result<Option<Request>> {
    let start = Instant::now();
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let left = PATIENCE.saturating_sub(start.elapsed());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let count = stream.read(&mut piece)?;
        head.extend(&piece[..count]);
        match parse(&head) {
            Some(request) => return Ok(request),
            None if count == 0 || head.len() > MAX_HEAD => return Ok(None),
            None => {}
        }
    }
}

/// The request of a whole head, or that it is none; nothing of one that goes on.
fn parse(head: &[u8]) -> Option<Option<Request>> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(head) {
        Ok(httparse::Status::Partial) => return None,
        Err(_) => return Some(None),
        Ok(httparse::Status::Complete(_)) => {}
    }
    let hosts: Vec<&[u8]> = request
        .headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("host"))
        .map(|header| header.value)
        .collect();
    let parts = || {
        // Two of them could be understood in two ways.
        let [host] = hosts[..] else { return None };
        let host = std::str::from_utf8(host).ok()?.trim().to_string();
        Some(Request { method: request.method?.to_string(), target: request.path?.to_string(), host })
    };
    Some(parts())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_whole_in_pieces_or_none() {
        let whole = b"GET /a?b HTTP/1.1\r\nHost: localhost:1\r\nX: y\r\n\r\n";
        let request = Request { method: "GET".into(), target: "/a?b".into(), host: "localhost:1".into() };
        assert_eq!(parse(whole), Some(Some(request)));
        assert_eq!(parse(&whole[..20]), None);
        for none in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"\x16\x03\x01\x02\x00",
            b"GET / HTTP/9\r\n\r\n",
        ] {
            assert_eq!(parse(none), Some(None), "{none:?}");
        }
    }
}
