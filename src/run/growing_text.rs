//! A text that grows with a training. Checkpoints share it: each counts on its beginning, as it was when the
//! checkpoint was made, so that none has to write again what an earlier one has written.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The text, as far as it has grown; only what is not in a checkpoint yet is kept in memory.
#[derive(Clone, Debug, Default)]
pub struct GrowingText {
    length: u64,
    digest: Sha256,
    new: String,
}

/// How a text has grown since the last checkpoint.
#[derive(Clone, Debug)]
pub struct Growth {
    /// Where it was longest until then, in bytes.
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) beginning: Beginning,
}

/// A text up to some place, known by its digest.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Beginning {
    length: u64,
    sha256: String,
}

impl GrowingText {
    /// Adds to its end.
    pub fn append(&mut self, text: &str) {
        self.length += text.len() as u64;
        self.digest.update(text);
        self.new += text;
    }

    /// What was added since the last call.
    pub fn growth(&mut self) -> Growth {
        let bytes = std::mem::take(&mut self.new).into_bytes();
        let sha256 = format!("{:x}", self.digest.clone().finalize());
        let beginning = Beginning { length: self.length, sha256 };
        Growth { start: self.length - bytes.len() as u64, bytes, beginning }
    }
}

impl Growth {
    /// What was added.
    #[cfg(test)]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.bytes).unwrap()
    }

    /// Whether it is a text of its own, not the continuation of an earlier one.
    #[cfg(test)]
    pub fn begins_anew(&self) -> bool {
        self.start == 0
    }
}

impl Beginning {
    /// Reads it from a file that may have grown since.
    pub fn read(&self, path: &Path) -> Result<String> {
        let file = File::open(path).context("cannot be read")?;
        let there = file.metadata().context("cannot be read")?.len();
        ensure!(there >= self.length, "is shorter than when it was written");
        let mut bytes = Vec::new();
        file.take(self.length).read_to_end(&mut bytes).context("cannot be read")?;
        ensure!(format!("{:x}", Sha256::digest(&bytes)) == self.sha256, "is not as it was written");
        String::from_utf8(bytes).context("is not text")
    }
}
