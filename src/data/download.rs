//! Fetches a file over HTTP: into a part file that a later try goes on with, checked against its digest,
//! renamed into place.

use super::Progress;
use super::digest::Digest;
use crate::files::LockedFile;
use anyhow::{Context, Result, anyhow, bail, ensure};
use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;
use ureq::tls::{RootCerts, TlsConfig};

/// No file of the catalogue comes near this size; a server that sends more is wrong.
const MAX_SIZE: u64 = 256 << 20;
const CHUNK: usize = 64 << 10;

/// Fetches a file from the first of the `addresses` that delivers it with the right digest.
///
/// What has come is kept in `destination` + `.part` when the connection breaks, and a later call asks
/// for the rest only. Two processes may fetch the same file: the second waits for the first.
///
/// # Errors
/// Every address failed (the faults are listed), or the folder cannot be written.
pub fn fetch(
    addresses: &[String],
    destination: &Path,
    digest: &Digest,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let folder = destination.parent().context("a file to fetch needs a folder")?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut part_name = destination.as_os_str().to_owned();
    part_name.push(".part");
    let part_path = Path::new(&part_name);
    let mut part = LockedFile::lock(part_path, || progress(Progress::Waiting))?;
    if destination.exists() {
        // Another process has fetched it meanwhile, or long ago; the part file is an empty leftover.
        part.remove();
        return Ok(());
    }

    let mut faults = Vec::new();
    for address in addresses {
        progress(Progress::Started { address: address.clone() });
        match fetch_into(part.file(), address, digest, progress) {
            Ok(()) => {
                part.file().sync_all().with_context(|| format!("cannot write {}", part_path.display()))?;
                fs::rename(part_path, destination)
                    .with_context(|| format!("cannot write {}", destination.display()))?;
                progress(Progress::Finished);
                return Ok(());
            }
            Err(fault) => {
                let fault = format!("{fault:#}");
                progress(Progress::MirrorFailed { address: address.clone(), fault: fault.clone() });
                faults.push(format!("{address}: {fault}"));
            }
        }
    }
    if part.file().metadata().is_ok_and(|metadata| metadata.len() == 0) {
        part.remove();
    }
    bail!("{}", faults.join("; "))
}

/// Completes the part file from one address and checks it. A part with the wrong digest is emptied.
fn fetch_into(
    part: &mut File,
    address: &str,
    digest: &Digest,
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    let have = part.seek(SeekFrom::End(0))?;
    let request = agent().get(address);
    let request = if have > 0 { request.header("Range", format!("bytes={have}-")) } else { request };
    let mut response = request.call().map_err(|fault| anyhow!("{fault}"))?;
    match response.status().as_u16() {
        206 => ensure!(starts_at(&response, have), "the server sent another part of the file than asked for"),
        200 => truncate(part)?,
        // The part is as long as the file, or longer: its digest tells.
        416 => return check(part, digest),
        status => bail!("the server answered with status {status}"),
    }
    let start = part.stream_position()?;
    let of = response.body().content_length().map(|rest| start + rest);
    ensure!(of.is_none_or(|of| of <= MAX_SIZE), "the server offers {} bytes, too many", of.unwrap_or(0));

    let mut reader = response.body_mut().with_config().limit(MAX_SIZE).reader();
    let mut chunk = vec![0; CHUNK];
    let mut bytes = start;
    loop {
        progress(Progress::Received { bytes, of });
        let count = reader.read(&mut chunk).context("the connection broke")?;
        if count == 0 {
            break;
        }
        part.write_all(&chunk[..count]).context("cannot write the part file")?;
        bytes += count as u64;
    }
    ensure!(
        of.is_none_or(|of| bytes == of),
        "the connection broke after {bytes} of {} bytes",
        of.unwrap_or(0)
    );
    check(part, digest)
}

fn agent() -> ureq::Agent {
    // The system's certificates, so that a company's own authority is trusted as by its other programs.
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(15)))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        .timeout_recv_body(Some(Duration::from_secs(30 * 60)))
        .user_agent(concat!("fitch/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

/// Whether a partial response begins at that byte: `Content-Range: bytes 100-199/200`.
fn starts_at<B>(response: &ureq::http::Response<B>, start: u64) -> bool {
    let range = response.headers().get("content-range").and_then(|value| value.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {start}-")))
}

fn truncate(part: &mut File) -> Result<()> {
    part.set_len(0).and_then(|()| part.rewind()).context("cannot write the part file")
}

fn check(part: &mut File, digest: &Digest) -> Result<()> {
    part.rewind()?;
    let (found, expected) = match digest {
        Digest::OfFile(expected) => (sha256(part), expected),
        Digest::OfContent(expected) => (sha256(&mut MultiGzDecoder::new(&mut *part)), expected),
    };
    let found = found.unwrap_or_else(|fault| format!("none: {fault}"));
    if found != **expected {
        truncate(part)?;
        bail!("the file is not the published one: its SHA-256 is {found}, not {expected}");
    }
    Ok(())
}

fn sha256(reader: &mut dyn Read) -> std::io::Result<String> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut length = 0;
    loop {
        let count = reader.read(&mut chunk)?;
        if count == 0 {
            return Ok(format!("{:x}", hasher.finalize()));
        }
        hasher.update(&chunk[..count]);
        length += count as u64;
        if length > MAX_SIZE {
            return Err(std::io::Error::other("it expands to too many bytes"));
        }
    }
}

#[cfg(test)]
mod tests;
