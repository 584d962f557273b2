//! What the board answers: its page, the runs that have changed, the curves and the page of a run.

use super::host::Hosts;
use super::server::{Answer, Request, Response};
use super::watched::{Watched, check_plain};
use crate::commands::built_model::RecordedRun;
use crate::commands::run_page::{page_of_files, recorded_history};
use crate::failure;
use anyhow::Result;
use fitch::report::page;
use fitch::run::RunFolder;
use percent_encoding::percent_decode_str;
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Instant, SystemTime};

const PAGE: &str = include_str!("board.html");
const STYLE: &str = include_str!("board.css");
const SCRIPT: &str = include_str!("board.js");
/// Added to the page of a run in progress.
const LIVE_SCRIPT: &str = include_str!("live.js");

/// Of our own page: its scripts come from here only.
const OWN_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
                          connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
                          frame-ancestors 'none'";
/// Of the page of a run in progress, which we make.
const LIVE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                           connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
                           frame-ancestors 'none'";
/// Of a page that lies in a run's folder, whoever wrote it: it cannot ask for anything here.
const FILE_POLICY: &str = "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; \
                           style-src 'unsafe-inline'; img-src data:";

/// Curves are read again so rarely that it takes at most one part in this many of the time.
const SHARE: u32 = 100;
/// The number of runs whose curves are kept.
const MAX_KEPT: usize = 256;

pub struct Answers {
    hosts: Hosts,
    /// What every path begins with, if others than this machine can ask.
    token: Option<String>,
    watched: Mutex<Watched>,
    curves: Mutex<HashMap<String, Curves>>,
}

/// The curves of a run, as they were sent.
struct Curves {
    of: Option<SystemTime>,
    /// Not to be read again before that.
    until: Instant,
    body: Vec<u8>,
}

impl Answers {
    pub fn new(folder: PathBuf, hosts: Hosts, token: Option<String>) -> Answers {
        Answers { hosts, token, watched: Mutex::new(Watched::new(folder)), curves: Mutex::default() }
    }

    fn route(&self, path: &str, query: &HashMap<String, String>) -> Result<Response> {
        let own = |content_type, body: Vec<u8>| Response {
            status: "200 OK",
            content_type,
            policy: OWN_POLICY,
            body,
        };
        let javascript = "text/javascript; charset=utf-8";
        Ok(match path {
            "" => own("text/html; charset=utf-8", PAGE.into()),
            "board.css" => own("text/css; charset=utf-8", format!("{}{STYLE}", page::STYLE).into()),
            "board.js" => {
                own(javascript, format!("{}{}{SCRIPT}", page::CURVES_SCRIPT, page::TABLES_SCRIPT).into())
            }
            "runs" => {
                let since = query.get("since").and_then(|since| since.parse().ok()).unwrap_or(0);
                let changes = self.watched.lock().unwrap_or_else(PoisonError::into_inner).changes(since);
                own("application/json", changes.to_string().into())
            }
            "curves" | "run" => {
                let id = query.get("run").map_or("", String::as_str);
                let found = self.watched.lock().unwrap_or_else(PoisonError::into_inner).run(id);
                match found {
                    None => Response::text("404 Not Found", "there is no such run below this folder"),
                    Some((folder, has_ended)) => {
                        check_plain(&folder)?;
                        match path {
                            "curves" => own("application/json", self.curves(id, &folder)?),
                            _ => run_page(&folder, has_ended)?,
                        }
                    }
                }
            }
            _ => Response::text("404 Not Found", "there is nothing here"),
        })
    }

    fn curves(&self, id: &str, folder: &RunFolder) -> Result<Vec<u8>> {
        let start = Instant::now();
        let time = |path: PathBuf| path.metadata().and_then(|metadata| metadata.modified()).ok();
        // The record has the best epoch, when there is one.
        let of = time(folder.history_file()).max(time(folder.record_file()));
        let kept = |curves: &HashMap<String, Curves>| {
            let curves = curves.get(id)?;
            (curves.of == of || curves.until > start).then(|| curves.body.clone())
        };
        if let Some(body) = kept(&self.curves.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(body);
        }
        let run = RecordedRun::open(folder.path())?;
        let body =
            page::curves(&folder.name(), &run.record, &recorded_history(&run)?).to_string().into_bytes();
        let until = Instant::now() + start.elapsed() * SHARE;
        let mut curves = self.curves.lock().unwrap_or_else(PoisonError::into_inner);
        if curves.len() >= MAX_KEPT {
            curves.clear();
        }
        curves.insert(id.to_string(), Curves { of, until, body: body.clone() });
        Ok(body)
    }
}

/// The page that a run has in its folder, or one made of its files.
fn run_page(folder: &RunFolder, has_ended: bool) -> Result<Response> {
    let (policy, body) = match fs::read(folder.file("report.html")) {
        Ok(page) if has_ended => (FILE_POLICY, page),
        _ => {
            let script = if has_ended { "" } else { LIVE_SCRIPT };
            (LIVE_POLICY, page_of_files(&RecordedRun::open(folder.path())?, script)?.into_bytes())
        }
    };
    Ok(Response { status: "200 OK", content_type: "text/html; charset=utf-8", policy, body })
}

impl Answer for Answers {
    fn answer(&self, request: &Request) -> Response {
        if !self.hosts.answers_to(&request.host) {
            return Response::text(
                "421 Misdirected Request",
                "this program does not answer to that host name",
            );
        }
        let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let Some(path) = below(path, self.token.as_deref()) else {
            return Response::text("403 Forbidden", "the address needs the token that `fitch board` printed");
        };
        failure::guard(|| self.route(path, &pairs(query)))
            .unwrap_or_else(|fault| Response::text("500 Internal Server Error", &format!("{fault:#}")))
    }
}

/// A path below the token, if there must be one and it is the right one.
fn below<'a>(path: &'a str, token: Option<&str>) -> Option<&'a str> {
    let path = path.strip_prefix('/')?;
    let Some(token) = token else { return Some(path) };
    let (given, path) = path.split_once('/')?;
    // As long for every wrong one, so that it cannot be found letter by letter.
    let differs = given.bytes().zip(token.bytes()).fold(0, |differs, (one, other)| differs | (one ^ other));
    (given.len() == token.len() && differs == 0).then_some(path)
}

fn pairs(query: &str) -> HashMap<String, String> {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_opens() {
        assert_eq!(below("/runs", None), Some("runs"));
        assert_eq!(below("/abc/runs", Some("abc")), Some("runs"));
        for path in ["/", "/runs", "/ab/runs", "/abcd/runs", "/abd/runs", "abc/runs", "/abc"] {
            assert_eq!(below(path, Some("abc")), None, "{path}");
        }
    }

    #[test]
    fn names_in_queries_are_decoded() {
        let found = pairs("run=a%2Fb%20%26c&since=3");
        assert_eq!((found["run"].as_str(), found["since"].as_str()), ("a/b &c", "3"));
    }
}
